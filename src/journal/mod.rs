//! The durable log between the reply and the lake.
//!
//! ```text
//! <dir>/lock                        held by the one process that uses the journal
//!       id                          the journal's name in the lake
//!       <first seq, 20 digits>.seg  records, in segments
//!       <reader>.cursor             the last record that a reader is done with
//!       quarantine/                 copies of damaged segments, for people
//! ```
//!
//! 1. An append returns after its bytes, and the directory that names their segment, are synced; never before.
//! 2. Readers see records that are durable, in order, and no other; each at least once, until its reader commits it.
//! 3. A segment goes when every reader's cursor, durably, is past it. The segment in use stays.
//! 4. A segment that failed to write or sync is never written or synced again.
//! 5. A record that was not acknowledged may be there after a crash, or not. Its number may be missing, but within an
//!    open it never names another record, and the next open has another epoch.
//!
//! The way of a record: [`Journal::append`] encodes it and queues it (`queue`), the writer thread takes all that waits,
//! writes and syncs it at once (`writer`), and wakes its waiters and the readers (`reader`).

mod core;
mod cursor;
mod disk;
mod frame;
mod quarantine;
mod queue;
mod reader;
mod recovery;
mod scan;
mod segment;
mod state;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod model_disk;
#[cfg(test)]
mod tests;

use std::fs::TryLockError;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::redaction::RedactedBatch;

use self::core::Core;
use self::disk::{Disk, StdDisk};
use self::queue::Pending;
pub use self::reader::{ReadError, Reader};

/// No segment is smaller than that (unless it was cut): its header and a little room.
const SEGMENT_BYTES_MIN: u64 = segment::DATA_START + 4096;
/// No segment is larger than that: recovery reads a segment as a whole.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// The largest record; it gets a segment of its own if need be.
const MAX_RECORD_BYTES: usize = SEGMENT_BYTES_MAX as usize - segment::DATA_START as usize - frame::FRAME_HEADER;

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

impl JournalOptions {
    /// Small journals have small segments, for only whole segments are let go.
    fn clamped(self) -> JournalOptions {
        let segment_bytes = self.segment_bytes.min(self.max_bytes / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let group_bytes = self.group_bytes.min(segment_bytes as usize);
        JournalOptions { segment_bytes, group_bytes, ..self }
    }

    /// The largest record taken.
    fn record_bytes(&self) -> usize {
        MAX_RECORD_BYTES.min(usize::try_from(self.max_bytes).unwrap_or(usize::MAX))
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
    #[error("journal is full ({bytes} bytes wait for its readers)")]
    Full { bytes: u64 },
    #[error("record of {0} bytes is larger than the journal takes")]
    TooLarge(usize),
    #[error("journal cannot write: {0}")]
    Failed(Arc<std::io::Error>),
    #[error("journal is closed")]
    Closed,
}

/// Why a journal, or a reader of it, was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process: stop that one, or use another data directory")]
    Locked { path: String },
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("{path} was written by a newer version (format {found}, this one knows {known}): use that version")]
    Format { path: String, found: u32, known: u32 },
    #[error("journal has a reader {name:?} already")]
    ReaderTaken { name: String },
    #[error("journal is closed")]
    Closed,
}

impl OpenError {
    fn at(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
        move |source| OpenError::Io { path: path.display().to_string(), source }
    }

    fn from_lock(dir: &Path, error: TryLockError) -> OpenError {
        match error {
            TryLockError::WouldBlock => OpenError::Locked { path: dir.display().to_string() },
            TryLockError::Error(source) => OpenError::at(&dir.join("lock"))(source),
        }
    }
}

/// Figures since the open, and the state of the readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalStats {
    pub appended_records: u64,
    pub appended_bytes: u64,
    /// Group commits.
    pub syncs: u64,
    /// Records found destroyed, by recovery or by a reader.
    pub lost_records: u64,
    /// The last durable record's.
    pub durable_seq: u64,
    /// See [`Journal::bytes`].
    pub bytes: u64,
    /// By name; also those that have a cursor but do not live now.
    pub readers: Vec<ReaderStats>,
}

