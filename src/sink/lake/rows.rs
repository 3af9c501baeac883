//! Rows as batches, for what shows them without storing them.

use arrow::array::RecordBatch;

use super::row::Row;
use super::{LakeError, log, weight};
use crate::model::{Event, Fact, Session};

/// Bytes that a fact takes in memory.
pub fn weight(fact: &Fact) -> usize {
    weight::fact(fact)
}

/// Events in the schema of their files, and the day of each.
///
/// # Errors
/// When Arrow refuses: a fault of our own.
pub fn events(rows: &[Event]) -> Result<(RecordBatch, Vec<i32>), LakeError> {
    encode(rows)
}

/// As [`events`].
///
/// # Errors
/// As [`events`].
pub fn sessions(rows: &[Session]) -> Result<(RecordBatch, Vec<i32>), LakeError> {
    encode(rows)
}

fn encode<R: Row>(rows: &[R]) -> Result<(RecordBatch, Vec<i32>), LakeError> {
    let days = rows.iter().map(|row| log::clamp_day(row.date())).collect();
    Ok((R::encode(&rows.iter().collect::<Vec<_>>())?, days))
}
