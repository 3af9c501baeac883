//! What the journal holds: its segments and its readers' cursors.

use std::collections::{BTreeMap, BTreeSet};

use super::cursor::Cursor;
use super::frame::Stamp;
use super::scan::Extent;
use super::segment::DATA_START;

/// A segment as readers may see it: durable records only.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub stamp: Stamp,
    /// The last durable record's; one less than the segment's first if there is none.
    pub last_seq: u64,
    /// Where its frames are. For a segment that no one has looked into since the open: where they may be.
    pub extents: Vec<Extent>,
    /// What is missing up to here is known and counted.
    pub examined: u64,
}

impl Segment {
    pub(super) fn new(stamp: Stamp) -> Segment {
        let before = stamp.first_seq.saturating_sub(1);
        Segment { stamp, last_seq: before, extents: Vec::new(), examined: before }
    }

    /// Offset behind the last durable record.
    pub(super) fn end(&self) -> u64 {
        self.extents.last().map_or(DATA_START, |extent| extent.end)
    }

    /// Bytes of its records, with their frames.
    fn bytes(&self) -> u64 {
        self.end() - DATA_START
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
    /// By reader, whether the reader lives or not.
    pub cursors: BTreeMap<String, Cursor>,
    /// Readers that exist now.
    pub live: BTreeSet<String>,
}

impl State {
    /// The seq up to which no reader needs anything. Without readers everything waits for the first.
    pub(super) fn floor(&self) -> u64 {
        self.cursors.values().map(|cursor| cursor.seq).min().unwrap_or(0)
    }

    /// The same, of the readers whose data is never dropped.
    fn binding_floor(&self) -> u64 {
        let binding = self.cursors.values().filter(|cursor| cursor.budget.is_none()).map(|cursor| cursor.seq).min();
        // Without such readers nothing can fill the journal.
        binding.unwrap_or(if self.cursors.is_empty() { 0 } else { u64::MAX })
    }

    /// Bytes of the segments with records behind `seq`, each as a whole.
    pub(super) fn bytes_behind(&self, seq: u64) -> u64 {
        self.segments.values().filter(|segment| segment.has_after(seq)).map(Segment::bytes).sum()
    }

    /// Bytes that count against the size of the journal.
    pub(super) fn binding_bytes(&self) -> u64 {
        self.bytes_behind(self.binding_floor())
    }

    /// Readers of whom more waits than their budget (or than `most`) allows, with the cursors that they get: each
    /// loses its oldest segments, but never the one that is written to.
    pub(super) fn over_budget(&self, most: u64) -> Vec<(String, Cursor)> {
        let move_on = |(name, cursor): (&String, &Cursor)| {
            let most = cursor.budget?.min(most);
            let sealed = self.segments.iter().filter(|(first, _)| Some(**first) != self.active);
            let ends = sealed.map(|(_, segment)| segment.last_seq).filter(|last| *last > cursor.seq);
            let mut seq = cursor.seq;
            for end in ends {
                if self.bytes_behind(seq) <= most {
                    break;
                }
                seq = end;
            }
            if seq == cursor.seq {
                return None;
            }
            let dropped = cursor.dropped + (seq - cursor.seq);
            Some((name.clone(), Cursor { seq, dropped, ..*cursor }))
        };
        self.cursors.iter().filter_map(move_on).collect()
    }

    /// The segment with the first durable record from `seq` (at least 1) on.
    pub(super) fn locate(&self, seq: u64) -> Option<&Segment> {
        let before = self.segments.range(..=seq).next_back().map(|(_, segment)| segment);
        let has_it = |segment: &&Segment| segment.has_after(seq - 1);
        before.filter(has_it).or_else(|| self.segments.range(seq..).map(|(_, segment)| segment).find(has_it))
    }

    /// Takes out the segments that no reader needs any more, oldest first. One always stays: a journal that finds
    /// none must have lost them.
    pub(super) fn take_expired(&mut self) -> Vec<Segment> {
        if self.cursors.is_empty() {
            return Vec::new();
        }
        let floor = self.floor();
        let active = self.active.or_else(|| self.segments.keys().next_back().copied());
        let expired = |first: &u64, segment: &mut Segment| segment.last_seq <= floor && Some(*first) != active;
        self.segments.extract_if(.., expired).map(|(_, segment)| segment).collect()
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
        let cursor = |seq| Cursor { seq, ..Cursor::default() };
        state.cursors = cursors.iter().map(|(name, seq)| (name.to_string(), cursor(*seq))).collect();
        state
    }

    #[test]
    fn segments_expire_when_the_slowest_reader_is_past() {
        let expired = |cursors: &[(&str, u64)]| -> Vec<u64> {
            state(cursors).take_expired().iter().map(|segment| segment.stamp.first_seq).collect()
        };
        assert!(expired(&[]).is_empty());
        assert!(expired(&[("a", 9), ("b", 30)]).is_empty());
        assert_eq!(expired(&[("a", 10), ("b", 30)]), [1]);
        assert_eq!(expired(&[("a", 24), ("b", 30)]), [1, 11]);
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
        assert_eq!(state(&[]).bytes_behind(0), 200);
        assert_eq!(state(&[]).bytes_behind(10), 100);
        assert_eq!(state(&[]).bytes_behind(20), 0);
    }

    #[test]
    fn a_reader_with_a_budget_loses_its_oldest_and_fills_nothing() {
        let mut state = state(&[("lake", 24), ("forward", 0)]);
        let moved = |state: &State, budget| {
            let mut state =
                State { segments: state.segments.clone(), cursors: state.cursors.clone(), ..State::default() };
            state.active = Some(25);
            state.cursors.get_mut("forward").unwrap().budget = Some(budget);
            let moved = state.over_budget(u64::MAX);
            moved.into_iter().map(|(_, cursor)| (cursor.seq, cursor.dropped)).collect::<Vec<_>>()
        };
        assert_eq!(moved(&state, 200), []);
        assert_eq!(moved(&state, 199), [(10, 10)]);
        assert_eq!(moved(&state, 99), [(20, 20)]);
        state.segments.get_mut(&25).unwrap().grow(30, DATA_START + 1000);
        assert_eq!(moved(&state, 99), [(20, 20)], "the active segment stays");
        assert_eq!(state.over_budget(0).len(), 0, "without a budget nothing is dropped");
        assert_eq!(state.binding_bytes(), 1200);
        state.cursors.get_mut("forward").unwrap().budget = Some(99);
        assert_eq!(state.binding_bytes(), 1000, "what only such a reader needs does not count");
        state.cursors.remove("lake");
        assert_eq!(state.binding_bytes(), 0);
    }
}
