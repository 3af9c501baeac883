//! What was read from the journal and is not in the lake yet.

use std::collections::{HashMap, HashSet, VecDeque};

use tokio::time::Instant;

use super::AppendOptions;
use crate::journal::Position;
use crate::model::{Fact, FactId, Kind, Workspace};
use crate::sink::lake::weight;

/// How many fact ids are remembered, over all workspaces (about 10 MiB). A client retries within a minute or so;
/// what comes back later is a duplicate row, which the fold ignores.
const WINDOW: usize = 200_000;

/// A workspace's share of a flush: facts in journal order, `seqs[i]` being the record that fact `i` came from.
#[derive(Debug, Default)]
pub struct Group {
    pub facts: Vec<Fact>,
    pub seqs: Vec<u64>,
}

impl Group {
    /// The facts of records after `landed`.
    pub fn after(&self, landed: Option<u64>) -> &[Fact] {
        let skip = landed.map_or(0, |landed| self.seqs.partition_point(|seq| *seq <= landed));
        &self.facts[skip..]
    }
}

/// One flush: all records of one epoch up to `last`.
#[derive(Debug)]
pub struct Flush {
    pub last: Position,
    pub groups: Vec<(Workspace, Group)>,
}

/// Facts read and not yet flushed. Holds at most `flush_bytes` and one read more, because the journal is not read
/// while a flush is due.
#[derive(Default)]
pub struct Pending {
    groups: HashMap<Workspace, Group>,
    bytes: usize,
    last: Option<Position>,
    /// When the first record since the last flush was read.
    since: Option<Instant>,
    /// When the first end of a session since the last flush was read.
    ended: Option<Instant>,
    window: Window,
}

impl Pending {
    /// `true` when a record at `position` must not share a flush with what is here: a commit carries the
    /// transaction of one epoch.
    pub fn crosses(&self, position: Position) -> bool {
        self.last.is_some_and(|last| last.epoch != position.epoch)
    }

    /// Takes a record that yielded nothing.
    pub fn skip(&mut self, position: Position, now: Instant) {
        self.last = Some(position);
        self.since.get_or_insert(now);
    }

    /// Takes a record's facts; returns how many were known already and left out.
    pub fn add(&mut self, position: Position, workspace: Workspace, facts: Vec<Fact>, now: Instant) -> u64 {
        self.skip(position, now);
        let mut known = 0;
        for fact in facts {
            if !self.window.insert(&workspace, fact.fact_id) {
                known += 1;
                continue;
            }
            if fact.kind == Kind::SessionEnd {
                self.ended.get_or_insert(now);
            }
            self.bytes += weight::fact(&fact);
            let group = self.groups.entry(workspace.clone()).or_default();
            group.facts.push(fact);
            group.seqs.push(position.seq);
        }
        known
    }

    /// When to flush: at once when enough bytes wait; else a debounce after the first end of a session or an interval
    /// after the first record, but not before `earliest`. `None` when nothing waits.
    pub fn due(&self, options: &AppendOptions, earliest: Instant) -> Option<Instant> {
        let since = self.since?;
        if self.bytes >= options.flush_bytes {
            return Some(since);
        }
        let by_time = since + options.flush_interval;
        let by_end = self.ended.map_or(by_time, |ended| ended + options.end_debounce);
        Some(by_time.min(by_end).max(earliest))
    }

    /// How many more bytes of facts one flush may hold.
    pub fn room(&self, options: &AppendOptions) -> usize {
        options.flush_bytes.saturating_sub(self.bytes)
    }

    /// Empties it into a flush; `None` when nothing was read.
    pub fn take(&mut self) -> Option<Flush> {
        let last = self.last.take()?;
        self.since = None;
        self.ended = None;
        self.bytes = 0;
        self.window.trim();
        Some(Flush { last, groups: self.groups.drain().collect() })
    }
}

/// The fact ids seen last. It is trimmed only between flushes, so that within one flush no fact is doubled.
#[derive(Default)]
struct Window {
    /// Workspaces by number: shorter keys.
    workspaces: HashMap<Workspace, u32>,
    known: HashSet<(u32, FactId)>,
    order: VecDeque<(u32, FactId)>,
}

