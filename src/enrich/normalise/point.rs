//! A protobuf message as JSON, by the message table: for data points that are more than one number.

use std::fmt::Write;

use crate::model::otlp::schema::{ANY_VALUE, Field, FieldKind, Message, Presence};
use crate::model::otlp::view::AnyValue;
use crate::model::otlp::wire::{Entry, Value, entries};

/// Messages below this depth are left out: what is deeper was refused on arrival.
const MAX_DEPTH: usize = 64;

/// Appends the message as a JSON object with OTLP/JSON's field names; what does not decode is left out.
pub fn write_json(message: &Message, bytes: &[u8], out: &mut String) {
    write_message(message, bytes, out, 0);
}

/// Whether the message has an occurrence of the field with that JSON name.
pub fn has(message: &Message, bytes: &[u8], json_name: &str) -> bool {
    let number = message.field_by_json_name(json_name).map(|f| f.number);
    entries(bytes).flatten().any(|e| Some(e.number) == number)
}

fn write_message(message: &Message, bytes: &[u8], out: &mut String, depth: usize) {
    if depth > MAX_DEPTH {
        out.push_str("null");
        return;
    }
    let all: Vec<Entry<'_>> = entries(bytes).flatten().collect();
    out.push('{');
    let mut first = true;
    for field in message.fields {
        let values: Vec<Value<'_>> = all.iter().filter(|e| e.number == field.number).map(|e| e.value).collect();
        let Some(last) = values.last() else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        let _ = write!(out, "\"{}\":", field.json_name);
        if field.presence == Presence::Repeated {
            write_list(field, &values, out, depth);
        } else {
            write_value(field, *last, out, depth);
        }
    }
    out.push('}');
}

fn write_list(field: &Field, values: &[Value<'_>], out: &mut String, depth: usize) {
    out.push('[');
    let mut first = true;
    let mut item = |value: Value<'_>, out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_value(field, value, out, depth);
    };
    for value in values {
        match (value, packed_width(field)) {
            (Value::Bytes(packed), Some(8)) => packed.chunks_exact(8).for_each(|chunk| {
                let raw = chunk.try_into().map(u64::from_le_bytes).unwrap_or_default();
                item(Value::Fixed64(raw), out);
            }),
            (Value::Bytes(packed), Some(0)) => varints(packed).for_each(|v| item(Value::Varint(v), out)),
            _ => item(*value, out),
        }
    }
    out.push(']');
}

/// Bytes per number in a packed list, 0 for varints; `None` for kinds that are never packed.
fn packed_width(field: &Field) -> Option<usize> {
    match field.kind {
        FieldKind::Fixed64 | FieldKind::SFixed64 | FieldKind::Double => Some(8),
        FieldKind::Str | FieldKind::Bytes | FieldKind::Id(_) | FieldKind::Message(_) | FieldKind::Fixed32 => None,
        _ => Some(0),
    }
}

fn varints(mut packed: &[u8]) -> impl Iterator<Item = u64> {
    std::iter::from_fn(move || {
        let mut value = 0u64;
        for shift in 0..10 {
            let (byte, rest) = packed.split_first()?;
            packed = rest;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    })
}

fn write_value(field: &Field, value: Value<'_>, out: &mut String, depth: usize) {
    match (field.kind, value) {
        (FieldKind::Message(m), Value::Bytes(bytes)) if m.is(&ANY_VALUE) => {
            AnyValue::decode(bytes).unwrap_or_default().write_json(out);
        }
        (FieldKind::Message(m), Value::Bytes(bytes)) => write_message(m, bytes, out, depth + 1),
        (FieldKind::Str, Value::Bytes(bytes)) => {
            AnyValue::Str(std::str::from_utf8(bytes).unwrap_or_default()).write_json(out);
        }
        (FieldKind::Id(_), Value::Bytes(bytes)) => AnyValue::Str(&crate::model::hex(bytes)).write_json(out),
        (_, Value::Bytes(bytes)) => AnyValue::Bytes(bytes).write_json(out),
        (FieldKind::Double, Value::Fixed64(raw)) => AnyValue::Double(f64::from_bits(raw)).write_json(out),
        (FieldKind::Bool, Value::Varint(raw)) => AnyValue::Bool(raw != 0).write_json(out),
        (FieldKind::SInt32, Value::Varint(raw)) => {
            let zigzag = raw as u32;
            AnyValue::Int(i64::from((zigzag >> 1) as i32 ^ -((zigzag & 1) as i32))).write_json(out);
        }
        (FieldKind::SFixed64 | FieldKind::Int64, Value::Fixed64(raw) | Value::Varint(raw)) => {
            AnyValue::Int(raw as i64).write_json(out);
        }
        (FieldKind::Int32 | FieldKind::Enum, Value::Varint(raw)) => {
            AnyValue::Int(i64::from(raw as i32)).write_json(out);
        }
        (_, Value::Fixed64(raw) | Value::Varint(raw)) => {
            let _ = write!(out, "{raw}");
        }
        (_, Value::Fixed32(raw)) => {
            let _ = write!(out, "{raw}");
        }
    }
}
