use std::fmt::Write as _;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::model::otlp::schema::{Field, FieldKind, Presence};
use crate::model::otlp::testing::{Choices, Leaf, SIGNALS, Tree, encode, request, through_prost};

mod cases;
mod names;

/// Writes a request as OTLP/JSON in one of its many legal forms.
struct Writer<'c, 'b> {
    choices: &'c mut Choices<'b>,
    out: String,
}

impl Writer<'_, '_> {
    fn tree(&mut self, tree: &Tree) {
        let mut fields: Vec<_> = tree.fields.iter().collect();
        self.out.push('{');
        if self.choices.below(6) == 5 {
            self.out.push_str(r#""notInTheProto":{"a":[1,{"b":null},1e999]},"trace_id":7,"#);
        }
        while !fields.is_empty() {
            let (field, leaves) = fields.remove(self.choices.below(fields.len()));
            if self.choices.below(8) == 7 {
                write!(self.out, "\"{}\":null,", field.json_name).unwrap();
            }
            write!(self.out, "\"{}\" : ", field.json_name).unwrap();
            self.field(field, leaves);
            self.out.push(',');
        }
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push('}');
    }

    fn field(&mut self, field: &Field, leaves: &[Leaf]) {
        if field.presence != Presence::Repeated {
            return self.leaf(field, &leaves[0]);
        }
        self.out.push('[');
        for (at, leaf) in leaves.iter().enumerate() {
            self.out.push_str(if at > 0 { ", " } else { "" });
            self.leaf(field, leaf);
        }
        self.out.push(']');
    }

    fn leaf(&mut self, field: &Field, leaf: &Leaf) {
        match (leaf, field.kind) {
            (Leaf::Message(tree), _) => self.tree(tree),
            (Leaf::Content(bytes), FieldKind::Id(_)) => {
                let upper = self.choices.below(2) == 1;
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(self.out, "\"{}\"", if upper { hex.to_uppercase() } else { hex }).unwrap();
            }
            (Leaf::Content(bytes), FieldKind::Bytes) => self.base64(bytes),
            (Leaf::Content(bytes), _) => {
                self.out.push_str(&serde_json::to_string(std::str::from_utf8(bytes).unwrap()).unwrap());
            }
            (Leaf::Number(bits), FieldKind::Bool) => self.out.push_str(if *bits == 1 { "true" } else { "false" }),
            (Leaf::Number(bits), FieldKind::Double) => self.double(f64::from_bits(*bits)),
            (Leaf::Number(bits), kind) => self.integer(kind, *bits),
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        use base64::Engine;
        use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
        let text = match self.choices.below(4) {
            0 => STANDARD.encode(bytes),
            1 => STANDARD_NO_PAD.encode(bytes),
            2 => URL_SAFE.encode(bytes),
            _ => URL_SAFE_NO_PAD.encode(bytes),
        };
        write!(self.out, "\"{text}\"").unwrap();
    }

    /// As a string where serde_json's fast reading of a number would be off by one in the last place.
    fn double(&mut self, value: f64) {
        let text = format!("{value:?}");
        match serde_json::from_str::<f64>(&text) {
            Ok(read) if read.to_bits() == value.to_bits() && self.choices.below(2) == 0 => self.out.push_str(&text),
            _ if value.is_finite() => write!(self.out, "\"{text}\"").unwrap(),
            _ if value.is_nan() => self.out.push_str("\"NaN\""),
            _ => self.out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        }
    }

    fn integer(&mut self, kind: FieldKind, bits: u64) {
        let text = match kind {
            FieldKind::SInt32 => (((bits as u32 >> 1) as i32) ^ -((bits & 1) as i32)).to_string(),
            FieldKind::Int32 | FieldKind::Enum | FieldKind::Int64 | FieldKind::SFixed64 => (bits as i64).to_string(),
            _ => bits.to_string(),
        };
        match self.choices.below(3) {
            0 => self.out.push_str(&text),
            1 => write!(self.out, "\"{text}\"").unwrap(),
            _ if text.trim_start_matches('-').len() < 10 => write!(self.out, "{text}.0").unwrap(),
            _ => self.out.push_str(&text),
        }
    }
}

fn to_json(tree: &Tree, form: &[u8]) -> String {
    let mut writer = Writer { choices: &mut Choices(form), out: String::new() };
    writer.tree(tree);
    writer.out
}

proptest! {
    #[test]
    fn a_request_means_the_same_in_json(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..2000),
        form in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let tree = request(signal, &mut Choices(&content));
        let transcoded = to_protobuf(signal, to_json(&tree, &form).as_bytes()).unwrap();
        let decoded = through_prost(signal, &transcoded).unwrap();
        prop_assert_eq!(&decoded, &through_prost(signal, &encode(&tree)).unwrap());
        prop_assert_eq!(&transcoded, &encode(&tree), "fields are not in the order of their numbers");
    }

    #[test]
    fn damaged_requests_never_panic(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..800),
        damage in prop::collection::vec(any::<(u16, u8)>(), 1..4),
    ) {
        let mut json = to_json(&request(signal, &mut Choices(&content)), &content).into_bytes();
        for (at, byte) in damage {
            let at = usize::from(at) % json.len();
            json[at] = byte;
        }
        if let Ok(bytes) = to_protobuf(signal, &json) {
            prop_assert!(through_prost(signal, &bytes).is_ok());
        }
    }
}

proptest! {
    // Each case reads a request once per byte.
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// No cut of a request is a request, and none panics.
    #[test]
    fn cut_requests_are_refused(
        signal in prop::sample::select(&SIGNALS[..]),
        content in prop::collection::vec(any::<u8>(), 0..300),
        form in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let json = to_json(&request(signal, &mut Choices(&content)), &form);
        for length in 0..json.len() {
            prop_assert!(to_protobuf(signal, &json.as_bytes()[..length]).is_err());
        }
    }
}
