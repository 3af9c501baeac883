//! `sessionlake sql`, of the lake itself and of a server.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, create, recorded, send};
use crate::harness::{Server, Setup, binary, python, root, wait_for};
use crate::query::run_python;

/// What every type of the tables is, and those that statements make besides.
const STATEMENTS: [&str; 7] = [
    "SELECT * FROM events ORDER BY session_id, seq",
    "SELECT * FROM sessions ORDER BY session_id",
    "SELECT * FROM facts ORDER BY fact_id",
    "SELECT count(*) AS n, sum(cost_usd) AS cost, avg(cost_usd) AS mean, min(start_time) AS since FROM sessions",
    "SELECT 1::smallint AS a, 2::real AS b, 0.1::double precision AS c, DATE '2026-01-31' AS d, \
     NULL AS f, ARRAY['x', NULL] AS g, '\\x0001'::bytea AS h, date_trunc('day', now()) > now() AS i, '=1+1' AS j",
    "SELECT session_id, row_number() OVER (ORDER BY session_id) AS n, gaps, redactions, prompts FROM sessions ORDER BY 2",
    "SELECT session_id FROM sessions WHERE session_id = 'none of them'",
];

fn sql(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("sql").args(arguments).env_remove("SESSIONLAKE_TOKEN").output().unwrap()
}

