//! Telemetry to facts, through mapping tables. A record gives one fact, or one per part where it speaks of several
//! things (a batch of tool results, a transcript line with several blocks).

mod cuts;
mod hooks;
mod json;
pub(super) mod logs;
mod metrics;
pub(super) mod otlp;
mod point;
mod spans;
mod transcript;

use std::collections::HashMap;

use crate::model::{Batch, Columns, Fact, FactId, Kind, LakeKey, RecordHits, Signal, Source};

/// A batch that cannot be normalised: it is set aside, the journal goes on.
#[derive(Debug, thiserror::Error)]
pub enum NormaliseError {
    #[error("payload is no OTLP request: {0}")]
    Otlp(#[from] crate::model::otlp::wire::WireError),
    #[error("hook line {0} is no JSON object")]
    HookLine(usize),
}

/// The facts of a batch, in wire order. `writer` is the journal's id.
pub fn normalise(batch: &Batch, key: &LakeKey, writer: &str) -> Result<Vec<Fact>, NormaliseError> {
    let context = Context::new(batch, key, writer);
    let mut facts = match batch.envelope.signal {
        Signal::Logs => logs::normalise(&context, &batch.payload),
        Signal::Traces => spans::normalise(&context, &batch.payload),
        Signal::Metrics => metrics::normalise(&context, &batch.payload),
        Signal::Hooks => hooks::normalise(&context, &batch.payload),
        // It is of no session, and not telemetry.
        Signal::Audit => Ok(Vec::new()),
    }?;
    facts.iter_mut().for_each(|fact| cuts::note(&mut fact.columns));
    Ok(facts)
}

/// What all records of a batch share.
pub(super) struct Context<'a> {
    batch: &'a Batch,
    key: &'a LakeKey,
    writer: &'a str,
    hits: HashMap<u32, &'a RecordHits>,
}

impl<'a> Context<'a> {
    fn new(batch: &'a Batch, key: &'a LakeKey, writer: &'a str) -> Context<'a> {
        Context { batch, key, writer, hits: batch.envelope.hits.iter().map(|h| (h.index, h)).collect() }
    }

    fn hits(&self, index: u32) -> Option<&'a RecordHits> {
        self.hits.get(&index).copied()
    }

    /// A fact with what the envelope says; the caller fills the rest.
    fn fact(&self, source: Source, kind: Kind, name: &str, index: u32) -> Fact {
        let envelope = &self.batch.envelope;
        Fact {
            fact_id: FactId::default(),
            session_id: None,
            source,
            kind,
            name: name.to_owned(),
            sequence: None,
            time: envelope.received_at,
            end_time: None,
            received_at: envelope.received_at,
            writer: self.writer.to_owned(),
            policy: envelope.policy.clone(),
            columns: Columns {
                principal: envelope.principal.clone(),
                redactions: self.hits(index).map(RecordHits::redactions).unwrap_or_default(),
                ..Columns::default()
            },
        }
    }

    fn name_fact(&self, purpose: &str, parts: &[&[u8]]) -> FactId {
        FactId(self.key.name(purpose, parts))
    }
}

/// What clients write where content capture is off.
const CLIENT_REDACTED: &str = "<REDACTED>";

/// How the client ends a text that it cut.
const CLIENT_TRUNCATED: &str = "[TRUNCATED";

/// How much of a command's output the client hands on, in UTF-16 units. It leaves no mark where it cut.
const SHELL_OUTPUT: usize = 30_000;

/// Whether a text is as long as the client lets a command's output be.
fn is_shell_cut(text: &str) -> bool {
    text.len() >= SHELL_OUTPUT && text.encode_utf16().count() == SHELL_OUTPUT
}

/// UTC microseconds of OTLP nanoseconds; 0 (unknown) and times beyond year 2262 are `None`.
fn micros(nanos: u64) -> Option<i64> {
    i64::try_from(nanos).ok().filter(|n| *n > 0).map(|n| n / 1000)
}

/// The attribute of a record whose time is unknown or absurd, so that the time of its receipt stands for it.
const INVALID_TIME: &str = "sessionlake.invalid.time";

/// UTC microseconds of an RFC 3339 time.
fn rfc3339(text: &str) -> Option<i64> {
    chrono::DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_micros())
}
