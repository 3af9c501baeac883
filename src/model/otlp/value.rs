//! Attribute and body values: borrowed, and as plain JSON.

use std::collections::HashMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::check::{self, MAX_DEPTH};
use super::schema::ANY_VALUE;
use super::wire::{WireError, entries};

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

impl<'a> AnyValue<'a> {
    /// Decodes an `AnyValue` message, all of it: what [`AnyValue::items`] and [`AnyValue::members`] give is sound.
    pub fn decode(message: &'a [u8]) -> Result<AnyValue<'a>, WireError> {
        check::message(&ANY_VALUE, message)?;
        AnyValue::shallow(message)
    }

    /// Decodes without looking into arrays and lists. Of several oneof members the last one on the wire counts.
    pub fn shallow(message: &'a [u8]) -> Result<AnyValue<'a>, WireError> {
        let mut value = AnyValue::Empty;
        for entry in entries(message) {
            let entry = entry?;
            value = match entry.number {
                1 => AnyValue::Str(entry.text()?),
                2 => AnyValue::Bool(entry.varint()? != 0),
                3 => AnyValue::Int(entry.varint()? as i64),
                4 => AnyValue::Double(entry.double()?),
                5 => AnyValue::Array(entry.bytes()?),
                6 => AnyValue::KvList(entry.bytes()?),
                7 => AnyValue::Bytes(entry.bytes()?),
                // Points into a dictionary that only profiles have; the proto says to read it as empty elsewhere.
                8 => AnyValue::Empty,
                _ => continue,
            };
        }
        Ok(value)
    }

    /// The items of an array; empty for every other kind. An item that does not decode is `Empty`.
    pub fn items(self) -> Vec<AnyValue<'a>> {
        let AnyValue::Array(list) = self else { return Vec::new() };
        repeated(list).map(|item| AnyValue::shallow(item).unwrap_or_default()).collect()
    }

    /// The members of a key-value list; empty for every other kind. A member that does not decode is left out.
    pub fn members(self) -> Vec<KeyValue<'a>> {
        let AnyValue::KvList(list) = self else { return Vec::new() };
        repeated(list).filter_map(|member| KeyValue::shallow(member).ok()).collect()
    }

    /// Appends the value as plain JSON (not the OTLP/JSON form): strings as strings, integers as numbers, bytes as
    /// base64 text, NaN and infinities as the strings `"NaN"`, `"Infinity"`, `"-Infinity"`, `Empty` as null.
    /// Doubles are written so that reading gives the same double. Below the depth limit everything is null.
    pub fn write_json(self, out: &mut String) {
        self.write_at(1, out);
    }

    fn write_at(self, depth: usize, out: &mut String) {
        match self {
            _ if depth > MAX_DEPTH => out.push_str("null"),
            AnyValue::Empty => out.push_str("null"),
            AnyValue::Str(text) => write_string(text, out),
            AnyValue::Bool(value) => out.push_str(if value { "true" } else { "false" }),
            AnyValue::Int(value) => put(out, format_args!("{value}")),
            AnyValue::Double(value) => write_double(value, out),
            AnyValue::Bytes(bytes) => {
                out.push('"');
                STANDARD.encode_string(bytes, out);
                out.push('"');
            }
            AnyValue::Array(_) => write_items(&self.items(), depth, out),
            AnyValue::KvList(_) => write_members(&self.members(), depth, out),
        }
    }
}

impl<'a> KeyValue<'a> {
    /// Decodes a `KeyValue` message without looking into its value's arrays and lists.
    pub fn shallow(message: &'a [u8]) -> Result<KeyValue<'a>, WireError> {
        let mut pair = KeyValue { key: "", value: AnyValue::Empty };
        for entry in entries(message) {
            let entry = entry?;
            match entry.number {
                1 => pair.key = entry.text()?,
                2 => pair.value = AnyValue::shallow(entry.bytes()?)?,
                _ => {}
            }
        }
        Ok(pair)
    }
}

/// Appends attributes as one JSON object (`{}` when there are none). A repeated key keeps its last value.
pub fn write_attributes_json(attributes: &[KeyValue<'_>], out: &mut String) {
    write_members(attributes, 0, out);
}

/// The occurrences of `values`, which has number 1 in both list messages; ends where the bytes stop making sense.
fn repeated(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    entries(list).map_while(Result::ok).filter(|entry| entry.number == 1).filter_map(|entry| entry.bytes().ok())
}

fn write_items(items: &[AnyValue<'_>], depth: usize, out: &mut String) {
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        item.write_at(depth + 1, out);
    }
    out.push(']');
}

fn write_members(members: &[KeyValue<'_>], depth: usize, out: &mut String) {
    let replaced = replaced(members);
    let mut separator = "{";
    for (_, member) in members.iter().enumerate().filter(|(at, _)| !replaced(*at)) {
        out.push_str(separator);
        separator = ",";
        write_string(member.key, out);
        out.push(':');
        member.value.write_at(depth + 1, out);
    }
    out.push_str(if separator == "{" { "{}" } else { "}" });
}

/// Tells whether a later member has the same key. A map is made only for long lists: for short ones looking ahead is
/// faster, for long ones it would be quadratic.
fn replaced<'m>(members: &'m [KeyValue<'m>]) -> impl Fn(usize) -> bool + 'm {
    let last: Option<HashMap<&str, usize>> =
        (members.len() > 32).then(|| members.iter().enumerate().map(|(at, member)| (member.key, at)).collect());
    move |at| {
        let key = members[at].key;
        match &last {
            Some(last) => last.get(key) != Some(&at),
            None => members[at + 1..].iter().any(|later| later.key == key),
        }
    }
}

/// Rust's `Debug` form of a finite double is JSON and the shortest that reads back the same.
fn write_double(value: f64, out: &mut String) {
    match value {
        _ if value.is_nan() => out.push_str("\"NaN\""),
        f64::INFINITY => out.push_str("\"Infinity\""),
        f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        _ => put(out, format_args!("{value:?}")),
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[written..at]);
        written = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => put(out, format_args!("\\u{byte:04x}")),
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests;
