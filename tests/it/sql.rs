//! SQL over PostgreSQL's protocol: who sees what, what clients ask, what is refused.

mod dashboards;
mod hostile;
mod roles;
mod shell;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Server, Setup, binary, root, wait_for};
use crate::http;
use crate::query::run_python;
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
    let ids = replay::recorded(&server);
    (server, ids)
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

/// Of tables that nobody wrote to yet.
#[test]
fn an_empty_lake_is_asked_like_any_other() {
    let server = Setup::default().start();
    let client = Client::of(&server);
    for table in ["events", "sessions", "facts", "live_events", "live_sessions"] {
        let listed =
            format!("SELECT * FROM {table} WHERE session_id <> 'x' ORDER BY session_id || 'x' DESC, cost_usd LIMIT 5");
        assert!(client.rows(&listed).is_empty(), "{table}");
        let grouped =
            format!("SELECT count(*) AS n, max(user_email) AS m FROM {table} GROUP BY project ORDER BY 1 DESC LIMIT 5");
        assert!(client.rows(&grouped).is_empty(), "{table}");
        assert_eq!(client.rows(&format!("SELECT count(*) FROM {table}")), [json!([0])], "{table}");
    }
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

/// The Go drivers that Grafana's data source has used, with types and parameters in their binary form.
#[test]
fn go_drivers_read_every_table() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-drivers");
    let built = Command::new("go")
        .args(["build", "-o", program.to_str().unwrap(), root().join("tests/go/driver.go").to_str().unwrap()])
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .output();
    let built = match built {
        Ok(built) if !String::from_utf8_lossy(&built.stderr).contains("cannot find package") => built,
        _ => return eprintln!("Go, lib/pq or pgx is not installed: not tested"),
    };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let (server, _) = recorded(Setup::default().idle("2s"));
    let url = format!("postgres://anyone@127.0.0.1:{}/default?sslmode=disable", server.ports.sql);
    let output = Command::new(program).arg(url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    for driver in ["postgres", "pgx"] {
        let answer = &answers[driver];
        assert_eq!(answer["columns"], json!(["TEXT", "FLOAT8", "TIMESTAMPTZ", "INT8"]), "{driver}: {answer}");
        assert!(answer["cost"].as_f64().unwrap() > 0.0, "{driver}: {answer}");
        // Nothing runs any more: of the live tables the columns have to be understood, no more.
        let filled = ["sessions", "events", "facts"].iter().all(|table| answer["read"][table].as_u64() > Some(0));
        assert!(filled, "{driver}: {answer}");
        assert!(answer["refusal"].as_str().unwrap().contains("read-only"), "{driver}: {answer}");
    }
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
        "SELECT count(m) FROM (SELECT max(content) AS m FROM live_events) AS t",
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

/// What another process commits to the lake is seen within 2 s of it, and a step of a running session as soon as it is stored.
/// `tests/py/lag.py` prints the figures; here the median counts, because the machine may be loaded.
#[test]
fn what_another_process_commits_is_seen_soon() {
    let server = Setup::default().start();
    let lake = server.lake();
    let other = Setup { lake: Some(lake.clone()), ..Setup::default() }.start();
    let arguments = [server.ports.sql.to_string(), other.ports.http.to_string(), lake, "5".to_owned()];
    let figures: Value =
        serde_json::from_str(&run_python("lag.py", &arguments.each_ref().map(String::as_str), b"")).unwrap();
    println!("{figures}");
    for table in ["live_events", "events", "sessions"] {
        assert_eq!(figures[table]["commits"], 5, "{figures}");
        assert!(figures[table]["median_s"].as_f64().unwrap() < 2.0, "{figures}");
    }
}

/// A session that its user makes private is in no table from the moment that this is acknowledged.
#[test]
fn a_private_session_is_seen_no_more() {
    let server = Setup::default().start();
    let prompt = |text: &str| {
        let hook = json!({"session_id": "s-mine", "hook_event_name": "UserPromptSubmit", "prompt": text});
        let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
        assert_eq!(reply.status / 100, 2, "{}", reply.text());
    };
    let client = Client::of(&server);
    let tables = ["events", "sessions", "facts", "live_events", "live_sessions"];
    let counted: Vec<Value> =
        tables.iter().map(|table| json!(format!("SELECT count(*) FROM {table} WHERE session_id = 's-mine'"))).collect();
    let total = || -> i64 {
        let answers = client.asks(&counted);
        answers.as_array().unwrap().iter().map(|answer| answer["rows"][0][0].as_i64().unwrap()).sum()
    };
    prompt("for my eyes only");
    wait_for("a row in each table", Duration::from_secs(120), || (total() == 5).then_some(()));
    prompt("/private");
    assert_eq!(total(), 0);
    assert_eq!(client.rows("SELECT count(content) FROM facts"), [json!([0])], "nor without asking for it by name");
}
