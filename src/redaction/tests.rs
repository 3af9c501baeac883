//! Secrets planted wherever a string can be, and what must not change.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;

use super::*;
use canaries::Canaries;

mod canaries;
mod otlp;
mod packs;
mod policies;

fn redactor() -> Redactor {
    static REDACTOR: std::sync::OnceLock<Redactor> = std::sync::OnceLock::new();
    REDACTOR.get_or_init(|| Redactor::builtin(LakeKey::new([7; 32]))).clone()
}

/// The shipped secrets.
pub(super) fn policies() -> PolicySet {
    let spec = PolicySetSpec::builtin(&["secrets/default"]).expect("the pack is shipped");
    PolicySet::compile(&spec, LakeKey::new([7; 32])).expect("the pack compiles")
}

/// Marks without their fingerprints.
pub(super) fn plain_marks(text: &str) -> String {
    let mark = regex::Regex::new(r"\[REDACTED:([a-z0-9-]+):[0-9a-f]{6}\]").expect("the pattern is right");
    mark.replace_all(text, "[REDACTED:$1]").into_owned()
}

fn delivery() -> Delivery {
    Delivery { workspace: Workspace::default(), principal: None, received_at: 1 }
}

fn redact_otlp(signal: Signal, request: Vec<u8>) -> RedactedOtlp {
    redactor().redact_otlp(delivery(), signal, request.into()).expect("the request is OTLP")
}

fn payload(redacted: &RedactedOtlp) -> &Bytes {
    &redacted.batch.as_ref().expect("the request has records").batch().payload
}

#[test]
fn no_secret_in_any_string_of_logs_survives() {
    let mut canaries = Canaries::default();
    let redacted = redact_otlp(Signal::Logs, canaries.logs().encode_to_vec());
    canaries.assert_gone(payload(&redacted));
    let kept = ExportLogsServiceRequest::decode(payload(&redacted).as_ref()).expect("the output is OTLP");
    let record = &kept.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.time_unix_nano, record.trace_id.len(), record.attributes.len()), (5, 16, 7));
    assert_eq!(redacted.records, 1);
}

#[test]
fn no_secret_in_any_string_of_traces_survives() {
    let mut canaries = Canaries::default();
    let redacted = redact_otlp(Signal::Traces, canaries.traces().encode_to_vec());
    canaries.assert_gone(payload(&redacted));
    let kept = ExportTraceServiceRequest::decode(payload(&redacted).as_ref()).expect("the output is OTLP");
    let span = &kept.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.events.len(), span.links.len(), span.span_id.clone()), (1, 1, vec![2; 8]));
}

#[test]
fn no_secret_in_any_string_of_metrics_survives() {
    let mut canaries = Canaries::default();
    let redacted = redact_otlp(Signal::Metrics, canaries.metrics().encode_to_vec());
    canaries.assert_gone(payload(&redacted));
    let kept = ExportMetricsServiceRequest::decode(payload(&redacted).as_ref()).expect("the output is OTLP");
    assert_eq!(kept.resource_metrics[0].scope_metrics[0].metrics.len(), 5);
    assert_eq!(redacted.records, 5);
}

fn log(body: &str) -> LogRecord {
    LogRecord { body: Some(AnyValue { value: Some(Value::StringValue(body.to_owned())) }), ..Default::default() }
}

fn request(resource: &str, bodies: &[&str]) -> ExportLogsServiceRequest {
    let value = Some(AnyValue { value: Some(Value::StringValue(resource.to_owned())) });
    let attributes = vec![KeyValue { key: "host".to_owned(), value, ..Default::default() }];
    let log_records = bodies.iter().map(|body| log(body)).collect();
    let scope_logs = vec![ScopeLogs { log_records, ..Default::default() }];
    let resource = Some(Resource { attributes, ..Default::default() });
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, ..Default::default() }] }
}

