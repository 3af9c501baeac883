//! Redaction as its administrator sees it: rules in files, reload, commands, and what only whole events show.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::corpus;
use crate::harness::{Server, Setup, binary, root, wait_for};
use crate::http;
use crate::query::{Lake, run_python};

const PATIENCE: Duration = Duration::from_secs(30);

fn badge(extra: &str) -> String {
    format!("rules:\n- {{id: badge, regex: 'E-\\d{{7}}', keywords: [e-]}}\n{extra}")
}

fn server_with(rules: &Path) -> Server {
    let mut setup = Setup::default().idle("1s");
    setup.settings.push(format!("processors.redaction.rules=[{}]", rules.display()));
    setup.start()
}

fn prompt(server: &Server, session: &str, text: &str) {
    let hook = json!({"session_id": session, "hook_event_name": "UserPromptSubmit", "prompt": text});
    let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn ready(server: &Server) -> Value {
    serde_json::from_slice(&http::get(server.ports.health, "/ready").unwrap().body).unwrap()
}

fn metric(server: &Server, line: &str) -> Option<String> {
    let page = http::get(server.ports.metrics, "/metrics").unwrap().text();
    page.lines().find_map(|l| l.strip_prefix(line).map(str::to_owned))
}

fn policy(server: &Server) -> String {
    metric(server, "sessionlake_redaction_policy_info").expect("the policy is told")
}

#[test]
fn rules_are_reloaded_as_a_whole_and_bad_files_leave_the_old_ones_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    fs::write(&file, badge("")).unwrap();
    let mut server = server_with(&file);
    let first = policy(&server);
    prompt(&server, "before", "badge E-1234567");

    fs::write(&file, "rules:\n- {id: badge, regex: '('}\n").unwrap();
    let degraded = || Some(ready(&server)).filter(|ready| ready["checks"]["redaction"] == "degraded");
    let told = wait_for("a bad file to be told of", PATIENCE, degraded);
    let detail = told["details"]["redaction"].as_str().unwrap();
    assert!(detail.contains("rules.yaml:2:") && detail.contains("stays in force"), "{detail}");
    assert_eq!(policy(&server), first);
    assert_eq!(metric(&server, "sessionlake_redaction_reload_failures_total ").as_deref(), Some("1"));
    prompt(&server, "meanwhile", "badge E-1234567");

    fs::write(&file, badge("- {id: ticket, regex: 'T-\\d{7}', keywords: [t-]}\n")).unwrap();
    wait_for("the good file to be in force", PATIENCE, || (policy(&server) != first).then_some(()));
    wait_for("readiness", PATIENCE, || (ready(&server)["checks"]["redaction"] == "ok").then_some(()));
    prompt(&server, "after", "badge E-1234567 ticket T-1234567");
    let reloads = metric(&server, "sessionlake_redaction_reloads_total ").unwrap();
    server.signal("-HUP");
    wait_for("SIGHUP to be heard", PATIENCE, || {
        metric(&server, "sessionlake_redaction_reloads_total ").filter(|n| *n != reloads)
    });

    corpus::send_marker(&server, "marker");
    let sessions = ["before", "meanwhile", "after"].map(str::to_owned);
    let rows = Lake::of(&server).when(
        &corpus::settled(&sessions, "marker"),
        &["SELECT session_id, policy, content FROM facts WHERE kind = 'prompt' ORDER BY session_id"],
    );
    for row in &rows[0] {
        let content = row["content"].as_str().unwrap();
        assert!(content.contains("[REDACTED:badge") && !content.contains("1234567"), "{content}");
    }
    let policies: Vec<&Value> = rows[0].iter().map(|row| &row["policy"]).collect();
    assert_ne!(policies[0], policies[1], "the fact names the policy that it passed");
    assert_eq!(policies[1], policies[2]);
    assert!(server.terminate().success());
    assert!(!server.log().contains("1234567"));
}

