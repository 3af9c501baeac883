use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::model::Signal;
use crate::model::batch::{Batch, Envelope};

const LIMITS: RecordLimits = RecordLimits { record_bytes: 4000, value_bytes: 1000, key_bytes: 20, attributes: 5 };

fn batch(signal: Signal, payload: Vec<u8>) -> RedactedBatch {
    let envelope = Envelope {
        workspace: "default".to_owned(),
        principal: None,
        received_at: 1,
        signal,
        policy: String::new(),
        hits: Vec::new(),
    };
    RedactedBatch(Batch { envelope, payload: Bytes::from(payload) })
}

fn string(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) })
}

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: string(text), ..KeyValue::default() }
}

fn request(record: LogRecord) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// Cuts a record and reads what is left with the official classes.
fn cut(record: LogRecord) -> (LogRecord, Cuts) {
    let (batch, cuts) = batch(Signal::Logs, request(record)).within(&LIMITS);
    let request = ExportLogsServiceRequest::decode(batch.0.payload).unwrap();
    let record = request.resource_logs.into_iter().next().unwrap().scope_logs.remove(0).log_records.remove(0);
    (record, cuts)
}

fn texts(record: &LogRecord) -> Vec<(&str, &str)> {
    record
        .attributes
        .iter()
        .map(|a| match a.value.as_ref().and_then(|v| v.value.as_ref()) {
            Some(any_value::Value::StringValue(value)) => (a.key.as_str(), value.as_str()),
            _ => (a.key.as_str(), "?"),
        })
        .collect()
}

#[test]
fn what_is_within_its_limits_is_not_touched() {
    let attributes = (0..5).map(|n| attribute(&format!("k{n}"), &"x".repeat(700))).collect();
    let payload = request(LogRecord { attributes, ..LogRecord::default() });
    let (kept, cuts) = batch(Signal::Logs, payload.clone()).within(&LIMITS);
    assert_eq!((kept.0.payload, cuts), (Bytes::from(payload), Cuts::default()));
}

#[test]
fn a_text_that_is_too_long_is_cut_with_a_mark() {
    let attributes = vec![attribute("long", &"x".repeat(5000)), attribute("short", "y")];
    let (record, cuts) = cut(LogRecord { attributes, ..LogRecord::default() });
    let kept = format!("{}[TRUNCATED:5000]", "x".repeat(1000 - 16));
    assert_eq!(texts(&record), [("long", kept.as_str()), ("short", "y")]);
    assert_eq!(cuts, Cuts { values: 1, attributes: 0 });
}

#[test]
fn attributes_beyond_the_count_and_with_long_keys_are_left_out_and_counted() {
    let mut attributes: Vec<_> = (0..9).map(|n| attribute(&format!("k{n}"), "v")).collect();
    attributes.insert(0, attribute(&"k".repeat(2000), "v"));
    let (record, cuts) = cut(LogRecord { attributes, dropped_attributes_count: 3, ..LogRecord::default() });
    assert_eq!(record.attributes.iter().map(|a| a.key.as_str()).collect::<Vec<_>>(), ["k0", "k1", "k2", "k3"]);
    assert_eq!((record.dropped_attributes_count, cuts), (9, Cuts { values: 0, attributes: 6 }));
}

#[test]
fn bytes_that_are_too_long_become_a_mark() {
    let body = Some(AnyValue { value: Some(any_value::Value::BytesValue(vec![0xff; 3000])) });
    let (record, _) = cut(LogRecord { body, ..LogRecord::default() });
    assert_eq!(record.body, string("[TRUNCATED:3000]"));
}

#[test]
fn a_record_that_is_too_large_as_a_whole_keeps_what_there_is_room_for() {
    let items = (0..900).map(|n| AnyValue { value: Some(any_value::Value::IntValue(n)) }).collect();
    let body = Some(AnyValue { value: Some(any_value::Value::ArrayValue(ArrayValue { values: items })) });
    let attributes: Vec<_> = (0..5).map(|n| attribute(&format!("k{n}"), &"x".repeat(900))).collect();
    let (record, cuts) = cut(LogRecord { body, attributes, event_name: "last".to_owned(), ..LogRecord::default() });
    assert!(record.encoded_len() <= LIMITS.record_bytes, "{}", record.encoded_len());
    assert_eq!(record.event_name, "last");
    assert!(texts(&record).iter().any(|(_, text)| text.starts_with("[TRUNCATED:9")));
    assert!(cuts.values > 0);
}

#[test]
fn long_lines_of_hooks_are_cut_and_others_are_not_touched() {
    let short = json!({"kind": "hook", "data": {"a": "b"}}).to_string();
    let long = json!({"kind": "hook", "data": {"tool_response": {"stdout": "x".repeat(3000)}, "n": 1}}).to_string();
    let many: Vec<u32> = (0..2000).collect();
    let huge = json!({"kind": "hook", "data": {"many": many, "n": 1}}).to_string();
    let payload = format!("{short}\n{long}\n{huge}\n");
    let (batch, cuts) = batch(Signal::Hooks, payload.into_bytes()).within(&LIMITS);
    let text = String::from_utf8(batch.0.payload.to_vec()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[0], cuts.values), (3, short.as_str(), 2));
    let data = |line: &str| serde_json::from_str::<Value>(line).unwrap()["data"].clone();
    assert!(data(lines[1])["tool_response"]["stdout"].as_str().unwrap().ends_with("x[TRUNCATED:3000]"));
    assert!(data(lines[2])["many"].as_str().unwrap().starts_with("[TRUNCATED:"));
    assert_eq!(data(lines[2])["n"], 1);
    assert!(lines.iter().all(|line| line.len() <= LIMITS.record_bytes));
}
