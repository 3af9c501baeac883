//! What the writer and the reader need to know of a row type.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::decode::{self, Batch};
use super::encode;
use super::error::LakeError;
use super::table::TableKind;
use crate::model::{AuditEntry, Event, Fact, Session};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The UTC day of a time in microseconds since 1970; the last one that a number holds (in 5.8 million years) for all later.
pub(super) fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX)
}

/// A row of one of the tables.
pub(super) trait Row: Sized + Send + Sync {
    const KIND: TableKind;

    /// The partition: days since 1970-01-01.
    fn date(&self) -> i32;

    /// The session that it is of; `None`: it names none.
    fn session(&self) -> Option<&str>;

    fn encode(rows: &[&Self]) -> Result<RecordBatch, ArrowError>;

    fn decode(batch: &Batch<'_>, date: i32) -> Result<Vec<Self>, LakeError>;
}

impl Row for Fact {
    const KIND: TableKind = TableKind::Facts;

    fn date(&self) -> i32 {
        day_of(self.received_at)
    }

    fn session(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    fn encode(rows: &[&Fact]) -> Result<RecordBatch, ArrowError> {
        encode::facts(rows)
    }

    fn decode(batch: &Batch<'_>, _: i32) -> Result<Vec<Fact>, LakeError> {
        decode::facts(batch)
    }
}

impl Row for Event {
    const KIND: TableKind = TableKind::Events;

    fn date(&self) -> i32 {
        self.date
    }

    fn session(&self) -> Option<&str> {
        Some(&self.session_id)
    }

    fn encode(rows: &[&Event]) -> Result<RecordBatch, ArrowError> {
        encode::events(rows)
    }

    fn decode(batch: &Batch<'_>, date: i32) -> Result<Vec<Event>, LakeError> {
        decode::events(batch, date)
    }
}

impl Row for Session {
    const KIND: TableKind = TableKind::Sessions;

    fn date(&self) -> i32 {
        self.date
    }

    fn session(&self) -> Option<&str> {
        Some(&self.session_id)
    }

    fn encode(rows: &[&Session]) -> Result<RecordBatch, ArrowError> {
        encode::sessions(rows)
    }

    fn decode(batch: &Batch<'_>, date: i32) -> Result<Vec<Session>, LakeError> {
        decode::sessions(batch, date)
    }
}

impl Row for AuditEntry {
    const KIND: TableKind = TableKind::Audit;

    fn date(&self) -> i32 {
        day_of(self.time)
    }

    /// It is of no session: its file has no tags.
    fn session(&self) -> Option<&str> {
        None
    }

    fn encode(rows: &[&AuditEntry]) -> Result<RecordBatch, ArrowError> {
        encode::audit(rows)
    }

    fn decode(batch: &Batch<'_>, _: i32) -> Result<Vec<AuditEntry>, LakeError> {
        decode::audit(batch)
    }
}
