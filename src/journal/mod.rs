//! The durable log between the reply and the lake.
//!
//! ```text
//! <dir>/lock                        held by the one process that uses the journal
//!       id                          the journal's name in the lake
//!       <first seq, 20 digits>.seg  records, in segments
//!       <reader>.cursor             the last record that a reader is done with
//!       <reader>.attempt            what a reader's owner is working on
//!       erase.pending               what is being erased
//!       reserve                     room on the disk, for the way out when it is full
//!       quarantine/                 copies of damaged segments and records set aside, for people
//! ```
//!
//! 1. An append returns after its bytes, and the directory that names their segment, are synced; never before.
//! 2. Readers see records that are durable, in order, and no other; each at least once, until its reader commits it.
//! 3. A segment goes when every reader's cursor, durably, is past it. The segment in use stays. A reader with a budget
//!    is moved on when more waits for it, and what it loses is counted; one without fills the journal to its bound,
//!    and then appends are refused.
//! 4. A segment that failed to write or sync is never written or synced again, but for erasing. Appends are refused
//!    while the disk fails or is full, and taken again when it heals.
//! 5. A record that was not acknowledged may be there after a crash, or not. Its number may be missing, but within an
//!    open it never names another record, and the next open has another epoch.
//!
//! The way of a record: [`Journal::append`] encodes it and queues it (`queue`), the writer thread takes all that waits,
//! writes and syncs it at once (`writer`), and wakes its waiters and the readers (`reader`).

mod attempts;
mod core;
mod cursor;
mod disk;
mod erase;
mod error;
mod frame;
mod health;
mod options;
mod quarantine;
mod queue;
mod reader;
mod recovery;
mod scan;
mod segment;
mod space;
mod state;
mod walk;
mod writer;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::redaction::RedactedBatch;

pub use self::attempts::Suspicion;
use self::core::Core;
use self::disk::{Disk, StdDisk};
pub use self::error::{AppendError, EraseError, OpenError};
pub use self::health::Finding;
use self::health::Trouble;
pub use self::options::JournalOptions;
use self::queue::Pending;
pub use self::reader::{ReadError, Reader, Retained};

/// Where a record stands: the epoch of the open that wrote it, and its number, which grows by one per record and
/// never restarts in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub seq: u64,
    pub epoch: u64,
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
    /// Lost to the reader's budget, ever.
    pub dropped_records: u64,
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
    /// waiting does not learn whether it was written. Waits while the queue to the writer (32 MiB) is full, holding
    /// the encoded batch: callers bound how many they are.
    pub async fn append(&self, batch: impl Borrow<RedactedBatch>) -> Result<Position, AppendError> {
        let mut frame = frame::unsealed();
        batch.borrow().batch().encode(&mut frame);
        // Nobody needs both while the disk is waited for.
        drop(batch);
        self.append_frame(frame).await
    }

    async fn append_frame(&self, frame: Vec<u8>) -> Result<Position, AppendError> {
        let core = &self.handle.core;
        if frame.len() - frame::FRAME_HEADER > core.options.record_bytes() {
            return Err(AppendError::TooLarge(frame.len() - frame::FRAME_HEADER));
        }
        if let Some(full @ Trouble::DiskFull(_)) = &*locked(&core.trouble) {
            return Err(full.error());
        }
        let room = core.queue.room(frame.len()).await?;
        let (answer, answered) = oneshot::channel();
        core.queue.push(Pending { frame, answer, room }, core.binding_bytes(), core.options.max_bytes)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }

    /// A reader with a durable cursor of its own, at the first record after what it last committed; at the first that
    /// is kept if it never was there. From then on the journal keeps what this reader has not committed, until
    /// [`Journal::forget`]. One reader of a name may live at a time.
    pub fn reader(&self, name: &str) -> Result<Reader, OpenError> {
        Reader::new(self.handle.core.clone(), name, None)
    }

    /// The same, for a reader that must never make appends fail: when more than `budget` bytes wait for it (but for the
    /// segment in use), or the disk is full, it loses its oldest records, which is counted.
    pub fn reader_with_budget(&self, name: &str, budget: u64) -> Result<Reader, OpenError> {
        Reader::new(self.handle.core.clone(), name, Some(budget))
    }

    /// All records that the journal holds now, for who looks for some of them (to erase what a session left here).
    pub fn retained(&self) -> Retained {
        Retained::new(self.handle.core.clone())
    }

    /// Erases records wherever they stand, also in the segment in use and in quarantine: their bytes on the disk are
    /// overwritten, durably, and readers skip them. Returns how many were there; the others are gone, or erased
    /// already. A reader may hold one that it was given before. Blocks for several syncs.
    ///
    /// # Errors
    /// With the disk's error. Then some may be erased, and others not yet: the next call, or the next open, finishes it.
    pub fn erase(&self, positions: &[Position]) -> Result<u64, EraseError> {
        self.handle.core.erase(positions)
    }

    /// Erases what is in quarantine and holds one of these texts, byte for byte: copies of damaged segments, and records
    /// that were set aside, whether the journal still has them or not. Each goes as a whole. Returns how many files went.
    ///
    /// # Errors
    /// With the disk's error: call it again.
    pub fn erase_quarantined(&self, texts: &[&str]) -> Result<u64, EraseError> {
        self.handle.core.erase_quarantined(texts)
    }

    /// Removes the cursor of a reader that will not come back, and with it what only this reader still needed.
    pub fn forget(&self, name: &str) -> Result<(), OpenError> {
        self.handle.core.forget(name)
    }

    /// Bytes in segments that some reader still needs.
    pub fn bytes(&self) -> u64 {
        self.handle.core.bytes()
    }

    /// What a person should know now: appends that fail, a full disk or journal, damage. Empty when all is well. Looks
    /// into the quarantine directory.
    pub fn findings(&self) -> Vec<Finding> {
        self.handle.core.findings()
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
