//! What identifies an OTLP record that carries no id of its own.

use super::check;
use super::schema::{Field, FieldKind, INSTRUMENTATION_SCOPE, Message, Presence, RESOURCE};
use super::wire::{Entry, WireError, entries, put_varint};
use crate::model::key::{LakeKey, first16};

/// Keyed hash of a record with what encloses it (resource and scope message bytes, and for a data point its metric's
/// name). The same for the same telemetry whatever its encoding was: fields are hashed in the order of their
/// numbers, unknown fields and implicit defaults are left out, floats by their bits.
///
/// Bytes that do not decode, or nest values deeper than [`check::MAX_DEPTH`], are hashed as they are.
pub fn record_identity(
    key: &LakeKey,
    resource: &[u8],
    scope: &[u8],
    metric_name: &str,
    message: &'static Message,
    record: &[u8],
) -> [u8; 16] {
    let mut form = Vec::with_capacity(resource.len() + scope.len() + metric_name.len() + record.len() + 64);
    part(&RESOURCE, resource, &mut form);
    part(&INSTRUMENTATION_SCOPE, scope, &mut form);
    put_content(metric_name.as_bytes(), &mut form);
    put_content(message.name.as_bytes(), &mut form);
    part(message, record, &mut form);
    first16(key.hasher("record").update(&form))
}

const RAW: u8 = 0;
const CANONICAL: u8 = 1;

/// Appends one message in its canonical form, or as it is when it has none.
fn part(message: &'static Message, bytes: &[u8], form: &mut Vec<u8>) {
    let start = form.len();
    form.push(CANONICAL);
    let canonical = check::message(message, bytes).and_then(|()| fields(message, bytes, form));
    if canonical.is_err() {
        form.truncate(start);
        form.push(RAW);
        put_content(bytes, form);
    }
}

/// Appends the fields of a message that [`check::message`] passed (which bounds the recursion): of each the number
/// and the value, numbers as varints, strings and bytes after their length, messages as their fields. 0 ends a
/// message. No two different messages have the same form, nor is one form the beginning of another.
fn fields(message: &'static Message, bytes: &[u8], form: &mut Vec<u8>) -> Result<(), WireError> {
    for field in message.fields {
        let mut occurrences = entries(bytes).filter_map(Result::ok).filter(|entry| entry.number == field.number);
        if field.presence == Presence::Repeated {
            occurrences.try_for_each(|entry| occurrence(field, &entry, form))?;
        } else if let Some(entry) = occurrences.last() {
            occurrence(field, &entry, form)?;
        }
    }
    form.push(0);
    Ok(())
}

fn occurrence(field: &Field, entry: &Entry<'_>, form: &mut Vec<u8>) -> Result<(), WireError> {
    let implicit = field.presence == Presence::Implicit;
    match field.kind {
        FieldKind::Message(inner) => {
            put_varint(form, u64::from(field.number));
            fields(inner, entry.bytes()?, form)?;
        }
        FieldKind::Str | FieldKind::Bytes | FieldKind::Id(_) => {
            let content = entry.bytes()?;
            if !(implicit && content.is_empty()) {
                put_varint(form, u64::from(field.number));
                put_content(content, form);
            }
        }
        kind => check::numbers(field, entry, &mut |bits| {
            let value = normal(kind, bits);
            if !(implicit && value == 0) {
                put_varint(form, u64::from(field.number));
                put_varint(form, value);
            }
        })?,
    }
    Ok(())
}

/// A number as every decoder reads it: protobuf truncates a varint to its field's type.
fn normal(kind: FieldKind, bits: u64) -> u64 {
    match kind {
        FieldKind::Bool => u64::from(bits != 0),
        FieldKind::Int32 | FieldKind::UInt32 | FieldKind::SInt32 | FieldKind::Enum => u64::from(bits as u32),
        _ => bits,
    }
}

fn put_content(content: &[u8], form: &mut Vec<u8>) {
    put_varint(form, content.len() as u64);
    form.extend_from_slice(content);
}

#[cfg(test)]
mod tests;
