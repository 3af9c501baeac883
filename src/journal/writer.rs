//! The writer: one thread, one write and one sync per group of records.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::core::Core;
use super::disk::DiskFile;
use super::frame::{self, Stamp};
use super::queue::Pending;
use super::segment::{self, DATA_START, SegmentHeader};
use super::state::Segment;
use super::{AppendError, Position, locked};

/// A group buffer that has grown beyond this is not kept, bytes.
const BUFFER_KEPT: usize = 4 << 20;

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
    /// Starts the first segment of this open.
    pub(super) fn start(core: Arc<Core>, next_seq: u64, durable: u64) -> io::Result<Writer> {
        let mut writer = Writer { core, active: None, next_seq, durable, buffer: Vec::new() };
        writer.open_segment()?;
        Ok(writer)
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _finish = Finish(self.core.clone());
        while let Some(group) = self.core.queue.take_group() {
            self.write_group(group);
        }
    }

    /// Makes a group durable and answers its waiters.
    pub(super) fn write_group(&mut self, mut group: Vec<Pending>) {
        let bytes = group.iter().map(|record| record.frame.len() as u64).sum();
        let outcome = self.commit(&mut group, bytes).map_err(Arc::new);
        self.core.queue.done(bytes);
        for (record, index) in group.into_iter().zip(0..) {
            let answer = match &outcome {
                Ok(first) => Ok(Position { seq: first + index, epoch: self.core.epoch }),
                Err(error) => Err(AppendError::Failed(error.clone())),
            };
            // Who has gone away does not need the answer.
            let _ = record.answer.send(answer);
            drop(record.room);
        }
    }

    /// Returns the first record's seq.
    fn commit(&mut self, group: &mut [Pending], bytes: u64) -> io::Result<u64> {
        let mut active = self.take_active(bytes)?;
        let first = self.next_seq;
        self.next_seq += group.len() as u64;
        let last = self.next_seq - 1;
        for (record, seq) in group.iter_mut().zip(first..) {
            frame::seal(&mut record.frame, active.stamp, seq);
        }
        match self.write(&active, group) {
            Ok(()) => {
                active.end += bytes;
                self.durable = last;
                self.publish(&active, group.len() as u64, bytes);
                self.active = Some(active);
                Ok(first)
            }
            Err(error) => {
                self.poison(&active, &error);
                Err(error)
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

    /// The segment to write `bytes` to: a new one if there is none, or the old one has no room.
    fn take_active(&mut self, bytes: u64) -> io::Result<Active> {
        let full = |active: &Active| active.end > DATA_START && active.end + bytes > self.core.options.segment_bytes;
        if self.active.as_ref().is_none_or(full) {
            self.open_segment()?;
        }
        self.active.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open_segment(&mut self) -> io::Result<()> {
        let core = &self.core;
        let stamp = Stamp { first_seq: self.next_seq, epoch: core.epoch };
        let header = SegmentHeader { journal: core.id.clone(), stamp, after: self.durable };
        let file = segment::create(&*core.disk, &core.dir, &header, core.options.segment_bytes)?;
        let mut state = locked(&core.state);
        state.segments.insert(stamp.first_seq, Segment::new(stamp));
        state.active = Some(stamp.first_seq);
        drop(state);
        self.active = Some(Active { file, stamp, end: DATA_START });
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
    fn poison(&self, active: &Active, error: &io::Error) {
        let core = &self.core;
        let first_seq = active.stamp.first_seq;
        tracing::error!(segment = first_seq, %error, "journal: cannot write to the segment, a new one is opened");
        core.set_degraded();
        let mut state = locked(&core.state);
        state.active = None;
        if active.end > DATA_START {
            return;
        }
        // It holds nothing that anyone was promised. While the disk is full, there would be one more per attempt.
        state.segments.remove(&first_seq);
        drop(state);
        if let Err(error) = core.disk.remove(&core.dir.join(segment::file_name(first_seq))) {
            tracing::warn!(segment = first_seq, %error, "journal: the segment could not be removed");
        }
    }
}
