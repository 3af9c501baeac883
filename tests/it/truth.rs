//! What the rows say is what the raw files say: costs, replies, tools, ends.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::corpus::{self, Captured, Hooks};
use crate::harness::{Server, Setup};
use crate::oracle::{self, Oracle, same_but_redacted};
use crate::query::{Lake, Row, text};
use crate::replay::{self, Rows};

fn deliver(sessions: &[Captured], hooks: Hooks) -> (Server, BTreeMap<String, Rows>) {
    let server = Setup::default().idle("3s").start();
    for captured in sessions {
        corpus::send(&server, &replay::requests(captured, hooks));
    }
    corpus::send_marker(&server, "marker");
    let ids: Vec<String> = sessions.iter().flat_map(Captured::session_ids).collect();
    let rows = replay::read(&Lake::of(&server), &ids, "marker");
    (server, rows)
}

/// Collects what is wrong, so that one run shows all of it.
struct Findings {
    about: String,
    all: Vec<String>,
}

impl Findings {
    fn check(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.all.push(format!("{}: {}", self.about, message()));
        }
    }
}

fn of_kind<'a>(rows: &'a Rows, kind: &str) -> Vec<&'a Row> {
    rows.events.values().filter(|e| e["kind"] == kind).collect()
}

/// `DECIMAL(18,9)` dollars as micro-dollars; `None` when NULL.
fn micros(value: &Value) -> Option<i64> {
    let text = value.as_str()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos: i64 = format!("{whole}{fraction:0<9}").parse().unwrap();
    assert_eq!(nanos % 1000, 0, "{text} is no whole number of micro-dollars");
    Some(nanos / 1000)
}

fn check_session(oracle: &Oracle, rows: &Rows, findings: &mut Findings) {
    let cost = micros(&rows.session["cost_usd"]);
    findings.check(cost == oracle.cost_micros, || {
        format!("sessions.cost_usd is {cost:?} micros, the api_request costs sum up to {:?}", oracle.cost_micros)
    });
    let reason = if oracle.ends > 0 { "hook" } else { "idle" };
    findings.check(rows.session["end_reason"] == reason, || format!("end_reason is {}", rows.session["end_reason"]));
    let seqs: std::collections::BTreeSet<i64> = rows.events.values().filter_map(|e| e["seq"].as_i64()).collect();
    findings.check(seqs.len() == rows.events.len() && seqs.first() == Some(&0), || "seq is no order from 0".into());
}

/// Each request with an `api_request` is exactly one model call with its tokens and cost.
fn check_costs(oracle: &Oracle, rows: &Rows, findings: &mut Findings) {
    let calls = of_kind(rows, "model_call");
    for (id, request) in &oracle.requests {
        let Some(expected) = &request.api_request else { continue };
        let found: Vec<_> = calls.iter().filter(|c| c["request_id"] == id.as_str()).collect();
        findings.check(found.len() == 1, || format!("{id} has {} model calls", found.len()));
        let Some(call) = found.first() else { continue };
        findings.check(micros(&call["cost_usd"]) == expected.cost_micros, || {
            format!("{id} costs {} instead of {:?} micros", call["cost_usd"], expected.cost_micros)
        });
        findings
            .check(call["model"].as_str() == expected.model.as_deref(), || format!("{id}: model {}", call["model"]));
        for (name, tokens) in &expected.tokens {
            findings.check(call[name.as_str()].as_i64() == *tokens, || {
                format!("{id}: {name} is {} instead of {tokens:?}", call[name.as_str()])
            });
        }
    }
}

/// Wherever any source sent the reply's text, the model call has it.
fn check_replies(oracle: &Oracle, rows: &Rows, transcripts: bool, findings: &mut Findings) {
    for call in of_kind(rows, "model_call") {
        let Some(id) = call["request_id"].as_str() else { continue };
        let Some(request) = oracle.requests.get(id) else { continue };
        let Some(expected) = request.transcript_text.as_ref().or(request.log_text.as_ref()) else { continue };
        let sent = transcripts || request.log_text.is_some() || oracle.sent_texts.iter().any(|t| t == expected);
        if sent {
            let found = call["content"].as_str();
            findings.check(found.is_some_and(|stored| same_but_redacted(expected, stored)), || {
                format!("{id}: the reply is {found:?} instead of {expected:?}")
            });
        }
    }
}

/// Tool calls pair by `tool_use_id`.
fn check_tools(oracle: &Oracle, rows: &Rows, findings: &mut Findings) {
    let calls = of_kind(rows, "tool_call");
    for (id, tool) in &oracle.tools {
        let found: Vec<_> = calls.iter().filter(|c| c["tool_use_id"] == id.as_str()).collect();
        findings.check(found.len() == 1, || format!("{id} has {} tool calls", found.len()));
        let Some(call) = found.first() else { continue };
        if tool.name.is_some() {
            findings.check(call["tool_name"].as_str() == tool.name.as_deref(), || {
                format!("{id}: tool_name is {} instead of {:?}", call["tool_name"], tool.name)
            });
        }
        if !tool.input.is_null() {
            findings.check(same_json(&tool.input, call["tool_input"].as_str()), || {
                format!("{id}: tool_input is {} instead of {}", call["tool_input"], tool.input)
            });
        }
        if tool.post {
            let stored = call["tool_output"].as_str();
            findings.check(tool.outputs.iter().any(|sent| same_text_or_json(sent, stored)), || {
                format!("{id}: tool_output is {stored:?} instead of one of {:?}", tool.outputs)
            });
        }
        if let Some(failed) = tool.failed {
            findings.check(call["success"].as_bool() == Some(!failed), || {
                format!("{id}: success is {} although failed is {failed}", call["success"])
            });
        }
    }
}

