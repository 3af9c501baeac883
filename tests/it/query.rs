//! Reads a lake with DuckDB, as its users do.

// Shared with tests/faults: neither binary uses all of it.
#![allow(dead_code)]

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use crate::harness::{Server, python, root};

pub type Row = Map<String, Value>;

/// How long a condition on the lake may take to come true. Generous: the machine may be loaded.
const PATIENCE_S: u32 = 60;

pub struct Lake {
    url: String,
    s3: Option<Value>,
    patience_s: u32,
}

impl Lake {
    pub fn of(server: &Server) -> Lake {
        Lake::directory(server.lake())
    }

    pub fn directory(path: String) -> Lake {
        Lake { url: path, s3: None, patience_s: PATIENCE_S }
    }

    pub fn s3(url: String, access: Value) -> Lake {
        Lake { url, s3: Some(access), patience_s: PATIENCE_S }
    }

    /// Conditions may take that many seconds to come true.
    pub fn patient(self, patience_s: u32) -> Lake {
        Lake { patience_s, ..self }
    }

    /// As DuckDB names it.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn rows(&self, sql: &str) -> Vec<Row> {
        self.ask(None, &[sql]).remove(0)
    }

    /// Waits until the boolean query `until` holds, then runs the queries.
    pub fn when(&self, until: &str, queries: &[&str]) -> Vec<Vec<Row>> {
        self.ask(Some(until), queries)
    }

    fn ask(&self, until: Option<&str>, queries: &[&str]) -> Vec<Vec<Row>> {
        let request = json!({
            "lake": self.url, "s3": self.s3, "until": until, "timeout": self.patience_s, "queries": queries,
        });
        let answer = run_python("query.py", &[], request.to_string().as_bytes());
        serde_json::from_str(&answer).unwrap()
    }
}

/// Runs one of `tests/py/`; its standard output.
pub fn run_python(script: &str, arguments: &[&str], stdin: &[u8]) -> String {
    let mut child = Command::new(python())
        .arg(root().join("tests/py").join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {}\n{errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A column that must be text.
pub fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_else(|| panic!("{column} is {} in {row:?}", row[column]))
}
