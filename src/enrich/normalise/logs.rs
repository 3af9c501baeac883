//! Log records to facts.

use super::json::AttributesJson;
use super::otlp::{fill_columns, fill_sender, hex_id, integer, is_cut, session, table};
use super::{Context, INVALID_TIME, NormaliseError, micros, rfc3339};
use crate::enrich::mapping::Table;
use crate::model::otlp::identity::record_identity;
use crate::model::otlp::schema::LOG_RECORD;
use crate::model::otlp::view::{self, AnyValue, KeyValue, LogRecord, Place};
use crate::model::{Fact, FactId, Kind, Source, Truncation};

pub fn normalise(context: &Context<'_>, request: &[u8]) -> Result<Vec<Fact>, NormaliseError> {
    let mut facts = Vec::new();
    view::logs(request, &mut |place, record| facts.push(fact(context, &place, record)))?;
    Ok(facts)
}

fn fact(context: &Context<'_>, place: &Place<'_, '_>, record: &LogRecord<'_>) -> Fact {
    let name = event_name(record);
    let table = table(place, name, &record.attributes);
    let short = table.short_name(name);
    let map = table.log(short);
    let mut fact = context.fact(Source::OtlpLog, map.map_or(Kind::Other, |m| m.kind), short, place.index);
    fact.session_id = session(table, place, &record.attributes, record.trace_id);
    fact.columns.trace_id = hex_id(record.trace_id);
    fact.columns.span_id = hex_id(record.span_id);

    let targets = map.map_or(table.columns(), |m| &m.targets);
    let mut rest = fill_columns(&mut fact.columns, targets, &table.session, &record.attributes);
    let timestamp = take_text(&mut rest, "event.timestamp");
    fact.sequence = take_integer(&mut rest, "event.sequence");
    rest.retain(|a| !(a.key == "event.name" && a.value == AnyValue::Str(name)));
    let clock = micros(record.time_unix_nano).or_else(|| micros(record.observed_time_unix_nano));
    let clock = clock.or_else(|| timestamp.and_then(rfc3339));
    fact.time = clock.unwrap_or(fact.received_at);
    if clock.is_none() {
        rest.push(KeyValue { key: INVALID_TIME, value: AnyValue::Bool(true) });
    }
    fill_sender(&mut fact.columns, place, &record.attributes);
    finish(&mut fact, table, &rest);

    fact.fact_id = identity(context, place, record, &fact, timestamp);
    fact.columns.attributes = attributes(&rest, record, place, name);
    fact
}

