//! Private and erased sessions: nothing of them is found afterwards, in any file, and other sessions stay as they are.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::corpus::send_marker;
use crate::harness::{Server, Setup, binary, wait_for};
use crate::query::{Lake, run_python, text};
use crate::store::Store;

/// What the promise says, bytes gone, and the machine's load.
const GONE: Duration = Duration::from_secs(120);

/// A user whose session is full of marks.
struct Talk {
    session: String,
    cwd: String,
}

impl Talk {
    fn new(session: &str) -> Talk {
        Talk { session: session.to_owned(), cwd: "/work/project".to_owned() }
    }

    fn hook(&self, server: &Server, event: &str, prompt: &str) -> Value {
        let hook = json!({"hook_event_name": event, "session_id": self.session, "cwd": self.cwd, "prompt": prompt});
        let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
        serde_json::from_slice(&reply.body).unwrap()
    }

    fn log(&self, server: &Server, event: &str, n: u64, attributes: &[(&str, &str)]) {
        let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [self.record(event, n, attributes)]}]}]});
        let reply = server.post("/v1/logs", "application/json", body.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    fn record(&self, event: &str, n: u64, attributes: &[(&str, &str)]) -> Value {
        let attribute = |(key, value): &(&str, &str)| json!({"key": key, "value": {"stringValue": value}});
        let timestamp = format!("2026-11-25T10:00:{:02}.000Z", n % 60);
        let own = [("session.id", self.session.as_str()), ("event.name", event), ("event.timestamp", &timestamp)];
        let mut all: Vec<Value> = own.iter().chain(attributes).map(attribute).collect();
        all.push(json!({"key": "event.sequence", "value": {"intValue": n.to_string()}}));
        let time = format!("{}", 1_795_600_800_000_000_000 + n * 1_000_000_000);
        json!({"timeUnixNano": time, "eventName": format!("claude_code.{event}"), "attributes": all})
    }

    /// A prompt by both sources, and what it cost: 0.001 dollars.
    fn say(&self, server: &Server, n: u64) {
        let marked = format!("{} says number {n}", self.mark());
        self.hook(server, "UserPromptSubmit", &marked);
        self.log(server, "user_prompt", 2 * n, &[("prompt", &marked), ("user.email", "private.person@example.com")]);
        let cost = [("cost_usd", "0.001"), ("model", "m-1"), ("input_tokens", "7"), ("request_id", &marked)];
        self.log(server, "api_request", 2 * n + 1, &cost);
    }

    fn mark(&self) -> String {
        format!("MARK-{}", self.session)
    }

    fn marks(&self) -> Vec<String> {
        vec![self.session.clone(), self.mark()]
    }
}

fn traces(server: &Server, marks: &[String]) -> Vec<Value> {
    let directories = json!([server.data_dir()]).to_string();
    let found = run_python("traces.py", &[&directories, &json!(marks).to_string()], b"");
    serde_json::from_str(&found).unwrap()
}

