//! Borrowed views of OTLP requests: decoded once, without copying strings.

use std::cell::OnceCell;

use super::check;
use super::schema::{
    EXPONENTIAL_HISTOGRAM_DATA_POINT, HISTOGRAM_DATA_POINT, Message, NUMBER_DATA_POINT, SUMMARY_DATA_POINT,
};
pub use super::value::{AnyValue, KeyValue, write_attributes_json};
use super::wire::{WireError, entries};
use crate::model::Signal;

/// Attributes that most records have at most.
const USUAL: usize = 24;

#[derive(Clone, Debug, Default)]
pub struct Resource<'a> {
    /// The message's bytes.
    pub raw: &'a [u8],
    pub attributes: Vec<KeyValue<'a>>,
    json: OnceCell<String>,
}

impl Resource<'_> {
    /// The attributes as a JSON object, written once for all records of the resource; `None`: there are none.
    pub fn json(&self) -> Option<&str> {
        let write = || {
            let mut json = String::new();
            write_attributes_json(&self.attributes, &mut json);
            json
        };
        (!self.attributes.is_empty()).then(|| self.json.get_or_init(write).as_str())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Scope<'a> {
    /// The message's bytes.
    pub raw: &'a [u8],
    pub name: &'a str,
    pub version: &'a str,
    pub attributes: Vec<KeyValue<'a>>,
}

/// Where a record stands in its request.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a, 'v> {
    pub resource: &'v Resource<'a>,
    pub scope: &'v Scope<'a>,
    /// Position in the request, in wire order, counted over all resources (as in `RecordHits::index`).
    pub index: u32,
}

#[derive(Clone, Debug, Default)]
pub struct LogRecord<'a> {
    /// The message's bytes.
    pub raw: &'a [u8],
    pub time_unix_nano: u64,
    pub observed_time_unix_nano: u64,
    pub severity_number: i32,
    pub severity_text: &'a str,
    pub body: AnyValue<'a>,
    pub attributes: Vec<KeyValue<'a>>,
    pub dropped_attributes_count: u32,
    pub flags: u32,
    /// 16 bytes, or none.
    pub trace_id: &'a [u8],
    /// 8 bytes, or none.
    pub span_id: &'a [u8],
    pub event_name: &'a str,
}

#[derive(Clone, Debug, Default)]
pub struct Span<'a> {
    /// The message's bytes.
    pub raw: &'a [u8],
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub parent_span_id: &'a [u8],
    pub trace_state: &'a str,
    pub flags: u32,
    pub name: &'a str,
    pub kind: i32,
    pub start_time_unix_nano: u64,
    pub end_time_unix_nano: u64,
    pub attributes: Vec<KeyValue<'a>>,
    pub dropped_attributes_count: u32,
    pub events: Vec<SpanEvent<'a>>,
    pub links: Vec<SpanLink<'a>>,
    /// 0 unset, 1 ok, 2 error.
    pub status_code: i32,
    pub status_message: &'a str,
}

#[derive(Clone, Debug, Default)]
pub struct SpanEvent<'a> {
    pub time_unix_nano: u64,
    pub name: &'a str,
    pub attributes: Vec<KeyValue<'a>>,
}

#[derive(Clone, Debug, Default)]
pub struct SpanLink<'a> {
    pub trace_id: &'a [u8],
    pub span_id: &'a [u8],
    pub trace_state: &'a str,
    pub flags: u32,
    pub attributes: Vec<KeyValue<'a>>,
}

/// Which of a metric's five shapes its points have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MetricKind {
    #[default]
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// What all points of one metric share.
#[derive(Clone, Debug, Default)]
pub struct Metric<'a> {
    pub name: &'a str,
    pub description: &'a str,
    pub unit: &'a str,
    pub kind: MetricKind,
    /// 0 unspecified, 1 delta, 2 cumulative; 0 for gauges and summaries.
    pub temporality: i32,
    pub monotonic: bool,
    pub metadata: Vec<KeyValue<'a>>,
}

