//! What was read from the journal and is not in the lake yet.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ahash::RandomState;
use tokio::time::Instant;

use super::AppendOptions;
use super::parts::Share;
use crate::journal::Position;
use crate::model::{AuditEntry, Fact, FactId, Kind, Workspace};
use crate::sink::lake::{Block, Blocks, LakeError, TableKind, weight};

/// How many fact ids are remembered, over all workspaces: with those of a flush about 10 MiB, and few enough that their
/// table is not doubled. A client retries within a minute or so; what comes back later is a duplicate row, which the fold
/// ignores.
const WINDOW: usize = 150_000;

/// A block is made of as many facts, or of as many as weigh this: until then they are structs.
const BLOCK_ROWS: usize = 1024;
const BLOCK_BYTES: usize = 2 << 20;

/// A workspace's share of a flush: facts in journal order.
#[derive(Debug, Default)]
pub struct Group {
    blocks: Vec<(Block, Vec<u64>)>,
    /// The last facts, which are no block yet.
    tail: Vec<Fact>,
    tail_bytes: usize,
    /// The records that they came from.
    tail_seqs: Vec<u64>,
    /// Among the last facts is one that no block can be made of.
    stuck: bool,
}

impl Group {
    /// Takes a fact of record `seq`; returns how many bytes more it holds now.
    fn add(&mut self, fact: Fact, seq: u64) -> usize {
        let bytes = weight::fact(&fact);
        self.tail.push(fact);
        self.tail_seqs.push(seq);
        self.tail_bytes += bytes;
        bytes
    }

    /// Makes a block of the tail when it is long enough; returns how many bytes less are held now. Where no block can be
    /// made, the flush finds out why.
    fn pack(&mut self) -> usize {
        if self.stuck || (self.tail.len() < BLOCK_ROWS && self.tail_bytes < BLOCK_BYTES) {
            return 0;
        }
        let Ok(Ok(block)) = catch_unwind(AssertUnwindSafe(|| Block::of(&self.tail))) else {
            self.stuck = true;
            return 0;
        };
        let less = self.tail_bytes.saturating_sub(block.bytes());
        self.blocks.push((block, std::mem::take(&mut self.tail_seqs)));
        // Its place is kept for the next ones.
        self.tail.clear();
        self.tail_bytes = 0;
        less
    }

    pub fn rows(&self) -> usize {
        self.blocks.iter().map(|(_, seqs)| seqs.len()).sum::<usize>() + self.tail.len()
    }

    /// The facts of records after `after`, up to `last`.
    pub fn between(&self, after: Option<u64>, last: u64) -> Result<Vec<Block>, LakeError> {
        let packed = self.blocks.iter().map(|(block, seqs)| (block, span(seqs, after, last)));
        let mut blocks: Vec<Block> =
            packed.filter(|(_, rows)| !rows.is_empty()).map(|(block, rows)| block.part(rows)).collect();
        let tail = &self.tail[span(&self.tail_seqs, after, last)];
        if !tail.is_empty() {
            blocks.push(Block::of(tail)?);
        }
        Ok(blocks)
    }
}

/// Where the records after `after`, up to `last`, are in a sorted list.
fn span(seqs: &[u64], after: Option<u64>, last: u64) -> Range<usize> {
    let end = seqs.partition_point(|seq| *seq <= last);
    let start = after.map_or(0, |after| seqs.partition_point(|seq| *seq <= after));
    start.min(end)..end
}

/// Rows of one table of a workspace, with the records that they came from.
#[derive(Debug)]
pub enum Rows {
    Facts(Group),
    Audit(Vec<(u64, AuditEntry)>),
}

impl Rows {
    pub fn kind(&self) -> TableKind {
        match self {
            Rows::Facts(_) => TableKind::Facts,
            Rows::Audit(_) => TableKind::Audit,
        }
    }

    pub fn count(&self) -> usize {
        match self {
            Rows::Facts(group) => group.rows(),
            Rows::Audit(entries) => entries.len(),
        }
    }

    /// The rows of records after `after`, up to `last`.
    pub fn between(&self, after: Option<u64>, last: u64) -> Result<Vec<Block>, LakeError> {
        match self {
            Rows::Facts(group) => group.between(after, last),
            Rows::Audit(entries) => {
                let mut blocks = Blocks::default();
                let new = entries.iter().filter(|(seq, _)| *seq <= last && after.is_none_or(|after| *seq > after));
                new.cloned().try_for_each(|(_, entry)| blocks.add(entry))?;
                blocks.finish()
            }
        }
    }

    /// The records after `after`, up to `last`, that it has rows of; in order.
    pub fn records(&self, after: Option<u64>, last: u64) -> Vec<u64> {
        let mut seqs: Vec<u64> = match self {
            Rows::Facts(group) => {
                let packed = group.blocks.iter().map(|(_, seqs)| seqs);
                let all = packed.chain([&group.tail_seqs]);
                all.flat_map(|seqs| &seqs[span(seqs, after, last)]).copied().collect()
            }
            Rows::Audit(entries) => {
                let seqs = entries.iter().map(|(seq, _)| *seq);
                seqs.filter(|seq| *seq <= last && after.is_none_or(|after| *seq > after)).collect()
            }
        };
        seqs.dedup();
        seqs
    }
}