#[test]
fn what_holds_no_secret_is_not_copied() {
    let request: Bytes = request("build-7", &["input_tokens=12", "{\"a\": \"b\\n\"}"]).encode_to_vec().into();
    let redacted = redactor().redact_otlp(delivery(), Signal::Logs, request.clone()).expect("the request is OTLP");
    assert_eq!(payload(&redacted).as_ptr(), request.as_ptr());
    assert_eq!(redacted.batch.expect("two records").batch().envelope.hits, []);
}

#[test]
fn records_are_listed_by_position_with_the_identity_they_had() {
    let key = "AKIAIOSFODNN7EXAMPLE";
    let request = request("build-7", &["clean", key, "clean", key]).encode_to_vec();
    let redacted = redact_otlp(Signal::Logs, request.clone());
    let hits = &redacted.batch.as_ref().expect("four records").batch().envelope.hits;
    assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(hits[0].redactions, [("aws-access-key-id".to_owned(), 1)]);
    assert_eq!(redacted.hits, [("aws-access-key-id".to_owned(), 2)]);
    assert_eq!(hits[0].identity, hits[1].identity, "equal records have equal names");
}

#[test]
fn a_hit_in_a_resource_names_all_its_records_and_counts_with_the_first() {
    let request = request("AKIAIOSFODNN7EXAMPLE", &["one", "two"]).encode_to_vec();
    let redacted = redact_otlp(Signal::Logs, request);
    let hits = &redacted.batch.as_ref().expect("two records").batch().envelope.hits;
    assert_eq!(hits.iter().map(|hit| hit.redactions.len()).collect::<Vec<_>>(), [1, 0]);
    assert_ne!(hits[0].identity, hits[1].identity);
    assert_eq!(redacted.hits, [("aws-access-key-id".to_owned(), 1)]);
}

#[test]
fn fields_that_the_table_does_not_know_are_dropped() {
    let clean = request("build-7", &["clean"]).encode_to_vec();
    let mut unknown = clean.clone();
    crate::model::otlp::wire::put_bytes(&mut unknown, 999, b"ghp_secret");
    let redacted = redact_otlp(Signal::Logs, unknown);
    assert_eq!(payload(&redacted).as_ref(), clean);
    assert_eq!(redacted.hits, []);
}

#[test]
fn requests_that_contradict_otlp_are_refused() {
    use crate::model::otlp::wire::put_bytes;
    let refuse = |request: Vec<u8>| {
        redactor().redact_otlp(delivery(), Signal::Logs, request.into()).expect_err("the request is no OTLP")
    };
    let record = |record: &[u8]| {
        let mut wrapped = record.to_vec();
        for number in [2, 2, 1] {
            let mut outer = Vec::new();
            put_bytes(&mut outer, number, &wrapped);
            wrapped = outer;
        }
        wrapped
    };
    assert_eq!(refuse(record(&[0x28, 1])), WireError::WrongType(5));
    assert_eq!(refuse(vec![0x0a, 0x05, 0xff]), WireError::Truncated);

    // what is wrong with one record alone
    let reject = |bad: &[u8]| {
        let good = request("build-7", &["good"]).encode_to_vec();
        let redacted = redact_otlp(Signal::Logs, [record(bad), good].concat());
        assert_eq!((redacted.records, payload(&redacted).windows(4).any(|w| w == b"good")), (1, true));
        redacted.rejected.expect("the bad record is told of")
    };
    let mut bad_id = Vec::new();
    put_bytes(&mut bad_id, 9, &[1; 15]);
    assert_eq!(reject(&bad_id), (1, WireError::IdLength(9, 15)));
    let mut bad_text = Vec::new();
    put_bytes(&mut bad_text, 3, &[0xff]);
    assert_eq!(reject(&bad_text), (1, WireError::Utf8(3)));
    let mut deep = Vec::new();
    for _ in 0..64 {
        let mut array = Vec::new();
        put_bytes(&mut array, 1, &deep);
        deep.clear();
        put_bytes(&mut deep, 5, &array);
    }
    let mut body = Vec::new();
    put_bytes(&mut body, 5, &deep);
    assert_eq!(reject(&body), (1, WireError::Depth(64)));
}

