use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;
use crate::model::Kind;
use crate::sink::lake::TableKind;
use crate::sink::lake::testing::{TestLake, fact, record};
use crate::sink::lake::tombstones::Tombstones;

mod flow;
mod poison;

/// A journal in memory. Its cursor survives the reader, as a real one's does; `keeps_cursor` off simulates crashes
/// before the cursor is written.
#[derive(Default)]
struct Log {
    records: Vec<(Position, Bytes)>,
    cursor: Option<Position>,
    keeps_cursor: bool,
    suspicions: BTreeMap<u64, Suspicion>,
    /// What was worked on at once: first and last.
    runs: Vec<(u64, u64)>,
    set_aside: Vec<(u64, &'static str)>,
}

struct MemoryReader {
    log: Arc<Mutex<Log>>,
    unread: mpsc::UnboundedReceiver<(Position, Bytes)>,
}

impl MemoryReader {
    /// A reader, and where to add records to what it reads.
    fn open(log: &Arc<Mutex<Log>>) -> (MemoryReader, mpsc::UnboundedSender<(Position, Bytes)>) {
        let (sender, unread) = mpsc::unbounded_channel();
        let state = log.lock().unwrap();
        let after = |record: &&(Position, Bytes)| state.cursor.is_none_or(|cursor| record.0.seq > cursor.seq);
        state.records.iter().filter(after).for_each(|record| sender.send(record.clone()).unwrap());
        (MemoryReader { log: log.clone(), unread }, sender)
    }
}

impl Records for MemoryReader {
    async fn next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        Ok(self.unread.recv().await)
    }

    fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        Ok(self.unread.try_recv().ok())
    }

    fn commit(&mut self, position: Position) -> Result<(), ReadError> {
        let mut log = self.log.lock().unwrap();
        if log.keeps_cursor {
            log.cursor = Some(position);
        }
        Ok(())
    }

    fn suspicion(&self, position: Position) -> Suspicion {
        self.log.lock().unwrap().suspicions.get(&position.seq).copied().unwrap_or(Suspicion::None)
    }

    fn begin(&mut self, first: Position, last: Position) {
        self.log.lock().unwrap().runs.push((first.seq, last.seq));
    }

    fn end(&mut self) {}

    fn set_aside(&mut self, position: Position, record: &[u8], reason: &'static str) {
        let mut log = self.log.lock().unwrap();
        assert!(log.records.iter().any(|(at, known)| *at == position && known == record), "kept as it is");
        log.set_aside.push((position.seq, reason));
    }

    fn again(&mut self, position: Position) -> Result<Option<Bytes>, ReadError> {
        let log = self.log.lock().unwrap();
        Ok(log.records.iter().find(|(at, _)| *at == position).map(|(_, record)| record.clone()))
    }
}

/// `payload`: a session's name, a number, and `end` for its end; a fact each.
fn words(batch: &Batch, _: &LakeKey, _: &str) -> Result<Vec<Fact>, NormaliseError> {
    let text = String::from_utf8_lossy(&batch.payload).into_owned();
    let mut words = text.split(' ');
    let session = words.next().unwrap();
    let number = words.next().unwrap().parse().unwrap();
    let kind = if words.next() == Some("end") { Kind::SessionEnd } else { Kind::Prompt };
    Ok(vec![fact(session, number, kind, batch.envelope.received_at)])
}

fn log(records: Vec<(Position, Bytes)>) -> Arc<Mutex<Log>> {
    Arc::new(Mutex::new(Log { records, keeps_cursor: true, ..Log::default() }))
}

fn appender(lake: &TestLake, reader: MemoryReader, reports: Reports) -> Appender<MemoryReader> {
    let options = AppendOptions { normalise: words, ..AppendOptions::default() };
    let observe = Arc::new(move |report| reports.lock().unwrap().push(report));
    Appender::new(lake.lake.clone(), Tombstones::new(lake.key.clone()), "j".repeat(16), reader, options, observe)
}

type Reports = Arc<Mutex<Vec<AppendReport>>>;

/// Runs until everything in the log is in the lake, as on shutdown.
async fn drained(lake: &TestLake, log: &Arc<Mutex<Log>>) -> Vec<AppendReport> {
    let reports = Reports::default();
    let (_sender, stop) = watch::channel(true);
    let (reader, _feed) = MemoryReader::open(log);
    appender(lake, reader, reports.clone()).run(stop).await;
    reports.lock().unwrap().clone()
}

async fn numbers(lake: &TestLake) -> Vec<i64> {
    let mut numbers: Vec<i64> = lake.facts().await.iter().filter_map(|fact| fact.sequence).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test]
async fn shutdown_flushes_all_and_moves_the_cursor() {
    let lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"s 1"), record("default", 2, b"s 2"), record("default", 3, b"s 2")]);
    let reports = drained(&lake, &log).await;
    assert_eq!(numbers(&lake).await, [1, 2]);
    assert_eq!(log.lock().unwrap().cursor, Some(Position { seq: 3, epoch: 1 }));
    assert_eq!((reports.len(), reports[0].records, reports[0].facts, reports[0].duplicates), (1, 3, 3, 1));
}