/// One data point.
#[derive(Clone, Debug)]
pub struct Point<'a> {
    /// The data point message's bytes, and its type.
    pub raw: &'a [u8],
    pub message: &'static Message,
    pub attributes: Vec<KeyValue<'a>>,
    pub start_time_unix_nano: u64,
    pub time_unix_nano: u64,
    pub flags: u32,
    /// A number point's value, or a histogram's or summary's sum.
    pub value: Option<f64>,
    /// Set when a number point's value is an integer: exact where `value` may round.
    pub int_value: Option<i64>,
    /// A histogram's or summary's count.
    pub count: Option<u64>,
}

/// Calls `visit` for each log record of an `ExportLogsServiceRequest`. The request is checked first, all of it: on an
/// error no record was visited.
pub fn logs<'a>(request: &'a [u8], visit: &mut dyn FnMut(Place<'a, '_>, &LogRecord<'a>)) -> Result<(), WireError> {
    check::request(Signal::Logs, request)?;
    let mut index = 0;
    scoped(request, &mut |resource, scope, record| {
        visit(Place { resource, scope, index }, &LogRecord::decode(record)?);
        index += 1;
        Ok(())
    })
}

/// Calls `visit` for each span of an `ExportTraceServiceRequest`; checks like [`logs`].
pub fn spans<'a>(request: &'a [u8], visit: &mut dyn FnMut(Place<'a, '_>, &Span<'a>)) -> Result<(), WireError> {
    check::request(Signal::Traces, request)?;
    let mut index = 0;
    scoped(request, &mut |resource, scope, span| {
        visit(Place { resource, scope, index }, &Span::decode(span)?);
        index += 1;
        Ok(())
    })
}

/// Calls `visit` for each data point of an `ExportMetricsServiceRequest`; checks like [`logs`].
pub fn points<'a>(
    request: &'a [u8],
    visit: &mut dyn FnMut(Place<'a, '_>, &Metric<'a>, &Point<'a>),
) -> Result<(), WireError> {
    check::request(Signal::Metrics, request)?;
    let mut index = 0;
    scoped(request, &mut |resource, scope, metric| {
        let (metric, data) = Metric::decode(metric)?;
        for point in entries(data) {
            let point = point?;
            if point.number == 1 {
                visit(Place { resource, scope, index }, &metric, &Point::decode(metric.kind, point.bytes()?)?);
                index += 1;
            }
        }
        Ok(())
    })
}

type Visit<'f, 'a> = &'f mut dyn FnMut(&Resource<'a>, &Scope<'a>, &'a [u8]) -> Result<(), WireError>;

/// Walks what the three requests share: field 1 holds the resources, whose field 1 is the resource and 2 the scopes,
/// whose field 1 is the scope and 2 the records.
fn scoped<'a>(request: &'a [u8], visit: Visit<'_, 'a>) -> Result<(), WireError> {
    children(request, 1, &mut |group| {
        let resource = Resource::decode(last(group, 1)?)?;
        children(group, 2, &mut |group| {
            let scope = Scope::decode(last(group, 1)?)?;
            children(group, 2, &mut |record| visit(&resource, &scope, record))
        })
    })
}

fn children<'a>(
    message: &'a [u8],
    number: u32,
    visit: &mut dyn FnMut(&'a [u8]) -> Result<(), WireError>,
) -> Result<(), WireError> {
    for entry in entries(message) {
        let entry = entry?;
        if entry.number == number {
            visit(entry.bytes()?)?;
        }
    }
    Ok(())
}

/// The last occurrence of a message field, which need not stand before the repeated ones; empty when there is none.
fn last(message: &[u8], number: u32) -> Result<&[u8], WireError> {
    let mut found: &[u8] = &[];
    for entry in entries(message) {
        let entry = entry?;
        if entry.number == number {
            found = entry.bytes()?;
        }
    }
    Ok(found)
}

