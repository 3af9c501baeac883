//! Metric data points to facts.

use super::json::AttributesJson;
use super::logs::scope;
use super::otlp::{fill_sender, session, table};
use super::{Context, INVALID_TIME, NormaliseError, micros};
use crate::enrich::mapping::Table;
use crate::model::otlp::identity::record_identity;
use crate::model::otlp::view::{self, KeyValue, Metric, MetricKind, Place, Point};
use crate::model::{Fact, FactId, Kind, Source};

pub fn normalise(context: &Context<'_>, request: &[u8]) -> Result<Vec<Fact>, NormaliseError> {
    let mut facts = Vec::new();
    view::points(request, &mut |place, metric, point| facts.push(fact(context, &place, metric, point)))?;
    Ok(facts)
}

fn fact(context: &Context<'_>, place: &Place<'_, '_>, metric: &Metric<'_>, point: &Point<'_>) -> Fact {
    let table = table(place, metric.name, &point.attributes);
    let mut fact = context.fact(Source::OtlpMetric, Kind::Metric, table.short_name(metric.name), place.index);
    fact.session_id = session(table, place, &point.attributes, &[]);
    fact.time = micros(point.time_unix_nano).unwrap_or(fact.received_at);
    let columns = &mut fact.columns;
    columns.start_time = micros(point.start_time_unix_nano);
    columns.metric_value = point.value.filter(|value| value.is_finite());
    columns.metric_unit = Some(metric.unit.to_owned()).filter(|unit| !unit.is_empty());
    columns.temporality = match metric.temporality {
        1 => Some("delta".to_owned()),
        2 => Some("cumulative".to_owned()),
        _ => None,
    };
    columns.model = text(&point.attributes, "model");
    fill_sender(columns, place, &point.attributes);
    columns.attributes = attributes(table, metric, point, place);
    fact.fact_id = match context.hits(place.index) {
        Some(hits) => FactId(hits.identity),
        None => FactId(record_identity(
            context.key,
            place.resource.raw,
            place.scope.raw,
            metric.name,
            point.message,
            point.raw,
        )),
    };
    fact
}

fn text(attributes: &[KeyValue<'_>], name: &str) -> Option<String> {
    match attributes.iter().find(|a| a.key == name).map(|a| a.value) {
        Some(view::AnyValue::Str(text)) => Some(text.to_owned()),
        _ => None,
    }
}

/// The series' attributes whole (they are its identity), and what the point says beyond one number.
fn attributes(table: &Table, metric: &Metric<'_>, point: &Point<'_>, place: &Place<'_, '_>) -> Option<String> {
    let series: Vec<KeyValue<'_>> =
        point.attributes.iter().filter(|a| table.session.first().is_none_or(|s| s != a.key)).copied().collect();
    let mut json = AttributesJson::new(&series);
    json.text("otel.metric_description", metric.description);
    json.raw("otel.metric_kind", |out| out.push_str(kind_json(metric.kind)));
    if metric.monotonic {
        json.value("otel.metric_monotonic", view::AnyValue::Bool(true));
    }
    if micros(point.time_unix_nano).is_none() {
        json.value(INVALID_TIME, view::AnyValue::Bool(true));
    }
    if let Some(value) = point.value.filter(|value| !value.is_finite()) {
        json.value("sessionlake.invalid.metric_value", view::AnyValue::Double(value));
    }
    if let Some(value) = point.int_value {
        json.value("otel.metric_int_value", view::AnyValue::Int(value));
    }
    if let Some(count) = point.count {
        json.value("otel.metric_count", view::AnyValue::Int(i64::try_from(count).unwrap_or(i64::MAX)));
    }
    if !metric.metadata.is_empty() {
        json.raw("otel.metric_metadata", |out| view::write_attributes_json(&metric.metadata, out));
    }
    let many = matches!(metric.kind, MetricKind::Histogram | MetricKind::ExponentialHistogram | MetricKind::Summary);
    if many || super::point::has(point.message, point.raw, "exemplars") {
        json.raw("otel.metric_point", |out| super::point::write_json(point.message, point.raw, out));
    }
    json.number("otel.metric_flags", i64::from(point.flags));
    scope(&mut json, place);
    json.finish()
}

fn kind_json(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Gauge => "\"gauge\"",
        MetricKind::Sum => "\"sum\"",
        MetricKind::Histogram => "\"histogram\"",
        MetricKind::ExponentialHistogram => "\"exponential_histogram\"",
        MetricKind::Summary => "\"summary\"",
    }
}