/// What a reader has not committed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderStats {
    pub name: String,
    /// Includes numbers of records that failed.
    pub backlog_records: u64,
    /// Of the segments that the reader still needs, as a whole.
    pub backlog_bytes: u64,
}

/// The journal. Cheap to clone; the last clone's drop flushes and closes it.
#[derive(Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

/// Closes the journal when the last clone goes.
struct Handle {
    core: Arc<Core>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens or creates the journal in `dir`, recovers what an earlier process left, and starts the writer thread. An
    /// exclusive lock is held until the journal is closed and its last reader is dropped. `epoch` must be fresh
    /// randomness: positions written by this open carry it.
    pub fn open(dir: &Path, options: JournalOptions, epoch: u64) -> Result<Journal, OpenError> {
        Journal::open_on(Arc::new(StdDisk), dir, options, epoch)
    }

    fn open_on(disk: Arc<dyn Disk>, dir: &Path, options: JournalOptions, epoch: u64) -> Result<Journal, OpenError> {
        let (core, writer) = Core::open(disk, dir, options, epoch)?;
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || writer.run()).map_err(OpenError::at(dir))?;
        Ok(Journal { handle: Arc::new(Handle { core, writer: Mutex::new(Some(thread)) }) })
    }

    /// 16 hex digits, made when the journal was created; names this journal in the lake.
    pub fn id(&self) -> &str {
        &self.handle.core.id
    }

    /// What the positions of this open's records carry.
    pub fn epoch(&self) -> u64 {
        self.handle.core.epoch
    }

    /// Returns once the batch is on disk (file and directory synced), or with the reason why it is not. Whoever stops
    /// waiting does not learn whether it was written.
    pub async fn append(&self, batch: &RedactedBatch) -> Result<Position, AppendError> {
        let mut frame = frame::unsealed();
        batch.batch().encode(&mut frame);
        self.append_frame(frame).await
    }

    async fn append_frame(&self, frame: Vec<u8>) -> Result<Position, AppendError> {
        let core = &self.handle.core;
        if frame.len() - frame::FRAME_HEADER > core.options.record_bytes() {
            return Err(AppendError::TooLarge(frame.len() - frame::FRAME_HEADER));
        }
        let room = core.queue.room(frame.len()).await?;
        let (answer, answered) = oneshot::channel();
        core.queue.push(Pending { frame, answer, room }, core.bytes(), core.options.max_bytes)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// A reader with a durable cursor of its own, at the first record after what it last committed; at the first that
    /// is kept if it never was there. From then on the journal keeps what this reader has not committed, until
    /// [`Journal::forget`]. One reader of a name may live at a time.
    pub fn reader(&self, name: &str) -> Result<Reader, OpenError> {
        Reader::new(self.handle.core.clone(), name)
    }

    /// Removes the cursor of a reader that will not come back, and with it what only this reader still needed.
    pub fn forget(&self, name: &str) -> Result<(), OpenError> {
        self.handle.core.forget(name)
    }

    /// Bytes in segments that some reader still needs.
    pub fn bytes(&self) -> u64 {
        self.handle.core.bytes()
    }

    /// `true` when recovery found damage or a segment was poisoned since the open.
    pub fn degraded(&self) -> bool {
        self.handle.core.degraded()
    }

    pub fn stats(&self) -> JournalStats {
        self.handle.core.stats()
    }

    /// Writes what is queued, refuses more, and stops the writer. Readers get `None` after the last record.
    pub fn close(&self) {
        self.handle.close();
    }
}

impl Handle {
    fn close(&self) {
        self.core.queue.close();
        if let Some(thread) = locked(&self.writer).take() {
            // A writer that panicked has failed its waiters by that.
            let _ = thread.join();
        }
        self.core.unlock_if_idle();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// Locks a mutex whose data is consistent at every step, also when a thread panicked with it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
