//! Journal records to facts, off the async threads, and without letting one bad record stop the journal.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::Normalise;
use crate::journal::Position;
use crate::model::{Batch, Fact, LakeKey, Workspace};
use crate::sink::lake::weight;

/// A record, decoded.
pub struct Decoded {
    pub position: Position,
    /// `None`: the record is poison and was set aside.
    pub facts: Option<(Workspace, Vec<Fact>)>,
}

/// Decodes records in order, taking them from `records`, until their facts weigh `most` bytes: a record of a few bytes
/// may hold thousands of facts.
pub fn decode_some(
    records: &mut VecDeque<(Position, Bytes)>,
    most: usize,
    key: &LakeKey,
    writer: &str,
    normalise: Normalise,
) -> Vec<Decoded> {
    let (mut decoded, mut bytes) = (Vec::new(), 0);
    while bytes < most
        && let Some((position, record)) = records.pop_front()
    {
        let next = decode(position, &record, key, writer, normalise);
        bytes += next.facts.iter().flat_map(|(_, facts)| facts).map(weight::fact).sum::<usize>();
        decoded.push(next);
    }
    decoded
}

fn decode(position: Position, bytes: &Bytes, key: &LakeKey, writer: &str, normalise: Normalise) -> Decoded {
    let facts = match catch_unwind(AssertUnwindSafe(|| facts(bytes, key, writer, normalise))) {
        Ok(Ok(facts)) => Some(facts),
        Ok(Err(reason)) => set_aside(position, bytes.len(), reason),
        Err(_) => set_aside(position, bytes.len(), "panic"),
    };
    Decoded { position, facts }
}

/// The error's own text is left out: a parser's message may quote what it could not parse.
fn facts(
    bytes: &Bytes,
    key: &LakeKey,
    writer: &str,
    normalise: Normalise,
) -> Result<(Workspace, Vec<Fact>), &'static str> {
    let batch = Batch::decode(bytes).map_err(|_| "no batch")?;
    let workspace = Workspace::parse(&batch.envelope.workspace).map_err(|_| "no workspace")?;
    let facts = normalise(&batch, key, writer).map_err(|_| "payload does not decode")?;
    Ok((workspace, facts))
}

fn set_aside<T>(position: Position, bytes: usize, reason: &str) -> Option<T> {
    tracing::error!(seq = position.seq, epoch = position.epoch, bytes, reason, "record set aside");
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::normalise::NormaliseError;
    use crate::model::Kind;
    use crate::model::otlp::wire::WireError;
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
        let decoded = decode_some(&mut records, 1, &LakeKey::new([0; 32]), "w", fragile);
        let good: Vec<bool> = decoded.iter().map(|d| d.facts.is_some()).collect();
        assert_eq!(good, [false, false, true, false, false]);
    }

    fn many(_: &Batch, _: &LakeKey, _: &str) -> Result<Vec<Fact>, NormaliseError> {
        Ok((0..100).map(|n| fact("s", n, Kind::Prompt, 0)).collect())
    }

    #[test]
    fn facts_that_weigh_too_much_wait_in_their_records() {
        let mut records: VecDeque<_> = (1..=10).map(|seq| record("a", seq, b"")).collect();
        let most = 150 * weight::fact(&fact("s", 1, Kind::Prompt, 0));
        let decoded = decode_some(&mut records, most, &LakeKey::new([0; 32]), "w", many);
        assert_eq!((decoded.len(), records.len()), (2, 8));
    }
}
