//! Walks over the durable records, in order, whoever wants them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;

use super::core::Core;
use super::disk::{self, DiskFile};
use super::frame::{FRAME_HEADER, FrameHeader, Kind};
use super::scan::scan;
use super::state::{Segment, State};
use super::{Position, ReadError, locked, quarantine, segment};

/// Bytes read from a segment at once.
const BLOCK_BYTES: u64 = 512 << 10;

/// A place between two records.
pub(super) struct Walk {
    pub core: Arc<Core>,
    /// The next record's seq, or less.
    pub want: u64,
    open: Option<OpenSegment>,
}

impl Walk {
    /// Begins behind record `after`.
    pub(super) fn new(core: Arc<Core>, after: u64) -> Walk {
        Walk { core, want: after + 1, open: None }
    }

    /// The next record if it is durable by now. `floor` gives the seq up to which there is nothing to read any more.
    pub(super) fn next(&mut self, floor: impl Fn(&State) -> u64) -> Result<Option<(Position, Bytes)>, ReadError> {
        loop {
            let step = match &mut self.open {
                Some(open) => open.step(&self.core),
                None => Ok(Step::End),
            };
            match step.map_err(self.failed())? {
                Step::Record { seq, payload, .. } if seq >= self.want => {
                    self.want = seq + 1;
                    let epoch = self.open.as_ref().map_or(0, |open| open.segment.stamp.epoch);
                    return Ok(Some((Position { seq, epoch }, payload)));
                }
                Step::Record { .. } => {}
                Step::Skipped(seq) => self.want = self.want.max(seq + 1),
                Step::Damaged => self.examine().map_err(self.failed())?,
                Step::End if self.advance(&floor)? => {}
                Step::End => return Ok(None),
            }
        }
    }

    fn examine(&mut self) -> io::Result<()> {
        self.open.as_mut().map_or(Ok(()), |open| self.core.examine(open))
    }

    /// Goes on to where the next durable record is; `false` if there is none yet.
    fn advance(&mut self, floor: impl Fn(&State) -> u64) -> Result<bool, ReadError> {
        let state = locked(&self.core.state);
        self.want = self.want.max(floor(&state) + 1);
        let Some(found) = state.locate(self.want).cloned() else { return Ok(false) };
        drop(state);
        match &mut self.open {
            Some(open) if open.segment.stamp == found.stamp => {
                open.segment = found;
                if open.is_done() {
                    // Its last records are lost.
                    self.want = self.want.max(open.segment.last_seq + 1);
                }
            }
            _ => self.enter(found)?,
        }
        Ok(true)
    }

    fn enter(&mut self, found: Segment) -> Result<(), ReadError> {
        let first_seq = found.stamp.first_seq;
        let path = self.core.dir.join(segment::file_name(first_seq));
        match self.core.disk.open(&path) {
            Ok(file) => self.open = Some(OpenSegment::new(file, found)),
            // Let go in the meantime: the next look finds another.
            Err(_) if !locked(&self.core.state).segments.contains_key(&first_seq) => {}
            Err(error) => return Err(ReadError::at(path)(error)),
        }
        Ok(())
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> ReadError + use<> {
        let path = self.open.as_ref().map(|open| segment::file_name(open.segment.stamp.first_seq));
        let path: PathBuf = self.core.dir.join(path.unwrap_or_default());
        ReadError::at(path)
    }
}

impl Core {
    /// A frame that was durable cannot be read any more: finds out what of the segment still can, and lets everybody
    /// go on with that.
    ///
    /// Only for bytes that are not what was written. A disk that does not answer may do so later, and then nothing
    /// is lost: that is an error.
    pub(super) fn examine(&self, open: &mut OpenSegment) -> io::Result<()> {
        let (stamp, end, last_seq) = (open.segment.stamp, open.segment.end(), open.segment.last_seq);
        let reading = self.frames.read().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; open.file.len()?.min(end) as usize];
        disk::read_exact_at(&*open.file, &mut bytes, 0)?;
        let found = scan(&bytes, stamp);
        drop((reading, bytes));
        let mut state = locked(&self.state);
        let floor = state.floor();
        let mut known = open.segment.examined;
        if let Some(shared) = state.segments.get_mut(&stamp.first_seq) {
            known = known.max(shared.examined);
            shared.examined = known.max(last_seq);
            if shared.end() == end {
                shared.extents.clone_from(&found.extents);
            }
        }
        drop(state);
        let lost = found.lost(known.max(floor), last_seq);
        tracing::error!(segment = stamp.first_seq, lost, "journal: records are damaged, reading goes on behind them");
        self.counters.lost_records.fetch_add(lost, Relaxed);
        if !quarantine::copy_segment(&*self.disk, &self.dir, stamp.first_seq) {
            self.note_damage();
        }
        open.segment.extents = found.extents;
        open.segment.examined = open.segment.examined.max(last_seq);
        open.block = Bytes::new();
        Ok(())
    }
}

