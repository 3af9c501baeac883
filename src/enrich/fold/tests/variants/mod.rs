//! Sessions that no capture shows: what the client's documentation and the network can produce, built by hand.

mod content;
mod failures;
mod hostile;
mod others;
mod shapes;

use serde_json::{Map, Value, json};

use super::super::{Folded, fold};
use super::{RECEIVED, batch, comparable, envelope, facts_of_batch, fold_all, of_kind, raw_hook};
use crate::model::{Event, Fact, Joined, Kind, LakeKey, RecordHits, Signal, Source, Status};
use crate::receiver::otlp::json::to_protobuf;

const SESSION: &str = "5e55";
/// Event time 0 of the built sessions, in milliseconds.
const T0: i64 = 1_790_000_000_000;

fn attributes(object: &Value) -> Value {
    let value = |v: &Value| match v {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(n) if n.is_i64() => json!({"intValue": n}),
        other => json!({"doubleValue": other}),
    };
    object.as_object().unwrap().iter().map(|(k, v)| json!({"key": k, "value": value(v)})).collect()
}

fn otlp(signal: Signal, scope: &str, service: &str, records: (&str, &str, Value)) -> Vec<Fact> {
    let (resources, scopes, (list, ..)) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", &records),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", &records),
        _ => ("resourceSpans", "scopeSpans", &records),
    };
    let body = json!({resources: [{
        "resource": {"attributes": attributes(&json!({"service.name": service}))},
        scopes: [{"scope": {"name": scope}, *list: [records.2]}],
    }]});
    let payload = to_protobuf(signal, body.to_string().as_bytes()).unwrap();
    let identity = LakeKey::new([7; 32]).name("record", &[&payload]);
    let hits = vec![RecordHits { index: 0, identity, redactions: vec![] }];
    facts_of_batch(&batch(signal, payload, RECEIVED, hits))
}

fn with(own: Value, common: Value) -> Value {
    let mut all: Map<String, Value> = common.as_object().unwrap().clone();
    all.extend(own.as_object().unwrap().clone());
    Value::Object(all)
}

/// The client's log event number `sequence`, `ms` after the start.
fn log(name: &str, sequence: i64, ms: i64, own: Value) -> Vec<Fact> {
    let time = chrono::DateTime::from_timestamp_millis(T0 + ms).unwrap().to_rfc3339();
    let common = json!({"session.id": SESSION, "prompt.id": "p1", "event.name": name, "event.sequence": sequence,
        "event.timestamp": time});
    let record = json!({"timeUnixNano": format!("{}", (T0 + ms) * 1_000_000), "traceId": "0af7651916cd43dd8448eb211c80319c",
        "body": {"stringValue": format!("claude_code.{name}")}, "attributes": attributes(&with(own, common))});
    otlp(Signal::Logs, "com.anthropic.claude_code.events", "claude-code", ("logRecords", "", record))
}

fn span(name: &str, id: i64, parent: i64, (from, to): (i64, i64), own: Value) -> Vec<Fact> {
    let nanos = |ms: i64| format!("{}", (T0 + ms) * 1_000_000);
    let record = json!({"name": format!("claude_code.{name}"), "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": format!("{id:016x}"), "parentSpanId": format!("{parent:016x}"), "startTimeUnixNano": nanos(from),
        "endTimeUnixNano": nanos(to), "attributes": attributes(&with(own, json!({"session.id": SESSION})))});
    otlp(Signal::Traces, "com.anthropic.claude_code.tracing", "claude-code", ("spans", "", record))
}

fn request(sequence: i64, ms: i64, id: &str) -> Vec<Fact> {
    let own = json!({"request_id": id, "cost_usd_micros": 1000, "input_tokens": 3, "output_tokens": 5, "model": "m"});
    log("api_request", sequence, ms, own)
}

fn response(sequence: i64, ms: i64, id: &str, text: &str) -> Vec<Fact> {
    log("assistant_response", sequence, ms, json!({"request_id": id, "response": text, "response_length": text.len()}))
}

/// A hook in an envelope, `ms` after the start.
fn hook(id: &str, ms: i64, name: &str, own: Value) -> Vec<Fact> {
    let common = json!({"session_id": SESSION, "hook_event_name": name, "prompt_id": "p1", "cwd": "/w"});
    envelope(id, (T0 + ms) * 1000, "hook", SESSION, &with(own, common))
}

/// A hook without a clock that arrives as the `n`-th.
fn raw(n: i64, name: &str, own: Value) -> Vec<Fact> {
    let common = json!({"session_id": SESSION, "hook_event_name": name, "prompt_id": "p1", "cwd": "/w"});
    raw_hook(&with(own, common), RECEIVED + n * 1000)
}

fn line(ms: i64, uuid: &str, own: Value) -> Vec<Fact> {
    let time = chrono::DateTime::from_timestamp_millis(T0 + ms).unwrap().to_rfc3339();
    let common = json!({"sessionId": SESSION, "uuid": uuid, "timestamp": time});
    envelope(&format!("line-{uuid}"), RECEIVED, "transcript", SESSION, &with(own, common))
}

