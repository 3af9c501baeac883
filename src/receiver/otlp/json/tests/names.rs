//! Every field by its JSON name, against prost's structs: the names in the table are the protocol's.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::*;

const RESOURCE_JSON: &str = r#"{"attributes":[{"key":"k","value":{"intValue":"1"}}],"droppedAttributesCount":2,
    "entityRefs":[{"schemaUrl":"s","type":"t","idKeys":["a","b"],"descriptionKeys":["c"]}]}"#;
const SCOPE_JSON: &str = r#"{"name":"n","version":"v","attributes":[{"key":"k","value":{"intValue":"1"}}],
    "droppedAttributesCount":3}"#;
const ATTRIBUTES_JSON: &str = r#"[{"key":"k","value":{"intValue":"1"}}]"#;

fn attributes() -> Vec<KeyValue> {
    vec![KeyValue { key: "k".into(), value: Some(AnyValue { value: Some(Value::IntValue(1)) }), key_strindex: 0 }]
}

fn resource() -> Option<Resource> {
    let entity = EntityRef {
        schema_url: "s".into(),
        r#type: "t".into(),
        id_keys: vec!["a".into(), "b".into()],
        description_keys: vec!["c".into()],
    };
    Some(Resource { attributes: attributes(), dropped_attributes_count: 2, entity_refs: vec![entity] })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope {
        name: "n".into(),
        version: "v".into(),
        attributes: attributes(),
        dropped_attributes_count: 3,
    })
}

fn transcode(signal: Signal, template: &str) -> Vec<u8> {
    let json = template.replace("$R", RESOURCE_JSON).replace("$S", SCOPE_JSON).replace("$A", ATTRIBUTES_JSON);
    to_protobuf(signal, json.as_bytes()).unwrap()
}

#[test]
fn every_field_of_a_log_record() {
    let json = r#"{"resourceLogs":[{"resource":$R,"schemaUrl":"u","scopeLogs":[{"scope":$S,"schemaUrl":"w","logRecords":[
        {"timeUnixNano":"1","observedTimeUnixNano":"2","severityNumber":3,"severityText":"T","attributes":$A,
        "droppedAttributesCount":4,"flags":5,"traceId":"01010101010101010101010101010101",
        "spanId":"0202020202020202","eventName":"e","body":{"kvlistValue":{"values":[
            {"key":"a","value":{"arrayValue":{"values":[{"stringValue":"s"},{"boolValue":true}]}}},
            {"key":"b","value":{"doubleValue":0.5},"keyStrindex":6},
            {"key":"c","value":{"bytesValue":"AQI="}},{"key":"d","value":{"stringValueStrindex":7}}]}}}]}]}]}"#;
    let value = |value| AnyValue { value: Some(value) };
    let pair = |key: &str, inner, key_strindex| KeyValue { key: key.into(), value: Some(value(inner)), key_strindex };
    let items = vec![value(Value::StringValue("s".into())), value(Value::BoolValue(true))];
    let members = vec![
        pair("a", Value::ArrayValue(ArrayValue { values: items }), 0),
        pair("b", Value::DoubleValue(0.5), 6),
        pair("c", Value::BytesValue(vec![1, 2]), 0),
        pair("d", Value::StringValueStrindex(7), 0),
    ];
    let record = LogRecord {
        time_unix_nano: 1,
        observed_time_unix_nano: 2,
        severity_number: 3,
        severity_text: "T".into(),
        body: Some(value(Value::KvlistValue(KeyValueList { values: members }))),
        attributes: attributes(),
        dropped_attributes_count: 4,
        flags: 5,
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        event_name: "e".into(),
    };
    let scope_logs = vec![ScopeLogs { scope: scope(), log_records: vec![record], schema_url: "w".into() }];
    let expected = vec![ResourceLogs { resource: resource(), scope_logs, schema_url: "u".into() }];
    let read = ExportLogsServiceRequest::decode(&*transcode(Signal::Logs, json)).unwrap();
    assert_eq!(read, ExportLogsServiceRequest { resource_logs: expected });
}

#[test]
fn every_field_of_a_span() {
    let json = r#"{"resourceSpans":[{"resource":$R,"schemaUrl":"u","scopeSpans":[{"scope":$S,"schemaUrl":"w","spans":[
        {"traceId":"01010101010101010101010101010101","spanId":"0202020202020202","traceState":"a=b",
        "parentSpanId":"0303030303030303","flags":1,"name":"n","kind":2,"startTimeUnixNano":"3","endTimeUnixNano":4,
        "attributes":$A,"droppedAttributesCount":5,"events":[{"timeUnixNano":6,"name":"e","attributes":$A,
        "droppedAttributesCount":7}],"droppedEventsCount":8,"links":[{"traceId":"04040404040404040404040404040404",
        "spanId":"0505050505050505","traceState":"c=d","attributes":$A,"droppedAttributesCount":9,"flags":10}],
        "droppedLinksCount":11,"status":{"message":"m","code":2}}]}]}]}"#;
    let event = Event { time_unix_nano: 6, name: "e".into(), attributes: attributes(), dropped_attributes_count: 7 };
    let link = Link {
        trace_id: vec![4; 16],
        span_id: vec![5; 8],
        trace_state: "c=d".into(),
        attributes: attributes(),
        dropped_attributes_count: 9,
        flags: 10,
    };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        trace_state: "a=b".into(),
        parent_span_id: vec![3; 8],
        flags: 1,
        name: "n".into(),
        kind: 2,
        start_time_unix_nano: 3,
        end_time_unix_nano: 4,
        attributes: attributes(),
        dropped_attributes_count: 5,
        events: vec![event],
        dropped_events_count: 8,
        links: vec![link],
        dropped_links_count: 11,
        status: Some(Status { message: "m".into(), code: 2 }),
    };
    let scope_spans = vec![ScopeSpans { scope: scope(), spans: vec![span], schema_url: "w".into() }];
    let expected = vec![ResourceSpans { resource: resource(), scope_spans, schema_url: "u".into() }];
    let read = ExportTraceServiceRequest::decode(&*transcode(Signal::Traces, json)).unwrap();
    assert_eq!(read, ExportTraceServiceRequest { resource_spans: expected });
}

