//! The durable log between the reply and the lake.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::redaction::RedactedBatch;

/// Bounds of the journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Size at which a segment is closed, bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Gather at most that many bytes into one group commit. Default 1 MiB.
    pub group_bytes: usize,
    /// Refuse appends while the journal's segments exceed that many bytes. Default 8 GiB.
    pub max_bytes: u64,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions { segment_bytes: 64 << 20, group_bytes: 1 << 20, max_bytes: 8 << 30 }
    }
}

/// Where a record stands: the epoch of the open that wrote it, and its number, which grows by one per record and
/// never restarts in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub seq: u64,
    pub epoch: u64,
}

/// Why an append was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("journal is full ({bytes} bytes wait to be written to the lake)")]
    Full { bytes: u64 },
    #[error("record of {0} bytes is larger than a segment")]
    TooLarge(usize),
    #[error("journal cannot write: {0}")]
    Failed(Arc<std::io::Error>),
    #[error("journal is closed")]
    Closed,
}

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process")]
    Locked { path: String },
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("{path} was written by a newer version (format {found}, this one knows {known})")]
    Format { path: String, found: u32, known: u32 },
    #[error("{path} is damaged: {reason}")]
    Corrupt { path: String, reason: String },
}

/// The journal. Cheap to clone; the last clone's drop flushes and closes it.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Opens or creates the journal in `dir` (an exclusive lock is held until the journal is dropped), recovers a
    /// torn tail, and starts its writer thread. `epoch` must be fresh randomness: positions written by this open
    /// carry it.
    pub fn open(dir: &Path, options: JournalOptions, epoch: u64) -> Result<Journal, OpenError> {
        let _ = (dir, options, epoch);
        todo!()
    }

    /// 16 hex digits, made when the journal was created; names this journal in the lake.
    pub fn id(&self) -> &str {
        todo!()
    }

    /// Returns once the batch is on disk (file and directory synced), or with the reason why it is not.
    pub async fn append(&self, batch: &RedactedBatch) -> Result<Position, AppendError> {
        let _ = batch;
        todo!()
    }

    /// A reader with a durable cursor of its own, at the first record after what it last committed.
    pub fn reader(&self, name: &str) -> Result<Reader, OpenError> {
        let _ = name;
        todo!()
    }

    /// Bytes in segments that some reader still needs.
    pub fn bytes(&self) -> u64 {
        todo!()
    }

    /// `true` when recovery found damage or a segment was poisoned since the open.
    pub fn degraded(&self) -> bool {
        todo!()
    }
}

/// Reads durable records in order.
pub struct Reader {}

impl Reader {
    /// The next record (an encoded `Batch`), as soon as it is durable; `None` when the journal was closed and
    /// everything was read.
    pub async fn next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        todo!()
    }

    /// The next record if it is durable by now.
    pub fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        todo!()
    }

    /// Everything up to and including `position` is done with: moves the cursor durably, and lets go of segments
    /// that every reader is past.
    pub fn commit(&mut self, position: Position) -> Result<(), ReadError> {
        let _ = position;
        todo!()
    }
}

/// A record could not be read, or a cursor not be moved.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
}