/// The record's name: its `event_name` field, the `event.name` attribute, or a body that is a name.
pub fn event_name<'a>(record: &LogRecord<'a>) -> &'a str {
    if !record.event_name.is_empty() {
        return record.event_name;
    }
    let attribute = record.attributes.iter().find(|a| a.key == "event.name");
    match (attribute.map(|a| a.value), record.body) {
        (Some(AnyValue::Str(name)), _) => name,
        (_, AnyValue::Str(body)) if is_name(body) => body,
        _ => "",
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= 128 && text.contains('.') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What one attribute says about several columns, or several about one.
fn finish(fact: &mut Fact, table: &Table, rest: &[KeyValue<'_>]) {
    let text = |name: &str| match rest.iter().find(|a| a.key == name).map(|a| a.value) {
        Some(AnyValue::Str(text)) => Some(text),
        _ => None,
    };
    let columns = &mut fact.columns;
    if let Some(parameters) = text("tool_parameters").and_then(|p| serde_json::from_str::<serde_json::Value>(p).ok()) {
        let member = |name: &str| parameters.get(name).and_then(|v| v.as_str()).map(str::to_owned);
        if let (Some(server), Some(tool)) = (member("mcp_server_name"), member("mcp_tool_name")) {
            columns.tool_name = Some(format!("mcp__{server}__{tool}"));
            columns.mcp_server = Some(server);
            columns.mcp_tool = Some(tool);
        }
        columns.skill = columns.skill.take().or_else(|| member("skill_name"));
    }
    let original = rest.iter().find(|a| a.key == "tool_input_size_bytes").and_then(|a| integer(a.value));
    if let (Some(input), Some(original)) = (&columns.tool_input, original)
        && columns.redactions.is_empty()
        && (input.len() as i64) < original
        && !is_cut(input)
    {
        columns.truncated.push(Truncation { column: "tool_input".into(), original_bytes: Some(original) });
    }
    if columns.error.as_deref() == Some("undefined") {
        columns.error = None;
    }
    cache_free_input(fact, table);
}

/// Makes `input_tokens` mean the same everywhere: without cache reads and writes.
pub fn cache_free_input(fact: &mut Fact, table: &Table) {
    let columns = &mut fact.columns;
    if table.input_tokens_include_cache
        && let Some(input) = columns.input_tokens
    {
        let cached = columns.cache_read_tokens.unwrap_or(0).saturating_add(columns.cache_creation_tokens.unwrap_or(0));
        columns.input_tokens = Some(input.saturating_sub(cached).max(0));
    }
}

/// A client's counter with its time identifies a record of a session; any other record is identified by itself.
fn identity(
    context: &Context<'_>,
    place: &Place<'_, '_>,
    record: &LogRecord<'_>,
    fact: &Fact,
    timestamp: Option<&str>,
) -> FactId {
    if let (Some(session), Some(sequence), Some(timestamp)) = (&fact.session_id, fact.sequence, timestamp) {
        let parts: [&[u8]; 4] =
            [session.as_bytes(), &sequence.to_le_bytes(), timestamp.as_bytes(), fact.name.as_bytes()];
        return context.name_fact("log", &parts);
    }
    match context.hits(place.index) {
        Some(hits) => FactId(hits.identity),
        None => FactId(record_identity(context.key, place.resource.raw, place.scope.raw, "", &LOG_RECORD, record.raw)),
    }
}

fn attributes(rest: &[KeyValue<'_>], record: &LogRecord<'_>, place: &Place<'_, '_>, name: &str) -> Option<String> {
    let mut json = AttributesJson::new(rest);
    let says_name = matches!(record.body, AnyValue::Str(body) if body == name || body.ends_with(&format!(".{name}")));
    if record.body != AnyValue::Empty && !says_name {
        json.value("otel.body", record.body);
    }
    if record.event_name != name {
        json.text("otel.event_name", record.event_name);
    }
    json.number("otel.severity_number", i64::from(record.severity_number));
    json.text("otel.severity_text", record.severity_text);
    json.number("otel.dropped_attributes_count", i64::from(record.dropped_attributes_count));
    json.number("otel.trace_flags", i64::from(record.flags));
    let (time, observed) = (record.time_unix_nano, record.observed_time_unix_nano);
    if observed != time && time != 0 {
        json.number("otel.observed_time_unix_nano", i64::try_from(observed).unwrap_or(i64::MAX));
    }
    scope(&mut json, place);
    json.finish()
}

/// The scope's name and version, unless it is the client's own and says nothing.
pub fn scope(json: &mut AttributesJson, place: &Place<'_, '_>) {
    json.text("otel.scope.name", place.scope.name);
    json.text("otel.scope.version", place.scope.version);
    if !place.scope.attributes.is_empty() {
        json.raw("otel.scope.attributes", |out| view::write_attributes_json(&place.scope.attributes, out));
    }
}

fn take_text<'a>(rest: &mut Vec<KeyValue<'a>>, name: &str) -> Option<&'a str> {
    let at = rest.iter().position(|a| a.key == name)?;
    let AnyValue::Str(text) = rest[at].value else { return None };
    rest.remove(at);
    Some(text)
}

fn take_integer(rest: &mut Vec<KeyValue<'_>>, name: &str) -> Option<i64> {
    let at = rest.iter().position(|a| a.key == name)?;
    let value = integer(rest[at].value)?;
    rest.remove(at);
    Some(value)
}