#[test]
fn a_request_without_records_makes_no_batch() {
    let redacted = redact_otlp(Signal::Logs, request("AKIAIOSFODNN7EXAMPLE", &[]).encode_to_vec());
    assert!(redacted.batch.is_none());
    assert_eq!(redacted.records, 0);
}

/// The batch as it is kept, and its lines with marks without fingerprints.
fn hook_lines(envelopes: Vec<serde_json::Value>) -> (Vec<serde_json::Value>, Batch) {
    let batch = redact_hooks(envelopes);
    let text = std::str::from_utf8(&batch.payload).expect("lines are text");
    (text.lines().map(|line| serde_json::from_str(&plain_marks(line)).expect("a line is JSON")).collect(), batch)
}

fn redact_hooks(envelopes: Vec<serde_json::Value>) -> Batch {
    let redacted = redactor().redact_hooks(delivery(), envelopes);
    redacted.batch.expect("there are envelopes").batch().clone()
}

#[test]
fn no_secret_anywhere_in_a_hook_survives() {
    let mut canaries = Canaries::default();
    let thrice = (0..3).fold(canaries.text(), |text, _| json!({"stdout": text, "n": 1}).to_string());
    let hook = json!({"kind": "hook", "data": {
        "tool_input": {"command": canaries.text(), "env": [{"name": "DB_PASSWORD", "value": canaries.plain()},
            {"value": canaries.plain(), "name": "API_KEY"}, {"key": "client_secret", "value": canaries.plain()}]},
        canaries.text(): [[[[canaries.text()]]]],
        "passwords": {"password": canaries.plain()},
        "tool_response": thrice,
        "escaped": format!("{{\"a\": \"\\u0067hp_{}\"}}", &canaries.token()[4..]),
        "cut": format!("{{\"a\": [1, {{\"apiKey\": \"{}", canaries.plain()),
        "session_id": canaries.token(),
    }});
    let (lines, batch) = hook_lines(vec![hook]);
    canaries.assert_gone(&batch.payload);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["data"]["tool_input"]["env"][1]["value"], "[REDACTED:key-name]");
    let inner: serde_json::Value = serde_json::from_str(lines[0]["data"]["tool_response"].as_str().unwrap()).unwrap();
    assert_eq!(inner["n"], 1, "JSON in a string stays JSON");
}

#[test]
fn hooks_keep_their_ids_numbers_and_order() {
    let text = r#"{"kind":"hook","data":{"z":1,"session_id":"9ffbc996-316e-5f2d-a628-342a8493e797","tool_use_id":"toolu_015SL6k5pUbCN9FcZfrFjDCy","requestId":"req_011CwWER3JgvWv6E2CQ6znrJ","a":1.50,"usage":{"input_tokens":12,"output_tokens":3},"sha":"3b18e512dba79e4c8300dd08aeb37f8e728b8dad","cwd":"/home/me","n":null}}"#;
    let (_, batch) = hook_lines(vec![serde_json::from_str(text).unwrap()]);
    assert_eq!(std::str::from_utf8(&batch.payload).unwrap(), text.replace("1.50", "1.5") + "\n");
    assert_eq!(batch.envelope.hits[0].redactions, []);
}

