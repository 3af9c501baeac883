//! Redacts hook envelopes: JSON objects `{"id","seq","at","kind","session_id","data"}`; a raw hook has only `kind` and
//! `data`. Each becomes one line.

use std::fmt::Write;

use serde_json::Value;

use super::policy::PolicySet;
use super::subject;
use super::texts::{Tally, Texts};
use crate::model::{LakeKey, RecordHits, Workspace};

/// The lines, and what was done to which.
#[derive(Default)]
pub struct Lines {
    pub payload: Vec<u8>,
    pub hits: Vec<RecordHits>,
    pub total: Tally,
    pub reported: Tally,
    /// Envelopes that a rule left out.
    pub dropped: u64,
}

/// Redacts the envelopes in order. Every raw hook is listed in `hits`: nothing but the hash of what it held names it.
pub fn redact(envelopes: &[Value], policies: &PolicySet, workspace: &Workspace, key: &LakeKey) -> Lines {
    let mut lines = Lines::default();
    let mut index = 0;
    for envelope in envelopes {
        let policy = match policies.asks_for_subjects() {
            true => policies.choose(&subject::of_hook(envelope, workspace)),
            false => policies.base(),
        };
        let mut texts = Texts::new(policy, policies.keys());
        // Written compactly, JSON has no line end: one envelope, one line.
        let written = envelope.to_string();
        let mut redacted = texts.document(&written);
        if texts.start_echo_of_redacted() {
            redacted = texts.document(redacted.as_deref().unwrap_or(&written)).or(redacted);
        }
        let tally = texts.take();
        lines.total.merge(&tally);
        lines.reported.merge(&texts.take_reported());
        if texts.take_drop() {
            lines.dropped += 1;
            continue;
        }
        lines.payload.extend_from_slice(redacted.as_deref().unwrap_or(&written).as_bytes());
        lines.payload.push(b'\n');
        if envelope.get("id").is_none() || !tally.is_empty() {
            let redactions = tally.into_sorted();
            lines.hits.push(RecordHits { index, identity: identity(envelope, key), redactions });
        }
        index += 1;
    }
    lines
}

/// A keyed hash of the unredacted envelope: of its id, or of a raw hook's data whatever the order of its keys.
fn identity(envelope: &Value, key: &LakeKey) -> [u8; 16] {
    match envelope.get("id") {
        Some(Value::String(id)) => key.name("hook-envelope", &[id.as_bytes()]),
        Some(id) => key.name("hook-envelope", &[id.to_string().as_bytes()]),
        None => {
            let mut canonical = String::new();
            write_canonical(envelope.get("data").unwrap_or(&Value::Null), &mut canonical);
            key.name("hook", &[canonical.as_bytes()])
        }
    }
}

/// Compact JSON with keys in order. Recurses as deep as the value, which its parser bounds (serde_json: 128).
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (i, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                // Writing to a string does not fail.
                let _ = write!(out, "{}:", Value::from(key.as_str()));
                write_canonical(member, out);
            }
            out.push('}');
        }
        leaf => {
            let _ = write!(out, "{leaf}");
        }
    }
}
