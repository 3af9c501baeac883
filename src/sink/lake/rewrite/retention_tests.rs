//! What is too old goes, what is held or still needed stays, and costs outlive content.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::retention::Expired;
use super::*;
use crate::clock::Clock;
use crate::model::{Kind, Status};
use crate::sink::lake::holds::{Held, Hold, HoldSubject, Holds};
use crate::sink::lake::maintain::Form;
use crate::sink::lake::testing::{TestLake, fact, tiny_fold};
use crate::sink::lake::{LakeError, TableKind};

const DAY: i64 = 86_400_000_000;
/// The day of the test facts' times, and of their sessions.
const START: i64 = 1_760_000_000_000_000 / DAY;

fn days(n: u64) -> Option<Duration> {
    Some(Duration::from_secs(n * 86_400))
}

async fn lake_at(day: i64) -> TestLake {
    let mut lake = TestLake::new().await;
    lake.lake = lake.lake.clone().with_clock(Clock::from_fn(move || day * DAY));
    lake
}

async fn seal(lake: &TestLake, session: &str, status: Status) {
    let mut folded = tiny_fold(session, &[fact(session, 1, Kind::Prompt, START * DAY)], true);
    folded.session.status = status;
    folded.session.end_time = START * DAY;
    folded.session.prompts = vec![crate::model::Prompt { time: 0, text: "what was asked".to_owned() }];
    folded.events[0].columns.cost_usd = Some(7);
    let mut events = lake.table(TableKind::Events).await;
    let add = events.write_events(&folded.events).await.unwrap();
    events.commit(Change { add, ..Change::default() }).await.unwrap();
    let mut sessions = lake.table(TableKind::Sessions).await;
    let add = sessions.write_sessions(&[folded.session]).await.unwrap();
    sessions.commit(Change { add, ..Change::default() }).await.unwrap();
}

async fn run(lake: &TestLake, retention: Retention, held: Held, checked: &mut Checked) -> Expired {
    let [mut facts, mut events, mut sessions] = [
        lake.table(TableKind::Facts).await,
        lake.table(TableKind::Events).await,
        lake.table(TableKind::Sessions).await,
    ];
    let tables = Tables { facts: &mut facts, events: &mut events, sessions: &mut sessions };
    expire(tables, Fence::new(1), retention, &Arc::new(held), checked).await.unwrap()
}

async fn sessions_of_facts(lake: &TestLake) -> BTreeSet<(String, i64)> {
    lake.facts().await.into_iter().map(|f| (f.session_id.unwrap_or_default(), f.received_at / DAY)).collect()
}

