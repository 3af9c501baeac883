//! Spans to facts.

use serde_json::{Map, Value};

use super::json::AttributesJson;
use super::logs::{cache_free_input, scope};
use super::otlp::{fill_columns, fill_sender, find, hex_id, is_cut, session, table};
use super::{Context, INVALID_TIME, NormaliseError, is_shell_cut, micros};
use crate::enrich::mapping::Table;
use crate::model::otlp::identity::record_identity;
use crate::model::otlp::schema::SPAN;
use crate::model::otlp::view::{self, AnyValue, Place, Span, SpanEvent};
use crate::model::{Columns, Fact, FactId, Kind, Source, Truncation, hex};

pub fn normalise(context: &Context<'_>, request: &[u8]) -> Result<Vec<Fact>, NormaliseError> {
    let mut facts = Vec::new();
    view::spans(request, &mut |place, span| facts.push(fact(context, &place, span)))?;
    Ok(facts)
}

fn fact(context: &Context<'_>, place: &Place<'_, '_>, span: &Span<'_>) -> Fact {
    let table = table(place, span.name, &span.attributes);
    let short = table.short_name(span.name);
    let map = table.span(short);
    let kind = map.map(|m| m.kind).or_else(|| operation(table, place, span)).unwrap_or(Kind::Span);
    let mut fact = context.fact(Source::OtlpSpan, kind, short, place.index);
    fact.session_id = session(table, place, &span.attributes, span.trace_id);
    fact.time = micros(span.start_time_unix_nano).unwrap_or(fact.received_at);
    fact.end_time = micros(span.end_time_unix_nano);
    fact.columns.trace_id = hex_id(span.trace_id);
    fact.columns.span_id = hex_id(span.span_id);

    let targets = map.map_or(table.columns(), |m| &m.targets);
    let mut rest = fill_columns(&mut fact.columns, targets, &table.session, &span.attributes);
    if micros(span.start_time_unix_nano).is_none() {
        rest.push(view::KeyValue { key: INVALID_TIME, value: AnyValue::Bool(true) });
    }
    fill_sender(&mut fact.columns, place, &span.attributes);
    cache_free_input(&mut fact, table);
    let columns = &mut fact.columns;
    if span.status_code == 2 {
        columns.success = columns.success.or(Some(false));
        if columns.error.is_none() && !span.status_message.is_empty() {
            columns.error = Some(span.status_message.to_owned());
        }
    }
    if columns.duration_ms.is_none() {
        columns.duration_ms = fact.end_time.map(|end| end.saturating_sub(fact.time).max(0) / 1000);
    }
    for event in &span.events {
        tool_output(columns, event);
    }
    fact.fact_id = identity(context, place, span);
    fact.columns.attributes = attributes(rest, span, place);
    fact
}

fn operation(table: &Table, place: &Place<'_, '_>, span: &Span<'_>) -> Option<Kind> {
    match find(place, &span.attributes, "gen_ai.operation.name") {
        Some(AnyValue::Str(operation)) => table.operation(operation),
        _ => None,
    }
}

/// A `tool.output` event holds what a tool gave back: as `output` or `content`, or in the tool's own members.
fn tool_output(columns: &mut Columns, event: &SpanEvent<'_>) {
    if event.name != "tool.output" {
        return;
    }
    let member = |name: &str| event.attributes.iter().find(|a| a.key == name).map(|a| a.value);
    let output = match member("output").or_else(|| member("content")) {
        Some(AnyValue::Str(text)) => text.to_owned(),
        _ => {
            let mut json = String::new();
            view::write_attributes_json(&event.attributes, &mut json);
            json
        }
    };
    if is_cut(&output) || is_shell_cut(&output) {
        columns.truncated.push(Truncation { column: "tool_output".into(), original_bytes: None });
    }
    columns.tool_output = Some(output);
}

fn identity(context: &Context<'_>, place: &Place<'_, '_>, span: &Span<'_>) -> FactId {
    if !span.trace_id.is_empty() && !span.span_id.is_empty() {
        return context.name_fact("span", &[span.trace_id, span.span_id]);
    }
    match context.hits(place.index) {
        Some(hits) => FactId(hits.identity),
        None => FactId(record_identity(context.key, place.resource.raw, place.scope.raw, "", &SPAN, span.raw)),
    }
}

fn attributes(rest: Vec<view::KeyValue<'_>>, span: &Span<'_>, place: &Place<'_, '_>) -> Option<String> {
    let mut json = AttributesJson::new(&rest);
    json.text("otel.parent_span_id", &hex(span.parent_span_id));
    json.number("otel.span_kind", i64::from(span.kind));
    json.number("otel.status_code", i64::from(span.status_code));
    json.text("otel.status_description", span.status_message);
    json.text("otel.trace_state", span.trace_state);
    json.number("otel.trace_flags", i64::from(span.flags));
    json.number("otel.dropped_attributes_count", i64::from(span.dropped_attributes_count));
    let events: Vec<_> = span.events.iter().filter(|e| e.name != "tool.output").collect();
    if !events.is_empty() {
        json.raw("otel.events", |out| list(out, &events, write_event));
    }
    if !span.links.is_empty() {
        json.raw("otel.links", |out| list(out, &span.links.iter().collect::<Vec<_>>(), write_link));
    }
    scope(&mut json, place);
    json.finish()
}

fn list<T>(out: &mut String, items: &[&T], write: fn(&mut String, &T)) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

fn write_event(out: &mut String, event: &SpanEvent<'_>) {
    let mut head = Map::new();
    head.insert("name".into(), Value::from(event.name));
    head.insert("time_unix_nano".into(), Value::from(event.time_unix_nano));
    with_attributes(out, head, &event.attributes);
}

fn write_link(out: &mut String, link: &view::SpanLink<'_>) {
    let mut head = Map::new();
    head.insert("trace_id".into(), Value::from(hex(link.trace_id)));
    head.insert("span_id".into(), Value::from(hex(link.span_id)));
    if !link.trace_state.is_empty() {
        head.insert("trace_state".into(), Value::from(link.trace_state));
    }
    with_attributes(out, head, &link.attributes);
}

fn with_attributes(out: &mut String, head: Map<String, Value>, attributes: &[view::KeyValue<'_>]) {
    let head = Value::Object(head).to_string();
    out.push_str(head.trim_end_matches('}'));
    out.push_str(",\"attributes\":");
    view::write_attributes_json(attributes, out);
    out.push('}');
}