fn gone(server: &Server, marks: &[String]) -> Duration {
    let started = Instant::now();
    let mut last = Vec::new();
    while started.elapsed() < GONE {
        last = traces(server, marks);
        if last.is_empty() {
            return started.elapsed();
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("still there after {GONE:?}: {last:?}\n{}", server.log());
}

fn stored(server: &Server, session: &str) {
    Lake::of(server).when(&format!("select count(*) >= 2 from events where session_id = '{session}'"), &[]);
}

/// Everything that is stored of a session, as one value.
fn fingerprint(server: &Server, session: &str) -> String {
    let hash = |table: &str| {
        format!(
            "select coalesce(md5(string_agg(md5(t::text), ',' order by md5(t::text))), '-') as h from {table} t where session_id = '{session}'"
        )
    };
    let lake = Lake::of(server);
    ["facts", "events", "sessions"].map(|table| text(&lake.rows(&hash(table))[0], "h").to_owned()).join(" ")
}

fn total_cost(server: &Server) -> String {
    let rows = Lake::of(server).rows("select sum(cost_usd)::text as cost from (select distinct fact_id, cost_usd from facts where source = 'otlp_log')");
    rows[0]["cost"].as_str().unwrap_or("0").to_owned()
}

fn is_block(reply: &Value) -> bool {
    reply["decision"] == "block"
        && reply["reason"].as_str().is_some_and(|reason| reason.to_lowercase().contains("private"))
}

fn erase(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("erase").args(arguments).arg("--data-dir").arg(server.data_dir());
    command.output().unwrap()
}

fn receipt(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_session_made_private_by_its_hook_leaves_its_cost_and_nothing_else() {
    let server = Setup::default().idle("15m").start();
    let (gone_talk, other) = (Talk::new("aaaa-secret-session"), Talk::new("bbbb-other-session"));
    (0..3).for_each(|n| [&gone_talk, &other].iter().for_each(|talk| talk.say(&server, n)));
    [&gone_talk, &other].iter().for_each(|talk| stored(&server, &talk.session));
    let before = fingerprint(&server, &other.session);
    let asked = Instant::now();
    assert!(is_block(&gone_talk.hook(&server, "UserPromptSubmit", "/private please")));
    assert!(asked.elapsed() < Duration::from_secs(5));
    gone_talk.say(&server, 3);
    let took = gone(&server, &gone_talk.marks());
    eprintln!("gone after {took:?}");
    gone_talk.say(&server, 4);
    send_marker(&server, "late");
    Lake::of(&server).when("select count(*) > 0 from facts where session_id = 'late'", &[]);
    assert!(traces(&server, &gone_talk.marks()).is_empty(), "what comes late stays out");
    assert_eq!(fingerprint(&server, &other.session), before, "another session's rows are what they were");
    // Five calls of the one and three of the other.
    wait_for("costs", GONE, || (total_cost(&server) == "0.008000000").then_some(()));
    let private = "select count(*) as n from facts where session_id like 'private-%' and (user_email is not null or content is not null or request_id is not null)";
    assert_eq!(Lake::of(&server).rows(private)[0]["n"], 0);
    let audit = wait_for("the receipt", GONE, || {
        let rows = receipt(&erase(&server, &["list", "--json"]));
        rows.as_array().unwrap().first().filter(|row| row["outcome"] == "done").cloned()
    });
    assert_eq!((&audit["action"], &audit["how"]), (&json!("private"), &json!("hook")), "{audit}");
    assert!(audit["fact_rows"].as_i64().unwrap() > 0 && audit["objects_before"].as_i64().unwrap() > 0, "{audit}");
}

#[test]
fn a_prompt_in_a_log_record_asks_as_well_also_in_a_request_with_others() {
    let server = Setup::default().idle("15m").start();
    let (gone_talk, other) = (Talk::new("cccc-secret-session"), Talk::new("dddd-other-session"));
    gone_talk.say(&server, 0);
    let records = json!([
        other.record("user_prompt", 0, &[("prompt", "what is /private?")]),
        gone_talk.record("user_prompt", 2, &[("prompt", "/capture:private now"), ("note", &gone_talk.mark())]),
        other.record("user_prompt", 2, &[("prompt", "kept")]),
    ]);
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
    let reply = server.post("/v1/logs", "application/json", body.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200);
    gone(&server, &gone_talk.marks());
    let kept = "select count(*) = 2 from facts where session_id = 'dddd-other-session'";
    Lake::of(&server).when(kept, &[]);
}

/// The answer is a promise: it holds when the process dies right after it, and after that for whatever comes.
#[test]
fn what_was_promised_survives_kill_9() {
    let mut server = Setup::default().idle("15m").start();
    let talk = Talk::new("eeee-secret-session");
    (0..2).for_each(|n| talk.say(&server, n));
    assert!(is_block(&talk.hook(&server, "UserPromptExpansion", "/private")));
    server.crash();
    talk.say(&server, 2);
    gone(&server, &talk.marks());
    server.crash();
    talk.say(&server, 3);
    send_marker(&server, "late");
    Lake::of(&server).when("select count(*) > 0 from facts where session_id = 'late'", &[]);
    assert!(traces(&server, &talk.marks()).is_empty());
}

#[test]
fn administrators_choose_and_forbid() {
    let mut setup = Setup::default().idle("15m");
    setup.settings.push("private.projects=[/work/hr]".into());
    setup.settings.push("private.forbid=[/work/audited]".into());
    setup.settings.push("private.keep_costs=false".into());
    let server = setup.start();
    let demanded = Talk { cwd: "/work/hr/pay".into(), ..Talk::new("ffff-demanded") };
    let forbidden = Talk { cwd: "/work/audited".into(), ..Talk::new("gggg-forbidden") };
    demanded.say(&server, 0);
    forbidden.say(&server, 0);
    let reply = forbidden.hook(&server, "UserPromptSubmit", "/private");
    assert!(is_block(&reply) && reply["reason"].as_str().unwrap().contains("not allowed"), "{reply}");
    forbidden.log(&server, "user_prompt", 9, &[("prompt", "/private")]);
    gone(&server, &demanded.marks());
    let kept = "select count(*) >= 5 from facts where session_id = 'gggg-forbidden'";
    Lake::of(&server).when(kept, &[]);
    assert!(Lake::of(&server).rows("select 1 from facts where session_id like 'private-%'").is_empty());
}

#[test]
fn erase_takes_sessions_out_with_a_server_and_without_and_says_what_it_did() {
    let mut server = Setup::default().idle("15m").start();
    let (one, two, other) = (Talk::new("hhhh-one"), Talk::new("iiii-two"), Talk { ..Talk::new("jjjj-other") });
    for talk in [&one, &two] {
        talk.say(&server, 0);
        stored(&server, &talk.session);
    }
    let mut plain = other.record("user_prompt", 1, &[("prompt", "kept"), ("user.email", "someone.else@example.com")]);
    plain["eventName"] = json!("claude_code.user_prompt");
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [plain]}]}]});
    server.post("/v1/logs", "application/json", body.to_string().as_bytes()).unwrap();
    let dry = receipt(&erase(&server, &["--user", "Private.Person@example.com", "--dry-run", "--json"]));
    assert_eq!(dry["sessions"], json!(["hhhh-one", "iiii-two"]));
    assert_eq!(erase(&server, &["--session", &one.session]).status.code(), Some(64), "without --yes and a terminal");
    let done = receipt(&erase(&server, &["--session", &one.session, "--yes", "--json", "--reason", "ticket 7"]));
    assert_eq!((&done["outcome"], &done["reason"]), (&json!("done"), &json!("ticket 7")), "{done}");
    assert!(traces(&server, &one.marks()).is_empty(), "{:?}", traces(&server, &one.marks()));
    assert!(!traces(&server, &two.marks()).is_empty(), "the search finds what is there");
    let id = done["request_id"].as_str().unwrap();
    assert_eq!(receipt(&erase(&server, &["status", id, "--json"])), done);
    assert!(server.terminate().success());
    let done = receipt(&erase(&server, &["--user", "private.person@example.com", "--yes", "--json"]));
    assert_eq!((&done["outcome"], &done["session_count"]), (&json!("done"), &json!(1)), "{done}");
    assert!(traces(&server, &two.marks()).is_empty(), "{:?}", traces(&server, &two.marks()));
    assert_eq!(Lake::of(&server).rows("select 1 from facts where session_id = 'jjjj-other'").len(), 1);
}