fn held(sessions: &[&str]) -> Held {
    Held { sessions: sessions.iter().map(|s| (*s).to_owned()).collect(), ..Held::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_facts_go_but_for_sessions_that_go_on_and_what_is_held() {
    let lake = lake_at(140).await;
    lake.append(&[fact("old", 1, Kind::Prompt, 100 * DAY)]).await;
    lake.append(&[fact("old", 2, Kind::Prompt, 101 * DAY), fact("goes-on", 1, Kind::Prompt, 101 * DAY)]).await;
    lake.append(&[fact("held", 1, Kind::Prompt, 101 * DAY)]).await;
    lake.append(&[fact("goes-on", 2, Kind::Prompt, 139 * DAY), fact("young", 1, Kind::Prompt, 110 * DAY)]).await;
    let retention = Retention { facts: days(30), ..Retention::FOR_EVER };
    let expired = run(&lake, retention, held(&["held"]), &mut Checked::default()).await;
    let left = [("goes-on", 101), ("goes-on", 139), ("held", 101), ("young", 110)];
    let left: BTreeSet<_> = left.into_iter().map(|(session, day)| (session.to_owned(), day)).collect();
    assert_eq!(sessions_of_facts(&lake).await, left);
    assert_eq!((expired.facts.rows_dropped, expired.purged.files), (2, 2), "and their files are gone: {expired:?}");

    let expired = run(&lake, retention, Held::default(), &mut Checked::default()).await;
    assert!(!sessions_of_facts(&lake).await.iter().any(|(session, _)| session == "held"), "once nothing holds it");
    assert_eq!(expired.facts.added, 0, "whole files go without being read");
}

/// Of files that stay the log tells roughly which sessions they have: whether one goes on is asked of the files.
#[tokio::test(flavor = "multi_thread")]
async fn old_facts_of_many_sessions_go_but_for_the_one_that_goes_on() {
    let lake = lake_at(140).await;
    let many = |name: &str, day: i64| -> Vec<_> {
        (0..2000).map(|n| fact(&format!("{name}-{n}"), n, Kind::Prompt, day * DAY)).collect()
    };
    lake.append(&many("old", 100)).await;
    lake.append(&[many("old", 101), vec![fact("goes-on", 1, Kind::Prompt, 101 * DAY)]].concat()).await;
    lake.append(&[many("young", 139), vec![fact("goes-on", 2, Kind::Prompt, 139 * DAY)]].concat()).await;
    lake.merge_days(Form::Final).await;
    let files = lake.table(TableKind::Facts).await.files().await.unwrap();
    assert!(files.len() == 3 && files.iter().all(|file| file.listed().is_none()));
    let retention = Retention { facts: days(30), ..Retention::FOR_EVER };
    let expired = run(&lake, retention, Held::default(), &mut Checked::default()).await;
    let left = sessions_of_facts(&lake).await;
    assert!(left.contains(&("goes-on".to_owned(), 101)) && !left.iter().any(|(session, _)| session.starts_with("old")));
    assert_eq!(left.len(), 2002);
    assert_eq!((expired.facts.removed.len(), expired.facts.added), (2, 1), "a day without one that goes on goes whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_by_the_day_of_the_sessions_start_once_it_is_over() {
    let lake = lake_at(START + 50).await;
    for (session, status) in [("over", Status::Ended), ("runs", Status::Running), ("held", Status::Ended)] {
        seal(&lake, session, status).await;
    }
    let retention = Retention { rows: days(60), ..Retention::FOR_EVER };
    assert!(run(&lake, retention, Held::default(), &mut Checked::default()).await.is_nothing());
    let retention = Retention { rows: days(40), ..Retention::FOR_EVER };
    run(&lake, retention, held(&["held"]), &mut Checked::default()).await;
    let left: Vec<String> = lake.sessions().await.into_iter().map(|session| session.session_id).collect();
    assert_eq!(left, ["held", "runs"]);
    let left: Vec<String> = lake.events().await.into_iter().map(|(session, ..)| session).collect();
    assert_eq!(left, ["held", "runs"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_goes_before_costs() {
    let lake = lake_at(START + 50).await;
    seal(&lake, "a", Status::Ended).await;
    seal(&lake, "held", Status::Ended).await;
    lake.append(&[fact("a", 1, Kind::Prompt, START * DAY)]).await;
    let retention = Retention { content: days(10), ..Retention::FOR_EVER };
    let mut checked = Checked::default();
    let expired = run(&lake, retention, held(&["held"]), &mut checked).await;
    assert_eq!((expired.facts.rows_replaced, expired.events.rows_replaced, expired.sessions.rows_replaced), (1, 1, 1));
    assert!(run(&lake, retention, held(&["held"]), &mut checked).await.is_nothing(), "nothing is left to do");
    let prompts: Vec<usize> = lake.sessions().await.iter().map(|session| session.prompts.len()).collect();
    assert_eq!(prompts, [0, 1]);
    let table = lake.table(TableKind::Events).await;
    for file in table.files().await.unwrap() {
        for event in table.read_events(&file, None).await.unwrap() {
            assert_eq!(event.columns.content.is_some(), event.session_id == "held");
            assert_eq!(event.columns.cost_usd, Some(7));
        }
    }
    assert!(lake.facts().await.iter().all(|fact| fact.columns.content.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_not_erased_until_the_hold_ends() {
    let lake = lake_at(START).await;
    lake.append(&[fact("s", 1, Kind::Prompt, START * DAY)]).await;
    seal(&lake, "s", Status::Ended).await;
    let holds = Holds::open(&lake.lake, &lake.workspace).await.unwrap();
    let subject = HoldSubject::Session("s".to_owned());
    let hold = Hold { subject, reason: "case 17".to_owned(), by: "ada".to_owned(), at: 1 };
    assert!(holds.add(&hold).await.unwrap());
    assert!(!holds.add(&Hold { reason: "another".to_owned(), ..hold.clone() }).await.unwrap(), "it stays as it was");
    assert_eq!(holds.all().await.unwrap(), [(holds.id(&hold.subject), hold.clone())]);
    let erasure = Erasure { sessions: ["s".to_owned()].into(), keep: None, uploads_over_since: None };
    let erase = || erase_sessions(&lake.lake, &lake.workspace, Fence::new(1), &erasure);
    let error = erase().await.unwrap_err();
    assert!(matches!(error, LakeError::Held { sessions: 1, .. }), "{error}");
    assert_eq!(lake.facts().await.len(), 1);
    assert!(holds.remove(&holds.id(&hold.subject)).await.unwrap());
    assert!(!holds.remove(&holds.id(&hold.subject)).await.unwrap());
    erase().await.unwrap();
    assert!(lake.facts().await.is_empty() && lake.sessions().await.is_empty());
}

/// The log is as long as it must be, and a table whose log was cleaned is the same table.
#[tokio::test(flavor = "multi_thread")]
async fn old_log_entries_go_once_a_checkpoint_stands_for_them() {
    let lake = TestLake::new().await;
    for n in 0..5 {
        lake.append(&[fact("s", n, Kind::Prompt, 0)]).await;
    }
    let now = Clock::system().now();
    let late = lake.lake.clone().with_clock(Clock::from_fn(move || now + 8 * DAY));
    let table = late.table(&lake.workspace, TableKind::Facts, &lake.key).await.unwrap();
    assert_eq!(clean_log(&table).await.unwrap(), 0, "no checkpoint stands for them");
    table.checkpoint().await.unwrap();
    lake.append(&[fact("s", 9, Kind::Prompt, 0)]).await;
    assert_eq!(clean_log(&lake.table(TableKind::Facts).await).await.unwrap(), 0, "they are young");
    assert_eq!(clean_log(&table).await.unwrap(), 5, "versions 0 to 4");
    assert_eq!(clean_log(&table).await.unwrap(), 0);
    assert_eq!(lake.facts().await.len(), 6);
    assert_eq!(lake.append(&[fact("s", 10, Kind::Prompt, 0)]).await, 7);
}
