//! The OTLP messages as data (opentelemetry-proto 1.11): one table that the JSON decoder, the redactor, the identity
//! hash and the views all follow, so that none of them can know a field that another forgets.

/// A protobuf message type.
pub struct Message {
    pub name: &'static str,
    /// Ascending by number.
    pub fields: &'static [Field],
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Message {
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.number == number)
    }

    /// Looks a field up by its lowerCamelCase JSON name, the only one that OTLP/JSON allows.
    pub fn field_by_json_name(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.json_name == name)
    }

    /// The fields of which at most one may be set (no OTLP message has two oneofs).
    pub fn oneof(&'static self) -> &'static [u32] {
        if self.is(&ANY_VALUE) {
            &[1, 2, 3, 4, 5, 6, 7, 8]
        } else if self.is(&METRIC) {
            &[5, 7, 9, 10, 11]
        } else if self.is(&NUMBER_DATA_POINT) {
            &[4, 6]
        } else if self.is(&EXEMPLAR) {
            &[3, 6]
        } else {
            &[]
        }
    }

    /// The messages that are records: one entry each in a batch's index.
    pub fn is_record(&self) -> bool {
        let records = [
            &LOG_RECORD,
            &SPAN,
            &NUMBER_DATA_POINT,
            &HISTOGRAM_DATA_POINT,
            &EXPONENTIAL_HISTOGRAM_DATA_POINT,
            &SUMMARY_DATA_POINT,
        ];
        records.into_iter().any(|record| self.is(record))
    }

    /// Messages are compared by identity: each type is one static.
    pub fn is(&self, other: &'static Message) -> bool {
        std::ptr::eq(self, other)
    }
}

/// A field of a message.
pub struct Field {
    pub number: u32,
    pub json_name: &'static str,
    pub kind: FieldKind,
    pub presence: Presence,
}

/// When a field is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// proto3 scalar: the default value is not written.
    Implicit,
    /// `optional`, oneof member or message: written when set, even to its default.
    Explicit,
    /// A list; numbers are packed.
    Repeated,
}