/// What comes next in a segment.
pub(super) enum Step {
    Record {
        seq: u64,
        payload: Bytes,
        /// Of the frame in its file.
        offset: u64,
    },
    /// A record that was erased.
    Skipped(u64),
    /// No valid frame where one was.
    Damaged,
    /// No more, for now.
    End,
}

/// The segment that is being read.
pub(super) struct OpenSegment {
    file: Box<dyn DiskFile>,
    pub segment: Segment,
    /// Offset of the next frame.
    at: u64,
    /// The last record that was met.
    seq: u64,
    /// Bytes of the file from `block_at` on. Records share it.
    block: Bytes,
    block_at: u64,
    /// How often records had been erased when the block was read.
    erasures: u64,
}

impl OpenSegment {
    pub(super) fn new(file: Box<dyn DiskFile>, segment: Segment) -> OpenSegment {
        let seq = segment.stamp.first_seq - 1;
        OpenSegment { file, segment, at: 0, seq, block: Bytes::new(), block_at: 0, erasures: 0 }
    }

    /// `true` when all that is left of its durable records was met.
    fn is_done(&self) -> bool {
        let last = self.segment.last_seq;
        self.seq >= last || (self.segment.examined >= last && self.at >= self.segment.end())
    }

    pub(super) fn step(&mut self, core: &Core) -> io::Result<Step> {
        let _nobody_erases = core.frames.read().unwrap_or_else(PoisonError::into_inner);
        let erasures = core.erasures.load(Acquire);
        if erasures != self.erasures {
            (self.block, self.erasures) = (Bytes::new(), erasures);
        }
        while !self.is_done() {
            let Some(extent) = self.segment.extents.iter().find(|extent| extent.end > self.at) else {
                return Ok(Step::Damaged);
            };
            let limit = extent.end;
            self.at = self.at.max(extent.start);
            match self.frame(limit) {
                Ok(Some((header, Kind::Mark, _))) => self.at += header.size(),
                Ok(Some((header, kind, payload))) if self.follows(header.seq) => {
                    let offset = self.at;
                    self.at += header.size();
                    self.seq = header.seq;
                    return Ok(match kind {
                        Kind::Record => Step::Record { seq: header.seq, payload, offset },
                        Kind::Tombstone | Kind::Mark => Step::Skipped(header.seq),
                    });
                }
                Ok(_) => return Ok(Step::Damaged),
                // Somebody has cut the file.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Step::Damaged),
                Err(error) => return Err(error),
            }
        }
        Ok(Step::End)
    }

    /// Between two records nothing is missing that nobody knows of.
    fn follows(&self, seq: u64) -> bool {
        seq > self.seq && (seq == self.seq + 1 || seq <= self.segment.examined + 1)
    }

    fn frame(&mut self, limit: u64) -> io::Result<Option<(FrameHeader, Kind, Bytes)>> {
        let start = self.bytes(FRAME_HEADER as u64, limit)?;
        let Some(header) = start.first_chunk().map(FrameHeader::read) else { return Ok(None) };
        let payload = self.bytes(header.size(), limit)?;
        let payload = payload.slice(FRAME_HEADER.min(payload.len())..);
        Ok(header.kind(self.segment.stamp, &payload).map(|kind| (header, kind, payload)))
    }

    /// That many bytes from `at` on; none if they cross `limit`.
    fn bytes(&mut self, count: u64, limit: u64) -> io::Result<Bytes> {
        let left = limit.saturating_sub(self.at);
        if count > left {
            return Ok(Bytes::new());
        }
        let cached = self.at >= self.block_at && self.at + count <= self.block_at + self.block.len() as u64;
        if !cached {
            let mut block = vec![0; count.max(BLOCK_BYTES).min(left) as usize];
            disk::read_exact_at(&*self.file, &mut block, self.at)?;
            (self.block, self.block_at) = (block.into(), self.at);
        }
        let start = (self.at - self.block_at) as usize;
        Ok(self.block.slice(start..start + count as usize))
    }
}
