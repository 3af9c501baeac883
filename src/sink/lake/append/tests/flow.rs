//! Appender and sealer together.

use super::*;
use crate::clock::Clock;
use crate::journal::{Journal, JournalOptions};
use crate::model::Status;
use crate::redaction::{Delivery, Redactor};
use crate::sink::lake::seal::{Observe, Report, SealOptions, Sealed, Sealer, Timing};
use crate::sink::lake::testing::{record_at, tiny_fold};

fn sealer(lake: &TestLake, timing: Timing, observe: Observe) -> Sealer {
    let options = SealOptions { timing, fold: tiny_fold, ..SealOptions::default() };
    Sealer::new(lake.lake.clone(), lake.key.clone(), Clock::system(), options, observe)
}

/// Steps 0 to 9 of a session, the last one its end.
fn step(session: u64, step: u64) -> (Position, Bytes) {
    let end = if step == 9 { " end" } else { "" };
    let payload = format!("s{session} {step}{end}").into_bytes();
    record_at("default", session * 10 + step + 1, payload, Clock::system().now())
}

async fn assert_complete(lake: &TestLake, sessions: u64) {
    assert_eq!(lake.facts().await.len() as u64, sessions * 10);
    let rows = lake.sessions().await;
    assert_eq!(rows.len() as u64, sessions);
    assert!(rows.iter().all(|session| session.status == Status::Ended && session.events == 10));
    let mut events = lake.events().await;
    assert_eq!(events.len() as u64, sessions * 10);
    events.dedup();
    assert_eq!(events.len() as u64, sessions * 10);
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
    let sealer = sealer(&lake, Timing::default(), observe);
    let (stop_appender, stop) = watch::channel(false);
    let (stop_sealer, stopped) = watch::channel(false);
    let sealing = tokio::spawn(sealer.run(appender.appended(), stopped));
    let appending = tokio::spawn(appender.run(stop));

    let mut pace = tokio::time::interval(Duration::from_millis(4));
    for n in 0..SESSIONS {
        pace.tick().await;
        (0..10).for_each(|at| feed.send(step(n, at)).unwrap());
    }
    stop_appender.send(true).unwrap();
    appending.await.unwrap();
    stop_sealer.send(true).unwrap();
    sealing.await.unwrap();

    assert_complete(&lake, SESSIONS).await;
    let mut latencies = latencies.lock().unwrap().clone();
    latencies.sort_unstable();
    assert_eq!(latencies.len() as u64, SESSIONS);
    let p99 = latencies[latencies.len() * 99 / 100];
    assert!(p99 < 5_000_000, "p99 is {p99} us");
}

/// Starts both tasks and drops them a little after they came to the point that `life` names: they die at any await,
/// and what they had under way in other threads may still land.
async fn live_and_die(lake: &TestLake, log: &Arc<Mutex<Log>>, life: u64) {
    const GAP: Duration = Duration::from_millis(10);
    let (reader, _feed) = MemoryReader::open(log);
    let mut appender = appender(lake, reader, Reports::default());
    (appender.options.flush_interval, appender.options.commit_gap) = (GAP, GAP);
    let mut appended = appender.appended();
    let (told, mut rounds) = watch::channel(());
    let sealer = sealer(lake, QUICK, Arc::new(move |_: &Report| told.send_replace(())));
    let (_stop, stop) = watch::channel(false);
    let tasks = [tokio::spawn(sealer.run(appender.appended(), stop.clone())), tokio::spawn(appender.run(stop))];
    match life % 3 {
        0 => {}
        1 => appended.changed().await.unwrap(),
        _ => rounds.changed().await.unwrap(),
    }
    let random = life.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33;
    tokio::time::sleep(Duration::from_millis(random % 80)).await;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
}

const QUICK: Timing = Timing {
    idle_timeout: Duration::from_secs(600),
    provisional_interval: Duration::from_secs(1),
    first_rows: Duration::from_millis(30),
    late_debounce: Duration::from_millis(100),
};

/// Runs a sealer over what is there until all of it is sealed.
async fn seal_with(lake: &TestLake, sealer: Sealer) {
    let (stopper, stop) = watch::channel(false);
    let (_told, appended) = watch::channel(Appended::default());
    let mut sealed = sealer.sealed();
    let task = tokio::spawn(sealer.run(appended, stop));
    let version = lake.table(TableKind::Facts).await.version();
    let through = |sealed: &Sealed| sealed.get(&lake.workspace).is_some_and(|progress| progress.all >= version);
    sealed.wait_for(through).await.unwrap();
    stopper.send(true).unwrap();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crashes_at_any_moment_lose_and_repeat_nothing() {
    const SESSIONS: u64 = 40;
    const LIVES: usize = 20;
    let mut lake = TestLake::new().await;
    let log = log(Vec::new());
    let steps: Vec<_> = (0..10).flat_map(|at| (0..SESSIONS).map(move |session| step(session, at).1)).collect();
    let all = steps.into_iter().zip(1..).map(|(bytes, seq)| (Position { seq, epoch: 1 }, bytes));
    let all: Vec<_> = all.collect();
    for (part, life) in all.chunks(all.len() / LIVES).zip(0..) {
        log.lock().unwrap().records.extend_from_slice(part);
        live_and_die(&lake, &log, life).await;
        lake.reopen().await;
    }
    assert!(lake.table(TableKind::Sessions).await.version() > 5, "some rounds were sealed before the last one");
    drained(&lake, &log).await;
    seal_with(&lake, sealer(&lake, QUICK, Arc::new(|_: &Report| ()))).await;
    assert_complete(&lake, SESSIONS).await;
}

/// With the real journal, mapping and fold: hooks of one session, the process stopped and started in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_spans_two_openings_of_the_journal_is_one_row() {
    let lake = TestLake::new().await;
    let redactor = Redactor::builtin(lake.key.clone());
    let hooks = [
        vec![r#"{"hook_event_name":"UserPromptSubmit","session_id":"s","cwd":"/p","prompt":"hello"}"#],
        vec![r#"{"hook_event_name":"SessionEnd","session_id":"s","cwd":"/p","reason":"exit"}"#],
    ];
    for (texts, epoch) in hooks.into_iter().zip(1..) {
        let journal = Journal::open(&lake.dir.path().join("journal"), JournalOptions::default(), epoch).unwrap();
        for text in texts {
            let data: serde_json::Value = serde_json::from_str(text).unwrap();
            let received_at = Clock::system().now();
            let delivery = Delivery { workspace: lake.workspace.clone(), principal: None, received_at };
            let envelope = serde_json::json!({"kind": "hook", "data": data});
            let batch = redactor.redact_hooks(delivery, vec![envelope]).batch.unwrap();
            journal.append(&batch).await.unwrap();
        }
        let reader = journal.reader("lake").unwrap();
        let id = journal.id().to_owned();
        let appender = Appender::new(
            lake.lake.clone(),
            Tombstones::new(lake.key.clone()),
            id,
            reader,
            AppendOptions::default(),
            Arc::new(|report| assert_eq!((report.poison, report.duplicates), (0, 0))),
        );
        let (_stop, stop) = watch::channel(true);
        appender.run(stop).await;
    }
    let sealer = Sealer::new(
        lake.lake.clone(),
        lake.key.clone(),
        Clock::system(),
        SealOptions::default(),
        Arc::new(|_: &Report| ()),
    );
    seal_with(&lake, sealer).await;
    assert_eq!(lake.facts().await.len(), 2);
    let sessions = lake.sessions().await;
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].status, sessions[0].prompt_count), (Status::Ended, 1));
}
