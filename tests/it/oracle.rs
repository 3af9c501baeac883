//! What a captured session says, computed from its raw files by `tests/py/oracle.py`, which shares no code with us.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::corpus::Captured;
use crate::query::run_python;

#[derive(Deserialize)]
pub struct Oracle {
    /// Sum over the `api_request` records.
    pub cost_micros: Option<i64>,
    pub requests: BTreeMap<String, Request>,
    /// Every reply text that a hook or a log carried.
    pub sent_texts: Vec<String>,
    pub tools: BTreeMap<String, Tool>,
    pub prompts: Vec<String>,
    /// `SessionEnd` hooks.
    pub ends: u32,
}

#[derive(Deserialize)]
pub struct Request {
    pub api_request: Option<ApiRequest>,
    pub log_text: Option<String>,
    pub transcript_text: Option<String>,
}

#[derive(Deserialize)]
pub struct ApiRequest {
    pub cost_micros: Option<i64>,
    pub model: Option<String>,
    pub tokens: BTreeMap<String, Option<i64>>,
}

#[derive(Deserialize)]
pub struct Tool {
    pub name: Option<String>,
    pub input: Value,
    /// As `PostToolUse` and `PostToolBatch` tell it; they may differ in form.
    pub outputs: Vec<Value>,
    /// A `PostToolUse` hook told its output.
    pub post: bool,
    pub failed: Option<bool>,
    /// A `tool_result` log told its end.
    pub log: bool,
}

pub fn of(captured: &Captured) -> Oracle {
    serde_json::from_str(&run_python("oracle.py", &[captured.folder.to_str().unwrap()], b"")).unwrap()
}

/// Whether `stored` is `original` with some parts replaced by `[REDACTED:rule]`.
pub fn same_but_redacted(original: &str, stored: &str) -> bool {
    let Some((head, mut rest)) = stored.split_once("[REDACTED:") else { return original == stored };
    let Some(mut remaining) = original.strip_prefix(head) else { return false };
    loop {
        let Some((_, after)) = rest.split_once(']') else { return false };
        match after.split_once("[REDACTED:") {
            None => return remaining.ends_with(after),
            Some((piece, next)) => {
                let Some(at) = remaining.find(piece) else { return false };
                remaining = &remaining[at + piece.len()..];
                rest = next;
            }
        }
    }
}

#[test]
fn redacted_texts_are_recognised() {
    assert!(same_but_redacted("the key AKIA1 is out", "the key [REDACTED:aws] is out"));
    assert!(same_but_redacted("a=1 b=2", "a=[REDACTED:x] b=[REDACTED:y]"));
    assert!(!same_but_redacted("the key AKIA1 is out", "the key [REDACTED:aws] is in"));
    assert!(!same_but_redacted("the key", "a key"));
}