/// A field's protobuf type.
#[derive(Clone, Copy)]
pub enum FieldKind {
    Str,
    Bytes,
    /// A trace or span id of that many bytes: hex in JSON, empty when unset.
    Id(usize),
    Bool,
    Int32,
    UInt32,
    Int64,
    UInt64,
    SInt32,
    Enum,
    Fixed32,
    Fixed64,
    SFixed64,
    Double,
    Message(&'static Message),
}

impl FieldKind {
    /// The wire type of one value: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
    pub fn wire_type(self) -> u8 {
        match self {
            Bool | Int32 | UInt32 | Int64 | UInt64 | SInt32 | Enum => 0,
            Fixed64 | SFixed64 | Double => 1,
            Str | Bytes | Id(_) | Message(_) => 2,
            Fixed32 => 5,
        }
    }
}

use FieldKind::*;
use Presence::*;

const fn field(number: u32, json_name: &'static str, kind: FieldKind, presence: Presence) -> Field {
    Field { number, json_name, kind, presence }
}

/// `opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest`
pub static EXPORT_LOGS_SERVICE_REQUEST: Message = Message {
    name: "ExportLogsServiceRequest",
    fields: &[field(1, "resourceLogs", Message(&RESOURCE_LOGS), Repeated)],
};

/// `opentelemetry.proto.logs.v1.ResourceLogs`
pub static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        field(1, "resource", Message(&RESOURCE), Explicit),
        field(2, "scopeLogs", Message(&SCOPE_LOGS), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.resource.v1.Resource`
pub static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        field(1, "attributes", Message(&KEY_VALUE), Repeated),
        field(2, "droppedAttributesCount", UInt32, Implicit),
        field(3, "entityRefs", Message(&ENTITY_REF), Repeated),
    ],
};

/// `opentelemetry.proto.common.v1.KeyValue`
pub static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[
        field(1, "key", Str, Implicit),
        field(2, "value", Message(&ANY_VALUE), Explicit),
        field(3, "keyStrindex", Int32, Implicit),
    ],
};

/// `opentelemetry.proto.common.v1.AnyValue`
pub static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        field(1, "stringValue", Str, Explicit),
        field(2, "boolValue", Bool, Explicit),
        field(3, "intValue", Int64, Explicit),
        field(4, "doubleValue", Double, Explicit),
        field(5, "arrayValue", Message(&ARRAY_VALUE), Explicit),
        field(6, "kvlistValue", Message(&KEY_VALUE_LIST), Explicit),
        field(7, "bytesValue", Bytes, Explicit),
        field(8, "stringValueStrindex", Int32, Explicit),
    ],
};

/// `opentelemetry.proto.common.v1.ArrayValue`
pub static ARRAY_VALUE: Message =
    Message { name: "ArrayValue", fields: &[field(1, "values", Message(&ANY_VALUE), Repeated)] };

/// `opentelemetry.proto.common.v1.KeyValueList`
pub static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[field(1, "values", Message(&KEY_VALUE), Repeated)] };

/// `opentelemetry.proto.common.v1.EntityRef`
pub static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        field(1, "schemaUrl", Str, Implicit),
        field(2, "type", Str, Implicit),
        field(3, "idKeys", Str, Repeated),
        field(4, "descriptionKeys", Str, Repeated),
    ],
};

/// `opentelemetry.proto.logs.v1.ScopeLogs`
pub static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        field(1, "scope", Message(&INSTRUMENTATION_SCOPE), Explicit),
        field(2, "logRecords", Message(&LOG_RECORD), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.common.v1.InstrumentationScope`
pub static INSTRUMENTATION_SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        field(1, "name", Str, Implicit),
        field(2, "version", Str, Implicit),
        field(3, "attributes", Message(&KEY_VALUE), Repeated),
        field(4, "droppedAttributesCount", UInt32, Implicit),
    ],
};

/// `opentelemetry.proto.logs.v1.LogRecord`
pub static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        field(1, "timeUnixNano", Fixed64, Implicit),
        field(2, "severityNumber", Enum, Implicit),
        field(3, "severityText", Str, Implicit),
        field(5, "body", Message(&ANY_VALUE), Explicit),
        field(6, "attributes", Message(&KEY_VALUE), Repeated),
        field(7, "droppedAttributesCount", UInt32, Implicit),
        field(8, "flags", Fixed32, Implicit),
        field(9, "traceId", Id(16), Implicit),
        field(10, "spanId", Id(8), Implicit),
        field(11, "observedTimeUnixNano", Fixed64, Implicit),
        field(12, "eventName", Str, Implicit),
    ],
};

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest`
pub static EXPORT_METRICS_SERVICE_REQUEST: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[field(1, "resourceMetrics", Message(&RESOURCE_METRICS), Repeated)],
};

/// `opentelemetry.proto.metrics.v1.ResourceMetrics`
pub static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        field(1, "resource", Message(&RESOURCE), Explicit),
        field(2, "scopeMetrics", Message(&SCOPE_METRICS), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.ScopeMetrics`
