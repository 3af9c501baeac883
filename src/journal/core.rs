//! What the journal's handles, its writer and its readers share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};

use tokio::sync::watch;

use super::cursor::{self, Cursor};
use super::disk::{Disk, DiskLock};
use super::health::Trouble;
use super::queue::Queue;
use super::state::{Segment, State};
use super::writer::Writer;
use super::{JournalOptions, JournalStats, OpenError, ReaderStats, locked, recovery, segment, space};

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
    /// Held while a cursor's file is written: its reader and the writer thread both move it.
    pub cursors: Mutex<()>,
    /// Held while records are erased.
    pub erasing: Mutex<()>,
    /// Shared by who reads frames, taken alone by who overwrites them.
    pub frames: RwLock<()>,
    /// How often frames were overwritten.
    pub erasures: AtomicU64,
    /// Why appends fail now.
    pub trouble: Mutex<Option<Trouble>>,
    /// Damage that quarantine does not show.
    pub unnoted: AtomicBool,
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
        let options = space::fit(options, &*disk, dir);
        let found = space::with_reserve(&*disk, dir, || Ok(recovery::recover(&*disk, dir, epoch)));
        let found = found.map_err(OpenError::at(dir))??;
        let core = Arc::new(Core {
            dir: dir.to_owned(),
            id: found.id,
            epoch,
            queue: Queue::new(options.group_bytes),
            options,
            state: Mutex::new(State { segments: found.segments, cursors: found.cursors, ..State::default() }),
            tip: watch::Sender::new(Tip { seq: found.next_seq - 1, closed: false }),
            counters: Counters { lost_records: found.lost.into(), ..Counters::default() },
            cursors: Mutex::default(),
            erasing: Mutex::default(),
            frames: RwLock::default(),
            erasures: AtomicU64::default(),
            trouble: Mutex::default(),
            unnoted: found.unnoted.into(),
            lock: Mutex::new(Some(lock)),
            disk,
        });
        let mut writer = Writer::new(core.clone(), found.next_seq, found.last_seq);
        if writer.start().map_err(OpenError::at(dir))? {
            core.remove(found.empty.into_iter().filter(|segment| segment.stamp.first_seq != found.next_seq).collect());
        }
        Ok((core, writer))
    }

    /// Removes segments from disk that are out of the state already; one that cannot be removed now comes back, and is
    /// tried again with the next.
    pub(super) fn remove(&self, segments: Vec<Segment>) {
        if segments.is_empty() {
            return;
        }
        for segment in segments {
            let first_seq = segment.stamp.first_seq;
            match self.disk.remove(&self.dir.join(segment::file_name(first_seq))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(segment = first_seq, %error, "journal: the segment could not be removed");
                    locked(&self.state).segments.insert(first_seq, segment);
                }
                _ => {}
            }
        }
        // Should the removal not survive a crash, it is repeated after the next open.
        if let Err(error) = self.disk.sync_dir(&self.dir) {
            tracing::warn!(%error, "journal: the directory could not be synced");
        }
    }

    /// Makes a cursor durable; also when the disk is full.
    pub(super) fn write_cursor(&self, name: &str, cursor: Cursor) -> io::Result<()> {
        space::with_reserve(&*self.disk, &self.dir, || cursor::write(&*self.disk, &self.dir, name, cursor))
    }

    /// Drops the oldest data of readers of whom more waits than their budget, or than `most`, allows.
    pub(super) fn keep_budgets(&self, most: u64) {
        let _moving = locked(&self.cursors);
        let over = locked(&self.state).over_budget(most);
        for (reader, cursor) in over {
            // First the cursor: without it, the records would be missed at the next open.
            if let Err(error) = self.write_cursor(&reader, cursor) {
                tracing::warn!(reader, %error, "journal: a reader over its budget could not be moved on");
                continue;
            }
            let mut state = locked(&self.state);
            let before = state.cursors.insert(reader.clone(), cursor).unwrap_or_default();
            let expired = state.take_expired();
            drop(state);
            let records = cursor.seq - before.seq;
            tracing::error!(reader, records, "journal: a reader is over its budget, its oldest records are dropped");
            self.remove(expired);
        }
    }

    /// Gives up the cursor of a reader that does not come back.
    pub(super) fn forget(&self, name: &str) -> Result<(), OpenError> {
        if locked(&self.state).live.contains(name) {
            return Err(OpenError::ReaderTaken { name: name.to_owned() });
        }
        let path = self.dir.join(cursor::file_name(name));
        let _moving = locked(&self.cursors);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(OpenError::at(&path)(error)),
            _ => self.disk.sync_dir(&self.dir).map_err(OpenError::at(&path))?,
        }
        let mut state = locked(&self.state);
        state.cursors.remove(name);
        let expired = state.take_expired();
        drop(state);
        self.remove(expired);
        Ok(())
    }

    pub(super) fn stats(&self) -> JournalStats {
        let state = locked(&self.state);
        let durable_seq = self.tip.borrow().seq;
        let backlog = |(name, cursor): (&String, &Cursor)| ReaderStats {
            name: name.clone(),
            backlog_records: durable_seq.saturating_sub(cursor.seq),
            backlog_bytes: state.bytes_behind(cursor.seq),
            dropped_records: cursor.dropped,
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

    /// Bytes in segments that some reader still needs.
    pub(super) fn bytes(&self) -> u64 {
        let state = locked(&self.state);
        state.bytes_behind(state.floor())
    }

    /// Bytes that count against the journal's size: those that a reader needs whose data is never dropped.
    pub(super) fn binding_bytes(&self) -> u64 {
        locked(&self.state).binding_bytes()
    }

    /// Lets another process open the journal, once nothing of this one touches it.
    pub(super) fn unlock_if_idle(&self) {
        let idle = self.tip.borrow().closed && locked(&self.state).live.is_empty();
        if idle {
            drop(locked(&self.lock).take());
        }
    }
}
