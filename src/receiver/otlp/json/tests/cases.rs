//! Single values: what is accepted and as what, what is refused and how that is said.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::*;
use crate::model::otlp::wire::WireError;
use crate::model::otlp::{check, view};

fn transcode(record: &str) -> Result<Vec<u8>, JsonError> {
    let json = format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}"#);
    to_protobuf(Signal::Logs, json.as_bytes())
}

fn record(json: &str) -> LogRecord {
    let bytes = transcode(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    let mut request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    request.resource_logs.remove(0).scope_logs.remove(0).log_records.remove(0)
}

fn body(json: &str) -> Option<Value> {
    record(&format!(r#"{{"body":{json}}}"#)).body.expect("a body").value
}

fn error(json: &str) -> String {
    transcode(json).expect_err(json).0
}

#[test]
fn integers_are_numbers_strings_or_whole_floats() {
    for text in ["1544712660300000000", "\"1544712660300000000\"", "1.5447126603e18", "\"1.5447126603e18\""] {
        assert_eq!(record(&format!(r#"{{"timeUnixNano":{text}}}"#)).time_unix_nano, 1_544_712_660_300_000_000);
    }
    for (text, value) in [
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("\"-9223372036854775808\"", i64::MIN),
        ("1.0", 1),
        ("1e3", 1000),
        ("-0.0", 0),
    ] {
        assert_eq!(body(&format!(r#"{{"intValue":{text}}}"#)), Some(Value::IntValue(value)), "{text}");
    }
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let cases = [
        (r#"{"timeUnixNano":-1}"#, "range"),
        (r#"{"timeUnixNano":18446744073709551616}"#, "range"),
        (r#"{"timeUnixNano":"99999999999999999999999999999999999999999999"}"#, "range"),
        (r#"{"flags":4294967296}"#, "range"),
        (r#"{"severityNumber":2147483648}"#, "range"),
        (r#"{"body":{"intValue":9223372036854775808}}"#, "range"),
        (r#"{"body":{"intValue":-9223372036854775809}}"#, "range"),
        (r#"{"body":{"intValue":1.5}}"#, "no integer"),
        (r#"{"body":{"intValue":""}}"#, "no integer"),
        (r#"{"body":{"intValue":"+1"}}"#, "no integer"),
        (r#"{"body":{"intValue":" 1"}}"#, "no integer"),
        (r#"{"body":{"doubleValue":1e400}}"#, "number out of range"),
        (r#"{"body":{"doubleValue":"1e400"}}"#, "range"),
        (r#"{"body":{"doubleValue":"inf"}}"#, "no number"),
        (r#"{"body":{"doubleValue":""}}"#, "no number"),
        (r#"{"body":{"doubleValue":NaN}}"#, "expected"),
    ];
    for (json, expected) in cases {
        assert!(error(json).contains(expected), "{json}: {}", error(json));
    }
}

#[test]
fn doubles_are_numbers_strings_or_named() {
    for (text, value) in [("1.5", 1.5), ("\"1.5\"", 1.5), ("3", 3.0), ("-3", -3.0), ("\"1e3\"", 1000.0)] {
        assert_eq!(body(&format!(r#"{{"doubleValue":{text}}}"#)), Some(Value::DoubleValue(value)));
    }
    assert_eq!(body(r#"{"doubleValue":"Infinity"}"#), Some(Value::DoubleValue(f64::INFINITY)));
    assert_eq!(body(r#"{"doubleValue":"-Infinity"}"#), Some(Value::DoubleValue(f64::NEG_INFINITY)));
    assert!(matches!(body(r#"{"doubleValue":"NaN"}"#), Some(Value::DoubleValue(value)) if value.is_nan()));
}

#[test]
fn ids_are_hex_of_their_length_or_empty() {
    let mixed = record(r#"{"traceId":"5B8efff798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174"}"#);
    assert_eq!(mixed.trace_id, 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes());
    assert_eq!(mixed.span_id, 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes());
    assert_eq!(record(r#"{"traceId":"","spanId":null}"#), LogRecord::default());
}

/// It is one record's fault: the others are kept.
#[test]
fn what_is_no_id_stays_none_in_protobuf() {
    for json in [
        r#"{"traceId":"EEE19B7EC3C1B174"}"#,
        r#"{"spanId":"5B8EFFF798038103D269B633813FC60C"}"#,
        r#"{"traceId":"W47/95gDgQPSabYzgT/GDA=="}"#,
        r#"{"spanId":"zzzzzzzzzzzzzzzz"}"#,
        r#"{"spanId":"eee19b7ec3c1b17"}"#,
        r#"{"spanId":"éééé01234567"}"#,
    ] {
        let checked = check::request(Signal::Logs, &transcode(json).expect(json));
        assert!(matches!(checked, Err(WireError::IdLength(9 | 10, 1))), "{json}: {checked:?}");
    }
}

#[test]
fn enums_are_integers_and_their_names_are_refused_loudly() {
    assert_eq!(record(r#"{"severityNumber":9}"#).severity_number, 9);
    assert_eq!(record(r#"{"severityNumber":-7}"#).severity_number, -7);
    let error = error(r#"{"severityNumber":"SEVERITY_NUMBER_INFO"}"#);
    assert!(error.contains("severityNumber: is an enum's name, but OTLP/JSON has enums as integers"), "{error}");
}

#[test]
fn every_kind_of_value_is_read_also_when_empty() {
    assert_eq!(body("{}"), None);
    assert_eq!(body(r#"{"stringValue":null}"#), None);
    assert_eq!(body(r#"{"futureValue":{"x":[1]}}"#), None);
    assert_eq!(body(r#"{"stringValue":""}"#), Some(Value::StringValue(String::new())));
    assert_eq!(body(r#"{"boolValue":false}"#), Some(Value::BoolValue(false)));
    assert_eq!(body(r#"{"intValue":"0"}"#), Some(Value::IntValue(0)));
    assert_eq!(body(r#"{"bytesValue":""}"#), Some(Value::BytesValue(Vec::new())));
    assert_eq!(body(r#"{"bytesValue":"-_8"}"#), Some(Value::BytesValue(vec![0xfb, 0xff])));
    assert_eq!(body(r#"{"bytesValue":"+/8="}"#), Some(Value::BytesValue(vec![0xfb, 0xff])));
    for json in [r#"{"arrayValue":{}}"#, r#"{"arrayValue":{"values":null}}"#, r#"{"arrayValue":{"values":[]}}"#] {
        assert_eq!(body(json), Some(Value::ArrayValue(ArrayValue::default())));
    }
    assert_eq!(body(r#"{"kvlistValue":{}}"#), Some(Value::KvlistValue(KeyValueList::default())));
    let text = AnyValue { value: Some(Value::StringValue("x".into())) };
    assert_eq!(
        body(r#"{"arrayValue":{"values":[null,{"stringValue":"x"},{}]}}"#),
        Some(Value::ArrayValue(ArrayValue { values: vec![AnyValue::default(), text, AnyValue::default()] }))
    );
}

#[test]
fn null_is_absent_and_snake_case_is_unknown() {
    let nulls = r#"{"timeUnixNano":null,"severityText":null,"body":null,"attributes":null,"flags":null}"#;
    assert_eq!(record(nulls), LogRecord::default());
    assert_eq!(record(r#"{"severity_text":"x","trace_id":"nonsense","TimeUnixNano":{}}"#), LogRecord::default());
    for empty in ["{}", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":null}"#, " {\n} "] {
        assert!(to_protobuf(Signal::Logs, empty.as_bytes()).unwrap().is_empty());
    }
}

#[test]
fn of_a_repeated_name_the_last_counts() {
    let last =
        record(r#"{"severityText":"a","flags":1,"severityText":"b","attributes":[{"key":"k"}],"attributes":[]}"#);
    assert_eq!(last, LogRecord { severity_text: "b".into(), flags: 1, ..Default::default() });
    assert_eq!(record(r#"{"severityText":"a","severityText":""}"#), LogRecord::default());
    assert_eq!(body(r#"{"stringValue":"a","intValue":1,"stringValue":null}"#), Some(Value::IntValue(1)));
}

#[test]
fn two_members_of_a_oneof_are_refused() {
    let error = error(r#"{"body":{"stringValue":"a","intValue":1}}"#);
    assert!(error.starts_with("resourceLogs[0].scopeLogs[0].logRecords[0].body: sets more than one"), "{error}");
}

#[test]
fn what_is_no_json_or_not_the_right_json_is_refused() {
    let cases: [&[u8]; 16] = [
        b"",
        b"null",
        b"[]",
        b"\"x\"",
        b"{} x",
        b"{}{}",
        b"{\"resourceLogs\":{}}",
        b"{\"resourceLogs\":[[]]}",
        b"{\"resourceLogs\":[1]}",
        b"{\"resourceLogs\":\"x\"}",
        b"{\"resourceLogs\":[{\"schemaUrl\":5}]}",
        b"{\"resourceLogs\":[{\"schemaUrl\":\"\\ud800\"}]}",
        b"{\"resourceLogs\":[{\"schemaUrl\":\"\xff\"}]}",
        b"{\"resourceLogs\":[{\"schemaUrl\":true}]}",
        b"{\"resourceLogs\":[{\"resource\":{\"entityRefs\":[{\"idKeys\":[null]}]}}]}",
        b"{\"a\":1,}",
    ];
    for json in cases {
        assert!(to_protobuf(Signal::Logs, json).is_err(), "{}", String::from_utf8_lossy(json));
    }
    let marked = to_protobuf(Signal::Logs, b"\xef\xbb\xbf{}").unwrap_err().0;
    assert!(marked.contains("byte order mark"));
    assert!(to_protobuf(Signal::Hooks, b"{}").is_err());
}

/// Errors go to clients and logs; content may be a secret.
#[test]
fn errors_name_the_place_and_never_the_content() {
    let place = "resourceLogs[0].scopeLogs[0].logRecords[0]";
    for (json, path, fault) in [
        (r#"{"timeUnixNano":"s3cret"}"#, ".timeUnixNano", "is no integer"),
        (r#"{"attributes":[{},{"key":"s3cret","value":"s3cret"}]}"#, ".attributes[1].value", "is no object"),
        (r#"{"attributes":"s3cret"}"#, ".attributes", "is no list"),
        (r#"{"severityText":{"s3cret":1}}"#, ".severityText", "is no string"),
        (r#"{"severityText":["s3cret"]}"#, ".severityText", "is no string"),
        (r#"{"body":{"bytesValue":"s3cret!"}}"#, ".body.bytesValue", "is no base64"),
        (r#"{"body":{"boolValue":"s3cret"}}"#, ".body.boolValue", "is no true or false"),
        (r#"{"body":{"doubleValue":"s3cret"}}"#, ".body.doubleValue", "is no number"),
        (r#"{"body":{"stringValue":"s3cret\x"}}"#, ".body.stringValue", "escape"),
        (r#"{"s3cret":"s3cret" x}"#, "", "expected"),
    ] {
        let error = error(json);
        assert!(error.starts_with(&format!("{place}{path}: ")), "{error}");
        assert!(error.contains(fault) && error.contains("at line 1 column "), "{error}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

fn nested(levels: usize) -> String {
    let (open, close) = (r#"{"arrayValue":{"values":["#, "]}}");
    format!(r#"{{"body":{}{{}}{}}}"#, open.repeat(levels), close.repeat(levels))
}

/// Runs on a stack half of what a server's threads have: nesting is limited before it can exhaust one.
#[test]
fn nesting_is_read_up_to_a_limit_and_refused_beyond_it() {
    let run = || {
        let bytes = transcode(&nested(63)).unwrap();
        view::logs(&bytes, &mut |_, _| ()).unwrap();
        assert!(error(&nested(64)).contains("deeper than 64"));
        assert!(error(&nested(100_000)).contains("deeper than 64"));
        let unknown = format!(r#"{{"unknown":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(record(&unknown), LogRecord::default());
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn long_content_gets_its_length_right() {
    for length in [127, 128, 16_383, 16_384, 3_000_000] {
        let text = "x".repeat(length);
        assert_eq!(body(&format!(r#"{{"stringValue":"{text}"}}"#)), Some(Value::StringValue(text)));
    }
}

#[test]
fn every_kind_of_metric_keeps_its_points() {
    for kind in ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] {
        let point = r#"{"timeUnixNano":"5","attributes":[{"key":"k","value":{"stringValue":"v"}}]}"#;
        let metric = format!(r#"{{"name":"m","{kind}":{{"dataPoints":[{point}]}}}}"#);
        let json = format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#);
        let bytes = to_protobuf(Signal::Metrics, json.as_bytes()).unwrap();
        ExportMetricsServiceRequest::decode(&*bytes).unwrap();
        let mut seen = 0;
        view::points(&bytes, &mut |_, _, point| {
            assert_eq!((point.time_unix_nano, point.attributes.len()), (5, 1));
            seen += 1;
        })
        .unwrap();
        assert_eq!(seen, 1, "{kind}");
    }
}