#[test]
fn raw_hooks_are_named_by_what_they_hold_and_envelopes_by_their_id() {
    let raw = |data: &str| json!({"kind": "hook", "data": serde_json::from_str::<serde_json::Value>(data).unwrap()});
    let secret = json!({"password": "hunter2hunter2"});
    let envelopes = vec![
        raw(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#),
        raw(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#),
        json!({"id": "e1", "kind": "hook", "data": {}}),
        json!({"id": "e2", "kind": "hook", "data": secret}),
    ];
    let (lines, batch) = hook_lines(envelopes);
    let hits = &batch.envelope.hits;
    assert_eq!(hits.iter().map(|hit| hit.index).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!(hits[0].identity, hits[1].identity, "the order of keys is no part of the name");
    assert_eq!(hits[2].identity, LakeKey::new([7; 32]).name("hook-envelope", &[b"e2"]));
    assert_eq!(lines[3]["data"]["password"], "[REDACTED:key-name]");
}

#[test]
fn what_lies_too_deep_is_replaced_and_the_hook_kept() {
    let deep = (0..100).fold(json!("ghp_secret"), |inner, _| json!([inner]));
    let (lines, batch) = hook_lines(vec![json!({"id": "e", "data": {"deep": deep, "after": "kept"}})]);
    assert_eq!(lines[0]["data"]["after"], "kept");
    assert!(!String::from_utf8_lossy(&batch.payload).contains("ghp_secret"));
    assert_eq!(batch.envelope.hits[0].redactions, [("unscanned".to_owned(), 1)]);
}

#[test]
fn texts_above_the_limit_are_not_kept() {
    assert_eq!(redactor().redact_text(&"a".repeat(16 * 1024 * 1024 + 1)), "[REDACTED:unscanned]");
}

#[test]
fn the_policy_is_named_the_same_every_time() {
    assert_eq!(redactor().policy(), redactor().policy());
    assert_eq!(redactor().policy().len(), 16);
}

/// Pieces that meet in ways no one wrote down: names, signs, secrets, quotes, marks.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("password".to_owned()),
        Just("\"api_key\": ".to_owned()),
        Just("=".to_owned()),
        Just(": ".to_owned()),
        Just("\\\"".to_owned()),
        Just("{\"a\":\"".to_owned()),
        Just("\"}".to_owned()),
        Just("[REDACTED:jwt]".to_owned()),
        Just("AKIAIOSFODNN7EXAMPLE".to_owned()),
        Just("ghp_0123456789abcdefghijABCDEFGHIJ012345".to_owned()),
        Just("Bearer ".to_owned()),
        Just("https://user:".to_owned()),
        Just("@host/".to_owned()),
        Just("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        Just("é\u{202e}".to_owned()),
        "[a-zA-Z0-9/+]{1,24}",
        "[\\PC\n]{0,6}",
    ]
}

proptest! {
    #[test]
    fn redacting_twice_changes_nothing(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = pieces.concat();
        let once = redactor().redact_text(&text);
        prop_assert_eq!(redactor().redact_text(&once), once.clone());
        prop_assert_eq!(redactor().redact_text(&text), once);
    }

    #[test]
    fn json_stays_json(pieces in prop::collection::vec(piece(), 0..6), name in piece()) {
        let text = pieces.concat();
        let document = json!({"a": [text.clone(), {name: text.clone()}], "b": json!({"c": text}).to_string()});
        let (lines, _) = {
            let batch = redact_hooks(vec![document]);
            let line: serde_json::Value = serde_json::from_slice(&batch.payload).expect("a line is JSON");
            (vec![line], batch)
        };
        prop_assert!(lines[0]["a"].is_array());
        let again = redact_hooks(lines.clone());
        let again: serde_json::Value = serde_json::from_slice(&again.payload).expect("a line is JSON");
        prop_assert_eq!(&again, &lines[0]);
    }

    #[test]
    fn bytes_that_are_no_request_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for signal in [Signal::Logs, Signal::Metrics, Signal::Traces] {
            let _ = redactor().redact_otlp(delivery(), signal, bytes.clone().into());
        }
    }
}

/// A rule's id in a mark is followed by a fingerprint, which is no secret.
#[test]
fn marks_are_left_alone() {
    let text = "X=[REDACTED:aws-secret-access-key:28d148] and [PSEUDONYM:api-key:k1:28d14828d14828d14828d148]";
    assert_eq!(redactor().redact_text(text), text);
}