fn prompt() -> Vec<Fact> {
    log("user_prompt", 1, 0, json!({"prompt": "Do it", "prompt_length": "5", "message.uuid": "u1"}))
}

fn one(folded: &Folded, kind: Kind) -> &Event {
    let found = of_kind(folded, kind);
    assert_eq!(found.len(), 1, "{kind:?}: {found:#?}");
    found[0]
}

fn gaps(folded: &Folded) -> Vec<&str> {
    folded.session.gaps.iter().map(|g| g.kind.as_str()).collect()
}

fn failed_turn() -> Vec<Vec<Fact>> {
    let text = "API Error: 400 bad request";
    vec![
        prompt(),
        span("llm_request", 2, 1, (10, 800), json!({"success": false, "attempt": 3, "error": "400"})),
        span("llm_request", 3, 1, (801, 900), json!({"success": false, "attempt": 6, "error": "400"})),
        log("api_error", 2, 900, json!({"error": "400 bad request", "status_code": "undefined", "duration_ms": 890})),
        log("api_retries_exhausted", 3, 901, json!({"total_attempts": 6, "total_retry_duration_ms": 890})),
        hook("f", 903, "StopFailure", json!({"error": "invalid_request", "last_assistant_message": text})),
        hook("d", 902, "MessageDisplay", json!({"message_id": "m", "index": 0, "final": true, "delta": text})),
        line(0, "u1", json!({"type": "user", "promptId": "p1", "message": {"content": "Do it"}})),
        line(
            902,
            "u2",
            json!({"type": "assistant", "parentUuid": "u1", "isApiErrorMessage": true,
            "message": {"id": "x", "model": "<synthetic>", "content": [{"type": "text", "text": text}]}}),
        ),
    ]
}

fn compacted() -> Vec<Vec<Fact>> {
    let summary = "The summary.";
    vec![
        prompt(),
        hook("1", 10, "PreCompact", json!({"trigger": "auto", "custom_instructions": ""})),
        log(
            "api_request",
            2,
            500,
            json!({"request_id": "rc", "cost_usd_micros": 7, "query_source": "compact", "duration_ms": 400}),
        ),
        hook(
            "2",
            501,
            "SubagentStop",
            json!({"agent_id": "fork", "agent_type": "", "last_assistant_message": summary}),
        ),
        hook("3", 502, "PostCompact", json!({"trigger": "auto", "compact_summary": summary})),
        hook("4", 503, "SessionStart", json!({"source": "compact", "model": "m"})),
        log("compaction", 3, 504, json!({"trigger": "auto", "success": "true", "pre_tokens": "9", "post_tokens": "1"})),
        line(505, "u5", json!({"type": "system", "subtype": "compact_boundary", "content": "Conversation compacted"})),
        line(506, "u6", json!({"type": "user", "isCompactSummary": true, "message": {"content": summary}})),
        request(4, 600, "r2"),
        response(5, 601, "r2", "Done"),
        hook("5", 602, "Stop", json!({"last_assistant_message": "Done"})),
        hook("6", 603, "SessionEnd", json!({"reason": "other"})),
    ]
}

fn metric(ms: i64, temporality: i64, value: Value, own: Value) -> Vec<Fact> {
    let point = with(
        value,
        json!({"startTimeUnixNano": format!("{}", T0 * 1_000_000),
        "timeUnixNano": format!("{}", (T0 + ms) * 1_000_000),
        "attributes": attributes(&with(own, json!({"session.id": SESSION})))}),
    );
    let metric = json!({"name": "claude_code.token.usage", "unit": "tokens",
        "sum": {"aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [point]}});
    otlp(Signal::Metrics, "com.anthropic.claude_code", "claude-code", ("metrics", "", metric))
}

/// Everything above in one session.
fn everything() -> Vec<Fact> {
    let show =
        |n: i64| json!({"message_id": "m", "index": n, "final": n == 1, "delta": if n == 0 { "a\n" } else { "b" }});
    let more = [
        hook("x1", 950, "MessageDisplay", show(0)),
        hook("x2", 951, "MessageDisplay", show(1)),
        hook("y1", 950, "MessageDisplay", show(0)),
        raw(1, "Stop", json!({"last_assistant_message": "a\nb"})),
        raw(2, "UserPromptSubmit", json!({"prompt": "Do it"})),
        raw(3, "PermissionRequest", json!({"tool_name": "Bash", "tool_input": {"command": "rm"}})),
        metric(3, 2, json!({"asInt": "4"}), json!({"type": "input"})),
        metric(4, 2, json!({"asInt": "5"}), json!({"type": "input"})),
        span("interaction", 1, 0, (0, 990), json!({"user_prompt": "Do it"})),
    ];
    [failed_turn().concat(), compacted().concat(), more.concat()].concat()
}
