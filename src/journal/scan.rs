//! Finds the valid frames of a segment, also behind damage.

use std::ops::Range;

use super::frame::{FRAME_HEADER, FrameHeader, Kind, Stamp};
use super::segment::DATA_START;

/// A run of valid frames in a segment: byte offsets.
pub(super) type Extent = Range<u64>;

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// Ascending, none empty; more than one only if something between them is damaged.
    pub extents: Vec<Extent>,
    /// The last record that is there, or was, as a mark says; one less than the segment's first if there is none.
    pub last_seq: u64,
    /// Seqs up to `last_seq` of which there is no valid frame; ascending.
    pub missing: Vec<Range<u64>>,
}

impl Scan {
    /// Offset behind the last valid frame.
    pub(super) fn end(&self) -> u64 {
        self.extents.last().map_or(DATA_START, |extent| extent.end)
    }

    /// `true` if something is damaged before the last valid frame.
    pub(super) fn has_holes(&self) -> bool {
        self.extents.len() > 1 || self.extents.first().is_some_and(|first| first.start > DATA_START)
    }

    /// How many records behind `after` and up to `through` are missing.
    pub(super) fn lost(&self, after: u64, through: u64) -> u64 {
        let inside = |gap: &Range<u64>| gap.end.min(through + 1).saturating_sub(gap.start.max(after + 1));
        let gaps: u64 = self.missing.iter().map(inside).sum();
        gaps + through.saturating_sub(self.last_seq.max(after))
    }

    /// Takes in a valid frame.
    fn note(&mut self, kind: Kind, seq: u64) {
        let expected = if kind == Kind::Mark { seq + 1 } else { seq };
        if expected > self.last_seq + 1 {
            self.missing.push(self.last_seq + 1..expected);
        }
        self.last_seq = self.last_seq.max(seq);
    }
}

/// Scans a whole segment, given from its first byte.
pub(super) fn scan(bytes: &[u8], stamp: Stamp) -> Scan {
    let mut scan = Scan { extents: Vec::new(), last_seq: stamp.first_seq.saturating_sub(1), missing: Vec::new() };
    let mut search = Search { bytes, stamp, used: used_len(bytes), budget: 8 * bytes.len() as u64 };
    let mut at = DATA_START;
    loop {
        let start = at;
        while let Some((header, kind)) = search.frame_at(at, scan.last_seq) {
            scan.note(kind, header.seq);
            at += header.size();
        }
        if at > start {
            scan.extents.push(start..at);
        }
        match search.next_frame(at, scan.last_seq) {
            Some(next) => at = next,
            None => return scan,
        }
    }
}

struct Search<'a> {
    bytes: &'a [u8],
    stamp: Stamp,
    /// Only zeros from here on.
    used: usize,
    /// Bytes that may still be spent on checksums of what turns out to be no frame: a payload made to look like many
    /// overlapping large frames must not make a scan take quadratic time.
    budget: u64,
}

impl Search<'_> {
    /// The valid frame at offset `at`, if its number can follow `last`: a mark may repeat it.
    fn frame_at(&mut self, at: u64, last: u64) -> Option<(FrameHeader, Kind)> {
        let rest = self.bytes.get(at as usize..)?;
        let header = FrameHeader::read(rest.first_chunk()?);
        let most = (self.bytes.len() / FRAME_HEADER) as u64;
        // No frame has number 0; of zeros there are many.
        if header.seq == 0 || header.seq < last || header.seq - last > most {
            return None;
        }
        let payload = rest.get(FRAME_HEADER..usize::try_from(header.size()).ok()?)?;
        match header.kind(self.stamp, payload) {
            Some(kind) if header.seq > last || kind == Kind::Mark => Some((header, kind)),
            _ => {
                self.budget = self.budget.saturating_sub(header.size());
                None
            }
        }
    }

    /// Offset of the first valid frame behind `at`.
    fn next_frame(&mut self, at: u64, last: u64) -> Option<u64> {
        let mut candidates = at + 1..self.used as u64;
        candidates.find(|at| self.budget > 0 && self.frame_at(*at, last).is_some())
    }
}

