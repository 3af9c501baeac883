//! Readers: durable records in order, and cursors that say what is done with.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use tokio::sync::watch;

use super::core::{Core, Tip};
use super::disk::{self, DiskFile};
use super::frame::{FRAME_HEADER, FrameHeader};
use super::scan::scan;
use super::state::Segment;
use super::{OpenError, Position, cursor, locked, quarantine, segment};

/// Bytes read from a segment at once.
const BLOCK_BYTES: u64 = 512 << 10;

/// A record could not be read, or a cursor not be moved.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
}

impl ReadError {
    fn at(path: PathBuf) -> impl FnOnce(io::Error) -> ReadError {
        move |source| ReadError::Io { path: path.display().to_string(), source }
    }
}

/// Reads durable records in order. While it lives, the journal's lock is held.
pub struct Reader {
    core: Arc<Core>,
    name: String,
    /// The next record's seq, or less.
    want: u64,
    open: Option<OpenSegment>,
    tip: watch::Receiver<Tip>,
}

impl Reader {
    pub(super) fn new(core: Arc<Core>, name: &str) -> Result<Reader, OpenError> {
        let mut state = locked(&core.state);
        if !state.live.insert(name.to_owned()) {
            return Err(OpenError::ReaderTaken { name: name.to_owned() });
        }
        let (known, start) = (state.cursors.get(name).copied(), state.start());
        // Before its file is written: what the reader will need must not go in the meantime.
        state.cursors.entry(name.to_owned()).or_insert(start);
        drop(state);
        let want = known.unwrap_or(start) + 1;
        let reader = Reader { want, name: name.to_owned(), open: None, tip: core.tip.subscribe(), core };
        if reader.tip.borrow().closed {
            return Err(OpenError::Closed);
        }
        if known.is_none() {
            reader.create_cursor(start)?;
        }
        Ok(reader)
    }

    fn create_cursor(&self, seq: u64) -> Result<(), OpenError> {
        let core = &self.core;
        cursor::write(&*core.disk, &core.dir, &self.name, seq).map_err(|error| {
            locked(&core.state).cursors.remove(&self.name);
            OpenError::at(&core.dir.join(cursor::file_name(&self.name)))(error)
        })
    }

    /// The next record (an encoded `Batch`), as soon as it is durable; `None` when the journal was closed and
    /// everything was read. Safe to cancel.
    pub async fn next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        loop {
            let closed = self.tip.borrow_and_update().closed;
            if let Some(record) = self.try_next()? {
                return Ok(Some(record));
            }
            if closed || self.tip.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The next record if it is durable by now.
    pub fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        loop {
            let step = self.open.as_mut().map_or(Step::End, OpenSegment::step);
            match step {
                Step::Record(seq, payload) if seq >= self.want => {
                    self.want = seq + 1;
                    let epoch = self.open.as_ref().map_or(0, |open| open.segment.stamp.epoch);
                    return Ok(Some((Position { seq, epoch }, payload)));
                }
                Step::Record(..) => {}
                Step::Damaged => self.repair(),
                Step::End if self.advance()? => {}
                Step::End => return Ok(None),
            }
        }
    }

    /// Goes on to where the next durable record is; `false` if there is none yet.
    fn advance(&mut self) -> Result<bool, ReadError> {
        let Some(found) = locked(&self.core.state).locate(self.want).cloned() else { return Ok(false) };
        match &mut self.open {
            Some(open) if open.segment.stamp == found.stamp => {
                if open.at >= found.end() {
                    // Its last records are lost.
                    self.want = found.last_seq + 1;
                }
                open.segment = found;
            }
            _ => {
                let path = self.core.dir.join(segment::file_name(found.stamp.first_seq));
                let file = self.core.disk.open(&path).map_err(ReadError::at(path))?;
                self.open = Some(OpenSegment::new(file, found));
            }
        }
        Ok(true)
    }

