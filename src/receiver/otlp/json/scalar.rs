//! Numbers, ids and bytes of proto3 JSON.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::model::otlp::schema::FieldKind;

/// What is wrong with a value, without the value.
type Fault = &'static str;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// The wire form of an integer field's value: varint bits, or the fixed bytes as a number.
pub(super) fn integer(kind: FieldKind, value: i128) -> Result<u64, Fault> {
    const FAULT: Fault = "is out of its integer type's range";
    let int32 = || i32::try_from(value).map_err(|_| FAULT);
    Ok(match kind {
        FieldKind::Int32 | FieldKind::Enum => i64::from(int32()?) as u64,
        FieldKind::SInt32 => int32().map(|value| u64::from(((value << 1) ^ (value >> 31)) as u32))?,
        FieldKind::UInt32 | FieldKind::Fixed32 => u32::try_from(value).map_err(|_| FAULT)?.into(),
        FieldKind::Int64 | FieldKind::SFixed64 => i64::try_from(value).map_err(|_| FAULT)? as u64,
        _ => u64::try_from(value).map_err(|_| FAULT)?,
    })
}

/// An integer given as a float, like `1e3`. JSON integers that fit no 64 bits also arrive as floats, rounded: the
/// bounds leave out what such a number could have been rounded to.
pub(super) fn whole(value: f64) -> Result<i128, Fault> {
    const TWO_63: f64 = (1u64 << 63) as f64;
    if value.fract() != 0.0 {
        Err("is no integer")
    } else if value > -TWO_63 && value < 2.0 * TWO_63 {
        Ok(value as i128)
    } else {
        Err("is out of its integer type's range")
    }
}

/// An integer given as a string.
pub(super) fn integer_text(kind: FieldKind, text: &str) -> Result<i128, Fault> {
    if !numeric(text) {
        return Err(if matches!(kind, FieldKind::Enum) {
            "is an enum's name, but OTLP/JSON has enums as integers"
        } else {
            "is no integer"
        });
    }
    match text.parse::<i128>() {
        Ok(value) => Ok(value),
        Err(_) => whole(text.parse().map_err(|_| "is no integer")?),
    }
}

/// A double given as a string.
pub(super) fn double_text(text: &str) -> Result<f64, Fault> {
    match text {
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(f64::INFINITY),
        "-Infinity" => return Ok(f64::NEG_INFINITY),
        _ if !numeric(text) => return Err("is no number"),
        _ => {}
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err("is out of a double's range"),
        Err(_) => Err("is no number"),
    }
}

/// Keeps out what Rust parses and JSON has not: `inf`, `nan`, a leading plus.
fn numeric(text: &str) -> bool {
    !text.starts_with('+') && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
}

/// Appends the bytes of a hex id of `length` bytes; an empty string is an unset id. Of what is no id, something that is
/// none in protobuf either: it concerns one record, and whoever looks at the records will reject that one alone.
pub(super) fn id(length: usize, text: &str, out: &mut Vec<u8>) {
    const NO_ID: u8 = 0xff;
    let start = out.len();
    let digits = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let hex: Option<()> = text.as_bytes().chunks_exact(2).map(digits).try_for_each(|byte| {
        out.push(byte?);
        Some(())
    });
    if !text.is_empty() && (hex.is_none() || text.len() != 2 * length) {
        out.truncate(start);
        out.push(NO_ID);
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// Appends the bytes of base64 text, in the standard or the URL-safe alphabet, with or without padding.
pub(super) fn base64(text: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let engine = if text.contains(['-', '_']) { BASE64_URL } else { BASE64 };
    engine.decode_vec(text, out).map_err(|_| "is no base64")
}
