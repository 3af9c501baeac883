//! Records whose rows cannot be written.

use super::*;
use crate::sink::lake::testing::{UNCOMMITTABLE, record_at};

async fn appended(lake: &TestLake, log: &Arc<Mutex<Log>>) -> u64 {
    let reports = Reports::default();
    let (_sender, stop) = watch::channel(true);
    let (reader, _feed) = MemoryReader::open(log);
    appender(lake, reader, reports.clone()).run(stop).await;
    reports.lock().unwrap().iter().map(|report| report.poison).sum()
}

/// 1 to 50, three of which nothing can be made of.
fn records() -> Vec<(Position, Bytes)> {
    let payload = |n| match n {
        17 => "panics 17".to_owned(),
        40 => "fails 40".to_owned(),
        _ => format!("s {n}"),
    };
    let received = |n| if n == 41 { i64::from(UNCOMMITTABLE) * 86_400_000_000 } else { 0 };
    (1..=50).map(|n| record_at("default", n, payload(n).into_bytes(), received(n))).collect()
}

/// A store that is away is waited for; a record that nothing can be made of is not.
#[tokio::test]
async fn what_cannot_be_encoded_or_committed_is_set_aside_and_the_rest_lands_once() {
    let lake = TestLake::new().await;
    let log = log(records());
    log.lock().unwrap().records.push(record("other", 51, b"s 51"));
    assert_eq!(appended(&lake, &log).await, 3);
    let expected: Vec<i64> = (1..=50).filter(|n| ![17, 40, 41].contains(n)).collect();
    assert_eq!(numbers(&lake).await, expected);
    let log = log.lock().unwrap();
    let reasons = [(17, "writing panics"), (40, "rows do not fit the schema"), (41, "writing panics")];
    assert_eq!(log.set_aside, reasons);
    assert_eq!(log.cursor, Some(Position { seq: 51, epoch: 1 }));
}

/// Once later records are in the table, nobody looks at what stands before them.
#[tokio::test]
async fn a_crash_before_the_cursor_moves_forgets_no_poison_and_repeats_no_row() {
    let mut lake = TestLake::new().await;
    let log = log(records());
    log.lock().unwrap().keeps_cursor = false;
    appended(&lake, &log).await;
    lake.reopen().await;
    appended(&lake, &log).await;
    assert_eq!(numbers(&lake).await.len(), 47);
    assert_eq!(log.lock().unwrap().set_aside.len(), 3, "the others are behind what has landed");
}

/// Facts are made into blocks as they come: that must not fail either.
#[tokio::test]
async fn poison_within_a_block_is_found_too() {
    let lake = TestLake::new().await;
    let records = (1..=3000)
        .map(|n| record("default", n, if n == 700 { "panics 700".to_owned() } else { format!("s {n}") }.as_bytes()));
    let log = log(records.collect());
    assert_eq!(appended(&lake, &log).await, 1);
    assert_eq!(numbers(&lake).await.len(), 2999);
    assert_eq!(log.lock().unwrap().set_aside, [(700, "writing panics")]);
}