    /// A frame that was durable cannot be read any more: finds out what of the segment still can, and goes on with
    /// that.
    fn repair(&mut self) {
        let Some(open) = &mut self.open else { return };
        let first_seq = open.segment.stamp.first_seq;
        let (bytes, _) = disk::read_lossy(&*open.file, open.segment.end());
        let found = scan(&bytes, open.segment.stamp);
        let lost = found.missing.map_or(0, |(_, count)| count) + (open.segment.last_seq - found.last_seq);
        tracing::error!(segment = first_seq, lost, "journal: records are damaged, reading goes on behind them");
        self.core.set_degraded();
        self.core.counters.lost_records.fetch_add(lost, Relaxed);
        quarantine::copy_segment(&*self.core.disk, &self.core.dir, first_seq);
        self.core.narrow(first_seq, open.segment.end(), &found.extents);
        open.segment.extents = found.extents;
        open.block = Bytes::new();
    }

    /// Everything up to and including `position` is done with: moves the cursor durably, and lets go of segments
    /// that every reader is past. Records before it that were not read yet are skipped. Blocks for two syncs.
    pub fn commit(&mut self, position: Position) -> Result<(), ReadError> {
        let core = &self.core;
        let seq = position.seq.min(self.tip.borrow().seq);
        if locked(&core.state).cursors.get(&self.name).is_some_and(|committed| *committed >= seq) {
            return Ok(());
        }
        let path = core.dir.join(cursor::file_name(&self.name));
        cursor::write(&*core.disk, &core.dir, &self.name, seq).map_err(ReadError::at(path))?;
        self.want = self.want.max(seq + 1);
        let mut state = locked(&core.state);
        state.cursors.insert(self.name.clone(), seq);
        let expired = state.expired();
        drop(state);
        core.remove(expired);
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        locked(&self.core.state).live.remove(&self.name);
        self.core.unlock_if_idle();
    }
}

/// What comes next in a segment.
enum Step {
    Record(u64, Bytes),
    /// No valid frame where one was.
    Damaged,
    /// No more, for now.
    End,
}

/// The segment that is being read.
struct OpenSegment {
    file: Box<dyn DiskFile>,
    segment: Segment,
    /// Offset of the next frame.
    at: u64,
    /// Bytes of the file from `block_at` on. Records share it.
    block: Bytes,
    block_at: u64,
}

impl OpenSegment {
    fn new(file: Box<dyn DiskFile>, segment: Segment) -> OpenSegment {
        OpenSegment { file, segment, at: 0, block: Bytes::new(), block_at: 0 }
    }

    fn step(&mut self) -> Step {
        let Some(extent) = self.segment.extents.iter().find(|extent| extent.end > self.at) else { return Step::End };
        let limit = extent.end;
        self.at = self.at.max(extent.start);
        match self.frame(limit) {
            Some((header, payload)) => {
                self.at += header.size();
                Step::Record(header.seq, payload)
            }
            None => Step::Damaged,
        }
    }

    fn frame(&mut self, limit: u64) -> Option<(FrameHeader, Bytes)> {
        let header = FrameHeader::read(self.bytes(FRAME_HEADER as u64, limit)?.first_chunk()?);
        let payload = self.bytes(header.size(), limit)?.slice(FRAME_HEADER..);
        header.matches(self.segment.stamp, &payload).then_some((header, payload))
    }

    /// That many bytes from `at` on; `None` if they cannot be read or cross `limit`.
    fn bytes(&mut self, count: u64, limit: u64) -> Option<Bytes> {
        let left = limit.saturating_sub(self.at);
        if count > left {
            return None;
        }
        let cached = self.at >= self.block_at && self.at + count <= self.block_at + self.block.len() as u64;
        if !cached {
            let mut block = vec![0; count.max(BLOCK_BYTES).min(left) as usize];
            disk::read_exact_at(&*self.file, &mut block, self.at).ok()?;
            (self.block, self.block_at) = (block.into(), self.at);
        }
        let start = (self.at - self.block_at) as usize;
        Some(self.block.slice(start..start + count as usize))
    }
}
