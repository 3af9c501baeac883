use super::*;
use crate::model::otlp::wire::{put_bytes, put_fixed64, put_varint_field};

fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, value.as_bytes());
    out
}

fn array(items: &[Vec<u8>]) -> Vec<u8> {
    let (mut list, mut out) = (Vec::new(), Vec::new());
    items.iter().for_each(|item| put_bytes(&mut list, 1, item));
    put_bytes(&mut out, 5, &list);
    out
}

fn kvlist(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let (mut list, mut out) = (Vec::new(), Vec::new());
    for (key, value) in members {
        let mut pair = text(key);
        put_bytes(&mut pair, 2, value);
        put_bytes(&mut list, 1, &pair);
    }
    put_bytes(&mut out, 6, &list);
    out
}

fn json(value: AnyValue<'_>) -> String {
    let mut out = String::new();
    value.write_json(&mut out);
    out
}

#[test]
fn strings_are_escaped_as_json_needs_it() {
    let hostile = "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}é\u{2028}𝄞";
    let read: String = serde_json::from_str(&json(AnyValue::Str(hostile))).unwrap();
    assert_eq!(read, hostile);
}

#[test]
fn doubles_read_back_as_the_same_double() {
    for value in [0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, f64::MAX, 0.30000000000000004, -1.5e-7, 1e16] {
        let written = json(AnyValue::Double(value));
        assert_eq!(written.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{written}");
        serde_json::from_str::<serde_json::Value>(&written).unwrap();
    }
    assert_eq!(json(AnyValue::Double(f64::NAN)), "\"NaN\"");
    assert_eq!(json(AnyValue::Double(f64::INFINITY)), "\"Infinity\"");
    assert_eq!(json(AnyValue::Double(f64::NEG_INFINITY)), "\"-Infinity\"");
}

#[test]
fn nested_values_are_plain_json() {
    let mut int = Vec::new();
    put_varint_field(&mut int, 3, -5i64 as u64);
    let mut double = Vec::new();
    put_fixed64(&mut double, 4, 0.5f64.to_bits());
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, 7, &[0xff, 0]);
    let message = kvlist(&[("a", array(&[text("x"), Vec::new(), int, double])), ("b", bytes), ("c", kvlist(&[]))]);
    let value = AnyValue::decode(&message).unwrap();
    assert_eq!(json(value), r#"{"a":["x",null,-5,0.5],"b":"/wA=","c":{}}"#);
}

#[test]
fn a_repeated_key_keeps_its_last_value_in_lists_short_and_long() {
    for extra in [0, 100] {
        let keys: Vec<String> = (0..extra).map(|n| format!("k{n}")).collect();
        let mut attributes = vec![KeyValue { key: "same", value: AnyValue::Int(1) }];
        attributes.extend(keys.iter().map(|key| KeyValue { key, value: AnyValue::Empty }));
        attributes.push(KeyValue { key: "same", value: AnyValue::Int(2) });
        let mut out = String::new();
        write_attributes_json(&attributes, &mut out);
        assert_eq!(out.matches("\"same\"").count(), 1);
        assert!(out.ends_with("\"same\":2}"), "{out}");
    }
    let mut none = String::new();
    write_attributes_json(&[], &mut none);
    assert_eq!(none, "{}");
}

#[test]
fn a_value_64_deep_is_read_and_one_deeper_is_refused() {
    let mut message = text("deep");
    for _ in 1..MAX_DEPTH {
        message = array(&[message]);
    }
    assert!(json(AnyValue::decode(&message).unwrap()).contains("deep"));
    assert_eq!(AnyValue::decode(&array(&[message])), Err(WireError::Depth(MAX_DEPTH)));
}

/// Values can be made from unchecked bytes: no depth may overflow the stack, and no bytes may panic.
#[test]
fn unchecked_bytes_never_overflow_the_stack() {
    // 20,000 levels, built inside out in one pass so that building stays linear: each level is prefixed.
    let mut levels = Vec::new();
    let mut length = 0usize;
    for _ in 0..20_000 {
        let mut inner = Vec::new();
        put_header(&mut inner, 1, length);
        let mut outer = Vec::new();
        put_header(&mut outer, 5, length + inner.len());
        length += inner.len() + outer.len();
        levels.push([outer, inner].concat());
    }
    let message: Vec<u8> = levels.into_iter().rev().flatten().collect();
    assert_eq!(AnyValue::decode(&message), Err(WireError::Depth(MAX_DEPTH)));
    assert!(json(AnyValue::shallow(&message).unwrap()).contains("null"));
    for value in [AnyValue::Array(&[0x0a, 0xff]), AnyValue::KvList(&[0x0a, 0x02, 0x0a, 0x09]), AnyValue::Array(b"\x08")]
    {
        json(value);
        value.items();
        value.members();
    }
}

fn put_header(out: &mut Vec<u8>, number: u32, length: usize) {
    crate::model::otlp::wire::put_varint(out, u64::from(number) << 3 | 2);
    crate::model::otlp::wire::put_varint(out, length as u64);
}
