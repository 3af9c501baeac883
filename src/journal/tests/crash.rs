//! The journal against a model: random appends, reads, commits, erasures, faults, full disks and power losses. After
//! each open, every acknowledged record that was not committed is there, in order and with its position, nothing is
//! there that was not appended, and of what was erased no byte. Beside the reader there is one with a small budget that
//! never reads: it loses what is beyond its budget, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use super::super::core::Core;
use super::super::frame;
use super::super::queue::Pending;
use super::super::reader::Reader;
use super::super::segment::DATA_START;
use super::super::writer::Writer;
use super::super::{JournalOptions, Position, locked};
use super::model_disk::ModelDisk;

#[derive(Clone, Debug)]
enum Op {
    /// One group, of records of these sizes.
    Append(Vec<usize>),
    Read(usize),
    Commit,
    Reopen,
    Crash,
    /// The power goes after that many changes.
    PowerFor(u64),
    FailSyncs(u64),
    FailWrite,
    /// An acknowledged record: the one so far from the newest.
    Erase(usize),
    /// The disk has that many bytes left.
    Full(u64),
    Space,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        9 => prop::collection::vec(0..1500usize, 1..5).prop_map(Op::Append),
        3 => (1..12usize).prop_map(Op::Read),
        3 => Just(Op::Commit),
        1 => Just(Op::Reopen),
        2 => Just(Op::Crash),
        2 => (0..25u64).prop_map(Op::PowerFor),
        1 => (1..3u64).prop_map(Op::FailSyncs),
        1 => Just(Op::FailWrite),
        2 => (0..12usize).prop_map(Op::Erase),
        1 => (0..9000u64).prop_map(Op::Full),
        1 => Just(Op::Space),
    ]
}

/// What became of an appended record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Failed in the open with that epoch.
    Failed(u64),
    Acknowledged(Position),
    /// Acknowledged, and then erased, or nearly.
    Erased {
        surely: bool,
    },
}

/// A journal without its thread: each step happens when the test says so.
struct Open {
    core: Arc<Core>,
    writer: Writer,
    reader: Reader,
    idle: Reader,
}

struct Run {
    disk: ModelDisk,
    open: Option<Open>,
    epoch: u64,
    /// By content, which is unique.
    appended: BTreeMap<Vec<u8>, Fate>,
    acknowledged: BTreeMap<u64, Vec<u8>>,
    /// Where the cursor is at least, and at most.
    committed: (u64, u64),
    /// The last record that was read in this open.
    read: Option<Position>,
    /// Nothing has gone wrong yet.
    calm: bool,
}

const DIR: &str = "/journal";
/// Of the reader that never reads, bytes.
const BUDGET: u64 = 6000;

fn options() -> JournalOptions {
    JournalOptions { segment_bytes: DATA_START + 4096, ..JournalOptions::default() }
}

/// What each record begins with, bytes.
const SIGNATURE: usize = 16;

