use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::trace::v1 as trace;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::model::otlp::testing::{Choices, SIGNALS, encode, encode_shuffled, request};
use crate::model::otlp::wire::{put_bytes, put_fixed64, put_varint_field};

fn same_value(ours: AnyValue<'_>, theirs: Option<&common::AnyValue>) -> bool {
    use common::any_value::Value;
    match (ours, theirs.and_then(|value| value.value.as_ref())) {
        (AnyValue::Empty, None | Some(Value::StringValueStrindex(_))) => true,
        (AnyValue::Str(a), Some(Value::StringValue(b))) => a == b,
        (AnyValue::Bool(a), Some(Value::BoolValue(b))) => a == *b,
        (AnyValue::Int(a), Some(Value::IntValue(b))) => a == *b,
        (AnyValue::Double(a), Some(Value::DoubleValue(b))) => a.to_bits() == b.to_bits(),
        (AnyValue::Bytes(a), Some(Value::BytesValue(b))) => a == b,
        (AnyValue::Array(_), Some(Value::ArrayValue(list))) => {
            let items = ours.items();
            items.len() == list.values.len() && items.iter().zip(&list.values).all(|(a, b)| same_value(*a, Some(b)))
        }
        (AnyValue::KvList(_), Some(Value::KvlistValue(list))) => same_pairs(&ours.members(), &list.values),
        _ => false,
    }
}

fn same_pairs(ours: &[KeyValue<'_>], theirs: &[common::KeyValue]) -> bool {
    let same = |a: &KeyValue<'_>, b: &common::KeyValue| a.key == b.key && same_value(a.value, b.value.as_ref());
    ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| same(a, b))
}

fn same_place(
    place: Place<'_, '_>,
    resource: &Option<opentelemetry_proto::tonic::resource::v1::Resource>,
    scope: &Option<common::InstrumentationScope>,
) {
    let (resource, scope) = (resource.clone().unwrap_or_default(), scope.clone().unwrap_or_default());
    assert!(same_pairs(&place.resource.attributes, &resource.attributes));
    assert!(same_pairs(&place.scope.attributes, &scope.attributes));
    assert_eq!((place.scope.name, place.scope.version), (&*scope.name, &*scope.version));
}

fn same_logs(bytes: &[u8]) {
    let theirs = ExportLogsServiceRequest::decode(bytes).unwrap();
    let mut expected = theirs.resource_logs.iter().flat_map(|r| {
        r.scope_logs.iter().flat_map(move |s| s.log_records.iter().map(move |record| (&r.resource, &s.scope, record)))
    });
    let mut count = 0;
    logs(bytes, &mut |place, ours| {
        let (resource, scope, record) = expected.next().unwrap();
        same_place(place, resource, scope);
        assert_eq!(place.index, count);
        count += 1;
        assert_eq!(ours.raw.is_empty(), record.encoded_len() == 0);
        assert_eq!(ours.time_unix_nano, record.time_unix_nano);
        assert_eq!(ours.observed_time_unix_nano, record.observed_time_unix_nano);
        assert_eq!(ours.severity_number, record.severity_number);
        assert_eq!(ours.severity_text, record.severity_text);
        assert!(same_value(ours.body, record.body.as_ref()));
        assert!(same_pairs(&ours.attributes, &record.attributes));
        assert_eq!(ours.dropped_attributes_count, record.dropped_attributes_count);
        assert_eq!(ours.flags, record.flags);
        assert_eq!((ours.trace_id, ours.span_id), (&*record.trace_id, &*record.span_id));
        assert_eq!(ours.event_name, record.event_name);
    })
    .unwrap();
    assert!(expected.next().is_none());
}

fn same_spans(bytes: &[u8]) {
    let theirs = ExportTraceServiceRequest::decode(bytes).unwrap();
    let mut expected = theirs.resource_spans.iter().flat_map(|r| {
        r.scope_spans.iter().flat_map(move |s| s.spans.iter().map(move |span| (&r.resource, &s.scope, span)))
    });
    spans(bytes, &mut |place, ours| {
        let (resource, scope, span) = expected.next().unwrap();
        same_place(place, resource, scope);
        same_span(ours, span);
    })
    .unwrap();
    assert!(expected.next().is_none());
}