#[test]
fn a_secret_shown_in_pieces_is_in_no_event_and_its_pieces_are_hidden() {
    let secret = "AKIAQ4RZ7WJX2MNB5VTK";
    let server = Setup::default().idle("2s").start();
    let mut sessions = Vec::new();
    for offset in [1, 7, 12, 19] {
        let session = format!("split-{offset}");
        let (one, two) = secret.split_at(offset);
        for (index, delta) in [format!("the key is {one}"), format!("{two} and no more")].iter().enumerate() {
            let hook = json!({
                "session_id": session, "hook_event_name": "MessageDisplay", "message_id": "m", "index": index,
                "final": index == 1, "delta": delta,
            });
            let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
            assert_eq!(reply.status, 200);
        }
        sessions.push(session);
    }
    let whole = "whole".to_owned();
    prompt(&server, &whole, "nothing to see");
    sessions.push(whole);
    corpus::send_marker(&server, "marker");
    let rows = Lake::of(&server).when(
        &corpus::settled(&sessions, "marker"),
        &[
            "SELECT content FROM events WHERE session_id LIKE 'split-%'",
            "SELECT redactions::VARCHAR AS redactions FROM sessions WHERE session_id LIKE 'split-%'",
        ],
    );
    assert_eq!(rows[0].len(), 4);
    for row in &rows[0] {
        let content = row["content"].as_str().unwrap();
        assert!(
            content.starts_with("the key is [REDACTED:aws-access-key-id") && content.ends_with("] and no more"),
            "{content}"
        );
    }
    assert!(rows[1].iter().all(|row| row["redactions"].as_str().unwrap().contains("aws-access-key-id")));
    let hidden = Lake::of(&server).when(
        "SELECT count(*) = 8 FROM facts WHERE session_id LIKE 'split-%' AND content = '[REDACTED:pieces]'",
        &["SELECT content FROM facts WHERE session_id = 'whole'"],
    );
    assert!(hidden[0].iter().any(|row| row["content"] == "nothing to see"), "{hidden:?}");
    wait_for("the marks to go", PATIENCE, || {
        let marks = fs::read_dir(server.data_dir().join("lake/_sessionlake/rewrite/default"));
        marks.map_or(Some(()), |mut marks| marks.next().is_none().then_some(()))
    });
}