impl<'a> Resource<'a> {
    fn decode(raw: &'a [u8]) -> Result<Resource<'a>, WireError> {
        let mut resource = Resource { raw, ..Resource::default() };
        for entry in entries(raw) {
            let entry = entry?;
            if entry.number == 1 {
                resource.attributes.push(KeyValue::shallow(entry.bytes()?)?);
            }
        }
        Ok(resource)
    }
}

impl<'a> Scope<'a> {
    fn decode(raw: &'a [u8]) -> Result<Scope<'a>, WireError> {
        let mut scope = Scope { raw, ..Scope::default() };
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => scope.name = entry.text()?,
                2 => scope.version = entry.text()?,
                3 => scope.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                _ => {}
            }
        }
        Ok(scope)
    }
}

impl<'a> LogRecord<'a> {
    fn decode(raw: &'a [u8]) -> Result<LogRecord<'a>, WireError> {
        let mut record = LogRecord { raw, attributes: Vec::with_capacity(USUAL), ..LogRecord::default() };
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => record.time_unix_nano = entry.fixed64()?,
                2 => record.severity_number = entry.varint()? as i32,
                3 => record.severity_text = entry.text()?,
                5 => record.body = AnyValue::shallow(entry.bytes()?)?,
                6 => record.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                7 => record.dropped_attributes_count = entry.varint()? as u32,
                8 => record.flags = entry.fixed32()?,
                9 => record.trace_id = entry.id(16)?,
                10 => record.span_id = entry.id(8)?,
                11 => record.observed_time_unix_nano = entry.fixed64()?,
                12 => record.event_name = entry.text()?,
                _ => {}
            }
        }
        Ok(record)
    }
}

impl<'a> Span<'a> {
    fn decode(raw: &'a [u8]) -> Result<Span<'a>, WireError> {
        let mut span = Span { raw, attributes: Vec::with_capacity(USUAL), ..Span::default() };
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => span.trace_id = entry.id(16)?,
                2 => span.span_id = entry.id(8)?,
                3 => span.trace_state = entry.text()?,
                4 => span.parent_span_id = entry.id(8)?,
                5 => span.name = entry.text()?,
                6 => span.kind = entry.varint()? as i32,
                7 => span.start_time_unix_nano = entry.fixed64()?,
                8 => span.end_time_unix_nano = entry.fixed64()?,
                9 => span.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                10 => span.dropped_attributes_count = entry.varint()? as u32,
                11 => span.events.push(SpanEvent::decode(entry.bytes()?)?),
                13 => span.links.push(SpanLink::decode(entry.bytes()?)?),
                15 => (span.status_code, span.status_message) = status(entry.bytes()?)?,
                16 => span.flags = entry.fixed32()?,
                _ => {}
            }
        }
        Ok(span)
    }
}

fn status(raw: &[u8]) -> Result<(i32, &str), WireError> {
    let (mut code, mut message) = (0, "");
    for entry in entries(raw) {
        let entry = entry?;
        match entry.number {
            2 => message = entry.text()?,
            3 => code = entry.varint()? as i32,
            _ => {}
        }
    }
    Ok((code, message))
}

impl<'a> SpanEvent<'a> {
    fn decode(raw: &'a [u8]) -> Result<SpanEvent<'a>, WireError> {
        let mut event = SpanEvent::default();
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => event.time_unix_nano = entry.fixed64()?,
                2 => event.name = entry.text()?,
                3 => event.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                _ => {}
            }
        }
        Ok(event)
    }
}

impl<'a> SpanLink<'a> {
    fn decode(raw: &'a [u8]) -> Result<SpanLink<'a>, WireError> {
        let mut link = SpanLink::default();
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => link.trace_id = entry.id(16)?,
                2 => link.span_id = entry.id(8)?,
                3 => link.trace_state = entry.text()?,
                4 => link.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                6 => link.flags = entry.fixed32()?,
                _ => {}
            }
        }
        Ok(link)
    }
}

