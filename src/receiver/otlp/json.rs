//! OTLP/JSON to protobuf, by the message table.
//!
//! OTLP/JSON is proto3 JSON (protobuf.dev/programming-guides/json) with deviations (OTLP specification, "JSON Protobuf
//! Encoding"): ids are hex, enums are numbers, field names are lowerCamelCase only, unknown fields are ignored. Where
//! the documents leave room, this reader does the following:
//! - 32 and 64 bit integers are read from numbers and strings, also from `1.0` and `1e3`, never from `1.5`.
//! - `null` is an absent field; as an item of a list it is an empty message, and an error in a list of scalars.
//! - A repeated member name: the last one counts. Two members of one oneof: an error.
//! - What is no id stays none: the record that has it is rejected, as it is when it comes in protobuf.
//! - A byte order mark is an error (RFC 8259 section 8.1), as are lone surrogates and numbers beyond a double.
//! - Values may nest as deep as on the protobuf side ([`crate::model::otlp::check::MAX_DEPTH`]): no other message can
//!   hold itself, so that bounds the reader's recursion, and what is unknown is skipped without recursion.

mod encoder;
mod scalar;
mod value;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use crate::model::Signal;
use crate::model::otlp::check::request_message;
use encoder::Encoder;
use value::Root;

/// JSON that is no OTLP request. The message names where (path, line, column) and never quotes content.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(pub String);

/// Transcodes an OTLP/JSON export request to protobuf, with fields in the order of their numbers. Holds no more than
/// a small multiple of the input in memory.
pub fn to_protobuf(signal: Signal, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let message = request_message(signal).ok_or_else(|| JsonError("hooks have no OTLP/JSON form".to_owned()))?;
    if json.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError("request: begins with a byte order mark, which JSON does not allow".to_owned()));
    }
    let mut encoder = Encoder::with_capacity(json.len() / 2);
    let mut reader = serde_json::Deserializer::from_slice(json);
    reader.disable_recursion_limit();
    let read = Root { encoder: &mut encoder, message }.deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(encoder.out),
        Err(error) => Err(describe(&encoder, &error)),
    }
}

/// The encoder's path still stands where the error arose. Only the texts of syntax errors are taken over: those that
/// serde makes for values of a wrong type quote the value.
fn describe(encoder: &Encoder, error: &serde_json::Error) -> JsonError {
    let path = encoder.path();
    let (line, column) = (error.line(), error.column());
    JsonError(match (&encoder.fault, error.classify()) {
        (Some(fault), _) => format!("{path}: {fault} at line {line} column {column}"),
        (None, Category::Data) => format!("{path}: is no {} at line {line} column {column}", encoder.expected()),
        (None, _) => format!("{path}: {error}"),
    })
}

#[cfg(test)]
mod tests;
