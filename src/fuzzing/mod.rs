//! What a fuzzer calls: each function takes any bytes and panics where a promise is broken. The targets in `fuzz/` call
//! them for as long as one likes; `cargo test` replays the inputs in `tests/fuzz_corpus`.

// A broken promise stops with its reason: that is what these functions are for.
#![allow(clippy::unwrap_used)]

mod hooks;
mod journal;
mod otlp;
mod redaction;
#[cfg(test)]
mod tests;

pub use hooks::hook_json;
pub use journal::journal_reader;
pub use otlp::{otlp_json, otlp_proto};
pub use redaction::redact_apply;

use std::sync::LazyLock;

use crate::enrich::normalise::normalise;
use crate::model::{Batch, LakeKey, Workspace};
use crate::redaction::{Delivery, RedactedBatch, Redactor};

/// Compiled once: a fuzzer calls thousands of times a second.
static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::builtin(key()));

fn key() -> LakeKey {
    LakeKey::new([7; 32])
}

fn delivery() -> Delivery {
    Delivery { workspace: Workspace::default(), principal: None, received_at: 1_795_346_337_000_000 }
}

/// Redacts envelopes, of which there is at least one.
fn redact_hooks(envelopes: Vec<serde_json::Value>) -> RedactedBatch {
    REDACTOR.redact_hooks(delivery(), envelopes).batch.expect("no shipped rule leaves records out")
}

/// What is kept can be read again: the journal's form gives it back, and facts can be made of it.
fn stays_readable(redacted: &RedactedBatch) {
    let mut bytes = Vec::new();
    redacted.batch().encode(&mut bytes);
    let batch = Batch::decode(&bytes.into()).expect("the journal gives back what it was given");
    assert_eq!(&batch, redacted.batch());
    normalise(&batch, &key(), "fuzz").expect("what was accepted becomes facts");
}
