//! Random OTLP requests for tests: every field of every message in the table, encoded in more than one way.

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use prost::Message as _;

use super::check::request_message;
use super::schema::{ANY_VALUE, Field, FieldKind, Message, Presence};
use super::wire::{put_bytes, put_fixed32, put_fixed64, put_varint, put_varint_field};
use crate::model::Signal;

pub(crate) const SIGNALS: [Signal; 3] = [Signal::Logs, Signal::Metrics, Signal::Traces];

/// Decisions drawn from proptest's bytes, so that shrinking the bytes shrinks the request. All zeros at the end.
pub(crate) struct Choices<'c>(pub(crate) &'c [u8]);

impl Choices<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    fn bits(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }
}

/// A message as the table sees it, fields ascending by number.
#[derive(Clone)]
pub(crate) struct Tree {
    pub(crate) fields: Vec<(&'static Field, Vec<Leaf>)>,
}

/// One value: a number's wire bits, a string's, id's or bytes' content, or a message.
#[derive(Clone)]
pub(crate) enum Leaf {
    Number(u64),
    Content(Vec<u8>),
    Message(Tree),
}

/// A random request of a signal.
pub(crate) fn request(signal: Signal, choices: &mut Choices<'_>) -> Tree {
    tree(request_message(signal).unwrap(), choices, 0)
}

fn tree(message: &'static Message, choices: &mut Choices<'_>, depth: usize) -> Tree {
    let oneof = message.oneof();
    let chosen = if oneof.is_empty() { 0 } else { oneof[choices.below(oneof.len())] };
    let values_deep = depth + usize::from(message.is(&ANY_VALUE));
    let mut fields = Vec::new();
    for field in message.fields {
        let recursive = matches!(field.kind, FieldKind::Message(_)) && values_deep > 4;
        if recursive || (oneof.contains(&field.number) && field.number != chosen) {
            continue;
        }
        let count = match field.presence {
            Presence::Repeated => choices.below(4),
            _ => choices.below(4).min(1),
        };
        let leaves: Vec<Leaf> = (0..count).map(|_| leaf(field, choices, values_deep)).collect();
        if leaves.iter().any(|leaf| field.presence != Presence::Implicit || !leaf.is_default()) {
            fields.push((field, leaves));
        }
    }
    Tree { fields }
}

impl Leaf {
    fn is_default(&self) -> bool {
        match self {
            Leaf::Number(bits) => *bits == 0,
            Leaf::Content(content) => content.is_empty(),
            Leaf::Message(_) => false,
        }
    }
}

const TEXTS: [&str; 6] = ["", "plain", "quote\" \\ \u{1} \n", "é𝄞\u{2028}", "{\"json\":1}", "NaN"];

fn leaf(field: &Field, choices: &mut Choices<'_>, depth: usize) -> Leaf {
    match field.kind {
        FieldKind::Message(inner) => Leaf::Message(tree(inner, choices, depth)),
        FieldKind::Str => Leaf::Content(TEXTS[choices.below(TEXTS.len())].into()),
        FieldKind::Bytes => Leaf::Content((0..choices.below(9)).map(|_| choices.byte()).collect()),
        FieldKind::Id(length) => Leaf::Content((0..length).map(|at| choices.byte() | u8::from(at == 0)).collect()),
        FieldKind::Double => Leaf::Number(double(choices).to_bits()),
        kind => Leaf::Number(integer(kind, choices)),
    }
}

/// Leaves out -0.0, which prost does not write in a field without presence, and NaNs that JSON cannot tell apart.
fn double(choices: &mut Choices<'_>) -> f64 {
    let table = [0.0, 1.0, -2.5, 0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324, 4e15];
    let value = match choices.below(table.len() + 3) {
        at if at < table.len() => table[at],
        _ => f64::from_bits(choices.bits()),
    };
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

fn integer(kind: FieldKind, choices: &mut Choices<'_>) -> u64 {
    let bits = match choices.below(5) {
        0 => u64::from(choices.byte()),
        1 => u64::MAX,
        2 => 1 << 63 | 1 << 31,
        3 => u64::MAX >> 1,
        _ => choices.bits(),
    };
    match kind {
        FieldKind::Bool => bits & 1,
        FieldKind::Int32 | FieldKind::Enum => i64::from(bits as i32) as u64,
        FieldKind::UInt32 | FieldKind::Fixed32 | FieldKind::SInt32 => u64::from(bits as u32),
        _ => bits,
    }
}

/// The usual encoding: fields by number, numbers packed.
pub(crate) fn encode(tree: &Tree) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, leaves) in &tree.fields {
        if field.presence == Presence::Repeated && field.kind.wire_type() != 2 {
            put_packed(field, leaves, &mut out);
        } else {
            leaves.iter().for_each(|leaf| put(field, leaf, &mut encode, &mut out));
        }
    }
    out
}

