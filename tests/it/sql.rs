//! SQL over PostgreSQL's protocol: who sees what, what clients ask, what is refused.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::corpus::{self, Captured, Hooks};
use crate::harness::{Server, Setup, binary, root, wait_for};
use crate::http;
use crate::query::{Lake, run_python};
use crate::replay;

/// Who asks, and how.
struct Client<'a> {
    server: &'a Server,
    user: &'a str,
    password: &'a str,
    database: &'a str,
    simple: bool,
}

impl<'a> Client<'a> {
    fn of(server: &'a Server) -> Client<'a> {
        Client { server, user: "anyone", password: "", database: "default", simple: false }
    }

    fn asks(&self, statements: &[Value]) -> Value {
        let request = json!({
            "host": "127.0.0.1", "port": self.server.ports.sql, "user": self.user, "password": self.password,
            "database": self.database, "simple": self.simple, "statements": statements, "sslmode": "disable",
        });
        serde_json::from_str(&run_python("sql.py", &[], request.to_string().as_bytes())).unwrap()
    }

    fn ask(&self, statement: &str) -> Value {
        self.asks(&[json!(statement)]).as_array().map_or(Value::Null, |answers| answers[0].clone())
    }

    fn rows(&self, statement: &str) -> Vec<Value> {
        let answer = self.ask(statement);
        answer["rows"].as_array().unwrap_or_else(|| panic!("{statement}: {answer}")).clone()
    }
}

/// Captured sessions, settled in the lake.
fn recorded(setup: Setup) -> (Server, Vec<String>) {
    let server = setup.start();
    let sessions: Vec<Captured> = ["content-on", "subagent", "sigkill"].map(corpus::fixture).into();
    for captured in &sessions {
        corpus::send(&server, &captured.requests(Hooks::Raw));
    }
    corpus::send_marker(&server, "marker");
    let ids: Vec<String> = sessions.iter().flat_map(Captured::session_ids).collect();
    replay::read(&Lake::of(&server), &ids, "marker");
    (server, ids)
}

/// Every query of every dashboard answers, by both protocols, as Grafana would send it; and the price that the session's
/// dashboard shows is the one in the table.
#[test]
fn dashboards_show_what_the_lake_holds() {
    let (server, _) = recorded(Setup::default().idle("2s"));
    let arguments = [&server.ports.sql.to_string(), "default", "grafana", "any"];
    let shown: Value = serde_json::from_str(&run_python("grafana.py", &arguments, b"")).unwrap();
    assert_eq!(shown["wrong"], json!([]), "{}", shown["wrong"]);
    assert!(shown["queries"].as_u64().unwrap() > 25, "{shown}");
    assert_eq!(shown["cost"][0], shown["cost"][1]);
    // These sessions use no skill, and need no rule.
    let may_be_empty = ["usage: By skill", "health: Redactions by rule", "session: What is missing"];
    let empty: Vec<&str> = shown["empty"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(empty.iter().all(|name| may_be_empty.contains(name)), "{empty:?}");
}

/// What Grafana's data source asks on its own.
#[test]
fn grafanas_own_statements_are_answered() {
    let server = Setup::default().start();
    let file = root().join("tests/fixtures/grafana/statements.json");
    let statements: serde_json::Map<String, Value> = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    for simple in [true, false] {
        let client = Client { simple, ..Client::of(&server) };
        let texts: Vec<Value> = statements.values().cloned().collect();
        let answers = client.asks(&texts);
        for (name, answer) in statements.keys().zip(answers.as_array().unwrap()) {
            assert!(answer["error"].is_null(), "{name} (simple: {simple}): {answer}");
        }
        let rows = |name: &str| {
            let at = statements.keys().position(|key| key == name).unwrap();
            answers[at]["rows"].to_string()
        };
        assert_eq!(rows("version"), "[[1600]]");
        assert_eq!(rows("timescaledb"), "[]");
        for table in ["events", "sessions", "facts", "live_events", "live_sessions"] {
            assert!(rows("tables, new").contains(&format!("\"{table}\"")), "{}", rows("tables, new"));
        }
        assert!(rows("columns").contains("cost_usd") && rows("columns").contains("numeric"), "{}", rows("columns"));
    }
    let bound = json!(["SELECT count(*) FROM sessions WHERE cost_usd > %s AND user_email = %s", [1, "x"]]);
    assert_eq!(Client::of(&server).asks(&[bound])[0]["rows"], json!([[0]]));
}

#[test]
fn psql_shows_tables_and_their_columns() {
    let server = Setup::default().start();
    let psql = |command: &str| {
        let url = format!("postgresql://anyone@127.0.0.1:{}/default", server.ports.sql);
        let output = Command::new("psql").args(["-X", "-c", command, &url]).output();
        let Ok(output) = output else { return None };
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{command}: {error}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Some(tables) = psql("\\dt") else { return eprintln!("psql is not installed: not tested") };
    assert!(tables.contains("events") && tables.contains("sessions"), "{tables}");
    assert!(psql("\\d").unwrap().contains("live_events"));
    let columns = psql("\\d sessions").unwrap();
    assert!(columns.contains("cost_usd") && columns.contains("numeric"), "{columns}");
    assert!(psql("SELECT 1 AS one").unwrap().contains("(1 row)"));
}

/// Roles are below the plan: no way of asking makes a viewer see content, and another workspace is not there.
#[test]
fn roles_and_workspaces_are_below_every_plan() {
    let mut setup = Setup::default().idle("2s");
    setup.settings.push("auth.enabled=true".into());
    let server = setup.start();
    let token = |workspace: &str, role: &str| create(&server.data_dir(), workspace, role);
    let [ingest, viewer, reader] = ["ingest", "viewer", "reader"].map(|role| token("acme", role));
    let other = token("other", "reader");
    send(&server, &ingest);
    let client = |user, password, database| Client { user, password, database, ..Client::of(&server) };
    let reads = client("reader", &reader, "acme");
    wait_for("the events", Duration::from_secs(60), || {
        let answer = reads.ask("SELECT count(*) FROM events WHERE content LIKE '%plumbus%'");
        (answer["rows"] == json!([[1]])).then_some(())
    });
    let sees = client("viewer", &viewer, "acme");
    assert_eq!(sees.rows("SELECT kind FROM events WHERE kind = 'prompt'"), [json!(["prompt"])]);
    for statement in [
        "SELECT count(*) FROM events WHERE content LIKE '%plumbus%'",
        "SELECT count(*) FROM events WHERE content IS NOT NULL OR attributes IS NOT NULL",
        "SELECT count(content) + count(attributes) + count(resource) FROM facts",
        "SELECT count(*) FROM events a JOIN events b ON a.content = b.content",
        "SELECT count(prompts) FROM sessions",
        "SELECT count(max) FROM (SELECT max(content) FROM live_events) AS m",
        "SELECT count(*) FROM (SELECT content AS c FROM events UNION ALL SELECT content FROM facts) AS u WHERE c > ''",
    ] {
        assert_eq!(sees.rows(statement), [json!([0])], "{statement}");
    }
    for statement in
        ["SELECT content::int FROM events", "EXPLAIN ANALYZE SELECT content FROM events WHERE content > 'a'"]
    {
        assert!(!sees.ask(statement).to_string().contains("plumbus"), "{statement}");
    }
    // Neither a wrong token, nor another's workspace, nor one that is not there, is told from the others.
    let unknown = client("reader", &other, "acme").ask("SELECT 1");
    assert_eq!(unknown, Value::Null);
    let refused = |user, password, database| client(user, password, database).asks(&[])["message"].to_string();
    for (user, password, database) in [
        ("reader", &other, "acme"),
        ("nobody", &reader, "acme"),
        ("reader", &reader, "other"),
        ("reader", &reader, "none"),
    ] {
        assert!(refused(user, password, database).contains("password authentication failed"), "{user} {database}");
    }
    assert!(refused("ingest", &ingest, "acme").contains("may not do this"));
    let theirs = client("reader", &other, "other");
    assert_eq!(theirs.rows("SELECT count(*) FROM events"), [json!([0])]);
    for name in ["acme.public.events", "public.audit", "acme.events"] {
        let answer = theirs.ask(&format!("SELECT * FROM {name}"));
        assert_eq!(answer["error"], "42P01", "{name}: {answer}");
    }
}

fn create(data_dir: &Path, workspace: &str, role: &str) -> String {
    let output = Command::new(binary())
        .args(["token", "create", "--workspace", workspace, "--role", role, "--name", role, "--json"])
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .unwrap();
    let created: Value = serde_json::from_slice(&output.stdout).unwrap();
    created["token"].as_str().unwrap().to_owned()
}

/// A prompt, once the token is in force.
fn send(server: &Server, token: &str) {
    let hook = json!({"session_id": "s-acme", "hook_event_name": "UserPromptSubmit", "prompt": "grease the plumbus"});
    let authorization = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    wait_for("the token", Duration::from_secs(20), || {
        let reply = http::send(server.ports.http, "POST", "/v1/hooks", &headers, hook.to_string().as_bytes()).unwrap();
        (reply.status / 100 == 2).then_some(())
    });
}

/// A step of a running session is there as soon as it is stored, and leaves with the session.
#[test]
fn a_running_session_is_seen_while_it_runs() {
    let server = Setup::default().start();
    let post = |hook: Value| {
        assert_eq!(server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap().status / 100, 2)
    };
    post(json!({"session_id": "s-live", "hook_event_name": "UserPromptSubmit", "prompt": "are you there"}));
    let client = Client::of(&server);
    let asked = "SELECT content FROM live_events WHERE session_id = 's-live' AND kind = 'prompt'";
    wait_for("the prompt", Duration::from_secs(30), || {
        (client.ask(asked)["rows"] == json!([["are you there"]])).then_some(())
    });
    let sessions = "SELECT session_id, status, prompt_count FROM live_sessions";
    assert_eq!(client.rows(sessions), [json!(["s-live", "running", 1])]);
    post(json!({"session_id": "s-live", "hook_event_name": "SessionEnd", "reason": "exit"}));
    wait_for("the end", Duration::from_secs(30), || (client.ask(sessions)["rows"] == json!([])).then_some(()));
}

/// What would write, reach elsewhere, or take everything, is refused or stopped; the server goes on.
#[test]
fn hostile_statements_are_refused_or_stopped() {
    let server = Setup::default().start();
    let client = Client { simple: true, ..Client::of(&server) };
    for (statement, expected) in [
        ("CREATE TABLE t (a int)", "25006"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "42601"),
        ("COPY events TO '/tmp/x'", "25006"),
        ("COPY (SELECT 1) TO PROGRAM 'id'", "25006"),
        ("INSERT INTO events SELECT * FROM events", "25006"),
        ("DELETE FROM events", "25006"),
        ("DROP TABLE events", "25006"),
        ("SELECT 1; DROP TABLE events", "25006"),
        ("SELECT * INTO t FROM events", "25006"),
        ("SET datafusion.execution.batch_size = 1", "42704"),
        ("SET ROLE postgres", "42704"),
        ("SELECT * FROM read_csv('/etc/passwd')", "42P01"),
        ("SELECT * FROM '/etc/passwd'", "42P01"),
        ("SELECT * FROM \"file:///etc/passwd\"", "42P01"),
        ("SELECT pg_read_file('/etc/passwd')", "42601"),
        ("SELECT repeat('x', 1000000000)", "42601"),
        ("SELEKT 1", "42601"),
    ] {
        let answer = client.ask(statement);
        assert_eq!(answer["error"], expected, "{statement}: {answer}");
    }
    let nested = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(client.ask(&nested)["error"].is_string(), "deep nesting");
    let long = format!("SELECT 1 -- {}", "x".repeat(300 << 10));
    assert_eq!(client.ask(&long)["error"], "54000");
    let cross = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a.value = b.value * 0 - 1 OR random() > 2";
    let started = Instant::now();
    let answers = client.asks(&[json!("SET statement_timeout = '2s'"), json!(cross)]);
    assert_eq!(answers[1]["error"], "57014", "{answers}");
    assert!(started.elapsed() < Duration::from_secs(60));
    let regex = "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' ~ '(a+)+$b{1000}{1000}'";
    assert!(!client.ask(regex).is_null());
    assert_eq!(client.rows("SELECT 1"), [json!([1])]);
    assert_eq!(server.post("/v1/logs", "application/json", b"{}").unwrap().status, 200, "ingest goes on");
}

/// Connections beyond the bound are turned away, those that say nothing are dropped, and the others are served.
#[test]
fn many_connections_do_no_harm() {
    let server = Setup::default().start();
    let connect = || TcpStream::connect(("127.0.0.1", server.ports.sql)).unwrap();
    let mut crowd: Vec<TcpStream> = (0..300).map(|_| connect()).collect();
    let last = crowd.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let turned_away = last.write_all(&[0; 8]).and_then(|()| last.read(&mut [0; 1]));
    assert!(!matches!(turned_away, Ok(1..)), "nothing is said to them");
    drop(crowd);
    let client = Client::of(&server);
    wait_for("a place", Duration::from_secs(30), || (client.ask("SELECT 1")["rows"] == json!([[1]])).then_some(()));
}

/// `sessionlake sql` asks the same engine without a server.
#[test]
fn the_shell_asks_the_lake_itself() {
    let (server, ids) = recorded(Setup::default().idle("2s"));
    let sql = |arguments: &[&str]| {
        let output = Command::new(binary())
            .arg("sql")
            .args(arguments)
            .arg("--data-dir")
            .arg(server.data_dir())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let count = "SELECT count(*) AS n FROM sessions WHERE session_id LIKE '%-%'";
    assert!(sql(&[count, "--format", "json"]).starts_with("{\"n\":"));
    let listed = sql(&["SELECT session_id FROM sessions", "--format", "csv"]);
    assert!(listed.starts_with("session_id\n") && ids.iter().all(|id| listed.contains(id)), "{listed}");
    assert!(sql(&["SELECT session_id FROM sessions"]).contains("| session_id"));
    let file = server.data_dir().join("out.parquet");
    sql(&["SELECT * FROM events", "--format", "parquet", "-o", file.to_str().unwrap()]);
    assert_eq!(&fs::read(&file).unwrap()[..4], b"PAR1");
}