#[tokio::test]
async fn records_that_come_again_after_a_crash_add_nothing() {
    let mut lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"s 1"), record("other", 2, b"s 2")]);
    log.lock().unwrap().keeps_cursor = false;
    drained(&lake, &log).await;
    let version = lake.table(TableKind::Facts).await.version();
    lake.reopen().await;
    drained(&lake, &log).await;
    assert_eq!(lake.table(TableKind::Facts).await.version(), version, "no commit at all");

    lake.reopen().await;
    log.lock().unwrap().records.extend([record("default", 3, b"s 3"), record("other", 4, b"s 4")]);
    drained(&lake, &log).await;
    assert_eq!(numbers(&lake).await, [1, 3]);
    lake.workspace = Workspace::parse("other").unwrap();
    assert_eq!(numbers(&lake).await, [2, 4]);
}

/// The reply to a record was lost with the process; the client sends it again to the next one.
#[tokio::test]
async fn what_a_client_sends_again_after_a_crash_is_stored_once() {
    let mut lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"s 1"), record("default", 2, b"s 2")]);
    drained(&lake, &log).await;
    lake.reopen().await;
    log.lock().unwrap().records.extend([record("default", 3, b"s 2"), record("default", 4, b"s 3")]);
    drained(&lake, &log).await;
    assert_eq!(numbers(&lake).await, [1, 2, 3]);
    assert_eq!(log.lock().unwrap().cursor, Some(Position { seq: 4, epoch: 1 }));
}

#[tokio::test]
async fn epochs_are_told_apart() {
    let lake = TestLake::new().await;
    let mut later = record("default", 1, b"s 2");
    later.0.epoch = 2;
    let log = log(vec![record("default", 1, b"s 1"), later]);
    let reports = drained(&lake, &log).await;
    assert_eq!(reports.len(), 2, "one flush for each");
    assert_eq!(numbers(&lake).await, [1, 2]);
}

#[tokio::test]
async fn a_suspect_is_tried_alone_and_a_condemned_record_not_at_all() {
    let lake = TestLake::new().await;
    let log = log((1..=6).map(|n| record("default", n, format!("s {n}").as_bytes())).collect());
    log.lock().unwrap().suspicions = BTreeMap::from([(3, Suspicion::Suspect), (4, Suspicion::Condemned)]);
    drained(&lake, &log).await;
    assert_eq!(numbers(&lake).await, [1, 2, 3, 5, 6]);
    let log = log.lock().unwrap();
    assert_eq!(log.runs, [(1, 2), (3, 3), (5, 6)]);
    assert_eq!(log.set_aside, [(4, "processes die of it")]);
    assert_eq!(log.cursor.map(|position| position.seq), Some(6));
}

#[tokio::test]
async fn poison_moves_the_cursor_too() {
    let lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"poison"), record("no workspace!", 2, b"s 2")]);
    let reports = drained(&lake, &log).await;
    assert_eq!((reports.len(), reports[0].poison), (1, 2));
    assert_eq!(log.lock().unwrap().cursor, Some(Position { seq: 2, epoch: 1 }));
}

#[tokio::test]
async fn an_end_is_flushed_at_once_and_told() {
    let lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"s 1"), record("default", 2, b"s 2 end")]);
    let (reader, _feed) = MemoryReader::open(&log);
    let appender = appender(&lake, reader, Reports::default());
    let mut appended = appender.appended();
    let (stopper, stop) = watch::channel(false);
    let started = Instant::now();
    let task = tokio::spawn(appender.run(stop));
    let told = appended.wait_for(|appended| appended.position.is_some()).await.unwrap().clone();
    assert!(started.elapsed() < AppendOptions::default().flush_interval, "it did not wait for the interval");
    assert_eq!(told.position, Some(Position { seq: 2, epoch: 1 }));
    assert_eq!(told.versions[&lake.workspace], lake.table(TableKind::Facts).await.version());
    stopper.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn while_the_lake_is_away_facts_wait_and_land_once_when_it_is_back() {
    let lake = TestLake::new().await;
    let log = log(vec![record("default", 1, b"s 1 end")]);
    drained(&lake, &log).await;
    let (away, back) = lake.break_table("facts");
    away();
    log.lock().unwrap().records.push(record("default", 2, b"s 2 end"));
    let (reader, feed) = MemoryReader::open(&log);
    let appender = appender(&lake, reader, Reports::default());
    let mut appended = appender.appended();
    let (stopper, stop) = watch::channel(false);
    let task = tokio::spawn(appender.run(stop));
    feed.send(record("default", 3, b"s 3 end")).unwrap();
    let early = tokio::time::timeout(Duration::from_millis(800), appended.changed()).await;
    assert!(early.is_err(), "nothing is told before it has landed");
    assert_eq!(log.lock().unwrap().cursor, Some(Position { seq: 1, epoch: 1 }));
    back();
    stopper.send(true).unwrap();
    task.await.unwrap();
    assert_eq!(numbers(&lake).await, [1, 2, 3]);
    assert_eq!(log.lock().unwrap().cursor, Some(Position { seq: 3, epoch: 1 }));
}