/// A rule that comes too late is made good: in the tables, and in every byte of the lake.
#[test]
fn stored_sessions_are_redacted_again_by_the_rules_of_today() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yaml");
    fs::write(&file, "rules: []\n").unwrap();
    let server = server_with(&file);
    prompt(&server, "early", "badge E-1234567 and more");
    prompt(&server, "other", "no badge");
    corpus::send_marker(&server, "marker");
    let lake = Lake::of(&server);
    let sessions = ["early", "other"].map(str::to_owned);
    let content = "SELECT content FROM events WHERE session_id = 'early'";
    let rows = lake.when(&corpus::settled(&sessions, "marker"), &[content]);
    assert_eq!(rows[0][0]["content"], "badge E-1234567 and more");

    let first = policy(&server);
    fs::write(&file, badge("")).unwrap();
    wait_for("the new rule to be in force", PATIENCE, || (policy(&server) != first).then_some(()));
    let data = server.data_dir().display().to_string();
    let told = run(&["reredact", "--since", "1d", "--reason", "badges", "--json", "--data-dir", &data], b"");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let done: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!((&done["facts"], &done["events"], &done["sessions"]), (&json!(1), &json!(1), &json!(1)), "{done}");
    let rows = lake.when(
        "SELECT true",
        &[
            "SELECT content FROM events WHERE session_id IN ('early', 'other') ORDER BY session_id",
            &format!("SELECT action, outcome, reason, event_rows FROM delta_scan('{data}/lake/default/audit')"),
        ],
    );
    let shown: Vec<&str> = rows[0].iter().map(|row| row["content"].as_str().unwrap()).collect();
    assert!(shown[0].starts_with("badge [REDACTED:badge") && shown[0].ends_with("and more"), "{shown:?}");
    assert_eq!(shown[1], "no badge");
    let receipt = json!({"action": "reredact", "outcome": "done", "reason": "badges", "event_rows": 1});
    assert_eq!(Value::Object(rows[1][0].clone()), receipt);
    let directories = json!([server.lake()]).to_string();
    assert_eq!(run_python("traces.py", &[&directories, &json!(["E-1234567"]).to_string()], b"").trim(), "[]");
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn redact_is_a_filter() {
    let output = run(&["redact"], b"export KEY=AKIAQ4RZ7WJX2MNB5VTK\nplain\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("export KEY=[REDACTED:aws-access-key-id"));
    assert!(text(&output.stdout).ends_with("]\nplain\n"));

    let line = json!({"id": "a", "text": "mail bob@corp.invalid or AKIAQ4RZ7WJX2MNB5VTK"}).to_string();
    let output = run(
        &["redact", "--jsonl", "--packs", "secrets/default,pii/structured"],
        format!("{line}\nnonsense\n").as_bytes(),
    );
    assert_eq!(output.status.code(), Some(1), "a bad line is told of by the exit code");
    assert!(text(&output.stderr).contains("line 2"), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules: Vec<&str> =
        answer["spans"].as_array().unwrap().iter().map(|span| span["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["email", "aws-access-key-id"]);
    assert_eq!(run(&["redact", "--packs", "nope"], b"").status.code(), Some(64));
}

#[test]
fn rule_files_are_checked_compared_and_tried_on_stored_sessions() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new, bad] = ["old.yaml", "new.yaml", "bad.yaml"].map(|name| dir.path().join(name).display().to_string());
    fs::write(&old, badge("")).unwrap();
    fs::write(&new, badge("- {id: ticket, regex: 'T-\\d{7}', keywords: [t-]}\n")).unwrap();
    fs::write(&bad, "rules:\n- id: a\n  regex: 'x(y'\n").unwrap();

    let example = root().join("examples/redaction/company.yaml");
    let output = run(&["redact", "check", example.to_str().unwrap()], b"");
    assert!(output.status.success() && text(&output.stdout).contains("5 tests passed"), "{}", text(&output.stderr));
    let output = run(&["redact", "check", &bad], b"");
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("bad.yaml:3:12"), "{}", text(&output.stderr));
    let output = run(
        &[
            "serve",
            "--data-dir",
            dir.path().join("data").to_str().unwrap(),
            "--set",
            &format!("processors.redaction.rules=[{bad}]"),
        ],
        b"",
    );
    assert_eq!(output.status.code(), Some(64), "a server does not start with rules that are wrong");

    let output = run(&["redact", "diff", &old, &new, "--text", "-"], b"T-1234567 E-1234567\n");
    let shown = text(&output.stdout);
    assert!(
        shown.contains("added    ticket") && shown.contains("ticket: 0 before, 1 after"),
        "{shown}{}",
        text(&output.stderr)
    );

    let server = Setup::default().idle("1s").start();
    prompt(&server, "stored", "see T-1234567");
    corpus::send_marker(&server, "marker");
    Lake::of(&server).when(&corpus::settled(&["stored".to_owned()], "marker"), &["SELECT 1"]);
    let output =
        run(&["redact", "dry-run", "--data-dir", server.data_dir().to_str().unwrap(), "--rules", &new, "--json"], b"");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert_eq!(answer["rules"][0]["rule"], "ticket");
    assert_eq!(answer["rules"][0]["hits"], 1);
}

#[test]
fn the_shipped_rules_are_listed() {
    let output = run(&["redact", "rules", "--json"], b"");
    let packs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = packs.as_array().unwrap().iter().map(|pack| pack["pack"].as_str().unwrap()).collect();
    assert_eq!(names, ["secrets/default", "pii/structured"]);
    assert!(text(&run(&["redact", "rules"], b"").stdout).contains("aws-access-key-id"));
}
