//! The writer: one thread, one write and one sync per group of records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::core::Core;
use super::disk::DiskFile;
use super::frame::{self, FRAME_HEADER, Stamp};
use super::health::Trouble;
use super::queue::{Pending, Taken};
use super::segment::{self, DATA_START, SegmentHeader};
use super::state::Segment;
use super::{Position, locked, space};

/// A group buffer that has grown beyond this is not kept, bytes.
const BUFFER_KEPT: usize = 4 << 20;
/// So long after the last record its mark is written.
const MARK_AFTER: Duration = Duration::from_millis(200);
/// So often a disk is tried that is full or fails.
const TRY_AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Writer {
    core: Arc<Core>,
    active: Option<Active>,
    /// The next record's seq. Never goes back, also when a group fails: part of it may be on disk.
    next_seq: u64,
    /// The last record that was acknowledged, or found durable at the open.
    durable: u64,
    buffer: Vec<u8>,
}

/// The segment that is written to.
struct Active {
    file: Box<dyn DiskFile>,
    stamp: Stamp,
    end: u64,
    /// Bytes of the file.
    size: u64,
    /// The segment says that the records up to this one are durable.
    marked: u64,
}

impl Active {
    fn has_room(&self, bytes: u64) -> bool {
        self.end == DATA_START || self.end + bytes <= self.size
    }
}

/// However the thread ends, nobody waits for it any more.
struct Finish(Arc<Core>);

impl Drop for Finish {
    fn drop(&mut self) {
        self.0.queue.abandon();
        self.0.tip.send_modify(|tip| tip.closed = true);
    }
}

impl Writer {
    pub(super) fn new(core: Arc<Core>, next_seq: u64, durable: u64) -> Writer {
        Writer { core, active: None, next_seq, durable, buffer: Vec::new() }
    }

    /// Starts the first segment of this open. On a full disk there is none until there is room: `false`.
    pub(super) fn start(&mut self) -> io::Result<bool> {
        space::keep_reserve(&self.core.options, &*self.core.disk, &self.core.dir);
        match self.open_segment(0) {
            Ok(()) => Ok(true),
            Err(Trouble::Write(error)) if !space::is_full(&error) => {
                Err(Arc::into_inner(error).unwrap_or_else(|| io::ErrorKind::Other.into()))
            }
            Err(trouble) => {
                self.note(trouble);
                Ok(false)
            }
        }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _finish = Finish(self.core.clone());
        loop {
            match self.core.queue.take_group(self.patience()) {
                Taken::Group(group) => self.write_group(group),
                Taken::Idle => self.idle(),
                Taken::Closed => break,
            }
        }
        self.seal();
    }

    fn patience(&self) -> Option<Duration> {
        if locked(&self.core.trouble).is_some() {
            return Some(TRY_AGAIN);
        }
        self.active.as_ref().filter(|active| active.marked < self.durable).map(|_| MARK_AFTER)
    }

    fn idle(&mut self) {
        if locked(&self.core.trouble).is_some() { self.try_again() } else { self.mark() }
    }

    /// Finds out whether appends would succeed again.
    fn try_again(&mut self) {
        let tried = match self.active {
            Some(_) => self.check_space(),
            None => self.open_segment(0),
        };
        match tried {
            Ok(()) => self.recover(),
            Err(trouble) => self.note(trouble),
        }
    }

    /// Makes a group durable and answers its waiters.
    pub(super) fn write_group(&mut self, mut group: Vec<Pending>) {
        let bytes = group.iter().map(|record| record.frame.len() as u64).sum();
        let outcome = self.commit(&mut group, bytes);
        self.core.queue.done(bytes);
        match &outcome {
            Ok(_) => self.recover(),
            Err(trouble) => self.note(trouble.clone()),
        }
        for (record, index) in group.into_iter().zip(0..) {
            let answer = match &outcome {
                Ok(first) => Ok(Position { seq: first + index, epoch: self.core.epoch }),
                Err(trouble) => Err(trouble.error()),
            };
            // Who has gone away does not need the answer.
            let _ = record.answer.send(answer);
            drop(record.room);
        }
    }

    /// Returns the first record's seq.
    fn commit(&mut self, group: &mut [Pending], bytes: u64) -> Result<u64, Trouble> {
        self.check_space()?;
        let mut active = self.take_active(bytes)?;
        let first = self.next_seq;
        self.next_seq += group.len() as u64;
        let last = self.next_seq - 1;
        for (record, seq) in group.iter_mut().zip(first..) {
            frame::seal(&mut record.frame, active.stamp, seq);
        }
        match self.write_mark(&mut active).and_then(|()| self.write(&active, group)) {
            Ok(()) => {
                active.end += bytes;
                self.durable = last;
                self.publish(&active, group.len() as u64, bytes);
                self.active = Some(active);
                Ok(first)
            }
            Err(error) => {
                self.poison(&active);
                Err(Trouble::Write(Arc::new(error)))
            }
        }
    }

    fn write(&mut self, active: &Active, group: &[Pending]) -> io::Result<()> {
        match group {
            [record] => active.file.write_all_at(&record.frame, active.end)?,
            _ => {
                self.buffer.clear();
                group.iter().for_each(|record| self.buffer.extend_from_slice(&record.frame));
                active.file.write_all_at(&self.buffer, active.end)?;
            }
        }
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
        self.core.counters.syncs.fetch_add(1, Relaxed);
        active.file.sync_data()
    }

