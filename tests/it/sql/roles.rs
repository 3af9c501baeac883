//! Every role against every table and column, by every way of asking.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, create};
use crate::harness::{Server, Setup, binary, wait_for};
use crate::http;
use crate::query::run_python;

/// A word of the content, and of nothing else.
const WORD: &str = "plumbus";

/// As DESIGN and the schema say, by hand: what a viewer must not see.
const CONTENT: [&str; 8] =
    ["content", "thinking", "tool_input", "tool_output", "error", "attributes", "resource", "prompts"];

const TABLES: [&str; 5] = ["events", "sessions", "facts", "live_events", "live_sessions"];

/// A session with content in every column that hooks fill.
fn send(server: &Server, token: &str, session: &str) {
    let authorization = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", authorization.as_str())];
    let common =
        json!({"session_id": session, "cwd": "/home/p", "transcript_path": "/t", "permission_mode": "default"});
    let hooks = [
        json!({"hook_event_name": "UserPromptSubmit", "prompt": format!("grease the {WORD}")}),
        json!({"hook_event_name": "PreToolUse", "tool_name": "Bash", "tool_use_id": "toolu_1",
               "tool_input": {"command": format!("echo {WORD}")}}),
        json!({"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_use_id": "toolu_1",
               "tool_input": {"command": format!("echo {WORD}")}, "tool_response": {"stdout": WORD}}),
        json!({"hook_event_name": "PostToolUseFailure", "tool_name": "Bash", "tool_use_id": "toolu_2",
               "tool_input": {"command": "false"}, "error": format!("no {WORD}")}),
    ];
    for hook in hooks {
        let mut data = common.clone();
        data.as_object_mut().unwrap().extend(hook.as_object().unwrap().clone());
        wait_for("the token", Duration::from_secs(20), || {
            let body = data.to_string();
            let reply = http::send(server.ports.http, "POST", "/v1/hooks", &headers, body.as_bytes()).unwrap();
            (reply.status / 100 == 2).then_some(())
        });
    }
}

/// The columns of each table and their types, as the client is told of them.
fn columns(client: &Client<'_>) -> BTreeMap<String, Vec<(String, String)>> {
    let asked =
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'";
    let mut columns: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in client.rows(asked) {
        let text = |n: usize| row[n].as_str().unwrap().to_owned();
        columns.entry(text(0)).or_default().push((text(1), text(2)));
    }
    columns
}

/// Ways of asking for a column; the answer of each is a number.
fn ways(table: &str, column: &str, kind: &str) -> Vec<String> {
    let mut ways = vec![
        format!("SELECT count(\"{column}\") FROM {table}"),
        format!("SELECT count(*) FROM {table} WHERE \"{column}\" IS NOT NULL"),
        format!(
            "SELECT count(*) FROM (SELECT \"{column}\" AS c FROM {table} ORDER BY 1 LIMIT 5) AS t WHERE c IS NOT NULL"
        ),
        format!("WITH t AS (SELECT * FROM {table}) SELECT count(a.\"{column}\") FROM t AS a CROSS JOIN t AS b"),
        format!("SELECT count(m) FROM (SELECT max(\"{column}\") OVER () AS m FROM {table}) AS t"),
    ];
    if kind == "ARRAY" {
        ways.pop();
    } else {
        ways.push(format!("SELECT count(*) FROM {table} AS a JOIN {table} AS b ON a.\"{column}\" = b.\"{column}\""));
        ways.push(format!("SELECT count(m) FROM (SELECT max(\"{column}\") AS m FROM {table}) AS t"));
        ways.push(format!(
            "SELECT count(*) FROM {table} WHERE \"{column}\" IN (SELECT \"{column}\" FROM {table} WHERE \"{column}\" IS NOT NULL)"
        ));
    }
    ways
}

/// What everybody may see, counted in one go by selecting and by filtering.
fn together(table: &str, columns: &[&(String, String)]) -> Vec<String> {
    let all = |each: &dyn Fn(&str) -> String| {
        let counts: Vec<String> =
            columns.iter().enumerate().map(|(n, (column, _))| format!("{} AS c{n}", each(column))).collect();
        format!("SELECT {} FROM {table}", counts.join(", "))
    };
    vec![
        all(&|column| format!("count(\"{column}\")")),
        all(&|column| format!("count(*) FILTER (WHERE \"{column}\" IS NOT NULL)")),
    ]
}

/// What may tell of a value by its failure, or by its plan.
fn indiscretions(table: &str, column: &str, kind: &str) -> Vec<String> {
    let mut all = vec![
        format!("EXPLAIN ANALYZE SELECT \"{column}\" FROM {table} WHERE \"{column}\" IS NOT NULL"),
        format!("EXPLAIN VERBOSE SELECT max(\"{column}\") FROM {table}"),
        format!("SELECT \"{column}\" FROM {table}"),
    ];
    if kind == "text" {
        all.push(format!("SELECT \"{column}\"::int FROM {table}"));
        all.push(format!("SELECT 1 / (CASE WHEN \"{column}\" LIKE '%{}%' THEN 0 ELSE 1 END) FROM {table}", &WORD[..4]));
        all.push(format!("SELECT \"{column}\"::timestamp FROM {table}"));
    }
    all
}