fn signature(number: u64) -> [u8; SIGNATURE] {
    *blake3::hash(&number.to_le_bytes()).as_bytes().first_chunk().unwrap()
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut run = Run {
            disk: ModelDisk::new(seed),
            open: None,
            epoch: 0,
            appended: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            committed: (0, 0),
            read: None,
            calm: true,
        };
        run.reopen();
        run
    }

    fn try_open(&self) -> Option<Open> {
        let disk = Arc::new(self.disk.clone());
        let (core, writer) = Core::open(disk, Path::new(DIR), options(), self.epoch).ok()?;
        let reader = Reader::new(core.clone(), "lake", None).ok()?;
        let idle = Reader::new(core.clone(), "idle", Some(BUDGET)).ok()?;
        Some(Open { core, writer, reader, idle })
    }

    /// Opens the journal again; after a crash if it does not open without.
    fn reopen(&mut self) {
        self.open = None;
        self.read = None;
        self.epoch += 1;
        let open = self.try_open().unwrap_or_else(|| {
            self.disk = self.disk.crash();
            self.epoch += 1;
            self.try_open().expect("a disk without faults opens")
        });
        assert!(!self.calm || open.core.findings().is_empty(), "degraded, and nothing has gone wrong");
        self.open = Some(open);
    }

    fn crash(&mut self) {
        self.open = None;
        self.disk = self.disk.crash();
        self.reopen();
    }

    fn append(&mut self, sizes: &[usize]) {
        let open = self.open.as_mut().unwrap();
        let (mut group, mut answers) = (Vec::new(), Vec::new());
        for size in sizes {
            let number = (self.appended.len() + group.len()) as u64;
            let mut content = signature(number).to_vec();
            content.resize(SIGNATURE + size, number as u8);
            let (answer, answered) = oneshot::channel();
            let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
            group.push(Pending { frame: [frame::unsealed(), content.clone()].concat(), answer, room });
            answers.push((content, answered));
        }
        open.writer.write_group(group);
        for (content, mut answered) in answers {
            let fate = match answered.try_recv().unwrap() {
                Ok(position) => {
                    let last = self.acknowledged.last_key_value().map_or(0, |(seq, _)| *seq);
                    assert!(position.seq > last && position.epoch == self.epoch, "{position:?} after {last}");
                    self.acknowledged.insert(position.seq, content.clone());
                    Fate::Acknowledged(position)
                }
                Err(_) => Fate::Failed(self.epoch),
            };
            self.appended.insert(content, fate);
        }
    }

    /// Reads up to `most` records; returns how many there were.
    fn read(&mut self, most: usize) -> usize {
        for count in 0..most {
            let next = self.open.as_mut().unwrap().reader.try_next();
            let Ok(Some((position, content))) = next else { return count };
            let from = self.read.map_or(self.committed.0, |read| read.seq);
            assert!(position.seq > from, "{position:?} after {from}");
            let from = self.read.map_or(self.committed.1, |read| read.seq);
            let skipped = self.acknowledged.range(from + 1..position.seq.max(from + 1)).next();
            assert!(skipped.is_none(), "{:?} was skipped before {position:?}", skipped.map(|(seq, _)| seq));
            match self.appended.get(&content[..]).expect("only what was appended is read") {
                Fate::Acknowledged(acknowledged) => assert_eq!(position, *acknowledged),
                Fate::Erased { surely } => assert!(!surely, "{position:?} was erased"),
                Fate::Failed(epoch) => assert!(*epoch == position.epoch && *epoch < self.epoch, "a failed record"),
            }
            self.read = Some(position);
        }
        most
    }

    fn commit(&mut self) {
        let Some(position) = self.read else { return };
        self.committed.1 = self.committed.1.max(position.seq);
        if self.open.as_mut().unwrap().reader.commit(position).is_ok() {
            self.committed.0 = self.committed.0.max(position.seq);
        }
    }

    fn erase(&mut self, back: usize) {
        let Some((seq, content)) = self.acknowledged.iter().rev().nth(back) else { return };
        let (seq, content) = (*seq, content.clone());
        let Some(Fate::Acknowledged(position)) = self.appended.get(&content).copied() else { return };
        let erased = self.open.as_ref().unwrap().core.erase(&[position]);
        assert!(!self.calm || erased.is_ok());
        self.acknowledged.remove(&seq);
        self.appended.insert(content.clone(), Fate::Erased { surely: erased.is_ok() });
        if erased.is_ok() {
            self.check_erased();
        }
    }

    /// Nothing of what was erased is in any file.
    fn check_erased(&self) {
        let erased = self.appended.iter().filter(|(_, fate)| **fate == Fate::Erased { surely: true });
        let signatures = erased.map(|(content, _)| &content[..SIGNATURE]);
        let search = aho_corasick::AhoCorasick::new(signatures).unwrap();
        for (path, bytes) in self.disk.files() {
            assert!(!search.is_match(&bytes), "{} holds what was erased", path.display());
        }
    }

    fn step(&mut self, op: &Op) {
        self.calm &= matches!(op, Op::Append(_) | Op::Read(_) | Op::Commit | Op::Reopen | Op::Erase(_));
        match op {
            Op::Append(sizes) => self.append(sizes),
            Op::Read(most) => drop(self.read(*most)),
            Op::Commit => self.commit(),
            Op::Reopen => self.reopen(),
            Op::Crash => self.crash(),
            Op::PowerFor(changes) => self.disk.faults(|faults| faults.power_for = Some(*changes)),
            Op::FailSyncs(count) => self.disk.faults(|faults| faults.syncs = *count),
            Op::FailWrite => self.disk.faults(|faults| faults.writes = 1),
            Op::Erase(back) => self.erase(*back),
            Op::Full(left) => self.disk.fill(*left),
            Op::Space => self.disk.faults(|faults| faults.capacity = None),
        }
    }

    /// Everything acknowledged can still be read to the end.
    fn finish(&mut self) {
        self.crash();
        while self.read(100) == 100 {}
        let end = self.read.map_or(self.committed.1, |read| read.seq);
        let lost: Vec<_> = self.acknowledged.range(end + 1..).map(|(seq, _)| seq).collect();
        assert!(lost.is_empty(), "{lost:?} were lost at the end");
        self.check_erased();
        self.finishidle();
    }

    /// The reader that never read gets all that was not dropped.
    fn finishidle(&mut self) {
        let open = self.open.as_mut().unwrap();
        let cursor = locked(&open.core.state).cursors["idle"];
        assert!(cursor.seq == cursor.dropped, "only what is counted was dropped");
        let next = || open.idle.try_next().unwrap();
        let read: BTreeSet<u64> = std::iter::from_fn(next).map(|(position, _)| position.seq).collect();
        let mut kept = self.acknowledged.range(cursor.seq + 1..);
        assert!(kept.all(|(seq, _)| read.contains(seq)), "kept by the budget, but not there");
    }
}

/// The variable `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    ProptestConfig::default().cases.max(10_000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives(seed: u64, ops in prop::collection::vec(op(), 1..40)) {
        let mut run = Run::new(seed);
        ops.iter().for_each(|op| run.step(op));
        run.finish();
    }
}

/// The copy of a damaged segment outlives the segment: an erasure looks there, too.
#[test]
fn a_copy_whose_segment_is_gone_is_erased_too() {
    let mut run = Run::new(2_233_530_336_556_405_240);
    let zeros = |count| Op::Append(vec![0; count]);
    let ops = [
        Op::Append(vec![190, 770]),
        Op::FailSyncs(1),
        zeros(1),
        Op::Crash,
        Op::Read(2),
        zeros(4),
        Op::Full(4276),
        zeros(1),
        zeros(1),
        Op::Read(1),
        Op::Commit,
        Op::Erase(4),
    ];
    ops.iter().for_each(|op| run.step(op));
    run.finish();
}
