//! Every reader under `examples/readers` gives the rows that DuckDB gives, before and after files were put together.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

use crate::corpus;
use crate::harness::{Server, Setup, binary, python, root};
use crate::query::{Lake, run_python};
use crate::replay;

const READERS: [&str; 3] = ["polars_costs.py", "deltalake_costs.py", "clickhouse_costs.py"];

/// Sessions and cost by user and day: a user who is not known is NULL, and so is a cost that nobody reported.
type Costs = BTreeMap<(String, String), (i64, Option<String>)>;

fn costs<'a>(rows: impl IntoIterator<Item = &'a Value>) -> Costs {
    let cost = |value: &Value| match value {
        Value::String(text) => Some(format!("{:.6}", text.parse::<f64>().unwrap())),
        Value::Null => None,
        number => Some(format!("{:.6}", number.as_f64().unwrap())),
    };
    let row = |row: &Value| {
        let count = row["sessions"].as_i64().or_else(|| row["sessions"].as_str()?.parse().ok()).unwrap();
        let day = row["date"].as_str().unwrap()[..10].to_owned();
        ((day, row["user_email"].to_string()), (count, cost(&row["cost_usd"])))
    };
    rows.into_iter().map(row).collect()
}

fn duckdb(lake: &Lake) -> Costs {
    let sql = "SELECT user_email, date::VARCHAR date, count(*) sessions, sum(cost_usd)::VARCHAR cost_usd
               FROM sessions GROUP BY ALL";
    costs(&lake.rows(sql).into_iter().map(Value::Object).collect::<Vec<_>>())
}

fn by_parquet_alone(lake: &str) -> Costs {
    let file = root().join("examples/readers/parquet.sql").display().to_string();
    let answer = run_python("example.py", &[lake, &file], b"");
    costs(&serde_json::from_str::<Vec<Value>>(&answer).unwrap())
}

fn by(reader: &str, lake: &str) -> Costs {
    let output = Command::new(python()).arg(root().join("examples/readers").join(reader)).arg(lake).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    // Some libraries' threads abort the interpreter now and then as it ends: what it had printed by then counts.
    let ended_badly = output.status.code().is_none() && !output.stdout.is_empty();
    assert!(output.status.success() || ended_badly, "{reader}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Value::Array(rows)) => rows,
        _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
    };
    costs(&rows)
}

fn assert_all_read(lake: &Lake, expected: &Costs) {
    assert_eq!(&duckdb(lake), expected);
    assert_eq!(&by_parquet_alone(lake.url()), expected, "plain Parquet");
    for reader in READERS {
        assert_eq!(&by(reader, lake.url()), expected, "{reader}");
    }
}

/// So many commits that a checkpoint is due.
fn commit_often(server: &Server, lake: &Lake) {
    for n in 0..10 {
        let session = format!("short-{n}");
        corpus::send_marker(server, &session);
        lake.when(&format!("SELECT count(*) = 1 FROM sessions WHERE session_id = '{session}'"), &[]);
    }
}

fn maintain(server: &Server) -> Value {
    let mut command = Command::new(binary());
    command.args(["maintain", "--once", "--json", "--data-dir"]).arg(server.data_dir());
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert!(errors.lines().any(|line| line.starts_with("default: ")), "progress, line by line: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_reader_gives_the_same_rows_before_and_after_files_were_put_together() {
    let mut server = Setup::default().idle("2s").start();
    replay::recorded(&server);
    let lake = Lake::of(&server);
    commit_often(&server, &lake);
    lake.when("SELECT count(*) = 0 FROM sessions WHERE status = 'running'", &[]);
    let expected = duckdb(&lake);
    assert!(expected.len() > 1 && expected.values().any(|(_, cost)| cost.is_some()), "{expected:?}");
    assert_all_read(&lake, &expected);

    let beside = Command::new(binary()).args(["maintain", "--once", "--data-dir"]).arg(server.data_dir()).output();
    let refused = String::from_utf8(beside.unwrap().stderr).unwrap();
    assert!(refused.contains("another process maintains this lake"), "{refused}");
    server.terminate();
    let done = maintain(&server);
    assert!(done["files_before"].as_u64() > done["files_after"].as_u64(), "{done}");
    assert!(done["checkpoints"].as_u64() > Some(0), "readers begin with one: {done}");
    assert_all_read(&lake, &expected);
    let again = maintain(&server);
    assert_eq!((&again["files_before"], &again["sessions_sealed"]), (&json!(0), &json!(0)), "nothing is left to do");
}
