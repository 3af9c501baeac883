//! The dashboards in `examples/grafana`, without a Grafana: their queries as it would send them, their JSON as it reads it.

use std::fs;

use serde_json::{Value, json};

use super::recorded;
use crate::generated::{Size, make};
use crate::harness::{Server, Setup, root};
use crate::query::run_python;

/// Asks every query of every dashboard by both protocols, as Grafana would; checks columns, types and the session's price.
/// The names of the panels that would be empty.
fn shown(server: &Server) -> Vec<String> {
    let arguments = [&server.ports.sql.to_string(), "default", "grafana", "any"];
    let shown: Value = serde_json::from_str(&run_python("grafana.py", &arguments, b"")).unwrap();
    assert_eq!(shown["wrong"], json!([]), "{}", shown["wrong"]);
    assert!(shown["queries"].as_u64().unwrap() > 25, "{shown}");
    assert_eq!(shown["cost"][0], shown["cost"][1], "the dashboard's cost is the table's");
    assert!(shown["cost"][0].as_f64().unwrap() > 0.0);
    assert_columns(&shown["columns"]);
    shown["empty"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Names and types of each panel's columns. Write the file anew with `SESSIONLAKE_BLESS=1` and look at the difference.
fn assert_columns(columns: &Value) {
    let file = root().join("tests/fixtures/grafana/columns.json");
    if std::env::var_os("SESSIONLAKE_BLESS").is_some() {
        let lines: Vec<String> = columns
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, columns)| format!("  {}: {columns}", json!(name)))
            .collect();
        fs::write(&file, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let expected: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(*columns, expected);
}

#[test]
fn dashboards_show_what_the_lake_holds() {
    let (server, _) = recorded(Setup::default().idle("2s"));
    // These sessions use no skill, and need no rule.
    let may_be_empty = ["usage: By skill", "health: Redactions by rule", "session: What is missing"];
    let empty = shown(&server);
    assert!(empty.iter().all(|name| may_be_empty.contains(&name.as_str())), "{empty:?}");
}

/// On a month of many users' sessions no panel is empty.
#[test]
fn dashboards_of_a_month_of_sessions_have_no_empty_panel() {
    let lake = tempfile::tempdir().unwrap();
    let url = lake.path().to_str().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let events = runtime.block_on(make(url, &Size { sessions: 200, events: 24, batch: 20, seed: 6 }));
    assert!(events > 200 * 12, "{events}");
    let server = Setup { lake: Some(url.to_owned()), ..Setup::default() }.start();
    assert_eq!(shown(&server), [""; 0]);
}

/// Read and written by the classes that Grafana makes of its schema, nothing is lost.
#[test]
fn dashboards_follow_grafanas_published_schema() {
    assert_eq!(run_python("dashboards.py", &[], b""), "[]\n");
}