fn same_span(ours: &Span<'_>, span: &trace::Span) {
    assert_eq!((ours.trace_id, ours.span_id), (&*span.trace_id, &*span.span_id));
    assert_eq!(ours.parent_span_id, span.parent_span_id);
    assert_eq!((ours.name, ours.trace_state), (&*span.name, &*span.trace_state));
    assert_eq!((ours.flags, ours.kind), (span.flags, span.kind));
    assert_eq!(ours.start_time_unix_nano, span.start_time_unix_nano);
    assert_eq!(ours.end_time_unix_nano, span.end_time_unix_nano);
    assert!(same_pairs(&ours.attributes, &span.attributes));
    assert_eq!(ours.dropped_attributes_count, span.dropped_attributes_count);
    let status = span.status.clone().unwrap_or_default();
    assert_eq!((ours.status_code, ours.status_message), (status.code, &*status.message));
    assert_eq!((ours.events.len(), ours.links.len()), (span.events.len(), span.links.len()));
    for (event, expected) in ours.events.iter().zip(&span.events) {
        assert_eq!((event.time_unix_nano, event.name), (expected.time_unix_nano, &*expected.name));
        assert!(same_pairs(&event.attributes, &expected.attributes));
    }
    for (link, expected) in ours.links.iter().zip(&span.links) {
        assert_eq!((link.trace_id, link.span_id), (&*expected.trace_id, &*expected.span_id));
        assert_eq!((link.trace_state, link.flags), (&*expected.trace_state, expected.flags));
        assert!(same_pairs(&link.attributes, &expected.attributes));
    }
}

/// What the view keeps of a point, from prost's structs.
#[derive(Debug, PartialEq)]
struct Expected {
    message: &'static str,
    start: u64,
    time: u64,
    flags: u32,
    /// Bits, for NaN.
    value: Option<u64>,
    int_value: Option<i64>,
    count: Option<u64>,
}

fn number(point: &metrics::NumberDataPoint) -> (Expected, Vec<common::KeyValue>) {
    use metrics::number_data_point::Value;
    let (value, int_value) = match point.value {
        None => (None, None),
        Some(Value::AsDouble(value)) => (Some(value), None),
        Some(Value::AsInt(value)) => (Some(value as f64), Some(value)),
    };
    let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
    let value = value.map(f64::to_bits);
    let message = "NumberDataPoint";
    (Expected { message, start, time, flags: point.flags, value, int_value, count: None }, point.attributes.clone())
}

macro_rules! aggregate {
    ($point:expr, $message:expr, $sum:expr) => {{
        let expected = Expected {
            message: $message,
            start: $point.start_time_unix_nano,
            time: $point.time_unix_nano,
            flags: $point.flags,
            value: $sum.map(f64::to_bits),
            int_value: None,
            count: Some($point.count),
        };
        (expected, $point.attributes.clone())
    }};
}

type Shape = (MetricKind, i32, bool);

fn expected_points(metric: &metrics::Metric) -> (Shape, Vec<(Expected, Vec<common::KeyValue>)>) {
    use metrics::metric::Data;
    match metric.data.as_ref() {
        None => ((MetricKind::Gauge, 0, false), Vec::new()),
        Some(Data::Gauge(data)) => ((MetricKind::Gauge, 0, false), data.data_points.iter().map(number).collect()),
        Some(Data::Sum(data)) => {
            let shape = (MetricKind::Sum, data.aggregation_temporality, data.is_monotonic);
            (shape, data.data_points.iter().map(number).collect())
        }
        Some(Data::Histogram(data)) => {
            let points = data.data_points.iter().map(|point| aggregate!(point, "HistogramDataPoint", point.sum));
            ((MetricKind::Histogram, data.aggregation_temporality, false), points.collect())
        }
        Some(Data::ExponentialHistogram(data)) => {
            let name = "ExponentialHistogramDataPoint";
            let points = data.data_points.iter().map(|point| aggregate!(point, name, point.sum));
            ((MetricKind::ExponentialHistogram, data.aggregation_temporality, false), points.collect())
        }
        Some(Data::Summary(data)) => {
            let points = data.data_points.iter().map(|point| aggregate!(point, "SummaryDataPoint", Some(point.sum)));
            ((MetricKind::Summary, 0, false), points.collect())
        }
    }
}

