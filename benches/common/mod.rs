//! Inputs for the benchmarks: requests shaped like an agent's, generated from a seed, and a captured session.

// Each benchmark uses its part of this module.
#![allow(dead_code)]

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use sessionlake::enrich::normalise::normalise;
use sessionlake::model::{Batch, Envelope, Fact, LakeKey, Signal, Workspace};
use sessionlake::redaction::Delivery;

/// Records in a request, as in the `logs100` and `content100` sets.
pub const RECORDS: usize = 100;

/// What an agent says about its requests and tools, without content: about 760 bytes a record.
pub fn logs100() -> Bytes {
    request(|n| if n % 2 == 0 { api_request(n) } else { tool_result(n, 120) })
}

/// With prompts, tool inputs and outputs up to 8 KiB.
pub fn content100() -> Bytes {
    request(|n| if n % 3 == 0 { user_prompt(n) } else { tool_result(n, 400 + n * 70) })
}

fn request(mut record: impl FnMut(usize) -> Vec<KeyValue>) -> Bytes {
    let log_records = (0..RECORDS).map(|n| LogRecord {
        time_unix_nano: time(n),
        observed_time_unix_nano: time(n),
        body: Some(text("claude_code.event")),
        attributes: record(n),
        ..LogRecord::default()
    });
    let scope = InstrumentationScope {
        name: "com.anthropic.claude_code.events".into(),
        version: "2.1.330".into(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: vec![string("service.name", "claude-code"), string("service.version", "2.1.330")],
        ..Resource::default()
    };
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope), log_records: log_records.collect(), schema_url: String::new() }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource), scope_logs, schema_url: String::new() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec().into()
}

/// Nanoseconds; a millisecond apart.
fn time(n: usize) -> u64 {
    1_795_346_337_000_000_000 + n as u64 * 1_000_000
}

fn text(value: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.to_owned())) }
}

fn string(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(text(value)), ..KeyValue::default() }
}

fn int(key: &str, value: usize) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(value as i64)) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn common(name: &str, n: usize) -> Vec<KeyValue> {
    vec![
        string("session.id", "9ffbc996-316e-5f2d-a628-342a8493e797"),
        string("user.id", "44c4c257aa6a0596c036d33de5d8d594d7ef7749a67554c2a1f1a9a1b1c1d1e1"),
        string("user.email", "someone@example.com"),
        string("organization.id", "0b6f0f0e-52a1-4f6a-9d20-8a3cbb6ec001"),
        string("terminal.type", "vscode"),
        string("event.name", name),
        string("event.timestamp", "2026-11-22T11:18:57.000Z"),
        int("event.sequence", n),
        string("prompt.id", "e85018ba-1edd-47e2-a35c-c8396ceec3cd"),
    ]
}

fn api_request(n: usize) -> Vec<KeyValue> {
    let mut attributes = common("api_request", n);
    attributes.extend([
        string("model", "claude-sonnet-5"),
        string("request_id", &format!("req_011CjtGkwP8p2pD2E8KW{n:04}")),
        int("cost_usd_micros", 5674),
        int("input_tokens", 12),
        int("output_tokens", 40),
        int("cache_read_tokens", 11500),
        int("cache_creation_tokens", 2100),
        int("duration_ms", 1200 + n),
    ]);
    attributes
}

fn tool_result(n: usize, size: usize) -> Vec<KeyValue> {
    let mut attributes = common("tool_result", n);
    let command = prose(n, size);
    attributes.extend([
        string("tool_name", "Bash"),
        string("tool_use_id", &format!("toolu_01nGHDJspoUpWfcCGq{n:04}")),
        string("success", "true"),
        string("duration_ms", "69"),
        string("tool_input", &serde_json::json!({"command": command, "description": "Runs it"}).to_string()),
    ]);
    attributes
}

fn user_prompt(n: usize) -> Vec<KeyValue> {
    let mut attributes = common("user_prompt", n);
    attributes.push(string("prompt", &prose(n, 200 + n * 40)));
    attributes
}

/// Words as code and prose have them; now and then something that a rule must look at, and seldom a secret.
fn prose(seed: usize, size: usize) -> String {
    const WORDS: [&str; 16] = [
        "let",
        "value",
        "the",
        "request_id",
        "of",
        "src/main.rs",
        "returns",
        "error:",
        "session",
        "cargo",
        "test",
        "--all",
        "token",
        "password",
        "is",
        "https://example.com/path",
    ];
    let (mut out, mut state) = (String::with_capacity(size + 32), seed as u64 + 1);
    while out.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.push_str(WORDS[(state >> 60) as usize]);
        out.push(if state >> 40 & 15 == 0 { '\n' } else { ' ' });
    }
    if seed.is_multiple_of(50) {
        out.push_str("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE");
    }
    out
}

pub fn key() -> LakeKey {
    LakeKey::new([7; 32])
}

pub fn delivery() -> Delivery {
    Delivery { workspace: Workspace::default(), principal: None, received_at: 1_795_346_337_000_000 }
}

/// A batch of logs as the journal gives it back.
pub fn batch(payload: Bytes) -> Batch {
    let envelope = Envelope {
        workspace: Workspace::default().to_string(),
        principal: None,
        received_at: 1_795_346_337_000_000,
        signal: Signal::Logs,
        policy: "0000000000000000".into(),
        hits: Vec::new(),
    };
    Batch { envelope, payload }
}

/// The facts of a request.
pub fn facts(request: Bytes) -> Vec<Fact> {
    normalise(&batch(request), &key(), "bench").expect("a generated request is well-formed")
}
