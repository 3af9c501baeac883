//! Journal records to facts, off the async threads, and without letting one bad record stop the journal.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Normalise;
use crate::journal::Position;
use crate::model::{AuditEntry, Batch, Fact, Signal, Workspace};
use crate::sink::lake::tombstones::Tombstones;
use crate::sink::lake::weight;

/// A record, decoded.
pub struct Decoded {
    pub position: Position,
    pub content: Result<(Workspace, Content), Poison>,
}

/// What a record becomes.
#[derive(Debug)]
pub enum Content {
    Facts(Vec<Fact>),
    Audit(Box<AuditEntry>),
}

impl Content {
    /// Bytes that it takes in memory, about.
    fn weight(&self) -> usize {
        match self {
            Content::Facts(facts) => facts.iter().map(weight::fact).sum(),
            Content::Audit(entry) => weight::audit(entry),
        }
    }
}

/// A record that cannot be processed, as it stands in the journal.
#[derive(Debug)]
pub struct Poison {
    pub record: Bytes,
    /// For people; no content.
    pub reason: &'static str,
}

impl Poison {
    /// A record that is not tried any more.
    pub fn condemned(record: Bytes) -> Poison {
        Poison { record, reason: "processes die of it" }
    }
}

/// Decodes records in order, taking them from `records`, until their facts weigh `most` bytes: a record of a few bytes
/// may hold thousands of facts.
pub fn decode_some(
    records: &mut VecDeque<(Position, Bytes)>,
    most: usize,
    tombstones: &Tombstones,
    writer: &str,
    normalise: Normalise,
) -> Vec<Decoded> {
    let (mut decoded, mut bytes) = (Vec::new(), 0);
    while bytes < most
        && let Some((position, record)) = records.pop_front()
    {
        let next = decode(position, record, tombstones, writer, normalise);
        bytes += next.content.iter().map(|(_, content)| content.weight()).sum::<usize>();
        decoded.push(next);
    }
    decoded
}

/// Tries a record a second time if need be: what failed for a passing reason succeeds then.
fn decode(position: Position, record: Bytes, tombstones: &Tombstones, writer: &str, normalise: Normalise) -> Decoded {
    let once = || {
        let content = AssertUnwindSafe(|| content(&record, tombstones, writer, normalise));
        catch_unwind(content).unwrap_or(Err("processing panics"))
    };
    let content = once().or_else(|_| once());
    Decoded { position, content: content.map_err(|reason| Poison { record, reason }) }
}

/// The error's own text is left out: a parser's message may quote what it could not parse.
fn content(
    bytes: &Bytes,
    tombstones: &Tombstones,
    writer: &str,
    normalise: Normalise,
) -> Result<(Workspace, Content), &'static str> {
    let batch = Batch::decode(bytes).map_err(|_| "no batch")?;
    let workspace = Workspace::parse(&batch.envelope.workspace).map_err(|_| "no workspace")?;
    if batch.envelope.signal == Signal::Audit {
        let entry = serde_json::from_slice(&batch.payload).map_err(|_| "payload is no row of audit")?;
        return Ok((workspace, Content::Audit(entry)));
    }
    let facts = normalise(&batch, tombstones.key(), writer).map_err(|_| "payload does not decode")?;
    let sifted = tombstones.sift(&workspace, facts);
    Ok((workspace, Content::Facts(sifted.kept.into_iter().chain(sifted.costs).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::normalise::NormaliseError;
    use crate::model::otlp::wire::WireError;
    use crate::model::{Kind, LakeKey};
    use crate::sink::lake::testing::{fact, record};

    fn fragile(batch: &Batch, _: &LakeKey, _: &str) -> Result<Vec<Fact>, NormaliseError> {
        match batch.payload.as_ref() {
            b"panic" => panic!("poison"),
            b"error" => Err(WireError::Truncated.into()),
            _ => Ok(Vec::new()),
        }
    }

    #[test]
    fn poison_is_set_aside_and_the_rest_goes_on() {
        let broken = (Position { seq: 4, epoch: 1 }, Bytes::from_static(b"\xff\xff"));
        let elsewhere = record("../x", 5, b"");
        let mut records = VecDeque::from([
            record("a", 1, b"panic"),
            record("a", 2, b"error"),
            record("a", 3, b"ok"),
            broken,
            elsewhere,
        ]);
        let decoded = decode_some(&mut records, 1, &Tombstones::new(LakeKey::new([0; 32])), "w", fragile);
        let reasons: Vec<_> = decoded.iter().map(|d| d.content.as_ref().err().map(|poison| poison.reason)).collect();
        let expected = ["processing panics", "payload does not decode", "", "no batch", "no workspace"];
        assert_eq!(reasons, expected.map(|reason| Some(reason).filter(|reason| !reason.is_empty())));
        assert_eq!(decoded[3].content.as_ref().unwrap_err().record, b"\xff\xff"[..], "kept as it is");
    }

    #[test]
    fn what_fails_once_is_tried_again() {
        use std::sync::atomic::{AtomicU32, Ordering};
        static CALLS: AtomicU32 = AtomicU32::new(0);
        fn first_fails(_: &Batch, _: &LakeKey, _: &str) -> Result<Vec<Fact>, NormaliseError> {
            assert!(CALLS.fetch_add(1, Ordering::Relaxed) > 0, "the first time");
            Ok(Vec::new())
        }
        let mut records = VecDeque::from([record("a", 1, b"ok")]);
        assert!(
            decode_some(&mut records, 1, &Tombstones::new(LakeKey::new([0; 32])), "w", first_fails)[0].content.is_ok()
        );
    }

    fn many(_: &Batch, _: &LakeKey, _: &str) -> Result<Vec<Fact>, NormaliseError> {
        Ok((0..100).map(|n| fact("s", n, Kind::Prompt, 0)).collect())
    }

    #[test]
    fn facts_that_weigh_too_much_wait_in_their_records() {
        let mut records: VecDeque<_> = (1..=10).map(|seq| record("a", seq, b"")).collect();
        let most = 150 * weight::fact(&fact("s", 1, Kind::Prompt, 0));
        let decoded = decode_some(&mut records, most, &Tombstones::new(LakeKey::new([0; 32])), "w", many);
        assert_eq!((decoded.len(), records.len()), (2, 8));
    }
}