/// Reads a metric with this data, checks everything around the data, and returns the data.
fn metric(data: &str) -> metric::Data {
    let metric = format!(r#"{{"name":"n","description":"d","unit":"1","metadata":$A,{data}}}"#);
    let scopes = format!(r#"[{{"scope":$S,"schemaUrl":"w","metrics":[{metric}]}}]"#);
    let json = format!(r#"{{"resourceMetrics":[{{"resource":$R,"schemaUrl":"u","scopeMetrics":{scopes}}}]}}"#);
    let read = ExportMetricsServiceRequest::decode(&*transcode(Signal::Metrics, &json)).unwrap();
    let data = read.resource_metrics[0].scope_metrics[0].metrics[0].data.clone();
    let metrics = vec![Metric {
        name: "n".into(),
        description: "d".into(),
        unit: "1".into(),
        metadata: attributes(),
        data: data.clone(),
    }];
    let scope_metrics = vec![ScopeMetrics { scope: scope(), metrics, schema_url: "w".into() }];
    let expected = vec![ResourceMetrics { resource: resource(), scope_metrics, schema_url: "u".into() }];
    assert_eq!(read, ExportMetricsServiceRequest { resource_metrics: expected });
    data.expect("data points")
}

const EXEMPLARS_JSON: &str = r#"[{"timeUnixNano":1,"asInt":"-2","spanId":"0202020202020202",
    "traceId":"01010101010101010101010101010101","filteredAttributes":$A},{"asDouble":0.5}]"#;

fn exemplars() -> Vec<Exemplar> {
    let first = Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: 1,
        span_id: vec![2; 8],
        trace_id: vec![1; 16],
        value: Some(exemplar::Value::AsInt(-2)),
    };
    vec![first, Exemplar { value: Some(exemplar::Value::AsDouble(0.5)), ..Default::default() }]
}

#[test]
fn every_field_of_number_points() {
    let points = format!(
        r#""dataPoints":[{{"startTimeUnixNano":"1","timeUnixNano":"2","asDouble":0.5,"exemplars":{EXEMPLARS_JSON},
        "attributes":$A,"flags":1}},{{"asInt":"-3"}}]"#
    );
    let first = NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        exemplars: exemplars(),
        flags: 1,
        value: Some(number_data_point::Value::AsDouble(0.5)),
    };
    let second = NumberDataPoint { value: Some(number_data_point::Value::AsInt(-3)), ..Default::default() };
    let data_points = vec![first, second];
    let gauge = metric(&format!(r#""gauge":{{{points}}}"#));
    assert_eq!(gauge, metric::Data::Gauge(Gauge { data_points: data_points.clone() }));
    let sum = metric(&format!(r#""sum":{{"aggregationTemporality":2,"isMonotonic":true,{points}}}"#));
    assert_eq!(sum, metric::Data::Sum(Sum { data_points, aggregation_temporality: 2, is_monotonic: true }));
}

#[test]
fn every_field_of_histogram_points() {
    let read = metric(&format!(
        r#""histogram":{{"aggregationTemporality":1,"dataPoints":[{{"startTimeUnixNano":"1","timeUnixNano":"2",
        "count":"3","sum":0.0,"bucketCounts":["1",2],"explicitBounds":[0.5,"1.5","Infinity"],
        "exemplars":{EXEMPLARS_JSON},"attributes":$A,"flags":1,"min":-1,"max":9}}]}}"#
    ));
    let point = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(0.0),
        bucket_counts: vec![1, 2],
        explicit_bounds: vec![0.5, 1.5, f64::INFINITY],
        exemplars: exemplars(),
        flags: 1,
        min: Some(-1.0),
        max: Some(9.0),
    };
    assert_eq!(read, metric::Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 1 }));
}

#[test]
fn every_field_of_exponential_histogram_points() {
    let read = metric(&format!(
        r#""exponentialHistogram":{{"aggregationTemporality":1,"dataPoints":[{{"attributes":$A,
        "startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":4.5,"scale":-5,"zeroCount":"6",
        "positive":{{"offset":-7,"bucketCounts":["8",300]}},"negative":{{"offset":1,"bucketCounts":[0]}},"flags":1,
        "exemplars":{EXEMPLARS_JSON},"min":-1,"max":9,"zeroThreshold":0.25}}]}}"#
    ));
    let point = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: Some(4.5),
        scale: -5,
        zero_count: 6,
        positive: Some(Buckets { offset: -7, bucket_counts: vec![8, 300] }),
        negative: Some(Buckets { offset: 1, bucket_counts: vec![0] }),
        flags: 1,
        exemplars: exemplars(),
        min: Some(-1.0),
        max: Some(9.0),
        zero_threshold: 0.25,
    };
    let data = ExponentialHistogram { data_points: vec![point], aggregation_temporality: 1 };
    assert_eq!(read, metric::Data::ExponentialHistogram(data));
}

#[test]
fn every_field_of_summary_points() {
    let read = metric(
        r#""summary":{"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":4.5,
        "quantileValues":[{"quantile":0.5,"value":7}],"attributes":$A,"flags":1}]}"#,
    );
    let point = SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        count: 3,
        sum: 4.5,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 7.0 }],
        flags: 1,
    };
    assert_eq!(read, metric::Data::Summary(Summary { data_points: vec![point] }));
}
