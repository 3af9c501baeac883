//! Whether bytes are an OTLP message all the way down.

use super::schema::{
    ANY_VALUE, EXPORT_LOGS_SERVICE_REQUEST, EXPORT_METRICS_SERVICE_REQUEST, EXPORT_TRACE_SERVICE_REQUEST, Field,
    FieldKind, Message, Presence,
};
use super::wire::{Entry, Value, WireError, entries, varints};
use crate::model::Signal;

/// How deep an `AnyValue` may hold others (a body or attribute value is the first). Nothing writes values that deep
/// on purpose, and recursion down to here needs a few dozen KiB of stack.
pub const MAX_DEPTH: usize = 64;

/// Checks a whole export request: every known field has its wire type, strings are UTF-8, ids have their length, and
/// no value is nested deeper than [`MAX_DEPTH`]. Hook batches are no protobuf and are not looked at.
pub fn request(signal: Signal, bytes: &[u8]) -> Result<(), WireError> {
    request_message(signal).map_or(Ok(()), |root| message(root, bytes))
}

/// The message that a signal's export request is; none for hooks.
pub fn request_message(signal: Signal) -> Option<&'static Message> {
    match signal {
        Signal::Logs => Some(&EXPORT_LOGS_SERVICE_REQUEST),
        Signal::Metrics => Some(&EXPORT_METRICS_SERVICE_REQUEST),
        Signal::Traces => Some(&EXPORT_TRACE_SERVICE_REQUEST),
        Signal::Hooks | Signal::Audit => None,
    }
}

/// Checks one message like [`request`].
pub fn message(message: &'static Message, bytes: &[u8]) -> Result<(), WireError> {
    nested(message, bytes, 0)
}

/// `depth` counts the `AnyValue`s around this message; no other message can hold itself.
fn nested(message: &'static Message, bytes: &[u8], depth: usize) -> Result<(), WireError> {
    let depth = depth + usize::from(message.is(&ANY_VALUE));
    if depth > MAX_DEPTH {
        return Err(WireError::Depth(MAX_DEPTH));
    }
    for entry in entries(bytes) {
        let entry = entry?;
        if let Some(field) = message.field(entry.number) {
            occurrence(field, &entry, depth)?;
        }
    }
    Ok(())
}

fn occurrence(field: &Field, entry: &Entry<'_>, depth: usize) -> Result<(), WireError> {
    match field.kind {
        FieldKind::Str => entry.text().map(drop),
        FieldKind::Bytes => entry.bytes().map(drop),
        FieldKind::Id(length) => entry.id(length).map(drop),
        FieldKind::Message(inner) => nested(inner, entry.bytes()?, depth),
        _ => numbers(field, entry, &mut |_| ()),
    }
}

/// Calls `visit` with the bits of each number in a numeric field's occurrence: one, or a packed list's many.
pub fn numbers(field: &Field, entry: &Entry<'_>, visit: &mut dyn FnMut(u64)) -> Result<(), WireError> {
    match (field.kind.wire_type(), entry.value) {
        (0, Value::Varint(bits)) | (1, Value::Fixed64(bits)) => visit(bits),
        (5, Value::Fixed32(bits)) => visit(u64::from(bits)),
        (0, Value::Bytes(list)) if field.presence == Presence::Repeated => {
            for bits in varints(list) {
                visit(bits?);
            }
        }
        (1, Value::Bytes(list)) if field.presence == Presence::Repeated => {
            let (values, rest) = list.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(WireError::Truncated);
            }
            values.iter().for_each(|value| visit(u64::from_le_bytes(*value)));
        }
        _ => return Err(WireError::WrongType(field.number)),
    }
    Ok(())
}
