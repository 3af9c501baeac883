//! Numbers of OTLP, and secrets that a record shows and its resource holds.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{delivery, plain_marks};
use crate::model::{LakeKey, Signal};
use crate::redaction::rules::PolicySetSpec;
use crate::redaction::{PolicySet, Redactor};

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.to_owned()))
}

/// A request of one record after redaction with both packs: the resource's attributes and the record's.
fn redacted(resource: Vec<KeyValue>, record: Vec<KeyValue>) -> (Vec<KeyValue>, Vec<KeyValue>) {
    let spec = PolicySetSpec::builtin(&["secrets/default", "pii/structured"]).expect("the packs are shipped");
    let key = LakeKey::new([7; 32]);
    let redactor = Redactor::new(PolicySet::compile(&spec, key.clone()).expect("the packs compile"), key);
    let log_records = vec![LogRecord { time_unix_nano: 5, attributes: record, ..LogRecord::default() }];
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
    };
    let done =
        redactor.redact_otlp(delivery(), Signal::Logs, Bytes::from(request.encode_to_vec())).expect("it is sound");
    let batch = done.batch.expect("it has a record");
    let mut request = ExportLogsServiceRequest::decode(batch.batch().payload.clone()).expect("it is a request");
    let mut of_resource = request.resource_logs.remove(0);
    let record = of_resource.scope_logs.remove(0).log_records.remove(0);
    (of_resource.resource.unwrap_or_default().attributes, record.attributes)
}

fn shown(attribute: &KeyValue) -> String {
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => plain_marks(text),
        other => format!("{other:?}"),
    }
}

#[test]
fn numbers_that_are_secrets_become_text_and_measures_stay_numbers() {
    let secrets = [
        ("card_number", Value::IntValue(4_111_111_111_111_111)),
        ("password", Value::IntValue(83_629_174)),
        ("db.password", Value::DoubleValue(83_629_174.0)),
    ];
    let measures = [
        ("input_tokens", Value::IntValue(4_111_111_111_111_111)),
        ("duration_ms", Value::IntValue(1_200)),
        ("event.timestamp", Value::IntValue(1_795_346_337_003)),
        ("session.id", Value::IntValue(4_111_111_111_111_111)),
        ("ratio", Value::DoubleValue(0.25)),
    ];
    let all = secrets.iter().chain(&measures).map(|(key, value)| pair(key, value.clone())).collect();
    let (_, record) = redacted(Vec::new(), all);
    let marks: Vec<String> = record[..3].iter().map(shown).collect();
    assert_eq!(marks, ["[REDACTED:payment-card]", "[REDACTED:key-name]", "[REDACTED:key-name]"]);
    let kept: Vec<KeyValue> = measures.into_iter().map(|(key, value)| pair(key, value)).collect();
    assert_eq!(record[3..], kept);
}

#[test]
fn a_secret_of_a_record_is_hidden_in_its_resource_too() {
    let secret = "q7Rt2wZx9Kb4Lm0P";
    let resource = vec![text("deployment.note", &format!("made with {secret}")), text("service.name", "agent")];
    let (resource, record) = redacted(resource, vec![text("db.password", secret)]);
    assert_eq!(shown(&resource[0]), "made with [REDACTED:key-name]");
    assert_eq!((shown(&resource[1]).as_str(), shown(&record[0]).as_str()), ("agent", "[REDACTED:key-name]"));
}