    /// Says in the segment what is durable, unless it says so already. Synced with what follows, or not at all: it is
    /// written only after what it speaks of.
    fn write_mark(&self, active: &mut Active) -> io::Result<()> {
        if active.marked < self.durable {
            active.file.write_all_at(&frame::mark(active.stamp, self.durable), active.end)?;
            active.end += FRAME_HEADER as u64;
            active.marked = self.durable;
        }
        Ok(())
    }

    /// While nothing comes: marks the last record.
    fn mark(&mut self) {
        let Some(mut active) = self.active.take() else { return };
        match self.write_mark(&mut active) {
            Ok(()) => self.active = Some(active),
            Err(error) => {
                self.poison(&active);
                self.note(Trouble::Write(Arc::new(error)));
            }
        }
    }

    /// Leaves the segment as the next open would make it. What fails here is done then.
    fn seal(&mut self) {
        self.mark();
        if let Some(active) = self.active.take() {
            let _ = active.file.set_len(active.end).and_then(|()| active.file.sync_all());
        }
    }

    /// The segment to write `bytes` and a mark to: a new one if there is none, or the old one has no room.
    fn take_active(&mut self, bytes: u64) -> Result<Active, Trouble> {
        if self.active.as_ref().is_none_or(|active| !active.has_room(bytes + FRAME_HEADER as u64)) {
            self.open_segment(bytes)?;
        }
        self.active.take().ok_or_else(|| Trouble::Write(Arc::new(io::ErrorKind::NotFound.into())))
    }

    /// A disk that is too full takes nothing more. Readers whose data may be dropped lose it first.
    fn check_space(&self) -> Result<(), Trouble> {
        let core = &self.core;
        let spare = || space::spare(&core.options, &*core.disk, &core.dir);
        if spare().is_ok() {
            return Ok(());
        }
        core.keep_budgets(0);
        spare().map(drop).map_err(Trouble::DiskFull)
    }

    /// Opens a segment with room for `bytes` at least; smaller than usual where the disk is almost full.
    fn open_segment(&mut self, bytes: u64) -> Result<(), Trouble> {
        let core = &self.core;
        let spare = space::spare(&core.options, &*core.disk, &core.dir).map_err(Trouble::DiskFull)?;
        let size = core.options.segment_bytes.min(spare / 2).max(DATA_START + bytes + FRAME_HEADER as u64);
        let stamp = Stamp { first_seq: self.next_seq, epoch: core.epoch };
        let header = SegmentHeader { journal: core.id.clone(), stamp, after: self.durable };
        let file = segment::create(&*core.disk, &core.dir, &header, size).map_err(|error| {
            // The new segment may be there all the same, and says what the old one holds: nothing may be added to it.
            self.active = None;
            Trouble::Write(Arc::new(error))
        })?;
        let mut state = locked(&core.state);
        state.segments.insert(stamp.first_seq, Segment::new(stamp));
        state.active = Some(stamp.first_seq);
        drop(state);
        let old = self.active.replace(Active { file, stamp, end: DATA_START, size, marked: self.durable });
        if let Some(old) = old {
            // What it did not fill goes back to the disk, sooner or later.
            let _ = old.file.set_len(old.end);
        }
        core.keep_budgets(u64::MAX);
        Ok(())
    }

    /// Lets readers see a group.
    fn publish(&self, active: &Active, records: u64, bytes: u64) {
        let core = &self.core;
        if let Some(segment) = locked(&core.state).segments.get_mut(&active.stamp.first_seq) {
            segment.grow(self.durable, active.end);
        }
        core.counters.appended_records.fetch_add(records, Relaxed);
        core.counters.appended_bytes.fetch_add(bytes, Relaxed);
        core.tip.send_modify(|tip| tip.seq = self.durable);
    }

    /// Gives up a segment after a failed write or sync: what a disk has failed to sync, it may have thrown away, and
    /// a second sync would succeed without it. The next group opens a new segment.
    fn poison(&self, active: &Active) {
        let core = &self.core;
        let first_seq = active.stamp.first_seq;
        let mut state = locked(&core.state);
        state.active = None;
        if active.end > DATA_START || state.segments.len() == 1 {
            return;
        }
        // It holds nothing that anyone was promised. While the disk fails, there would be one more per attempt.
        state.segments.remove(&first_seq);
        drop(state);
        if let Err(error) = core.disk.remove(&core.dir.join(segment::file_name(first_seq))) {
            tracing::warn!(segment = first_seq, %error, "journal: the segment could not be removed");
        }
    }

    /// Said once, not per attempt.
    fn note(&self, trouble: Trouble) {
        let mut known = locked(&self.core.trouble);
        if known.is_none() {
            tracing::error!(error = %trouble.error(), "journal: appends are refused until the disk takes them again");
        }
        *known = Some(trouble);
    }

    fn recover(&self) {
        if locked(&self.core.trouble).take().is_some() {
            tracing::info!("journal: appends are taken again");
            space::keep_reserve(&self.core.options, &*self.core.disk, &self.core.dir);
        }
    }
}