/// One flush: all records of one epoch up to `last`.
#[derive(Debug)]
pub struct Flush {
    pub last: Position,
    pub shares: Vec<Share>,
}

/// Facts read and not yet flushed. Holds at most `flush_bytes` and one read more, because the journal is not read
/// while a flush is due.
#[derive(Default)]
pub struct Pending {
    groups: HashMap<Workspace, Group>,
    audit: HashMap<Workspace, Vec<(u64, AuditEntry)>>,
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
        let number = self.window.number(&workspace);
        let group = self.groups.entry(workspace).or_default();
        for fact in facts {
            if !self.window.insert(number, fact.fact_id) {
                known += 1;
                continue;
            }
            if fact.kind == Kind::SessionEnd {
                self.ended.get_or_insert(now);
            }
            self.bytes += group.add(fact, position.seq);
        }
        self.bytes -= group.pack();
        known
    }

    /// Takes a record that is a row of `audit`.
    pub fn audit(&mut self, position: Position, workspace: Workspace, entry: AuditEntry, now: Instant) {
        self.skip(position, now);
        self.bytes += weight::audit(&entry);
        self.audit.entry(workspace).or_default().push((position.seq, entry));
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
        let facts = self.groups.drain().filter(|(_, group)| group.rows() > 0);
        let facts = facts.map(|(workspace, group)| (workspace, Rows::Facts(group)));
        let audit = self.audit.drain().map(|(workspace, entries)| (workspace, Rows::Audit(entries)));
        let shares = facts.chain(audit).map(|(workspace, rows)| Share::new(workspace, rows, last.seq));
        Some(Flush { last, shares: shares.collect() })
    }
}

/// The fact ids seen last. It is trimmed only between flushes, so that within one flush no fact is doubled.
#[derive(Default)]
struct Window {
    /// Workspaces by number: shorter keys.
    workspaces: HashMap<Workspace, u32>,
    known: HashSet<(u32, FactId), RandomState>,
    order: VecDeque<(u32, FactId)>,
}

impl Window {
    fn number(&mut self, workspace: &Workspace) -> u32 {
        let next = self.workspaces.len() as u32;
        match self.workspaces.get(workspace) {
            Some(number) => *number,
            None => *self.workspaces.entry(workspace.clone()).or_insert(next),
        }
    }

    /// Whether the fact is new to the workspace of this number.
    fn insert(&mut self, number: u32, id: FactId) -> bool {
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
        assert!(flush.shares.iter().all(|share| share.rows.count() == 1));
        assert_eq!(pending.add(at(3), workspace("a"), vec![one], now), 1);
        let flush = pending.take().unwrap();
        assert!(flush.shares.is_empty(), "nothing to write, but the cursor moves to {:?}", flush.last);
        assert!(pending.take().is_none());
    }

    #[test]
    fn records_that_landed_before_a_crash_are_left_out() {
        let mut group = Group::default();
        let rows = |blocks: Vec<Block>| blocks.iter().map(Block::rows).sum::<usize>();
        for (seq, number) in [3, 3, 5, 8].into_iter().zip(0..) {
            group.add(fact("s", number, Kind::Prompt, 0), seq);
        }
        let after = |group: &Group| [None, Some(3), Some(8)].map(|landed| rows(group.between(landed, 9).unwrap()));
        assert_eq!(after(&group), [4, 2, 0]);
        // The same once they are in blocks, the second of which was cut within a record.
        let long = 8 + BLOCK_ROWS as u64;
        (4..long).for_each(|number| _ = group.add(fact("s", number, Kind::Prompt, 0), 8));
        let bytes = group.tail_bytes;
        assert!(group.pack() > bytes / 4, "a block takes less than its facts");
        (long..long + 5).for_each(|number| _ = group.add(fact("s", number, Kind::Prompt, 0), 9));
        assert_eq!(group.rows(), long as usize + 5);
        assert_eq!(after(&group), [group.rows(), group.rows() - 2, 5]);
        assert_eq!(rows(group.between(Some(2), 5).unwrap()), 3, "a part of a block");
    }

    #[test]
    fn rows_of_audit_wait_beside_facts_and_land_once() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.add(at(1), workspace("a"), vec![fact("s", 1, Kind::Prompt, 0)], now);
        let entry = |n: u64| AuditEntry { request_id: n.to_string(), time: n as i64, ..AuditEntry::default() };
        (2..5).for_each(|n| pending.audit(at(n), workspace("a"), entry(n), now));
        let flush = pending.take().unwrap();
        assert_eq!(flush.last, at(4));
        let counts: Vec<_> = flush.shares.iter().map(|share| (share.rows.kind(), share.rows.count())).collect();
        assert_eq!(counts, [(TableKind::Facts, 1), (TableKind::Audit, 3)]);
        let rows = |landed| flush.shares[1].rows.between(landed, 4).unwrap().iter().map(Block::rows).sum::<usize>();
        assert_eq!([None, Some(3), Some(4)].map(rows), [3, 1, 0]);
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
        let a = window.number(&workspace("a"));
        (0..WINDOW as u32 + 10).for_each(|n| assert!(window.insert(a, id(n))));
        assert!(!window.insert(a, id(0)));
        window.trim();
        assert_eq!(window.known.len(), WINDOW);
        assert!(window.insert(a, id(0)));
        assert!(!window.insert(a, id(10)));
    }
}