fn error(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The same statement has the same output, whoever answers it.
#[test]
fn a_server_and_the_lake_give_the_same_output() {
    let (server, ids) = recorded(Setup::default().idle("2s"));
    let data_dir = server.data_dir();
    let (lake, address) = (["--data-dir", data_dir.to_str().unwrap()], format!("127.0.0.1:{}", server.ports.sql));
    let remote = ["--server", address.as_str()];
    let file = |name: &str| data_dir.join(name).to_str().unwrap().to_owned();
    let written = [file("of-lake.parquet"), file("of-server.parquet")];
    for statement in STATEMENTS {
        for format in ["json", "csv", "table"] {
            // CSV has no lists, and refuses them alike.
            let both = [lake, remote].map(|from| sql(&[&from[..], &["--format", format, statement]].concat()));
            assert!(both[0] == both[1], "{format}, {statement}: {both:?}");
            assert!(format == "csv" || both[0].status.success(), "{format}, {statement}: {both:?}");
        }
        for (from, to) in [lake, remote].iter().zip(&written) {
            let output = sql(&[&from[..], &["--format", "parquet", "-o", to, statement]].concat());
            assert!(output.status.success(), "{statement}: {output:?}");
        }
        let compared = run_python("parquet.py", &[&written[0], &written[1]], b"");
        assert_eq!(compared, "same\n", "{statement}");
    }
    let listed = sql(&["--server", &address, "--format", "csv", "SELECT session_id FROM sessions"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.starts_with("session_id\n") && ids.iter().all(|id| listed.contains(id)), "{listed}");
}

/// What goes wrong is said, with what can be done.
#[test]
fn what_a_server_refuses_is_said_clearly() {
    let mut server = Setup::default().start();
    let address = format!("localhost:{}", server.ports.sql);
    let ask = |more: &[&str]| error(&sql(&[&["--server", address.as_str()], more].concat()));
    for (statement, expected) in [
        ("SELECT * FROM nope", "not found"),
        ("SELEKT 1", "Expected"),
        ("DROP TABLE events", "read-only"),
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("SELECT 1 / 0", "Divide by zero"),
        ("SHOW timezone", "gives no rows"),
        ("BEGIN", "gives no rows"),
    ] {
        assert!(ask(&[statement]).contains(expected), "{statement}: {}", ask(&[statement]));
    }
    assert!(ask(&["--workspace", "nope", "SELECT 1"]).contains("database \"nope\" does not exist"));
    let http = format!("127.0.0.1:{}", server.ports.health);
    assert!(error(&sql(&["--server", &http, "SELECT 1"])).contains("does not speak as a sessionlake server does"));
    server.terminate();
    let gone = ask(&["SELECT 1"]);
    assert!(gone.contains("cannot connect to localhost") && gone.contains("sessionlake serve"), "{gone}");
    for usage in [
        &["--server", "http://x", "SELECT 1"][..],
        &["--server", "x", "--lake", "y", "SELECT 1"],
        &["--no-tls", "SELECT 1"],
    ] {
        assert_eq!(sql(usage).status.code(), Some(64), "{usage:?}");
    }
}

/// A statement without end: [`Server`]'s own deadline is a minute.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 1000000000) AS a, generate_series(1, 1000000000) AS b";

/// `--timeout` and Ctrl-C end the statement here and at the server.
#[test]
fn a_deadline_and_an_interrupt_reach_the_server() {
    let server = Setup::default().start();
    let address = format!("127.0.0.1:{}", server.ports.sql);
    let started = Instant::now();
    let late = error(&sql(&["--server", &address, "--timeout", "1", ENDLESS]));
    assert!(late.contains("statement timeout (1 s)") && started.elapsed() < Duration::from_secs(30), "{late}");
    let asked = Instant::now();
    // All places of the server: they are free again when the interrupt was heard.
    // The last one's rows are not read, and more of them than pipes and sockets hold.
    let rows = format!("SELECT a.value::text || '{}' FROM generate_series(1, 1000000000) AS a", "x".repeat(200));
    let running: Vec<_> = [ENDLESS, ENDLESS, ENDLESS, &rows]
        .map(|statement| {
            let command = ["sql", "--server", address.as_str(), "--format", "csv", statement];
            Command::new(binary()).args(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .into_iter()
        .collect();
    let client = Client::of(&server);
    wait_for("all places to be taken", Duration::from_secs(60), || {
        let answers = client.asks(&[json!("SET statement_timeout = '1s'"), json!("SELECT 1 FROM sessions")]);
        (answers[1]["error"] == "53300" || answers[1]["error"] == "57014").then_some(())
    });
    for child in running {
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains("canceling statement due to user request"), "{said}");
    }
    wait_for("a place", Duration::from_secs(40), || {
        let statements = [json!("SET statement_timeout = '5s'"), json!("SELECT count(*) FROM sessions")];
        (client.asks(&statements)[1]["rows"] == json!([[0]])).then_some(())
    });
    assert!(asked.elapsed() < Duration::from_secs(58), "the server's own deadline freed it: {:?}", asked.elapsed());
}

/// With authentication and TLS: the token comes from a variable or a file, the server is checked, and the role holds.
#[test]
fn a_server_with_tokens_and_tls_is_asked_as_the_tokens_role() {
    let certificates = tempfile::tempdir().unwrap();
    let made = Command::new(python()).arg(root().join("tests/py/certificates.py")).arg(certificates.path()).status();
    assert!(made.unwrap().success());
    let file = |name: &str| certificates.path().join(name).to_str().unwrap().to_owned();
    let mut setup = Setup::default().idle("2s");
    setup.settings.push("auth.enabled=true".into());
    setup.settings.push(format!("extensions.sql.tls.cert_file={}", file("server.pem")));
    setup.settings.push(format!("extensions.sql.tls.key_file={}", file("server.key")));
    let server = setup.start();
    let [ingest, viewer, reader] = ["ingest", "viewer", "reader"].map(|role| create(&server.data_dir(), "acme", role));
    let other = create(&server.data_dir(), "other", "reader");
    send(&server, &ingest);
    let (address, ca) = (format!("localhost:{}", server.ports.sql), file("ca.pem"));
    let ask = |token: &str, more: &[&str]| {
        let common = ["sql", "--server", address.as_str(), "--workspace", "acme", "--format", "json"];
        let command = Command::new(binary()).args(common).args(more).env("SESSIONLAKE_TOKEN", token).output();
        command.unwrap()
    };
    let trusting = |token: &str, statement: &str| ask(token, &["--ca-file", &ca, statement]);
    let content = "SELECT content FROM events WHERE kind = 'prompt'";
    wait_for("the prompt", Duration::from_secs(60), || {
        let output = trusting(&reader, content);
        (output.stdout == b"{\"content\":\"grease the plumbus\"}\n").then_some(())
    });
    assert_eq!(trusting(&viewer, content).stdout, b"{}\n", "a viewer is shown NULL");
    fs::write(file("token"), format!("{reader}\n")).unwrap();
    let by_file = ask("", &["--ca-file", &ca, "--token-file", &file("token"), content]);
    assert!(by_file.status.success(), "{by_file:?}");
    for (token, more, expected) in [
        ("", &["--ca-file", &ca][..], "the server wants a token"),
        (&ingest, &["--ca-file", &ca], "may not do this"),
        (&other, &["--ca-file", &ca], "is it a token of the workspace acme"),
        (&reader, &["--ca-file", &file("other-ca.pem")], "certificate"),
        (&reader, &[], "--ca-file"),
        (&reader, &["--no-tls"], "TLS only"),
    ] {
        let more: Vec<&str> = more.iter().copied().chain([content]).collect();
        let said = error(&ask(token, &more));
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("slk_") && !said.contains(&reader[12..]), "{said}");
    }
    let broken = ask(&reader[..40], &[content]);
    assert_eq!(broken.status.code(), Some(64));
    assert!(!String::from_utf8_lossy(&broken.stderr).contains(&reader[12..40]), "{broken:?}");
    keeps_the_token(&server, &reader);
}

/// A program that took the port and asks for the password itself does not get it.
fn keeps_the_token(server: &Server, token: &str) {
    let answer = run_python("thief.py", &[binary(), token], b"");
    assert_eq!(answer, "refused\n", "{}", server.log());
}