pub static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[
        field(1, "scope", Message(&INSTRUMENTATION_SCOPE), Explicit),
        field(2, "metrics", Message(&METRIC), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.Metric`
pub static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        field(1, "name", Str, Implicit),
        field(2, "description", Str, Implicit),
        field(3, "unit", Str, Implicit),
        field(5, "gauge", Message(&GAUGE), Explicit),
        field(7, "sum", Message(&SUM), Explicit),
        field(9, "histogram", Message(&HISTOGRAM), Explicit),
        field(10, "exponentialHistogram", Message(&EXPONENTIAL_HISTOGRAM), Explicit),
        field(11, "summary", Message(&SUMMARY), Explicit),
        field(12, "metadata", Message(&KEY_VALUE), Repeated),
    ],
};

/// `opentelemetry.proto.metrics.v1.Gauge`
pub static GAUGE: Message =
    Message { name: "Gauge", fields: &[field(1, "dataPoints", Message(&NUMBER_DATA_POINT), Repeated)] };

/// `opentelemetry.proto.metrics.v1.NumberDataPoint`
pub static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        field(2, "startTimeUnixNano", Fixed64, Implicit),
        field(3, "timeUnixNano", Fixed64, Implicit),
        field(4, "asDouble", Double, Explicit),
        field(5, "exemplars", Message(&EXEMPLAR), Repeated),
        field(6, "asInt", SFixed64, Explicit),
        field(7, "attributes", Message(&KEY_VALUE), Repeated),
        field(8, "flags", UInt32, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.Exemplar`
pub static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        field(2, "timeUnixNano", Fixed64, Implicit),
        field(3, "asDouble", Double, Explicit),
        field(4, "spanId", Id(8), Implicit),
        field(5, "traceId", Id(16), Implicit),
        field(6, "asInt", SFixed64, Explicit),
        field(7, "filteredAttributes", Message(&KEY_VALUE), Repeated),
    ],
};