fn answers(client: &Client<'_>, statements: &[String]) -> Vec<Value> {
    let statements: Vec<Value> = statements.iter().map(|text| json!(text)).collect();
    client.asks(&statements).as_array().unwrap().clone()
}

/// A viewer sees what a reader sees of structure, times and costs, and of content nothing: not by selecting, filtering,
/// joining or aggregating it, nor by what a plan or an error message says. Nobody sees another workspace.
#[test]
fn each_role_sees_its_columns_and_no_others() {
    // The session runs for all of the test, however loaded the machine is: the live tables show it.
    let mut setup = Setup::default().idle("2h");
    setup.settings.push("auth.enabled=true".into());
    let server = setup.start();
    let tokens =
        ["ingest", "viewer", "reader", "auditor", "admin"].map(|role| create(&server.data_dir(), "acme", role));
    let [ingest, viewer, reader, auditor, admin] = &tokens;
    send(&server, ingest, "s-acme");
    let client = |user, password| Client { user, password, database: "acme", ..Client::of(&server) };
    let [viewer, reader, auditor, admin] =
        [("viewer", viewer), ("reader", reader), ("auditor", auditor), ("admin", admin)]
            .map(|(user, token)| client(user, token));
    let stored = "SELECT (SELECT count(*) FROM sessions) AS a, (SELECT count(*) FROM live_sessions) AS b, \
                  (SELECT count(tool_output) FROM events) AS c";
    wait_for("the session's row", Duration::from_secs(120), || {
        (reader.ask(stored)["rows"] == json!([[1, 1, 1]])).then_some(())
    });
    let tables = columns(&reader);
    assert_eq!(tables.keys().filter(|name| TABLES.contains(&name.as_str())).count(), TABLES.len(), "{tables:?}");
    let mut shown = 0;
    for (table, columns) in TABLES.map(|table| (table, &tables[table])) {
        let is_content = |column: &&(String, String)| CONTENT.contains(&column.0.as_str());
        let (content, structure): (Vec<_>, Vec<_>) = columns.iter().partition(is_content);
        let hidden: Vec<String> = content.iter().flat_map(|(column, kind)| ways(table, column, kind)).collect();
        let (sees, reads) = (answers(&viewer, &hidden), answers(&reader, &hidden));
        for (statement, (seen, read)) in hidden.iter().zip(sees.iter().zip(&reads)) {
            assert!(read["rows"][0][0].is_i64(), "{statement}: {read}");
            assert_eq!(seen["rows"], json!([[0]]), "{statement}");
            shown += i64::from(read["rows"] != json!([[0]]));
        }
        let told = together(table, &structure);
        let expected = answers(&viewer, &told);
        assert!(expected.iter().all(|answer| answer["rows"].is_array()), "{table}: {expected:?}");
        for (other, name) in [(&reader, "reader"), (&auditor, "auditor"), (&admin, "admin")] {
            assert_eq!(answers(other, &told), expected, "{name}, {table}");
        }
        for other in [&auditor, &admin] {
            let some: Vec<String> = hidden.iter().step_by(9).cloned().collect();
            let expected: Vec<Value> = reads.iter().step_by(9).cloned().collect();
            assert_eq!(answers(other, &some), expected, "{table}");
        }
        for (column, kind) in columns.iter().filter(|(column, _)| CONTENT.contains(&column.as_str())) {
            let told = answers(&viewer, &indiscretions(table, column, kind));
            for answer in told {
                assert!(!answer.to_string().contains(WORD), "{table}.{column}: {answer}");
            }
        }
    }
    assert!(shown > 60, "content is there to be hidden: {shown}");
    assert!(reader.ask("SELECT prompts FROM sessions").to_string().contains(WORD));
    for name in ["audit", "public.audit"] {
        for client in [&viewer, &reader] {
            assert_eq!(client.ask(&format!("SELECT count(*) FROM {name}"))["error"], "42P01");
        }
    }
    reads_are_recorded(&reader, &auditor, &admin);
}

/// What a plan did, without what the clock said: rows of each step, bytes and files that were read.
fn counted(client: &Client<'_>, statement: &str, value: &str) -> String {
    let answer = client.ask(&format!("EXPLAIN ANALYZE {}", statement.replace("VALUE", value)));
    let plan = answer["rows"][0][1].as_str().unwrap_or_else(|| panic!("{statement}: {answer}"));
    let is_time = |token: &&str| {
        let figure = token.split('=').next_back().unwrap_or_default().trim_end_matches([']', ',']);
        let number = figure.trim_end_matches(|c: char| c.is_alphabetic());
        figure != number
            && number.parse::<f64>().is_ok()
            && ["ns", "µs", "ms", "s", "m"].contains(&&figure[number.len()..])
    };
    let kept: Vec<&str> = plan.split_whitespace().filter(|token| !is_time(token)).collect();
    kept.join(" ").replace(value, "VALUE")
}

