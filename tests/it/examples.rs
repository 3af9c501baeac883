//! Every query under `examples/duckdb` runs, and answers something, on a lake of captured sessions.

use std::fs;

use serde_json::Value;

use crate::harness::{Setup, root};
use crate::query::run_python;
use crate::replay;

fn file(name: &str) -> String {
    root().join("examples/duckdb").join(name).display().to_string()
}

/// Runs `setup.sql` and then one query file, as `.read` does; the last statement's rows.
fn run(lake: &str, query: &str) -> Vec<Value> {
    let answer = run_python("example.py", &[lake, &file("setup.sql"), &file(query)], b"");
    serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{query}: {e}: {answer}"))
}

/// What each user's sessions on S3 cost, asked as `setup-s3.sql` says: with variables for the access.
pub fn costs_on_s3(lake: &str, access: &Value) -> Vec<Value> {
    let text = |key: &str| access[key].as_str().unwrap().to_owned();
    let set = |name: &str, key: &str| format!("{name}='{}'", text(key));
    let arguments = [
        lake.to_owned(),
        set("s3_key_id", "key"),
        set("s3_secret", "secret"),
        set("s3_region", "region"),
        set("s3_endpoint", "endpoint"),
        "s3_url_style='path'".to_owned(),
        "s3_use_ssl=false".to_owned(),
        file("setup-s3.sql"),
        file("setup.sql"),
        file("cost-by-user-and-day.sql"),
    ];
    let answer = run_python("example.py", &arguments.each_ref().map(String::as_str), b"");
    serde_json::from_str(&answer).unwrap()
}

fn queries() -> Vec<String> {
    let names = fs::read_dir(root().join("examples/duckdb")).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.retain(|n| n.ends_with(".sql") && !n.starts_with("setup"));
    names.sort();
    names
}

#[test]
fn every_example_answers_on_captured_sessions() {
    let server = Setup::default().idle("2s").start();
    replay::recorded(&server);

    assert!(queries().len() >= 6);
    for query in queries() {
        let rows = run(&server.lake(), &query);
        assert!(!rows.is_empty(), "{query} finds nothing");
    }
    let costs = run(&server.lake(), "cost-by-user-and-day.sql");
    assert!(costs.iter().any(|r| r["cost_usd"].is_string()), "{costs:?}");
    let gaps = run(&server.lake(), "gaps.sql");
    assert!(gaps.iter().any(|r| r["gap"] == "tool_without_result"), "{gaps:?}");
}

/// The README of the examples names every file, so that none is forgotten.
#[test]
fn the_examples_are_listed() {
    let readme = fs::read_to_string(root().join("examples/duckdb/README.md")).unwrap();
    for query in queries() {
        assert!(readme.contains(&format!("`{query}`")), "{query} is not listed");
    }
}
