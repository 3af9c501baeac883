//! Borrowed views of OTLP requests: decoded once, without copying strings.

use super::schema::Message;
use super::wire::WireError;

/// An attribute or body value. `Empty` is the unset oneof.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum AnyValue<'a> {
    #[default]
    Empty,
    Str(&'a str),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// The bytes of an `ArrayValue` message; see [`AnyValue::items`].
    Array(&'a [u8]),
    /// The bytes of a `KeyValueList` message; see [`AnyValue::members`].
    KvList(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyValue<'a> {
    pub key: &'a str,
    pub value: AnyValue<'a>,
}

#[derive(Clone, Debug, Default)]
pub struct Resource<'a> {
    /// The message's bytes.
    pub raw: &'a [u8],
    pub attributes: Vec<KeyValue<'a>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
}

/// What all points of one metric share.
#[derive(Clone, Debug)]
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

/// Calls `visit` for each log record of an `ExportLogsServiceRequest`.
pub fn logs<'a>(request: &'a [u8], visit: &mut dyn FnMut(Place<'a, '_>, &LogRecord<'a>)) -> Result<(), WireError> {
    let _ = (request, visit);
    todo!()
}

/// Calls `visit` for each span of an `ExportTraceServiceRequest`.
pub fn spans<'a>(request: &'a [u8], visit: &mut dyn FnMut(Place<'a, '_>, &Span<'a>)) -> Result<(), WireError> {
    let _ = (request, visit);
    todo!()
}

/// Calls `visit` for each data point of an `ExportMetricsServiceRequest`.
pub fn points<'a>(
    request: &'a [u8],
    visit: &mut dyn FnMut(Place<'a, '_>, &Metric<'a>, &Point<'a>),
) -> Result<(), WireError> {
    let _ = (request, visit);
    todo!()
}

impl<'a> AnyValue<'a> {
    /// Decodes an `AnyValue` message.
    pub fn decode(message: &'a [u8]) -> Result<AnyValue<'a>, WireError> {
        let _ = message;
        todo!()
    }

    /// The items of an array; empty for every other kind.
    pub fn items(self) -> Vec<AnyValue<'a>> {
        todo!()
    }

    /// The members of a key-value list; empty for every other kind.
    pub fn members(self) -> Vec<KeyValue<'a>> {
        todo!()
    }

    /// Appends the value as plain JSON (not the OTLP/JSON form): strings as strings, integers as numbers, bytes as
    /// base64 text, NaN and infinities as the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, `Empty` as null.
    pub fn write_json(self, out: &mut String) {
        let _ = out;
        todo!()
    }
}

/// Appends attributes as one JSON object (`{}` when there are none). A repeated key keeps its last value.
pub fn write_attributes_json(attributes: &[KeyValue<'_>], out: &mut String) {
    let _ = (attributes, out);
    todo!()
}
