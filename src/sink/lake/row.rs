//! What the writer and the reader need to know of a row type.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::decode::{self, Batch};
use super::encode;
use super::error::LakeError;
use super::table::TableKind;
use crate::model::{Columns, Event, Fact, Session};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A row of one of the tables.
pub(super) trait Row: Sized + Send + Sync {
    const KIND: TableKind;

    /// The partition: days since 1970-01-01.
    fn date(&self) -> i32;

    fn session(&self) -> Option<&str>;

    /// The order of rows in a file.
    fn order(&self, other: &Self) -> Ordering;

    /// Bytes of what may be large.
    fn weight(&self) -> usize;

    fn encode(rows: &[&Self]) -> Result<RecordBatch, ArrowError>;

    fn decode(batch: &Batch<'_>, date: i32) -> Result<Vec<Self>, LakeError>;
}

/// What a row costs beside its texts.
const BASE_WEIGHT: usize = 512;

fn length(text: &Option<String>) -> usize {
    text.as_ref().map_or(0, String::len)
}

fn columns_weight(c: &Columns) -> usize {
    let texts = [&c.content, &c.thinking, &c.tool_input, &c.tool_output, &c.error, &c.attributes, &c.resource];
    BASE_WEIGHT + texts.into_iter().map(length).sum::<usize>() + 64 * (c.redactions.len() + c.truncated.len())
}

impl Row for Fact {
    const KIND: TableKind = TableKind::Facts;

    fn date(&self) -> i32 {
        // Saturates beyond the 5.8 million years that a day number holds.
        i32::try_from(self.received_at.div_euclid(MICROS_PER_DAY)).unwrap_or(i32::MAX)
    }

    fn session(&self) -> Option<&str> {
        self.session_id.as_deref()
    }

    fn order(&self, other: &Fact) -> Ordering {
        let key = |fact: &Fact| (fact.time, fact.fact_id);
        self.session_id.cmp(&other.session_id).then_with(|| key(self).cmp(&key(other)))
    }

    fn weight(&self) -> usize {
        columns_weight(&self.columns) + self.name.len()
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

    fn order(&self, other: &Event) -> Ordering {
        self.session_id.cmp(&other.session_id).then(self.seq.cmp(&other.seq))
    }

    fn weight(&self) -> usize {
        columns_weight(&self.columns) + 40 * self.fact_ids.len()
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

    fn order(&self, other: &Session) -> Ordering {
        self.session_id.cmp(&other.session_id)
    }

    fn weight(&self) -> usize {
        let prompts: usize = self.prompts.iter().map(|prompt| prompt.text.len() + 8).sum();
        BASE_WEIGHT + prompts + self.gaps.iter().map(|gap| gap.detail.len() + 32).sum::<usize>()
    }

    fn encode(rows: &[&Session]) -> Result<RecordBatch, ArrowError> {
        encode::sessions(rows)
    }

    fn decode(batch: &Batch<'_>, date: i32) -> Result<Vec<Session>, LakeError> {
        decode::sessions(batch, date)
    }
}
