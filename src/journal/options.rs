//! Bounds of the journal.

use super::{frame, segment};

/// No segment is smaller than that (unless it was cut): its header and a little room.
const SEGMENT_BYTES_MIN: u64 = segment::DATA_START + 4096;
/// No segment is larger than that: recovery reads a segment as a whole.
const SEGMENT_BYTES_MAX: u64 = 256 << 20;
/// The largest record; it gets a segment of its own if need be.
pub(super) const MAX_RECORD_BYTES: usize =
    SEGMENT_BYTES_MAX as usize - segment::DATA_START as usize - frame::FRAME_HEADER;

/// Bounds of the journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Size at which a segment is closed, bytes. Default 64 MiB.
    pub segment_bytes: u64,
    /// Gather at most that many bytes into one group commit. Default 1 MiB.
    pub group_bytes: usize,
    /// Refuse appends while the journal's segments exceed that many bytes. Default 8 GiB.
    pub max_bytes: u64,
    /// Refuse appends while the disk is fuller than that, unless it still has room for all of `max_bytes`. Default 90 %.
    pub max_disk_percent: u8,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions { segment_bytes: 64 << 20, group_bytes: 1 << 20, max_bytes: 8 << 30, max_disk_percent: 90 }
    }
}

impl JournalOptions {
    /// Small journals have small segments, for only whole segments are let go.
    pub(super) fn clamped(self) -> JournalOptions {
        let segment_bytes = self.segment_bytes.min(self.max_bytes / 4).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        let group_bytes = self.group_bytes.min(segment_bytes as usize);
        JournalOptions { segment_bytes, group_bytes, ..self }
    }

    /// The largest record taken.
    pub(super) fn record_bytes(&self) -> usize {
        MAX_RECORD_BYTES.min(usize::try_from(self.max_bytes).unwrap_or(usize::MAX))
    }
}
