use std::sync::Mutex;

use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::model::{Kind, Status};
use crate::sink::lake::TableKind;
use crate::sink::lake::seal::{Observe, Report, SealOptions, Sealer};
use crate::sink::lake::testing::{TestLake, fact, record, record_at, tiny_fold};

/// A journal in memory. Its cursor survives the reader, as a real one's does; `keeps_cursor` off simulates crashes
/// before the cursor is written.
#[derive(Default)]
struct Log {
    records: Vec<(Position, Bytes)>,
    cursor: Option<Position>,
    keeps_cursor: bool,
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
    Arc::new(Mutex::new(Log { records, cursor: None, keeps_cursor: true }))
}

fn appender(lake: &TestLake, reader: MemoryReader, reports: Reports) -> Appender<MemoryReader> {
    let options = AppendOptions { normalise: words, ..AppendOptions::default() };
    let observe = Arc::new(move |report| reports.lock().unwrap().push(report));
    Appender::new(lake.lake.clone(), lake.key.clone(), "j".repeat(16), reader, options, observe)
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

/// From the journal to readable rows, while sessions end all the time: the promise is 5 s at the 99th percentile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_can_be_read_within_seconds_of_their_end() {
    const SESSIONS: u64 = 300;
    let lake = TestLake::new().await;
    let (reader, feed) = MemoryReader::open(&log(Vec::new()));
    let appender = appender(&lake, reader, Reports::default());
    let latencies = Arc::new(Mutex::new(Vec::<i64>::new()));
    let kept = latencies.clone();
    let observe: Observe = Arc::new(move |report: &Report| kept.lock().unwrap().extend(&report.end_to_visible));
    let options = SealOptions { fold: tiny_fold, ..SealOptions::default() };
    let sealer = Sealer::new(lake.lake.clone(), lake.key.clone(), Clock::system(), options, observe);
    let (stop_appender, stop) = watch::channel(false);
    let (stop_sealer, stopped) = watch::channel(false);
    let sealing = tokio::spawn(sealer.run(appender.appended(), stopped));
    let appending = tokio::spawn(appender.run(stop));

    let mut pace = tokio::time::interval(Duration::from_millis(4));
    for n in 0..SESSIONS {
        pace.tick().await;
        for step in 0..10 {
            let end = if step == 9 { " end" } else { "" };
            let payload = format!("s{n} {step}{end}").into_bytes();
            feed.send(record_at("default", n * 10 + step, payload, Clock::system().now())).unwrap();
        }
    }
    stop_appender.send(true).unwrap();
    appending.await.unwrap();
    stop_sealer.send(true).unwrap();
    sealing.await.unwrap();

    let sessions = lake.sessions().await;
    assert_eq!(sessions.len() as u64, SESSIONS);
    assert!(sessions.iter().all(|session| session.status == Status::Ended && session.events == 10));
    assert_eq!(lake.events().await.len() as u64, SESSIONS * 10);
    let mut latencies = latencies.lock().unwrap().clone();
    latencies.sort_unstable();
    assert_eq!(latencies.len() as u64, SESSIONS);
    let p99 = latencies[latencies.len() * 99 / 100];
    assert!(p99 < 5_000_000, "p99 is {p99} us");
    eprintln!("p50 {} p99 {p99} max {}", latencies[latencies.len() / 2], latencies[latencies.len() - 1]);
}
