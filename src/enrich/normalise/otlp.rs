//! What logs, spans and metric points have in common: attributes to columns, session and identity of the sender.

use super::{CLIENT_REDACTED, CLIENT_TRUNCATED};
use crate::enrich::columns::{Int, Text, nano_usd, nano_usd_of_micros};
use crate::enrich::mapping::{Table, Target, Targets, table_for};
use crate::model::otlp::view::{AnyValue, KeyValue, Place};
use crate::model::{Columns, Truncation, hex};

/// Attributes of the session key and the user may stand in the record, its scope or its resource: in this order.
pub fn find<'a>(place: &Place<'a, '_>, attributes: &[KeyValue<'a>], name: &str) -> Option<AnyValue<'a>> {
    [attributes, &place.scope.attributes, &place.resource.attributes]
        .into_iter()
        .find_map(|list| list.iter().rev().find(|a| a.key == name).map(|a| a.value))
        .filter(|value| *value != AnyValue::Empty)
}

pub fn find_text<'a>(place: &Place<'a, '_>, attributes: &[KeyValue<'a>], name: &str) -> Option<&'a str> {
    [attributes, &place.scope.attributes, &place.resource.attributes].into_iter().find_map(|list| {
        match list.iter().rev().find(|a| a.key == name).map(|a| a.value) {
            Some(AnyValue::Str(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    })
}

/// The mapping table for a record.
pub fn table(place: &Place<'_, '_>, name: &str, attributes: &[KeyValue<'_>]) -> &'static Table {
    let service = find_text(place, &[], "service.name").unwrap_or_default();
    table_for(place.scope.name, service, name, attributes.iter().map(|a| a.key))
}

/// The session that a record names.
pub fn session(table: &Table, place: &Place<'_, '_>, attributes: &[KeyValue<'_>], trace_id: &[u8]) -> Option<String> {
    table
        .session
        .iter()
        .find_map(|name| find_text(place, attributes, name))
        .map(str::to_owned)
        .or_else(|| (table.trace_is_session && !trace_id.is_empty()).then(|| hex(trace_id)))
}

/// Fills what the resource says: who and which agent.
pub fn fill_sender(columns: &mut Columns, place: &Place<'_, '_>, attributes: &[KeyValue<'_>]) {
    let text = |name: &str| find_text(place, attributes, name).map(str::to_owned);
    let end_user = text("enduser.id");
    let slot = &mut columns.user_email;
    *slot = slot.take().or_else(|| text("user.email")).or_else(|| end_user.clone().filter(|id| id.contains('@')));
    let slot = &mut columns.user_id;
    *slot = slot.take().or_else(|| text("user.id")).or(end_user);
    columns.agent = text("service.name");
    columns.agent_version = text("service.version");
    columns.resource = place.resource.json().map(str::to_owned);
}

/// Moves attributes into columns; gives back those that no column took.
pub fn fill_columns<'a>(
    columns: &mut Columns,
    targets: &Targets,
    session_keys: &[String],
    attributes: &[KeyValue<'a>],
) -> Vec<KeyValue<'a>> {
    let mut rest = Vec::with_capacity(attributes.len());
    let mut micros = None;
    for attribute in attributes {
        if session_keys.first().is_some_and(|key| key == attribute.key) && matches!(attribute.value, AnyValue::Str(_)) {
            continue;
        }
        let taken = match targets.get(attribute.key) {
            None | Some(Target::Keep) => false,
            Some(Target::Drop) => true,
            Some(Target::CostMicros) => {
                micros = integer(attribute.value).and_then(nano_usd_of_micros);
                micros.is_some()
            }
            Some(Target::Success) => fill(&mut columns.success, boolean(attribute.value)),
            Some(Target::Int(Int::CostUsd)) => fill(&mut columns.cost_usd, float(attribute.value).and_then(nano_usd)),
            Some(Target::Int(column)) => {
                fill(column.slot(columns), integer(attribute.value).filter(|value| column.is_plausible(*value)))
            }
            Some(Target::Text(column)) => fill_text(columns, *column, attribute.value),
        };
        if !taken {
            rest.push(*attribute);
            rest.extend(targets.get(attribute.key).and_then(|target| flag(target, attribute.value)));
        }
    }
    columns.cost_usd = micros.or(columns.cost_usd);
    if columns.cost_usd.is_some() {
        columns.cost_source = Some("reported".to_owned());
    }
    rest
}

/// Says that a number was left out of its column because it makes no sense: infinite, negative, or beyond all measure.
/// The value itself stays beside it, as an attribute.
fn flag(target: &Target, value: AnyValue<'_>) -> Option<KeyValue<'static>> {
    let column = match target {
        Target::Int(column) => *column,
        Target::CostMicros => Int::CostUsd,
        _ => return None,
    };
    let number = match value {
        AnyValue::Int(_) | AnyValue::Double(_) => true,
        AnyValue::Str(text) => text.trim().parse::<f64>().is_ok(),
        _ => false,
    };
    number.then_some(KeyValue { key: column.invalid(), value: AnyValue::Bool(true) })
}

fn fill<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let taken = value.is_some();
    if taken {
        *slot = value;
    }
    taken
}

fn fill_text(columns: &mut Columns, column: Text, value: AnyValue<'_>) -> bool {
    let text = match value {
        AnyValue::Empty => return false,
        // off by the client's own switch: there is no content
        AnyValue::Str(CLIENT_REDACTED | "") => return true,
        AnyValue::Str(text) => text.to_owned(),
        other => {
            let mut json = String::new();
            other.write_json(&mut json);
            json
        }
    };
    if is_cut(&text) {
        columns.truncated.push(Truncation { column: column.name().to_owned(), original_bytes: None });
    }
    *column.slot(columns) = Some(text);
    true
}

/// Whether the client says that it cut this text.
pub fn is_cut(text: &str) -> bool {
    let mut tail = text.len().saturating_sub(80);
    while !text.is_char_boundary(tail) {
        tail -= 1;
    }
    text[tail..].contains(CLIENT_TRUNCATED)
}

/// An integer, also from a string or an integral float: clients send all three.
pub fn integer(value: AnyValue<'_>) -> Option<i64> {
    match value {
        AnyValue::Int(value) => Some(value),
        AnyValue::Double(value) if value.is_finite() && value.abs() < 9e18 => Some(value.round() as i64),
        AnyValue::Str(text) => text.trim().parse().ok().or_else(|| {
            text.trim().parse::<f64>().ok().filter(|v| v.is_finite() && v.abs() < 9e18).map(|v| v.round() as i64)
        }),
        _ => None,
    }
}

fn float(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Int(value) => Some(value as f64),
        AnyValue::Double(value) => Some(value),
        AnyValue::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn boolean(value: AnyValue<'_>) -> Option<bool> {
    match value {
        AnyValue::Bool(value) => Some(value),
        AnyValue::Str("true") => Some(true),
        AnyValue::Str("false") => Some(false),
        _ => None,
    }
}

/// Lower-case hex; `None` of an empty id.
pub fn hex_id(id: &[u8]) -> Option<String> {
    (!id.is_empty()).then(|| hex(id))
}