fn same_points(bytes: &[u8]) {
    let theirs = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let mut expected = theirs.resource_metrics.iter().flat_map(|r| {
        r.scope_metrics.iter().flat_map(move |s| {
            let points = |metric: &metrics::Metric| {
                let (shape, points) = expected_points(metric);
                let metric = metric.clone();
                points.into_iter().map(move |point| (metric.clone(), shape, point))
            };
            s.metrics.iter().flat_map(points).map(move |point| (&r.resource, &s.scope, point))
        })
    });
    points(bytes, &mut |place, metric, ours| {
        let (resource, scope, (metric_expected, shape, (point, attributes))) = expected.next().unwrap();
        same_place(place, resource, scope);
        assert_eq!((metric.name, metric.unit), (&*metric_expected.name, &*metric_expected.unit));
        assert_eq!(metric.description, metric_expected.description);
        assert!(same_pairs(&metric.metadata, &metric_expected.metadata));
        assert_eq!((metric.kind, metric.temporality, metric.monotonic), shape);
        assert!(same_pairs(&ours.attributes, &attributes));
        let seen = Expected {
            message: ours.message.name,
            start: ours.start_time_unix_nano,
            time: ours.time_unix_nano,
            flags: ours.flags,
            value: ours.value.map(f64::to_bits),
            int_value: ours.int_value,
            count: ours.count,
        };
        assert_eq!(seen, point);
    })
    .unwrap();
    assert!(expected.next().is_none());
}

fn same(signal: Signal, bytes: &[u8]) {
    match signal {
        Signal::Logs => same_logs(bytes),
        Signal::Metrics => same_points(bytes),
        Signal::Traces => same_spans(bytes),
        Signal::Hooks | Signal::Audit => {}
    }
}

fn read(signal: Signal, bytes: &[u8]) -> Result<(), WireError> {
    match signal {
        Signal::Logs => logs(bytes, &mut |_, _| ()),
        Signal::Metrics => points(bytes, &mut |_, _, _| ()),
        Signal::Traces => spans(bytes, &mut |_, _| ()),
        Signal::Hooks | Signal::Audit => Ok(()),
    }
}

proptest! {
    #[test]
    fn views_hold_what_prost_decodes(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..2000),
        order in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let tree = request(signal, &mut Choices(&content));
        same(signal, &encode(&tree));
        same(signal, &encode_shuffled(&tree, &mut Choices(&order)));
    }

}

proptest! {
    // Each case reads a request once per byte.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A cut or damaged request may still decode; it must never panic.
    #[test]
    fn damaged_requests_never_panic(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..800),
        damage in any::<(u16, u8)>(),
    ) {
        let mut bytes = encode(&request(signal, &mut Choices(&content)));
        for length in 0..bytes.len() {
            let _ = read(signal, &bytes[..length]);
        }
        if !bytes.is_empty() {
            let at = usize::from(damage.0) % bytes.len();
            bytes[at] = damage.1;
            let _ = read(signal, &bytes);
        }
    }
}

/// A logs request with one record of these bytes.
fn with_record(record: &[u8]) -> Vec<u8> {
    let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut scope, 2, record);
    put_bytes(&mut resource, 2, &scope);
    put_bytes(&mut request, 1, &resource);
    request
}

fn field(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

#[test]
fn wrong_records_are_refused_with_what_is_wrong() {
    let cases = [
        (field(|out| put_bytes(out, 3, b"\xff")), WireError::Utf8(3)),
        (field(|out| put_bytes(out, 9, &[1; 15])), WireError::IdLength(9, 15)),
        (field(|out| put_bytes(out, 10, &[1; 16])), WireError::IdLength(10, 16)),
        (field(|out| put_varint_field(out, 1, 1)), WireError::WrongType(1)),
        (field(|out| put_fixed64(out, 6, 1)), WireError::WrongType(6)),
        (b"\x1a\x7fshort".to_vec(), WireError::Truncated),
    ];
    for (record, expected) in cases {
        assert_eq!(logs(&with_record(&record), &mut |_, _| panic!("visited a bad record")), Err(expected));
    }
}

#[test]
fn a_bad_record_keeps_the_good_ones_before_it_from_being_visited() {
    let request = [with_record(b""), with_record(b"\x1a\x01\xff")].concat();
    assert_eq!(logs(&request, &mut |_, _| panic!("visited")), Err(WireError::Utf8(3)));
}

#[test]
fn an_id_of_zeros_is_no_id() {
    let record = field(|out| {
        put_bytes(out, 9, &[0; 16]);
        put_bytes(out, 10, &[0, 0, 0, 0, 0, 0, 0, 1]);
    });
    let mut seen = 0;
    logs(&with_record(&record), &mut |_, record| {
        assert_eq!((record.trace_id, record.span_id), (&[][..], &[0, 0, 0, 0, 0, 0, 0, 1][..]));
        seen += 1;
    })
    .unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn the_last_of_repeated_fields_counts_and_int32_is_truncated() {
    let record = field(|out| {
        put_bytes(out, 3, b"first");
        put_bytes(out, 3, b"last");
        put_varint_field(out, 2, 1 << 32 | 9);
    });
    logs(&with_record(&record), &mut |_, record| {
        assert_eq!((record.severity_text, record.severity_number), ("last", 9));
    })
    .unwrap();
}
