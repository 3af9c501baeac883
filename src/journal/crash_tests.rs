//! The journal against a model: random appends, reads, commits, faults and power losses. After each open, every
//! acknowledged record that was not committed is there, in order and with its position, and nothing is there that was
//! not appended.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use super::core::Core;
use super::frame;
use super::model_disk::ModelDisk;
use super::queue::Pending;
use super::reader::Reader;
use super::segment::DATA_START;
use super::writer::Writer;
use super::{JournalOptions, Position};

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
    ]
}

/// What became of an appended record.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Failed in the open with that epoch.
    Failed(u64),
    Acknowledged(Position),
}

/// A journal without its thread: each step happens when the test says so.
struct Open {
    core: Arc<Core>,
    writer: Writer,
    reader: Reader,
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

fn options() -> JournalOptions {
    JournalOptions { segment_bytes: DATA_START + 4096, ..JournalOptions::default() }
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
        let reader = Reader::new(core.clone(), "lake").ok()?;
        Some(Open { core, writer, reader })
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
        assert!(!self.calm || !open.core.degraded(), "degraded, and nothing has gone wrong");
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
            let mut content = number.to_le_bytes().to_vec();
            content.resize(8 + size, number as u8);
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
            assert_eq!(skipped, None, "skipped before {position:?}");
            match self.appended.get(&content[..]).expect("only what was appended is read") {
                Fate::Acknowledged(acknowledged) => assert_eq!(position, *acknowledged),
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

    fn step(&mut self, op: &Op) {
        self.calm &= matches!(op, Op::Append(_) | Op::Read(_) | Op::Commit | Op::Reopen);
        match op {
            Op::Append(sizes) => self.append(sizes),
            Op::Read(most) => drop(self.read(*most)),
            Op::Commit => self.commit(),
            Op::Reopen => self.reopen(),
            Op::Crash => self.crash(),
            Op::PowerFor(changes) => self.disk.faults(|faults| faults.power_for = Some(*changes)),
            Op::FailSyncs(count) => self.disk.faults(|faults| faults.syncs = *count),
            Op::FailWrite => self.disk.faults(|faults| faults.writes = 1),
        }
    }

    /// Everything acknowledged can still be read to the end.
    fn finish(&mut self) {
        self.crash();
        while self.read(100) == 100 {}
        let end = self.read.map_or(self.committed.1, |read| read.seq);
        assert_eq!(self.acknowledged.range(end + 1..).next(), None, "lost at the end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives(seed: u64, ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new(seed);
        ops.iter().for_each(|op| run.step(op));
        run.finish();
    }
}
