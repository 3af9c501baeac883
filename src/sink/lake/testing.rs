//! Synthetic facts and records for this stage's tests.

use bytes::Bytes;

use crate::journal::Position;
use crate::model::{Batch, Columns, Envelope, Fact, FactId, Kind, Signal, Source};

/// A fact of `session`; `number` is its identity and its event time. Received at `received_at`, UTC microseconds.
pub fn fact(session: &str, number: u64, kind: Kind, received_at: i64) -> Fact {
    let mut id = [0; 16];
    id[..8].copy_from_slice(blake3::hash(session.as_bytes()).as_bytes().first_chunk::<8>().unwrap());
    id[8..].copy_from_slice(&number.to_be_bytes());
    Fact {
        fact_id: FactId(id),
        session_id: Some(session.to_owned()),
        source: Source::Hook,
        kind,
        name: kind.as_str().to_owned(),
        sequence: Some(number as i64),
        time: 1_760_000_000_000_000 + number as i64,
        end_time: None,
        received_at,
        writer: "w".to_owned(),
        policy: "p".to_owned(),
        columns: Columns { content: Some(format!("content {number}")), ..Columns::default() },
    }
}

/// A journal record of epoch 1.
pub fn record(workspace: &str, seq: u64, payload: &'static [u8]) -> (Position, Bytes) {
    let envelope = Envelope {
        workspace: workspace.to_owned(),
        principal: None,
        received_at: 0,
        signal: Signal::Hooks,
        policy: "p".to_owned(),
        hits: Vec::new(),
    };
    let mut out = Vec::new();
    Batch { envelope, payload: Bytes::from_static(payload) }.encode(&mut out);
    (Position { seq, epoch: 1 }, Bytes::from(out))
}