/// Length without the zeros at the end. By blocks: a segment is mostly zeros when it is new.
fn used_len(bytes: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let zeros = [0; BLOCK];
    let blocks = bytes.chunks(BLOCK).rposition(|block| *block != zeros[..block.len()]);
    let end = blocks.map_or(0, |index| ((index + 1) * BLOCK).min(bytes.len()));
    bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::super::frame::{mark, seal, unsealed};
    use super::*;

    const STAMP: Stamp = Stamp { first_seq: 5, epoch: 77 };
    const START: usize = DATA_START as usize;

    /// A segment with one frame per payload, and zeros behind; with the frames' offsets.
    fn segment(payloads: &[&[u8]]) -> (Vec<u8>, Vec<u64>) {
        let mut bytes = vec![0; START];
        let mut offsets = vec![DATA_START];
        for (payload, seq) in payloads.iter().zip(STAMP.first_seq..) {
            let mut frame = unsealed();
            frame.extend_from_slice(payload);
            seal(&mut frame, STAMP, seq);
            bytes.extend_from_slice(&frame);
            offsets.push(bytes.len() as u64);
        }
        bytes.resize(bytes.len() + 300, 0);
        (bytes, offsets)
    }

    fn one(start: u64, end: u64) -> Vec<Extent> {
        std::iter::once(start..end).collect()
    }

    const PAYLOADS: [&[u8]; 4] = [b"first", b"", b"third, a bit longer", b"last\0\0"];

    #[test]
    fn finds_all_frames_of_a_whole_segment() {
        let (bytes, offsets) = segment(&PAYLOADS);
        let expected = Scan { extents: one(DATA_START, offsets[4]), last_seq: 8, missing: Vec::new() };
        assert_eq!(scan(&bytes, STAMP), expected);
        assert_eq!(scan(&bytes[..offsets[4] as usize], STAMP), expected);
        assert_eq!(scan(&bytes[..START], STAMP).last_seq, 4);
        assert_eq!(scan(&[], STAMP).end(), DATA_START);
    }

    #[test]
    fn a_cut_at_any_byte_keeps_the_exact_prefix() {
        let (bytes, offsets) = segment(&PAYLOADS);
        for cut in START..bytes.len() {
            let whole = offsets[1..].iter().filter(|end| **end <= cut as u64).count();
            let found = scan(&bytes[..cut], STAMP);
            assert_eq!((found.last_seq, found.end()), (4 + whole as u64, offsets[whole]), "cut at {cut}");
            assert_eq!(found.missing, []);
        }
    }

    #[test]
    fn any_flipped_bit_costs_one_frame_and_no_other() {
        let (mut bytes, offsets) = segment(&PAYLOADS);
        for bit in START * 8..offsets[4] as usize * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let hit = offsets[1..].iter().filter(|end| **end <= (bit / 8) as u64).count();
            let found = scan(&bytes, STAMP);
            let kept: u64 = found.extents.iter().map(|extent| extent.end - extent.start).sum();
            assert_eq!(kept, offsets[4] - DATA_START - (offsets[hit + 1] - offsets[hit]), "bit {bit}");
            let gap = STAMP.first_seq + hit as u64;
            let missing: Vec<_> = (hit < 3).then_some(gap..gap + 1).into_iter().collect();
            assert_eq!(found.missing, missing, "bit {bit}");
            assert_eq!(found.lost(4, 8), 1, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_mark_tells_a_damaged_last_record_from_one_that_was_being_written() {
        let (mut bytes, offsets) = segment(&PAYLOADS);
        let end = offsets[4] as usize;
        bytes[end - 1] ^= 1;
        assert_eq!((scan(&bytes, STAMP).last_seq, scan(&bytes, STAMP).missing), (7, vec![]));
        bytes[end..end + FRAME_HEADER].copy_from_slice(&mark(STAMP, 8));
        let found = scan(&bytes, STAMP);
        assert_eq!((found.last_seq, found.missing), (8, one(8, 9)));
        assert_eq!(found.extents[1], offsets[4]..offsets[4] + FRAME_HEADER as u64);
    }

    #[test]
    fn a_hole_of_zeros_does_not_end_the_segment() {
        let (mut bytes, offsets) = segment(&PAYLOADS);
        bytes[offsets[0] as usize..offsets[2] as usize].fill(0);
        let found = scan(&bytes, STAMP);
        assert_eq!((&found.extents, &found.missing), (&one(offsets[2], offsets[4]), &one(5, 7)));
        assert_eq!([found.lost(4, 8), found.lost(5, 8), found.lost(4, 5), found.lost(6, 10)], [2, 1, 1, 2]);
    }

    #[test]
    fn a_payload_of_false_frames_costs_bounded_time() {
        // Every 16 bytes a header with a plausible number, whose frame would reach to the end.
        let len: usize = 4 << 20;
        let mut bytes = vec![0; START];
        while bytes.len() < len {
            bytes.extend_from_slice(&((len - bytes.len() - FRAME_HEADER) as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&5u64.to_le_bytes());
        }
        let mut search = Search { bytes: &bytes, stamp: STAMP, used: bytes.len(), budget: 8 * len as u64 };
        assert_eq!(search.next_frame(DATA_START, 4), None::<u64>);
        assert_eq!(search.budget, 0);
    }
}
