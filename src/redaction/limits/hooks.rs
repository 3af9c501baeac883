//! Cutting hook envelopes, one JSON object a line.

use serde_json::{Map, Value};

use super::text;
use super::{Cuts, RecordLimits};

/// Cuts the lines that are over a limit; `None`: none is.
pub fn cut(payload: &[u8], limits: &RecordLimits, cuts: &mut Cuts) -> Option<Vec<u8>> {
    let most = limits.record_bytes.min(limits.value_bytes);
    if payload.len() <= most {
        return None;
    }
    let mut out = Vec::with_capacity(payload.len());
    for line in payload.split_inclusive(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(envelope) if line.len() > most => {
                let mut envelope: Value = envelope;
                cut_texts(&mut envelope, limits.value_bytes, cuts);
                fit(&mut envelope, limits.record_bytes, cuts);
                out.extend_from_slice(envelope.to_string().as_bytes());
                out.push(b'\n');
            }
            _ => out.extend_from_slice(line),
        }
    }
    Some(out)
}

/// Recurses as deep as the value, which its parser bounds.
fn cut_texts(value: &mut Value, limit: usize, cuts: &mut Cuts) {
    match value {
        Value::String(text) => {
            if let Some(cut) = text::cut(text, limit) {
                *text = cut;
                cuts.values += 1;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cut_texts(item, limit, cuts)),
        Value::Object(members) => members.values_mut().for_each(|member| cut_texts(member, limit, cuts)),
        _ => {}
    }
}

/// Members of `data` are kept in their order as long as there is room; marks stand for the others.
fn fit(envelope: &mut Value, limit: usize, cuts: &mut Cuts) {
    let size = envelope.to_string().len();
    let Some(Value::Object(data)) = envelope.get_mut("data").filter(|_| size > limit) else { return };
    let around = size - Value::Object(data.clone()).to_string().len();
    let mut room = limit.saturating_sub(around);
    let mut kept = Map::new();
    for (name, member) in std::mem::take(data) {
        let bytes = member.to_string().len();
        // Quotes, colon and comma.
        let needed = bytes + name.len() + 4;
        let member = if needed <= room { member } else { Value::from(text::mark(bytes)) };
        cuts.values += u64::from(needed > room);
        let used = name.len() + member.to_string().len() + 4;
        if used <= room {
            room -= used;
            kept.insert(name, member);
        }
    }
    *data = kept;
}