/// `opentelemetry.proto.metrics.v1.Sum`
pub static SUM: Message = Message {
    name: "Sum",
    fields: &[
        field(1, "dataPoints", Message(&NUMBER_DATA_POINT), Repeated),
        field(2, "aggregationTemporality", Enum, Implicit),
        field(3, "isMonotonic", Bool, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.Histogram`
pub static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[
        field(1, "dataPoints", Message(&HISTOGRAM_DATA_POINT), Repeated),
        field(2, "aggregationTemporality", Enum, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.HistogramDataPoint`
pub static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        field(2, "startTimeUnixNano", Fixed64, Implicit),
        field(3, "timeUnixNano", Fixed64, Implicit),
        field(4, "count", Fixed64, Implicit),
        field(5, "sum", Double, Explicit),
        field(6, "bucketCounts", Fixed64, Repeated),
        field(7, "explicitBounds", Double, Repeated),
        field(8, "exemplars", Message(&EXEMPLAR), Repeated),
        field(9, "attributes", Message(&KEY_VALUE), Repeated),
        field(10, "flags", UInt32, Implicit),
        field(11, "min", Double, Explicit),
        field(12, "max", Double, Explicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.ExponentialHistogram`
pub static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[
        field(1, "dataPoints", Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT), Repeated),
        field(2, "aggregationTemporality", Enum, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint`
pub static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        field(1, "attributes", Message(&KEY_VALUE), Repeated),
        field(2, "startTimeUnixNano", Fixed64, Implicit),
        field(3, "timeUnixNano", Fixed64, Implicit),
        field(4, "count", Fixed64, Implicit),
        field(5, "sum", Double, Explicit),
        field(6, "scale", SInt32, Implicit),
        field(7, "zeroCount", Fixed64, Implicit),
        field(8, "positive", Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS), Explicit),
        field(9, "negative", Message(&EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS), Explicit),
        field(10, "flags", UInt32, Implicit),
        field(11, "exemplars", Message(&EXEMPLAR), Repeated),
        field(12, "min", Double, Explicit),
        field(13, "max", Double, Explicit),
        field(14, "zeroThreshold", Double, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.ExponentialHistogramDataPoint.Buckets`
pub static EXPONENTIAL_HISTOGRAM_DATA_POINT_BUCKETS: Message = Message {
    name: "Buckets",
    fields: &[field(1, "offset", SInt32, Implicit), field(2, "bucketCounts", UInt64, Repeated)],
};

/// `opentelemetry.proto.metrics.v1.Summary`
pub static SUMMARY: Message =
    Message { name: "Summary", fields: &[field(1, "dataPoints", Message(&SUMMARY_DATA_POINT), Repeated)] };

/// `opentelemetry.proto.metrics.v1.SummaryDataPoint`
pub static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        field(2, "startTimeUnixNano", Fixed64, Implicit),
        field(3, "timeUnixNano", Fixed64, Implicit),
        field(4, "count", Fixed64, Implicit),
        field(5, "sum", Double, Implicit),
        field(6, "quantileValues", Message(&SUMMARY_DATA_POINT_VALUE_AT_QUANTILE), Repeated),
        field(7, "attributes", Message(&KEY_VALUE), Repeated),
        field(8, "flags", UInt32, Implicit),
    ],
};

/// `opentelemetry.proto.metrics.v1.SummaryDataPoint.ValueAtQuantile`
pub static SUMMARY_DATA_POINT_VALUE_AT_QUANTILE: Message = Message {
    name: "ValueAtQuantile",
    fields: &[field(1, "quantile", Double, Implicit), field(2, "value", Double, Implicit)],
};

/// `opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest`
pub static EXPORT_TRACE_SERVICE_REQUEST: Message = Message {
    name: "ExportTraceServiceRequest",
    fields: &[field(1, "resourceSpans", Message(&RESOURCE_SPANS), Repeated)],
};

/// `opentelemetry.proto.trace.v1.ResourceSpans`
pub static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        field(1, "resource", Message(&RESOURCE), Explicit),
        field(2, "scopeSpans", Message(&SCOPE_SPANS), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.trace.v1.ScopeSpans`
pub static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        field(1, "scope", Message(&INSTRUMENTATION_SCOPE), Explicit),
        field(2, "spans", Message(&SPAN), Repeated),
        field(3, "schemaUrl", Str, Implicit),
    ],
};

/// `opentelemetry.proto.trace.v1.Span`
pub static SPAN: Message = Message {
    name: "Span",
    fields: &[
        field(1, "traceId", Id(16), Implicit),
        field(2, "spanId", Id(8), Implicit),
        field(3, "traceState", Str, Implicit),
        field(4, "parentSpanId", Id(8), Implicit),
        field(5, "name", Str, Implicit),
        field(6, "kind", Enum, Implicit),
        field(7, "startTimeUnixNano", Fixed64, Implicit),
        field(8, "endTimeUnixNano", Fixed64, Implicit),
        field(9, "attributes", Message(&KEY_VALUE), Repeated),
        field(10, "droppedAttributesCount", UInt32, Implicit),
        field(11, "events", Message(&SPAN_EVENT), Repeated),
        field(12, "droppedEventsCount", UInt32, Implicit),
        field(13, "links", Message(&SPAN_LINK), Repeated),
        field(14, "droppedLinksCount", UInt32, Implicit),
        field(15, "status", Message(&STATUS), Explicit),
        field(16, "flags", Fixed32, Implicit),
    ],
};

/// `opentelemetry.proto.trace.v1.Span.Event`
pub static SPAN_EVENT: Message = Message {
    name: "Event",
    fields: &[
        field(1, "timeUnixNano", Fixed64, Implicit),
        field(2, "name", Str, Implicit),
        field(3, "attributes", Message(&KEY_VALUE), Repeated),
        field(4, "droppedAttributesCount", UInt32, Implicit),
    ],
};

/// `opentelemetry.proto.trace.v1.Span.Link`
pub static SPAN_LINK: Message = Message {
    name: "Link",
    fields: &[
        field(1, "traceId", Id(16), Implicit),
        field(2, "spanId", Id(8), Implicit),
        field(3, "traceState", Str, Implicit),
        field(4, "attributes", Message(&KEY_VALUE), Repeated),
        field(5, "droppedAttributesCount", UInt32, Implicit),
        field(6, "flags", Fixed32, Implicit),
    ],
};

/// `opentelemetry.proto.trace.v1.Status`
pub static STATUS: Message =
    Message { name: "Status", fields: &[field(2, "message", Str, Implicit), field(3, "code", Enum, Implicit)] };