/// The store is away: the user is answered at once, and what was said is kept when it is back.
#[test]
fn a_session_is_private_while_the_store_is_away() {
    let store = Store::start();
    store.bucket("lake");
    let url = "s3://lake/private".to_owned();
    let server = Setup { lake: Some(url.clone()), env: store.env(), ..Setup::default() }.idle("15m").start();
    let talk = Talk::new("kkkk-secret-session");
    talk.say(&server, 0);
    let lake = Lake::s3(url, store.access());
    lake.when("select count(*) >= 3 from facts where session_id = 'kkkk-secret-session'", &[]);
    store.signal("-STOP");
    talk.say(&server, 1);
    let asked = Instant::now();
    assert!(is_block(&talk.hook(&server, "UserPromptSubmit", "/private")));
    assert!(asked.elapsed() < Duration::from_secs(5));
    talk.say(&server, 2);
    store.signal("-CONT");
    lake.when("select count(*) = 0 from facts where session_id = 'kkkk-secret-session'", &[]);
    gone(&server, &talk.marks());
    send_marker(&server, "late");
    lake.when("select count(*) > 0 from facts where session_id = 'late'", &[]);
    let left = "select count(*) as n from facts where session_id = 'kkkk-secret-session'";
    assert_eq!(lake.rows(left)[0]["n"], 0);
}