/// Another encoding of the same: fields in any order, lists scattered, packed in parts or not, unknown fields.
pub(crate) fn encode_shuffled(tree: &Tree, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut pending: Vec<(&Field, &[Leaf])> = tree.fields.iter().map(|(f, leaves)| (*f, leaves.as_slice())).collect();
    let mut out = Vec::new();
    while !pending.is_empty() {
        if choices.below(8) == 7 {
            put_bytes(&mut out, 1000, b"unknown");
        }
        let at = choices.below(pending.len());
        let (field, leaves) = pending[at];
        let (first, rest) = leaves.split_first().unwrap();
        if field.presence == Presence::Repeated && field.kind.wire_type() != 2 && choices.below(2) == 1 {
            put_packed(field, std::slice::from_ref(first), &mut out);
        } else {
            put(field, first, &mut |inner| encode_shuffled(inner, choices), &mut out);
        }
        pending[at].1 = rest;
        pending.retain(|(_, leaves)| !leaves.is_empty());
    }
    out
}

fn put(field: &Field, leaf: &Leaf, nested: &mut dyn FnMut(&Tree) -> Vec<u8>, out: &mut Vec<u8>) {
    match (leaf, field.kind.wire_type()) {
        (Leaf::Message(tree), _) => put_bytes(out, field.number, &nested(tree)),
        (Leaf::Content(content), _) => put_bytes(out, field.number, content),
        (Leaf::Number(bits), 0) => put_varint_field(out, field.number, *bits),
        (Leaf::Number(bits), 1) => put_fixed64(out, field.number, *bits),
        (Leaf::Number(bits), _) => put_fixed32(out, field.number, *bits as u32),
    }
}

fn put_packed(field: &Field, leaves: &[Leaf], out: &mut Vec<u8>) {
    let mut packed = Vec::new();
    for leaf in leaves {
        let Leaf::Number(bits) = leaf else { unreachable!("only numbers are packed") };
        match field.kind.wire_type() {
            0 => put_varint(&mut packed, *bits),
            _ => packed.extend_from_slice(&bits.to_le_bytes()),
        }
    }
    put_bytes(out, field.number, &packed);
}

/// Changes one value, chosen by `choices`; false when the request holds none.
pub(crate) fn change_one(tree: &mut Tree, choices: &mut Choices<'_>) -> bool {
    let mut leaves = Vec::new();
    collect(tree, &mut leaves);
    if leaves.is_empty() {
        return false;
    }
    let at = usize::from(choices.byte()) << 8 | usize::from(choices.byte());
    let count = leaves.len();
    match leaves.swap_remove(at % count) {
        (_, Leaf::Number(bits)) => *bits ^= 1,
        (FieldKind::Id(_), Leaf::Content(content)) => content[1] ^= 1,
        (_, Leaf::Content(content)) => content.push(b'+'),
        (_, Leaf::Message(_)) => unreachable!("messages are looked into"),
    }
    true
}

fn collect<'t>(tree: &'t mut Tree, found: &mut Vec<(FieldKind, &'t mut Leaf)>) {
    for (field, leaves) in &mut tree.fields {
        for leaf in leaves {
            match leaf {
                Leaf::Message(inner) => collect(inner, found),
                other => found.push((field.kind, other)),
            }
        }
    }
}

/// What prost makes of a request: decoded and encoded again. Fails where prost refuses the bytes.
pub(crate) fn through_prost(signal: Signal, bytes: &[u8]) -> Result<Vec<u8>, prost::DecodeError> {
    Ok(match signal {
        Signal::Logs => ExportLogsServiceRequest::decode(bytes)?.encode_to_vec(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes)?.encode_to_vec(),
        Signal::Traces => ExportTraceServiceRequest::decode(bytes)?.encode_to_vec(),
        Signal::Hooks | Signal::Audit => unreachable!("no OTLP"),
    })
}

/// Random requests prove something about a field only if they hold it.
#[test]
fn random_requests_reach_every_field_of_the_table() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200u8 {
        let mut content = vec![0; 3000];
        blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut content);
        for signal in SIGNALS {
            note(request_message(signal).unwrap(), &request(signal, &mut Choices(&content)), &mut seen);
        }
    }
    let (mut all, mut pending) = (std::collections::BTreeSet::new(), Vec::new());
    pending.extend(SIGNALS.map(|signal| request_message(signal).unwrap()));
    while let Some(message) = pending.pop() {
        for field in message.fields {
            if let (true, FieldKind::Message(inner)) = (all.insert((message.name, field.number)), field.kind) {
                pending.push(inner);
            }
        }
    }
    assert_eq!(seen, all);
}

fn note(message: &Message, tree: &Tree, seen: &mut std::collections::BTreeSet<(&'static str, u32)>) {
    for (field, leaves) in &tree.fields {
        seen.insert((message.name, field.number));
        for leaf in leaves {
            if let (Leaf::Message(inner), FieldKind::Message(kind)) = (leaf, field.kind) {
                note(kind, inner, seen);
            }
        }
    }
}
