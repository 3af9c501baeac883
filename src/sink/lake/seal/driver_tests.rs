use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::model::{Fact, Kind, Status};
use crate::sink::lake::TableKind;
use crate::sink::lake::seal::Timing;
use crate::sink::lake::testing::{TestLake, fact, tiny_fold};

/// A running sealer, with what the appender would tell it.
struct Running {
    appended: watch::Sender<Appended>,
    stop: watch::Sender<bool>,
    sealed: watch::Receiver<Sealed>,
    count: watch::Receiver<usize>,
    reports: Arc<Mutex<Vec<Report>>>,
    task: tokio::task::JoinHandle<()>,
}

fn start(lake: &TestLake, timing: Timing) -> Running {
    let options = SealOptions { timing, fold: tiny_fold, ..SealOptions::default() };
    let reports = Arc::new(Mutex::new(Vec::new()));
    let kept = reports.clone();
    let observe: Observe = Arc::new(move |report: &Report| kept.lock().unwrap().push(report.clone()));
    let sealer = Sealer::new(lake.lake.clone(), lake.key.clone(), Clock::system(), options, observe);
    let (appended, follow) = watch::channel(Appended::default());
    let (stop, stopped) = watch::channel(false);
    let (sealed, count) = (sealer.sealed(), sealer.running());
    Running { appended, stop, sealed, count, reports, task: tokio::spawn(sealer.run(follow, stopped)) }
}

impl Running {
    fn tell(&self, lake: &TestLake, version: i64) {
        self.appended.send_modify(|appended| {
            appended.versions.insert(lake.workspace.clone(), version);
        });
    }

    async fn all_through(&mut self, lake: &TestLake, version: i64) {
        let through = |sealed: &Sealed| sealed.get(&lake.workspace).is_some_and(|progress| progress.all >= version);
        self.sealed.wait_for(through).await.unwrap();
    }

    async fn finish(self) -> Vec<Report> {
        self.stop.send(true).unwrap();
        self.task.await.unwrap();
        self.reports.lock().unwrap().clone()
    }
}

fn now() -> i64 {
    Clock::system().now()
}

fn ended(session: &str) -> Vec<Fact> {
    vec![fact(session, 0, Kind::Prompt, now()), fact(session, 1, Kind::SessionEnd, now())]
}

#[tokio::test]
async fn many_sessions_that_end_together_are_sealed_in_few_commits_within_seconds() {
    let lake = TestLake::new().await;
    let mut running = start(&lake, Timing::default());
    let facts: Vec<Fact> = (0..300).flat_map(|n| ended(&format!("s{n:03}"))).collect();
    let mut last = 0;
    for part in facts.chunks(200) {
        last = lake.append(part).await;
        running.tell(&lake, last);
    }
    running.all_through(&lake, last).await;
    let sessions = lake.sessions().await;
    assert_eq!(sessions.len(), 300);
    assert!(sessions.iter().all(|session| session.status == Status::Ended && session.events == 2));
    assert_eq!(lake.events().await.len(), 600);
    let commits = lake.table(TableKind::Sessions).await.version();
    assert!(commits <= 5, "{commits} commits");
    let reports = running.finish().await;
    let latencies: Vec<i64> = reports.iter().flat_map(|report| report.end_to_visible.clone()).collect();
    assert_eq!(latencies.len(), 300);
    assert!(latencies.iter().all(|latency| *latency < 5_000_000), "slowest: {:?} us", latencies.iter().max());
}

#[tokio::test]
async fn time_alone_stores_a_running_session_and_ends_an_idle_one() {
    let lake = TestLake::new().await;
    let timing =
        Timing { idle_timeout: Duration::from_secs(1), first_rows: Duration::from_millis(200), ..Timing::default() };
    let mut running = start(&lake, timing);
    let version = lake.append(&[fact("s", 0, Kind::Prompt, now())]).await;
    running.tell(&lake, version);
    running.count.wait_for(|count| *count == 1).await.unwrap();
    running.all_through(&lake, version).await;
    assert_eq!(lake.sessions().await.len(), 1);
    running.count.wait_for(|count| *count == 0).await.unwrap();
    while lake.sessions().await[0].status == Status::Running {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(lake.sessions().await[0].end_reason.as_deref(), Some("idle"));
    running.finish().await;
}

#[tokio::test]
async fn what_was_there_before_the_start_is_sealed_and_a_stop_waits_for_ends() {
    let lake = TestLake::new().await;
    lake.append(&ended("before")).await;
    let mut running = start(&lake, Timing::default());
    running.all_through(&lake, 1).await;
    assert_eq!(lake.sessions().await.len(), 1);
    let version = lake.append(&ended("last")).await;
    running.tell(&lake, version);
    running.finish().await;
    assert_eq!(lake.sessions().await.len(), 2);
}

#[tokio::test]
async fn while_a_table_is_away_sessions_stay_due_and_are_sealed_once_when_it_is_back() {
    let lake = TestLake::new().await;
    let first = lake.append(&ended("first")).await;
    let mut running = start(&lake, Timing::default());
    running.all_through(&lake, first).await;
    let (away, back) = lake.break_table("sessions");
    away();
    let version = lake.append(&ended("second")).await;
    running.tell(&lake, version);
    while !running.reports.lock().unwrap().iter().any(|report| report.failed) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    back();
    running.all_through(&lake, version).await;
    assert_eq!(lake.sessions().await.len(), 2);
    assert_eq!(lake.events().await.len(), 4);
    running.finish().await;
}

/// What another process appends is sealed by the holder of the lease, which is told of nothing.
#[tokio::test]
async fn of_two_processes_one_seals_what_both_append_and_the_other_follows_it() {
    let lake = TestLake::new().await;
    let (mut first, mut second) = (start(&lake, Timing::default()), start(&lake, Timing::default()));
    let version = lake.append(&ended("one")).await;
    tokio::select! {
        () = first.all_through(&lake, version) => {}
        () = second.all_through(&lake, version) => std::mem::swap(&mut first, &mut second),
    }
    assert_eq!(lake.sessions().await.len(), 1);
    first.finish().await;
    let version = lake.append(&ended("two")).await;
    second.all_through(&lake, version).await;
    assert_eq!(lake.sessions().await.len(), 2);
    assert_eq!(second.finish().await.iter().map(|report| report.ended).sum::<usize>(), 1);
}

/// As after SIGSTOP: the process still believes that it holds the lease.
#[tokio::test]
async fn a_holder_that_was_followed_unknowingly_commits_nothing() {
    let lake = TestLake::new().await;
    let mut running = start(&lake, Timing::default());
    let version = lake.append(&ended("one")).await;
    running.all_through(&lake, version).await;
    let held = lake.table(TableKind::Sessions).await.transaction_version("maintenance").await.unwrap();
    for kind in TableKind::ALL {
        lake.table(kind).await.raise(Fence::new(held.unwrap() + 10)).await.unwrap();
    }
    let before = lake.table(TableKind::Sessions).await.version();
    let version = lake.append(&ended("two")).await;
    running.all_through(&lake, version).await;
    let mut table = lake.table(TableKind::Sessions).await;
    assert_eq!(table.transaction_version("maintenance").await.unwrap(), held.map(|epoch| epoch + 11));
    let commits = table.changes_since(before).await.unwrap().unwrap();
    assert!(commits[0].added.is_empty() && !commits[1].added.is_empty(), "the new fence comes before the rows");
    assert_eq!(lake.sessions().await.len(), 2);
    running.finish().await;
}