fn same_json(original: &Value, stored: Option<&str>) -> bool {
    let Some(stored) = stored.and_then(|s| serde_json::from_str::<Value>(s).ok()) else { return false };
    same_values(original, &stored)
}

fn same_text_or_json(original: &Value, stored: Option<&str>) -> bool {
    match (original, stored) {
        (Value::String(original), Some(stored)) => same_but_redacted(original, stored),
        (_, stored) => same_json(original, stored),
    }
}

fn same_values(original: &Value, stored: &Value) -> bool {
    match (original, stored) {
        (Value::String(o), Value::String(s)) => same_but_redacted(o, s),
        (Value::Array(o), Value::Array(s)) => o.len() == s.len() && o.iter().zip(s).all(|(o, s)| same_values(o, s)),
        (Value::Object(o), Value::Object(s)) => {
            o.len() == s.len() && o.iter().all(|(k, v)| s.get(k).is_some_and(|found| same_values(v, found)))
        }
        _ => original == stored,
    }
}

fn check_all(hooks: Hooks) {
    let sessions = corpus::all();
    let (_server, rows) = deliver(&sessions, hooks);
    let mut all = Vec::new();
    for captured in &sessions {
        let oracle = oracle::of(captured);
        let rows = &rows[&captured.session_id()];
        let mut findings = Findings { about: format!("{} ({hooks:?})", captured.name), all: vec![] };
        check_session(&oracle, rows, &mut findings);
        check_costs(&oracle, rows, &mut findings);
        check_replies(&oracle, rows, hooks == Hooks::Enveloped, &mut findings);
        check_tools(&oracle, rows, &mut findings);
        all.extend(findings.all);
    }
    assert!(all.is_empty(), "{} findings:\n{}", all.len(), all.join("\n"));
}

#[test]
fn rows_say_what_hooks_and_otlp_said() {
    check_all(Hooks::Raw);
}

#[test]
fn rows_say_what_hooks_otlp_and_transcripts_said() {
    check_all(Hooks::Enveloped);
}

fn gaps(rows: &Rows, kind: &str) -> Vec<String> {
    let gaps = rows.session["gaps"].as_array().cloned().unwrap_or_default();
    gaps.iter().filter(|g| g["kind"] == kind).map(|g| g["detail"].to_string()).collect()
}

/// A killed client sends no end: the session ends by idleness, and its open tool call is a gap.
#[test]
fn a_killed_session_ends_by_idleness_and_shows_its_open_tool_call() {
    let session = corpus::fixture("sigkill");
    let (_server, rows) = deliver(std::slice::from_ref(&session), Hooks::Raw);
    let rows = &rows[&session.session_id()];
    assert_eq!(rows.session["status"], "ended");
    assert_eq!(rows.session["end_reason"], "idle");
    let oracle = oracle::of(&session);
    let open: Vec<&String> = oracle.tools.iter().filter(|(_, t)| !t.post && !t.log).map(|(id, _)| id).collect();
    assert_eq!(open.len(), 1, "the capture has one open tool call");
    let gaps = gaps(rows, "tool_without_result");
    assert!(gaps.len() == 1 && gaps[0].contains(open[0].as_str()), "gaps: {gaps:?}");
    let call = of_kind(rows, "tool_call").into_iter().find(|c| c["tool_use_id"] == open[0].as_str()).unwrap();
    assert!(call["tool_input"].is_string() && call["tool_output"].is_null() && call["success"].is_null());
}

/// A resumed session ends twice under one id: it is one session with both prompts.
#[test]
fn a_resumed_session_is_one_session() {
    let session = corpus::fixture("resume");
    let (server, rows) = deliver(std::slice::from_ref(&session), Hooks::Raw);
    let rows = &rows[&session.session_id()];
    let oracle = oracle::of(&session);
    let prompts: Vec<&str> = rows.session["prompts"].as_array().unwrap().iter().map(prompt_text).collect();
    assert_eq!(prompts, oracle.prompts);
    assert_eq!(rows.session["model_calls"], oracle.requests.len());
    assert_eq!(rows.session["status"], "ended");
    let sessions = Lake::of(&server).rows("SELECT session_id FROM sessions WHERE session_id <> 'marker'");
    assert_eq!(sessions.len(), 1);
    assert!(gaps(rows, "sequence").is_empty(), "a restarted sequence is no gap: {:?}", rows.session["gaps"]);
}

fn prompt_text(prompt: &Value) -> &str {
    prompt["text"].as_str().unwrap()
}

/// A subagent hangs under the call that spawned it, with its own cost.
#[test]
fn a_subagent_hangs_under_its_call() {
    let session = corpus::fixture("subagent");
    let (_server, rows) = deliver(std::slice::from_ref(&session), Hooks::Raw);
    let rows = &rows[&session.session_id()];
    let subagents = of_kind(rows, "subagent");
    assert_eq!(subagents.len(), 1, "{subagents:?}");
    let parent = rows.events.get(text(subagents[0], "parent_event_id")).expect("its parent is an event");
    assert_eq!(parent["kind"], "tool_call");
    assert_eq!(parent["tool_name"], "Agent");
    let own: Vec<_> = of_kind(rows, "model_call").into_iter().filter(|c| c["agent_id"].is_string()).collect();
    assert!(!own.is_empty() && own.iter().all(|c| c["cost_usd"].is_string()), "{own:?}");
    assert_eq!(rows.session["prompt_count"], 1);
    assert_eq!(rows.session["synthetic_prompt_count"], 1);
}
