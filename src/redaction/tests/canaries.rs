//! Secrets to plant, and OTLP requests that hold one in every string.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use serde_json::json;

/// Makes unique secrets and remembers the part of each that must not be found again.
#[derive(Default)]
pub struct Canaries(Vec<String>);

impl Canaries {
    pub fn token(&mut self) -> String {
        let unique = format!("{:08x}", (self.0.len() as u32 + 1).wrapping_mul(2_654_435_761));
        let secret = format!("Zq7{unique}Lw3{unique}Xk9{unique}Vb");
        self.0.push(unique);
        format!("ghp_{secret}")
    }

    /// A secret inside other text.
    pub fn text(&mut self) -> String {
        format!("see ünïcode {} there", self.token())
    }

    pub fn value(&mut self) -> AnyValue {
        AnyValue { value: Some(Value::StringValue(self.text())) }
    }

    pub fn pair(&mut self, value: AnyValue) -> KeyValue {
        KeyValue { key: self.text(), value: Some(value), ..Default::default() }
    }

    /// One attribute of each kind that holds text.
    pub fn attributes(&mut self) -> Vec<KeyValue> {
        let text = self.value();
        let items = vec![self.value(), AnyValue { value: Some(Value::IntValue(7)) }];
        let inner = self.value();
        let members = vec![self.pair(inner)];
        let bytes = self.text().into_bytes();
        let mut binary = vec![0xff, 0xfe];
        binary.extend(self.text().into_bytes());
        let document = json!({"a": [{"b": self.text(), self.text(): 1}]}).to_string();
        let nested = json!({"deep": json!([document]).to_string()}).to_string();
        let named = format!("{}Aa!", self.plain());
        let values = [
            text,
            AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: items })) },
            AnyValue { value: Some(Value::KvlistValue(KeyValueList { values: members })) },
            AnyValue { value: Some(Value::BytesValue(bytes)) },
            AnyValue { value: Some(Value::BytesValue(binary)) },
            AnyValue { value: Some(Value::StringValue(nested)) },
        ];
        let mut attributes: Vec<KeyValue> = values.into_iter().map(|value| self.pair(value)).collect();
        let value = Some(AnyValue { value: Some(Value::StringValue(named)) });
        attributes.push(KeyValue { key: "db.password".to_owned(), value, ..Default::default() });
        attributes
    }

    /// A secret of no known form.
    pub fn plain(&mut self) -> String {
        let unique = format!("{:08x}", (self.0.len() as u32 + 1).wrapping_mul(2_654_435_761));
        self.0.push(unique.clone());
        unique
    }

    fn resource(&mut self) -> Resource {
        let entity_refs = vec![EntityRef {
            schema_url: self.text(),
            r#type: self.text(),
            id_keys: vec![self.text(), self.text()],
            description_keys: vec![self.text()],
        }];
        Resource { attributes: self.attributes(), entity_refs, ..Default::default() }
    }

    fn scope(&mut self) -> InstrumentationScope {
        InstrumentationScope {
            name: self.text(),
            version: self.text(),
            attributes: self.attributes(),
            dropped_attributes_count: 1,
        }
    }

    pub fn logs(&mut self) -> ExportLogsServiceRequest {
        let log_records = vec![LogRecord {
            time_unix_nano: 5,
            severity_text: self.text(),
            body: Some(self.value()),
            attributes: self.attributes(),
            event_name: self.text(),
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            ..Default::default()
        }];
        let scope_logs = vec![ScopeLogs { scope: Some(self.scope()), log_records, schema_url: self.text() }];
        let resource = Some(self.resource());
        ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { resource, scope_logs, schema_url: self.text() }] }
    }

    pub fn traces(&mut self) -> ExportTraceServiceRequest {
        let event = span::Event { name: self.text(), attributes: self.attributes(), ..Default::default() };
        let link = span::Link { trace_state: self.text(), attributes: self.attributes(), ..Default::default() };
        let spans = vec![Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: self.text(),
            name: self.text(),
            attributes: self.attributes(),
            events: vec![event],
            links: vec![link],
            status: Some(Status { message: self.text(), code: 2 }),
            ..Default::default()
        }];
        let scope_spans = vec![ScopeSpans { scope: Some(self.scope()), spans, schema_url: self.text() }];
        let resource = Some(self.resource());
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: self.text() }],
        }
    }

    fn exemplars(&mut self) -> Vec<Exemplar> {
        vec![Exemplar { filtered_attributes: self.attributes(), time_unix_nano: 3, ..Default::default() }]
    }

    fn number(&mut self) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes(),
            exemplars: self.exemplars(),
            value: Some(number_data_point::Value::AsInt(9)),
            ..Default::default()
        }
    }

    fn data(&mut self) -> Vec<metric::Data> {
        let histogram = HistogramDataPoint {
            attributes: self.attributes(),
            exemplars: self.exemplars(),
            bucket_counts: vec![1, 2],
            explicit_bounds: vec![0.5],
            ..Default::default()
        };
        let exponential = ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            exemplars: self.exemplars(),
            ..Default::default()
        };
        let summary = SummaryDataPoint { attributes: self.attributes(), ..Default::default() };
        vec![
            metric::Data::Gauge(Gauge { data_points: vec![self.number()] }),
            metric::Data::Sum(Sum { data_points: vec![self.number()], ..Default::default() }),
            metric::Data::Histogram(Histogram { data_points: vec![histogram], ..Default::default() }),
            metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![exponential],
                ..Default::default()
            }),
            metric::Data::Summary(Summary { data_points: vec![summary] }),
        ]
    }

    pub fn metrics(&mut self) -> ExportMetricsServiceRequest {
        let metrics = self.data().into_iter().map(|data| Metric {
            name: self.text(),
            description: self.text(),
            unit: self.text(),
            metadata: self.attributes(),
            data: Some(data),
        });
        let metrics = metrics.collect();
        let scope_metrics = vec![ScopeMetrics { scope: Some(self.scope()), metrics, schema_url: self.text() }];
        let resource = Some(self.resource());
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource, scope_metrics, schema_url: self.text() }],
        }
    }

    /// None of the secrets is in `bytes`, whole or in part.
    pub fn assert_gone(&self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        for (i, unique) in self.0.iter().enumerate() {
            assert!(!text.contains(unique.as_str()), "secret {i} of {} is still there", self.0.len());
        }
        assert!(self.0.len() > 3, "secrets were planted");
    }
}