impl Window {
    fn insert(&mut self, workspace: &Workspace, id: FactId) -> bool {
        let next = self.workspaces.len() as u32;
        let number = match self.workspaces.get(workspace) {
            Some(number) => *number,
            None => *self.workspaces.entry(workspace.clone()).or_insert(next),
        };
        let fresh = self.known.insert((number, id));
        if fresh {
            self.order.push_back((number, id));
        }
        fresh
    }

    fn trim(&mut self) {
        while self.order.len() > WINDOW {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sink::lake::testing::fact;

    fn at(seq: u64) -> Position {
        Position { seq, epoch: 7 }
    }

    fn workspace(name: &str) -> Workspace {
        Workspace::parse(name).unwrap()
    }

    #[tokio::test]
    async fn a_flush_waits_for_the_interval_but_not_when_a_session_ended_or_bytes_are_many() {
        let options = AppendOptions::default();
        let start = Instant::now();
        let mut pending = Pending::default();
        assert_eq!(pending.due(&options, start), None);
        pending.add(at(1), workspace("a"), vec![fact("s", 1, Kind::Prompt, 0)], start);
        assert_eq!(pending.due(&options, start), Some(start + options.flush_interval));
        let later = start + Duration::from_secs(1);
        pending.add(at(2), workspace("a"), vec![fact("s", 2, Kind::SessionEnd, 0)], later);
        assert_eq!(pending.due(&options, start), Some(later + options.end_debounce));
        let gap = start + Duration::from_secs(3);
        assert_eq!(pending.due(&options, gap), Some(gap), "commits keep their distance");
        let small = AppendOptions { flush_bytes: 1, ..options };
        assert_eq!(pending.due(&small, gap), Some(start), "unless memory is at stake");
    }

    #[tokio::test]
    async fn a_fact_is_kept_once_per_workspace_within_and_across_flushes() {
        let now = Instant::now();
        let mut pending = Pending::default();
        let one = fact("s", 1, Kind::Prompt, 0);
        assert_eq!(pending.add(at(1), workspace("a"), vec![one.clone(), one.clone()], now), 1);
        assert_eq!(pending.add(at(2), workspace("b"), vec![one.clone()], now), 0);
        let flush = pending.take().unwrap();
        assert_eq!(flush.last, at(2));
        assert!(flush.groups.iter().all(|(_, group)| group.facts.len() == 1));
        assert_eq!(pending.add(at(3), workspace("a"), vec![one], now), 1);
        let flush = pending.take().unwrap();
        assert!(flush.groups.is_empty(), "nothing to write, but the cursor moves to {:?}", flush.last);
        assert!(pending.take().is_none());
    }

    #[test]
    fn records_that_landed_before_a_crash_are_left_out() {
        let facts = (1..=4).map(|n| fact("s", n, Kind::Prompt, 0)).collect();
        let group = Group { facts, seqs: vec![3, 3, 5, 8] };
        assert_eq!(group.after(None).len(), 4);
        assert_eq!(group.after(Some(3)).len(), 2);
        assert_eq!(group.after(Some(8)).len(), 0);
    }

    #[tokio::test]
    async fn epochs_do_not_share_a_flush() {
        let mut pending = Pending::default();
        assert!(!pending.crosses(at(1)));
        pending.skip(at(1), Instant::now());
        assert!(!pending.crosses(at(2)));
        assert!(pending.crosses(Position { seq: 2, epoch: 8 }));
    }

    #[test]
    fn the_window_forgets_only_between_flushes() {
        let mut window = Window::default();
        let id = |n: u32| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_le_bytes());
            FactId(id)
        };
        let a = workspace("a");
        (0..WINDOW as u32 + 10).for_each(|n| assert!(window.insert(&a, id(n))));
        assert!(!window.insert(&a, id(0)));
        window.trim();
        assert_eq!(window.known.len(), WINDOW);
        assert!(window.insert(&a, id(0)));
        assert!(!window.insert(&a, id(10)));
    }
}