/// What is hidden does not show in what a statement costs either: the same is read, and the same rows come out of every step,
/// whether a value is there or not. (`tests/py/timing.py` measures the times.)
#[test]
fn what_is_hidden_costs_the_same_whether_it_is_there_or_not() {
    let mut setup = Setup::default().idle("2h");
    setup.settings.push("auth.enabled=true".into());
    let server = setup.start();
    for workspace in ["acme", "other"] {
        send(&server, &create(&server.data_dir(), workspace, "ingest"), &format!("s-{workspace}"));
    }
    let tokens =
        [("viewer", "acme"), ("reader", "other")].map(|(role, of)| (role, create(&server.data_dir(), of, role), of));
    let [viewer, stranger] =
        tokens.each_ref().map(|(user, password, database)| Client { user, password, database, ..Client::of(&server) });
    let stored = "SELECT (SELECT count(*) FROM sessions) AS a, (SELECT count(*) FROM live_sessions) AS b, \
                  (SELECT count(*) FROM events WHERE kind = 'tool_call') AS c";
    for client in [&viewer, &stranger] {
        wait_for("the session's rows", Duration::from_secs(120), || {
            (client.ask(stored)["rows"] == json!([[1, 1, 2]])).then_some(())
        });
    }
    for table in ["events", "facts", "live_events"] {
        for statement in [
            "SELECT count(*) FROM TABLE WHERE content LIKE '%VALUE%'",
            "SELECT kind FROM TABLE WHERE content = 'VALUE' OR tool_output = 'VALUE'",
            "SELECT count(*) FROM TABLE WHERE position('VALUE' IN tool_input) > 0 AND kind <> 'x'",
            "SELECT 1 / length(content) FROM TABLE WHERE tool_output ~ 'VALUE'",
        ] {
            let statement = statement.replace("TABLE", table);
            let [there, not] = [WORD, "plumbuz"].map(|value| counted(&viewer, &statement, value));
            assert_eq!(there, not, "{statement}");
            assert!(table.starts_with("live") || there.contains("bytes_scanned="), "{there}");
        }
    }
    for table in TABLES {
        let statement = format!("SELECT count(*) FROM {table} WHERE session_id = 'VALUE'");
        let [there, not] = ["s-acme", "s-none"].map(|value| counted(&stranger, &statement, value));
        assert_eq!(there, not, "{statement}");
        assert_eq!(stranger.rows(&statement.replace("VALUE", "s-acme")), [json!([0])]);
        assert_eq!(stranger.rows(&statement.replace("VALUE", "s-other")).len(), 1);
    }
}

/// What was prepared while a token was good is refused when it is not any more.
#[test]
fn a_revoked_token_ends_at_the_next_statement() {
    let mut setup = Setup::default();
    setup.settings.push("auth.enabled=true".into());
    let server = setup.start();
    let token = create(&server.data_dir(), "acme", "reader");
    let data_dir = server.data_dir();
    let arguments = [server.ports.sql.to_string(), token, binary().to_owned(), data_dir.to_str().unwrap().to_owned()];
    let answer = run_python("revoked.py", &arguments.each_ref().map(String::as_str), b"");
    assert_eq!(answer, "57P01\n");
}

/// Who read content is written down, with what was asked; who read none is not.
fn reads_are_recorded(reader: &Client<'_>, auditor: &Client<'_>, admin: &Client<'_>) {
    let secret = ["ghp_", "wK8rTz3mQp5vXc7bNj2d", "Ls9fHg4yRa6eUiOt"].concat();
    reader.rows(&format!("SELECT count(*) FROM events WHERE content LIKE '%needle {secret}%'"));
    let asked = "SELECT statement, outcome, result_rows FROM audit WHERE who = 'reader' AND action = 'read' \
                 AND statement LIKE '%needle%' ORDER BY outcome";
    for client in [auditor, admin] {
        let rows = wait_for("the rows of audit", Duration::from_secs(60), || {
            Some(client.rows(asked)).filter(|rows| rows.len() == 2)
        });
        assert_eq!((&rows[0][1], &rows[0][2]), (&json!("begun"), &Value::Null));
        assert_eq!((&rows[1][1], &rows[1][2]), (&json!("done"), &json!(1)));
        assert!(!rows[0].to_string().contains(&secret), "{}", rows[0]);
    }
    let others = "SELECT count(*) FROM audit WHERE who = 'viewer' OR statement LIKE '%count(\"tool_name\")%'";
    assert_eq!(auditor.rows(others), [json!([0])]);
}