impl<'a> Metric<'a> {
    /// The metric, and the bytes of the message that holds its points (empty when it has no data).
    fn decode(raw: &'a [u8]) -> Result<(Metric<'a>, &'a [u8]), WireError> {
        let mut metric = Metric::default();
        let mut data: &[u8] = &[];
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                1 => metric.name = entry.text()?,
                2 => metric.description = entry.text()?,
                3 => metric.unit = entry.text()?,
                12 => metric.metadata.push(KeyValue::shallow(entry.bytes()?)?),
                number => {
                    let Some(kind) = MetricKind::of(number) else { continue };
                    (metric.kind, data) = (kind, entry.bytes()?);
                }
            }
        }
        metric.aggregation(data)?;
        Ok((metric, data))
    }

    /// Reads temporality and monotonicity, which have the same numbers wherever they exist.
    fn aggregation(&mut self, data: &[u8]) -> Result<(), WireError> {
        let aggregated = !matches!(self.kind, MetricKind::Gauge | MetricKind::Summary);
        for entry in entries(data) {
            let entry = entry?;
            match entry.number {
                2 if aggregated => self.temporality = entry.varint()? as i32,
                3 if self.kind == MetricKind::Sum => self.monotonic = entry.varint()? != 0,
                _ => {}
            }
        }
        Ok(())
    }
}

impl MetricKind {
    /// The kind behind a field number of `Metric`'s `data`.
    fn of(number: u32) -> Option<MetricKind> {
        match number {
            5 => Some(MetricKind::Gauge),
            7 => Some(MetricKind::Sum),
            9 => Some(MetricKind::Histogram),
            10 => Some(MetricKind::ExponentialHistogram),
            11 => Some(MetricKind::Summary),
            _ => None,
        }
    }

    fn point(self) -> &'static Message {
        match self {
            MetricKind::Gauge | MetricKind::Sum => &NUMBER_DATA_POINT,
            MetricKind::Histogram => &HISTOGRAM_DATA_POINT,
            MetricKind::ExponentialHistogram => &EXPONENTIAL_HISTOGRAM_DATA_POINT,
            MetricKind::Summary => &SUMMARY_DATA_POINT,
        }
    }
}

/// Field numbers that differ between the kinds of data points; 0 where a kind has no such field.
struct PointFields {
    attributes: u32,
    flags: u32,
    count: u32,
    /// A double: the value of a number point, else the sum.
    value: u32,
    int_value: u32,
}

impl MetricKind {
    fn fields(self) -> PointFields {
        match self {
            MetricKind::Gauge | MetricKind::Sum => {
                PointFields { attributes: 7, flags: 8, count: 0, value: 4, int_value: 6 }
            }
            MetricKind::Histogram => PointFields { attributes: 9, flags: 10, count: 4, value: 5, int_value: 0 },
            MetricKind::ExponentialHistogram => {
                PointFields { attributes: 1, flags: 10, count: 4, value: 5, int_value: 0 }
            }
            MetricKind::Summary => PointFields { attributes: 7, flags: 8, count: 4, value: 5, int_value: 0 },
        }
    }
}

impl<'a> Point<'a> {
    fn decode(kind: MetricKind, raw: &'a [u8]) -> Result<Point<'a>, WireError> {
        let fields = kind.fields();
        let mut point = Point::empty(kind, raw);
        for entry in entries(raw) {
            let entry = entry?;
            match entry.number {
                2 => point.start_time_unix_nano = entry.fixed64()?,
                3 => point.time_unix_nano = entry.fixed64()?,
                n if n == fields.attributes => point.attributes.push(KeyValue::shallow(entry.bytes()?)?),
                n if n == fields.flags => point.flags = entry.varint()? as u32,
                n if n == fields.count => point.count = Some(entry.fixed64()?),
                n if n == fields.value => (point.value, point.int_value) = (Some(entry.double()?), None),
                n if n == fields.int_value => {
                    let value = entry.fixed64()? as i64;
                    (point.value, point.int_value) = (Some(value as f64), Some(value));
                }
                _ => {}
            }
        }
        Ok(point)
    }

    /// A point without fields. Counts, and a summary's sum, have no presence: absent is 0.
    fn empty(kind: MetricKind, raw: &'a [u8]) -> Point<'a> {
        let number = matches!(kind, MetricKind::Gauge | MetricKind::Sum);
        Point {
            raw,
            message: kind.point(),
            attributes: Vec::new(),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            flags: 0,
            value: (kind == MetricKind::Summary).then_some(0.0),
            int_value: None,
            count: (!number).then_some(0),
        }
    }
}

#[cfg(test)]
mod tests;
