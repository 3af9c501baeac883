//! What the journal holds: its segments and its readers' cursors.

use std::collections::{BTreeMap, BTreeSet};

use super::frame::Stamp;
use super::scan::Extent;
use super::segment::DATA_START;

/// A segment as readers may see it: durable records only.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub stamp: Stamp,
    /// The last durable record's; one less than the segment's first if there is none.
    pub last_seq: u64,
    pub extents: Vec<Extent>,
}

impl Segment {
    pub(super) fn new(stamp: Stamp) -> Segment {
        Segment { stamp, last_seq: stamp.first_seq - 1, extents: Vec::new() }
    }

    /// Offset behind the last durable record.
    pub(super) fn end(&self) -> u64 {
        self.extents.last().map_or(DATA_START, |extent| extent.end)
    }

    fn has_after(&self, seq: u64) -> bool {
        self.last_seq > seq && !self.extents.is_empty()
    }

    /// The records up to `last_seq`, which end at offset `end`, have become durable.
    pub(super) fn grow(&mut self, last_seq: u64, end: u64) {
        self.last_seq = last_seq;
        match self.extents.last_mut() {
            Some(extent) => extent.end = end,
            None => self.extents.push(DATA_START..end),
        }
    }
}

/// Guarded by one lock, which is never held during a file operation.
#[derive(Default)]
pub(super) struct State {
    /// By first seq.
    pub segments: BTreeMap<u64, Segment>,
    /// First seq of the segment that is written to.
    pub active: Option<u64>,
    /// Last committed seq by reader, whether the reader lives or not.
    pub cursors: BTreeMap<String, u64>,
    /// Readers that exist now.
    pub live: BTreeSet<String>,
}

impl State {
    /// The seq up to which no reader needs anything. Without readers everything waits for the first.
    pub(super) fn floor(&self) -> u64 {
        self.cursors.values().min().copied().unwrap_or(0)
    }

    /// Bytes of the segments with records behind `seq`.
    pub(super) fn bytes_behind(&self, seq: u64) -> u64 {
        self.segments.values().filter(|segment| segment.has_after(seq)).map(Segment::end).sum()
    }

    /// The segment with the first durable record from `seq` (at least 1) on.
    pub(super) fn locate(&self, seq: u64) -> Option<&Segment> {
        let before = self.segments.range(..=seq).next_back().map(|(_, segment)| segment);
        let has_it = |segment: &&Segment| segment.has_after(seq - 1);
        before.filter(has_it).or_else(|| self.segments.range(seq..).map(|(_, segment)| segment).find(has_it))
    }

    /// First seqs of the segments that no reader needs any more, oldest first.
    pub(super) fn expired(&self) -> Vec<u64> {
        let floor = self.floor();
        let expired = |(first, segment): &(&u64, &Segment)| segment.last_seq <= floor && Some(**first) != self.active;
        if self.cursors.is_empty() {
            return Vec::new();
        }
        self.segments.iter().filter(expired).map(|(first, _)| *first).collect()
    }

    /// Where a reader starts that has no cursor yet: before everything that is kept.
    pub(super) fn start(&self) -> u64 {
        self.segments.keys().next().map_or(0, |first| first - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments 1-10, 11-20 (which was poisoned: 21-24 failed), 25- (active, empty).
    fn state(cursors: &[(&str, u64)]) -> State {
        let mut state = State { active: Some(25), ..State::default() };
        for (first_seq, last_seq) in [(1, 10), (11, 20), (25, 24)] {
            let mut segment = Segment::new(Stamp { first_seq, epoch: 0 });
            if last_seq >= first_seq {
                segment.grow(last_seq, DATA_START + 100);
            }
            state.segments.insert(first_seq, segment);
        }
        state.cursors = cursors.iter().map(|(name, seq)| (name.to_string(), *seq)).collect();
        state
    }

    #[test]
    fn segments_expire_when_the_slowest_reader_is_past() {
        assert!(state(&[]).expired().is_empty());
        assert!(state(&[("a", 9), ("b", 30)]).expired().is_empty());
        assert_eq!(state(&[("a", 10), ("b", 30)]).expired(), [1]);
        assert_eq!(state(&[("a", 24), ("b", 30)]).expired(), [1, 11]);
    }

    #[test]
    fn locates_records_across_gaps() {
        let located = |seq| state(&[]).locate(seq).map(|segment| segment.stamp.first_seq);
        let expected = [(1, Some(1)), (10, Some(1)), (11, Some(11)), (21, None), (25, None)];
        assert_eq!(expected.map(|(seq, _)| located(seq)), expected.map(|(_, segment)| segment));
        let mut state = state(&[]);
        state.segments.get_mut(&25).unwrap().grow(25, DATA_START + 9);
        assert_eq!(state.locate(21).map(|segment| segment.stamp.first_seq), Some(25));
    }

    #[test]
    fn counts_only_segments_that_are_needed() {
        assert_eq!(state(&[]).bytes_behind(0), 2 * (DATA_START + 100));
        assert_eq!(state(&[]).bytes_behind(10), DATA_START + 100);
        assert_eq!(state(&[]).bytes_behind(20), 0);
    }
}
