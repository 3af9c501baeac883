use std::time::Duration;

use super::*;
use crate::clock::Clock;
use crate::model::{Fact, Kind};
use crate::sink::lake::seal::SealOptions;
use crate::sink::lake::testing::{TestLake, fact, tiny_fold};
use crate::sink::lake::{Fence, Retention, Retentions};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400;
/// The day of the test facts' times, seconds.
const START: i64 = 20_370 * DAY;

fn at(seconds: i64) -> Now {
    Now { mono: seconds * SECOND, wall: seconds * SECOND }
}

async fn open(lake: &TestLake, now: Now) -> WorkspaceSealer {
    let facts = Some(Duration::from_secs(30 * 86_400));
    let default = Retention { facts, ..Retention::FOR_EVER };
    let retention = Retentions { default, ..Retentions::default() };
    let options = SealOptions { fold: tiny_fold, retention, ..SealOptions::default() };
    WorkspaceSealer::open(&lake.lake, &lake.key, &lake.workspace, Fence::new(1), &options, now).await.unwrap()
}

async fn seal(sealer: &mut WorkspaceSealer, seconds: i64) {
    sealer.catch_up().await.unwrap();
    sealer.scan(at(seconds)).await.unwrap();
    while sealer.round(at(seconds)).await.unwrap().is_some() {}
}

fn facts(numbers: std::ops::Range<u64>, received: i64) -> Vec<Fact> {
    let kind = |number| if number + 1 == numbers.end { Kind::SessionEnd } else { Kind::Prompt };
    numbers.clone().map(|number| fact("a", number, kind(number), received * SECOND)).collect()
}

/// What was joined of facts that are no longer there stays, whatever comes later and whoever seals it.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_goes_on_after_its_facts_expired_keeps_its_rows() {
    let later = START + 40 * DAY;
    let mut lake = TestLake::new().await;
    lake.lake = lake.lake.clone().with_clock(Clock::from_fn(move || later * SECOND));
    lake.append(&facts(0..4, START)).await;
    let mut sealer = open(&lake, at(START + 1)).await;
    seal(&mut sealer, START + 1).await;
    let before = lake.events().await;
    assert_eq!(before.len(), 4);

    sealer.expire(at(later)).await.unwrap();
    assert!(lake.facts().await.is_empty(), "its facts are too old");
    assert_eq!(lake.events().await, before);

    lake.append(&facts(20..22, later)).await;
    seal(&mut sealer, later).await;
    seal(&mut sealer, later + 2).await;
    assert_eq!(lake.events().await.len(), 6);

    let mut sealer = open(&lake, at(later + 3)).await;
    lake.append(&facts(30..31, later + 3)).await;
    seal(&mut sealer, later + 4).await;
    seal(&mut sealer, later + 6).await;
    let events = lake.events().await;
    assert_eq!(events.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6]);
    assert!(before.iter().all(|event| events.contains(event)), "what was there is as it was");
    let sessions = lake.sessions().await;
    assert_eq!((sessions.len(), sessions[0].events), (1, 7));
    assert_eq!(sessions[0].gaps.iter().filter(|gap| gap.kind == "facts_expired").count(), 1);
}
