//! Figures, not promises: `cargo test --lib journal::tests::throughput -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use super::*;

/// Appends from `clients` tasks for two seconds; prints rates and latencies.
async fn measure(clients: usize, bytes: usize) {
    let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let journal = Journal::open(dir.path(), JournalOptions::default(), 1).unwrap();
    let start = Instant::now();
    let client = |journal: Journal| async move {
        let mut latencies = Vec::new();
        while start.elapsed() < Duration::from_secs(2) {
            let begin = Instant::now();
            journal.append_bytes(vec![7; bytes]).await.unwrap();
            latencies.push(begin.elapsed());
        }
        latencies
    };
    let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(client(journal.clone()))).collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let (seconds, stats) = (start.elapsed().as_secs_f64(), journal.stats());
    latencies.sort_unstable();
    let rate = |n: u64| n as f64 / seconds;
    println!(
        "{clients} clients, {bytes} B: {:.0} records/s, {:.1} MB/s, {:.0} syncs/s, p50 {:?}, p99 {:?}",
        rate(stats.appended_records),
        rate(stats.appended_bytes) / 1e6,
        rate(stats.syncs),
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100],
    );
    let mut reader = journal.reader("lake").unwrap();
    let start = Instant::now();
    let read = std::iter::from_fn(|| reader.try_next().unwrap()).count() as u64;
    assert_eq!(read, stats.appended_records);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "  read again: {:.0} records/s, {:.1} MB/s",
        read as f64 / seconds,
        stats.appended_bytes as f64 / seconds / 1e6
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for ten seconds"]
async fn append_and_read() {
    for (clients, bytes) in [(1, 1024), (64, 1024), (8, 76 << 10), (2, 4 << 20)] {
        measure(clients, bytes).await;
    }
}
