//! What the journal's handles, its writer and its readers share.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::disk::{Disk, DiskLock};
use super::queue::Queue;
use super::scan::Extent;
use super::state::State;
use super::writer::Writer;
use super::{JournalOptions, JournalStats, OpenError, ReaderStats, cursor, locked, recovery, segment};

/// How far the journal is durable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tip {
    /// The last durable record's.
    pub seq: u64,
    /// Nothing will be added.
    pub closed: bool,
}

#[derive(Default)]
pub(super) struct Counters {
    pub appended_records: AtomicU64,
    pub appended_bytes: AtomicU64,
    pub syncs: AtomicU64,
    pub lost_records: AtomicU64,
}

pub(super) struct Core {
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub id: String,
    pub epoch: u64,
    pub options: JournalOptions,
    pub queue: Queue,
    pub state: Mutex<State>,
    pub tip: watch::Sender<Tip>,
    pub counters: Counters,
    degraded: AtomicBool,
    /// Given back when the journal is closed and its last reader is gone: readers move files too.
    lock: Mutex<Option<DiskLock>>,
}

impl Core {
    /// Locks and recovers the journal, and starts its first segment.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: JournalOptions,
        epoch: u64,
    ) -> Result<(Arc<Core>, Writer), OpenError> {
        disk.create_dir(dir).map_err(OpenError::at(dir))?;
        let lock = disk.lock(&dir.join("lock")).map_err(|error| OpenError::from_lock(dir, error))?;
        let found = recovery::recover(&*disk, dir, epoch)?;
        let options = options.clamped();
        let core = Arc::new(Core {
            dir: dir.to_owned(),
            id: found.id,
            epoch,
            queue: Queue::new(options.group_bytes),
            options,
            state: Mutex::new(State { segments: found.segments, cursors: found.cursors, ..State::default() }),
            tip: watch::Sender::new(Tip { seq: found.next_seq - 1, closed: false }),
            counters: Counters { lost_records: found.lost.into(), ..Counters::default() },
            degraded: found.damaged.into(),
            lock: Mutex::new(Some(lock)),
            disk,
        });
        let writer = Writer::start(core.clone(), found.next_seq, found.last_seq).map_err(OpenError::at(dir))?;
        core.remove(found.empty.into_iter().filter(|first| *first != found.next_seq).collect());
        Ok((core, writer))
    }

    /// Removes segments from disk and from the state; what cannot be removed now is tried again later.
    pub(super) fn remove(&self, segments: Vec<u64>) {
        if segments.is_empty() {
            return;
        }
        for first_seq in segments {
            match self.disk.remove(&self.dir.join(segment::file_name(first_seq))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(segment = first_seq, %error, "journal: the segment could not be removed");
                }
                _ => drop(locked(&self.state).segments.remove(&first_seq)),
            }
        }
        // Should the removal not survive a crash, the next commit repeats it.
        if let Err(error) = self.disk.sync_dir(&self.dir) {
            tracing::warn!(%error, "journal: the directory could not be synced");
        }
    }

    /// Restricts a segment, as known up to offset `end`, to those of its frames that are still valid.
    pub(super) fn narrow(&self, first_seq: u64, end: u64, extents: &[Extent]) {
        if let Some(segment) = locked(&self.state).segments.get_mut(&first_seq)
            && segment.end() == end
        {
            segment.extents = extents.to_vec();
        }
    }

    /// Gives up the cursor of a reader that does not come back.
    pub(super) fn forget(&self, name: &str) -> Result<(), OpenError> {
        if locked(&self.state).live.contains(name) {
            return Err(OpenError::ReaderTaken { name: name.to_owned() });
        }
        let path = self.dir.join(cursor::file_name(name));
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(OpenError::at(&path)(error)),
            _ => self.disk.sync_dir(&self.dir).map_err(OpenError::at(&path))?,
        }
        let mut state = locked(&self.state);
        state.cursors.remove(name);
        let expired = state.expired();
        drop(state);
        self.remove(expired);
        Ok(())
    }

    pub(super) fn stats(&self) -> JournalStats {
        let state = locked(&self.state);
        let durable_seq = self.tip.borrow().seq;
        let backlog = |(name, committed): (&String, &u64)| ReaderStats {
            name: name.clone(),
            backlog_records: durable_seq.saturating_sub(*committed),
            backlog_bytes: state.bytes_behind(*committed),
        };
        JournalStats {
            appended_records: self.counters.appended_records.load(Relaxed),
            appended_bytes: self.counters.appended_bytes.load(Relaxed),
            syncs: self.counters.syncs.load(Relaxed),
            lost_records: self.counters.lost_records.load(Relaxed),
            durable_seq,
            bytes: state.bytes_behind(state.floor()),
            readers: state.cursors.iter().map(backlog).collect(),
        }
    }

    pub(super) fn set_degraded(&self) {
        self.degraded.store(true, Relaxed);
    }

    pub(super) fn degraded(&self) -> bool {
        self.degraded.load(Relaxed)
    }

    /// Bytes in segments that some reader still needs.
    pub(super) fn bytes(&self) -> u64 {
        let state = locked(&self.state);
        state.bytes_behind(state.floor())
    }

    /// Lets another process open the journal, once nothing of this one touches it.
    pub(super) fn unlock_if_idle(&self) {
        let idle = self.tip.borrow().closed && locked(&self.state).live.is_empty();
        if idle {
            drop(locked(&self.lock).take());
        }
    }
}
