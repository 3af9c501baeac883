use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::clock::Clock;
use crate::enrich::fold::Folded;
use crate::model::{Fact, Kind, Redaction};
use crate::sink::lake::audit::receipts;
use crate::sink::lake::forget::{Forgetter, Request, RequestKind, Requests};
use crate::sink::lake::seal::{Recheck, Timing};
use crate::sink::lake::testing::{TestLake, fact, tiny_fold};
use crate::sink::lake::tombstones::Tombstones;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Both clocks at `seconds`.
fn at(seconds: i64) -> Now {
    Now { mono: seconds * SECOND, wall: seconds * SECOND }
}

fn options() -> SealOptions {
    SealOptions { timing: Timing::default(), fold: tiny_fold, ..SealOptions::default() }
}

async fn open(lake: &TestLake, options: &SealOptions, now: Now) -> WorkspaceSealer {
    WorkspaceSealer::open(&lake.lake, &lake.key, &lake.workspace, Fence::new(1), options, now).await.unwrap()
}

/// Everything that is due at `now`.
async fn seal(sealer: &mut WorkspaceSealer, now: Now) -> Vec<Report> {
    sealer.catch_up().await.unwrap();
    let mut reports = Vec::new();
    loop {
        sealer.scan(now).await.unwrap();
        match sealer.round(now).await.unwrap() {
            Some(report) => reports.push(report),
            None => return reports,
        }
    }
}

fn run(session: &str, numbers: std::ops::Range<u64>, received: i64) -> Vec<Fact> {
    numbers.map(|number| fact(session, number, Kind::Prompt, received * SECOND)).collect()
}

fn end(session: &str, number: u64, received: i64) -> Fact {
    fact(session, number, Kind::SessionEnd, received * SECOND)
}

/// `events` must hold exactly what the fold of `facts` gives, and `sessions` one row per session.
async fn assert_exact(lake: &TestLake, idle: bool) {
    let mut facts: HashMap<String, Vec<Fact>> = HashMap::new();
    for fact in lake.facts().await {
        facts.entry(fact.session_id.clone().unwrap()).or_default().push(fact);
    }
    let mut events = Vec::new();
    let mut sessions = Vec::new();
    for (session, facts) in &facts {
        let folded = tiny_fold(session, facts, idle);
        events.extend(folded.events.into_iter().map(|event| (event.session_id, event.seq, event.event_id)));
        sessions.push(folded.session);
    }
    events.sort();
    sessions.sort_by(|a, b| a.session_id.cmp(&b.session_id));
    assert_eq!(lake.events().await, events);
    assert_eq!(lake.sessions().await, sessions);
}

#[tokio::test]
async fn an_end_gives_one_session_and_its_events_exactly() {
    let lake = TestLake::new().await;
    lake.append(&[run("a", 0..5, 10), vec![end("a", 9, 11)], run("b", 0..3, 11)].concat()).await;
    let mut sealer = open(&lake, &options(), at(12)).await;
    let reports = seal(&mut sealer, at(12)).await;
    assert_eq!(reports, [Report { ended: 1, end_to_visible: vec![11 * SECOND], ..Report::default() }]);
    let sessions = lake.sessions().await;
    assert_eq!(sessions.len(), 1, "b still runs, and is stored in a while");
    assert_eq!((sessions[0].status, sessions[0].events), (Status::Ended, 6));
    assert_eq!(lake.events().await.len(), 6);
    seal(&mut sealer, at(17)).await;
    assert_exact(&lake, false).await;
    assert!(!sealer.has_ends());
}

#[tokio::test]
async fn a_late_fact_replaces_the_rows_also_in_another_partition() {
    let lake = TestLake::new().await;
    lake.append(&[run("a", 0..3, 10), vec![end("a", 9, 10)], run("b", 0..2, 10), vec![end("b", 9, 10)]].concat()).await;
    let mut sealer = open(&lake, &options(), at(11)).await;
    seal(&mut sealer, at(11)).await;
    let mut early = fact("a", 20, Kind::Prompt, 12 * SECOND);
    early.time -= 2 * DAY;
    lake.append(&[early]).await;
    assert!(seal(&mut sealer, at(12)).await.is_empty(), "late facts wait for others");
    assert_eq!(seal(&mut sealer, at(13)).await.len(), 1);
    assert_exact(&lake, false).await;
    let sessions = lake.sessions().await;
    assert_eq!((sessions[0].events, sessions[1].events), (5, 3));
    assert_eq!(sessions[0].date, sessions[1].date - 2);
}

#[tokio::test]
async fn silence_ends_a_session_and_new_facts_open_it_again() {
    let lake = TestLake::new().await;
    lake.append(&run("a", 0..3, 10)).await;
    let mut sealer = open(&lake, &options(), at(10)).await;
    assert!(seal(&mut sealer, at(10)).await.is_empty(), "the first rows wait a little");
    seal(&mut sealer, at(15)).await;
    assert_eq!(lake.sessions().await[0].status, Status::Running);
    assert_eq!(sealer.next_due(), Some(610 * SECOND));
    seal(&mut sealer, at(610)).await;
    assert_eq!(lake.sessions().await[0].end_reason.as_deref(), Some("idle"));
    lake.append(&run("a", 3..5, 620)).await;
    seal(&mut sealer, at(621)).await;
    seal(&mut sealer, at(622)).await;
    let sessions = lake.sessions().await;
    assert_eq!((sessions.len(), sessions[0].status, sessions[0].events), (1, Status::Running, 5));
    seal(&mut sealer, at(1220)).await;
    assert_exact(&lake, true).await;
}

#[tokio::test]
async fn a_restart_loses_and_repeats_nothing() {
    let mut lake = TestLake::new().await;
    lake.append(&[run("ended", 0..3, 10), vec![end("ended", 9, 10)], run("running", 0..2, 10)].concat()).await;
    let mut sealer = open(&lake, &options(), at(10)).await;
    seal(&mut sealer, at(10)).await;
    seal(&mut sealer, at(15)).await;
    assert_eq!(lake.sessions().await.len(), 2);
    let sealed = lake.table(TableKind::Sessions).await.version();
    lake.append(&[run("running", 2..4, 16), run("ended", 3..4, 16), run("unseen", 0..2, 16)].concat()).await;
    sealer.catch_up().await.unwrap();
    sealer.scan(at(16)).await.unwrap();
    drop(sealer);

    lake.reopen().await;
    let mut sealer = open(&lake, &options(), at(20)).await;
    seal(&mut sealer, at(20)).await;
    seal(&mut sealer, at(25)).await;
    assert_exact(&lake, false).await;
    assert!(lake.table(TableKind::Sessions).await.version() > sealed);

    lake.reopen().await;
    let mut sealer = open(&lake, &options(), at(900)).await;
    seal(&mut sealer, at(900)).await;
    assert_exact(&lake, true).await;
    let settled = lake.table(TableKind::Sessions).await.version();
    lake.reopen().await;
    let mut sealer = open(&lake, &options(), at(901)).await;
    assert!(seal(&mut sealer, at(2000)).await.is_empty(), "nothing is left to do");
    assert_eq!(lake.table(TableKind::Sessions).await.version(), settled);
}

#[tokio::test]
async fn a_crash_between_events_and_sessions_is_repaired() {
    let mut lake = TestLake::new().await;
    lake.append(&run("a", 0..3, 10)).await;
    let mut sealer = open(&lake, &options(), at(10)).await;
    seal(&mut sealer, at(10)).await;
    seal(&mut sealer, at(15)).await;
    lake.append(&[vec![end("a", 9, 16), end("b", 9, 16)], run("b", 0..2, 16)].concat()).await;
    sealer.catch_up().await.unwrap();
    sealer.scan(at(16)).await.unwrap();
    let due = sealer.live.due(at(16), 64);
    let gathering = sealer.gather(&due).await.unwrap();
    let names: HashSet<String> = gathering.facts.keys().cloned().collect();
    let gathered = gathering.facts.into_iter().map(|(session, facts)| Gathered {
        session,
        facts: facts.facts,
        left_out: None,
        idle: false,
        stored: None,
    });
    let work = Work { workspace: lake.workspace.clone(), fold: tiny_fold, recheck: None };
    let outcome = fold_all(gathered.collect(), work).await.unwrap();
    let names = Arc::new(names);
    sealer.replace_events(&names, outcome.events).await.unwrap();
    drop(sealer);
    assert_eq!(lake.sessions().await[0].status, Status::Running);

    lake.reopen().await;
    let mut sealer = open(&lake, &options(), at(20)).await;
    seal(&mut sealer, at(20)).await;
    assert_exact(&lake, false).await;
    assert!(lake.sessions().await.iter().all(|session| session.status == Status::Ended));
}

#[tokio::test]
async fn a_failed_round_is_repeated_with_fresh_handles() {
    let lake = TestLake::new().await;
    lake.append(&[run("a", 0..3, 10), vec![end("a", 9, 10)]].concat()).await;
    let mut first = open(&lake, &options(), at(11)).await;
    let mut second = open(&lake, &options(), at(11)).await;
    seal(&mut first, at(11)).await;
    lake.append(&run("a", 3..5, 12)).await;
    seal(&mut first, at(12)).await;
    seal(&mut first, at(13)).await;
    // What the second one knows is out of date: whatever its round does, the rows end up exact.
    if second.round(at(11)).await.is_err() {
        second.catch_up().await.unwrap();
    }
    seal(&mut second, at(14)).await;
    seal(&mut second, at(16)).await;
    assert_exact(&lake, false).await;
}

#[tokio::test]
async fn large_sessions_take_several_rounds_and_bounded_memory() {
    let lake = TestLake::new().await;
    let facts: Vec<Fact> = (0..20)
        .flat_map(|n| [run(&format!("s{n:02}"), 0..10, 10), vec![end(&format!("s{n:02}"), 99, 10)]].concat())
        .collect();
    lake.append(&facts).await;
    let options = SealOptions { round_bytes: 64 << 10, ..options() };
    let mut sealer = open(&lake, &options, at(11)).await;
    let reports = seal(&mut sealer, at(11)).await;
    assert!(reports.len() >= 4, "{} rounds", reports.len());
    assert_eq!(reports.iter().map(|report| report.ended).sum::<usize>(), 20);
    assert_exact(&lake, false).await;
}

#[tokio::test]
async fn rows_of_running_sessions_have_files_of_their_own() {
    let lake = TestLake::new().await;
    let running: Vec<Fact> = (0..40).flat_map(|n| run(&format!("r{n:02}"), 0..2, 10)).collect();
    let ended: Vec<Fact> = (0..40).map(|n| end(&format!("e{n:02}"), 0, 10)).collect();
    lake.append(&[running, ended].concat()).await;
    let mut sealer = open(&lake, &options(), at(10)).await;
    seal(&mut sealer, at(10)).await;
    seal(&mut sealer, at(15)).await;
    seal(&mut sealer, at(15)).await;
    let table = lake.table(TableKind::Events).await;
    let before = table.files().await.unwrap();
    lake.append(&[end("r00", 9, 16)]).await;
    seal(&mut sealer, at(16)).await;
    assert_exact(&lake, false).await;
    let table = lake.table(TableKind::Events).await;
    let after = table.files().await.unwrap();
    let gone: Vec<_> = before.iter().filter(|file| !after.contains(file)).collect();
    assert_eq!(gone.len(), 1);
    assert!(gone[0].sessions.as_ref().is_some_and(|tags| tags.count() <= 16));
    assert!(before.iter().any(|file| file.sessions.as_ref().is_some_and(|tags| tags.count() == 40)));
}

fn fragile_fold(session: &str, facts: &[Fact], idle: bool) -> Folded {
    assert!(session != "bad" || facts.len() > 2, "this fold panics on purpose");
    tiny_fold(session, facts, idle)
}

#[tokio::test]
async fn a_session_that_cannot_be_folded_stops_no_other_and_is_tried_again() {
    let lake = TestLake::new().await;
    lake.append(&[end("bad", 1, 10), end("good", 1, 10)]).await;
    let mut sealer = open(&lake, &SealOptions { fold: fragile_fold, ..options() }, at(11)).await;
    let reports = seal(&mut sealer, at(11)).await;
    assert_eq!((reports.len(), reports[0].ended, reports[0].poisoned), (1, 1, 1));
    assert_eq!(sealer.next_due(), None);
    lake.append(&[run("bad", 2..4, 12), vec![end("bad", 9, 12)]].concat()).await;
    seal(&mut sealer, at(12)).await;
    assert_exact(&lake, false).await;
}

#[tokio::test]
async fn a_fact_file_that_is_gone_stops_no_other_session() {
    let lake = TestLake::new().await;
    lake.append(&[end("lost", 1, 10)]).await;
    let lost = lake.table(TableKind::Facts).await.files().await.unwrap().remove(0);
    lake.append(&[end("good", 1, 10)]).await;
    std::fs::remove_file(lake.dir.path().join("lake/default/facts").join(lost.path)).unwrap();
    let mut sealer = open(&lake, &options(), at(11)).await;
    let mut failures = 0;
    while sealer.scan(at(11)).await.is_err() {
        failures += 1;
        assert!(failures < 10);
    }
    assert!(failures > 1, "it is not given up lightly");
    assert!(sealer.round(at(11)).await.unwrap().is_some());
    let sessions = lake.sessions().await;
    assert_eq!((sessions.len(), sessions[0].session_id.as_str()), (1, "good"));
}

/// A stand-in for the redactor: hides a word in events of more than one fact's text.
fn recheck() -> Recheck {
    Recheck::new(|_, event, facts| {
        let Some(content) = event.columns.content.as_mut().filter(|text| text.contains("content 2")) else {
            return false;
        };
        assert_eq!(facts.len(), 1, "an event comes with its facts");
        *content = "[REDACTED:word]".to_owned();
        true
    })
}

#[tokio::test]
async fn what_the_second_pass_hides_is_not_stored_and_its_facts_are_marked() {
    let lake = TestLake::new().await;
    lake.append(&[run("a", 1..3, 10), run("b", 3..4, 10), vec![end("a", 9, 10), end("b", 9, 10)]].concat()).await;
    let mut sealer = open(&lake, &SealOptions { recheck: Some(recheck()), ..options() }, at(11)).await;
    let reports = seal(&mut sealer, at(11)).await;
    assert_eq!(reports.iter().map(|report| report.exposed).sum::<usize>(), 1);

    let table = lake.table(TableKind::Events).await;
    let mut contents = Vec::new();
    for file in table.files().await.unwrap() {
        contents.extend(table.read_events(&file, None).await.unwrap().into_iter().map(|event| event.columns));
    }
    assert!(!contents.iter().any(|columns| columns.content.as_deref() == Some("content 2")));
    let hidden = contents.iter().find(|columns| columns.content.as_deref() == Some("[REDACTED:word]")).unwrap();
    assert_eq!(hidden.redactions, [Redaction { rule: "word".to_owned(), count: 1 }]);
    assert!(lake.sessions().await[0].prompts.iter().all(|prompt| prompt.text != "content 2"));

    let marks = Marks::new(&lake.lake, &lake.key, &lake.workspace);
    let fact = lake.facts().await.into_iter().find(|fact| fact.sequence == Some(2)).unwrap();
    let expected = Mark { session_id: "a".to_owned(), fact_ids: BTreeSet::from([fact.fact_id]) };
    marks.put(&expected).await.unwrap();
    assert_eq!(marks.all().await.unwrap(), [expected], "a mark written twice is one");
    assert_eq!(lake.lake.workspaces().await.unwrap().len(), 1, "marks are no workspace");
}

/// One session without end must neither take all memory nor keep others from being stored.
#[tokio::test]
async fn a_session_too_large_is_joined_as_far_as_it_fits_and_says_so() {
    let lake = TestLake::new().await;
    for part in 0..10 {
        lake.append(&run("huge", part * 100..(part + 1) * 100, 10)).await;
    }
    lake.append(&[vec![end("huge", 5000, 10), end("small", 9, 10)], run("small", 0..3, 10)].concat()).await;
    let options = SealOptions { session_bytes: 256 << 10, round_bytes: 64 << 10, ..options() };
    let mut sealer = open(&lake, &options, at(11)).await;
    seal(&mut sealer, at(11)).await;
    let sessions = lake.sessions().await;
    assert_eq!(sessions.iter().map(|s| s.session_id.as_str()).collect::<Vec<_>>(), ["huge", "small"]);
    assert_eq!((sessions[1].events, sessions[1].gaps.len()), (4, 0));
    let huge = &sessions[0];
    assert_eq!((huge.status, huge.gaps.len(), huge.gaps[0].kind.as_str()), (Status::Ended, 1, "too_large"));
    assert!((100..300).contains(&huge.events), "{} events", huge.events);
    assert_eq!(lake.facts().await.len(), 1005, "every fact is kept");
    assert_eq!(lake.events().await.iter().filter(|(session, ..)| session == "huge").count() as i64, huge.events);
}

/// Whoever reads sees the same rows before and after; what runs keeps its small files, and late facts find their session.
#[tokio::test]
async fn many_small_files_become_few_with_the_same_rows() {
    let mut lake = TestLake::new().await;
    let mut sealer = open(&lake, &options(), at(10)).await;
    for n in 0..40 {
        let (ended, runs) = (format!("e{n:02}"), format!("r{n:02}"));
        lake.append(&[run(&ended, 0..3, 10), vec![end(&ended, 9, 10)], run(&runs, 0..2, 10)].concat()).await;
        seal(&mut sealer, at(10)).await;
    }
    seal(&mut sealer, at(15)).await;
    assert_exact(&lake, false).await;
    let (facts, events, sessions) = (lake.facts().await.len(), lake.events().await, lake.sessions().await);
    let count = async |kind| lake.table(kind).await.files().await.unwrap().len();
    let crowded = [count(TableKind::Facts).await, count(TableKind::Events).await, count(TableKind::Sessions).await];
    assert!(crowded.iter().all(|files| *files >= 40), "{crowded:?}");

    for second in 20..23 {
        sealer.tidied(at(second)).await;
    }
    assert_eq!(count(TableKind::Facts).await, 1);
    assert_eq!(count(TableKind::Events).await, 1 + 3, "40 sessions run, 16 to a file");
    assert_eq!(lake.facts().await.len(), facts);
    assert_eq!((lake.events().await, lake.sessions().await), (events, sessions));
    assert!(seal(&mut sealer, at(21)).await.is_empty(), "rearranged rows are not new");
    let file = lake.table(TableKind::Facts).await.files().await.unwrap().remove(0);
    let sorted: Vec<_> = lake.facts().await.into_iter().map(|f| (f.session_id, f.time, f.fact_id)).collect();
    assert!(sorted.is_sorted() && file.sessions.is_some_and(|tags| tags.count() == 80));

    lake.append(&[run("e07", 20..22, 22), vec![end("r03", 9, 22)]].concat()).await;
    seal(&mut sealer, at(22)).await;
    seal(&mut sealer, at(25)).await;
    assert_exact(&lake, false).await;
    lake.reopen().await;
    let mut sealer = open(&lake, &options(), at(30)).await;
    seal(&mut sealer, at(30)).await;
    assert_exact(&lake, false).await;
}

/// A file that is being made may hold rows of a session that is to be forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn forgetting_ends_what_maintenance_has_under_way() {
    let lake = TestLake::new().await;
    for n in 0..40 {
        lake.append(&[run("gone", n..n + 1, 10), run("stays", n..n + 1, 10)].concat()).await;
    }
    let tombstones = Tombstones::new(lake.key.clone());
    let forgetter = Forgetter::alone(&lake.lake, tombstones.clone(), Clock::system());
    let mut sealer = open(&lake, &SealOptions { forgetter: Some(forgetter), ..options() }, at(11)).await;
    sealer.scan(at(11)).await.unwrap();
    sealer.tidy(at(12)).await.unwrap();
    assert!(sealer.upkeep.is_busy());
    for (id, session) in [("0123456789abcdef0123456789abcdef", "gone"), ("1123456789abcdef0123456789abcdef", "never")] {
        let request = Request {
            id: id.to_owned(),
            workspace: lake.workspace.clone(),
            kind: RequestKind::Erased,
            sessions: vec![session.to_owned()],
            keeps_costs: false,
            at: 1,
            by: None,
            how: "session".to_owned(),
            reason: None,
        };
        Requests::new(&lake.lake).put(&request, &tombstones).await.unwrap();
    }
    sealer.forget(at(13)).await.unwrap();
    assert!(!sealer.upkeep.is_busy());
    let facts = lake.facts().await;
    assert_eq!(facts.len(), 40);
    assert!(facts.iter().all(|fact| fact.session_id.as_deref() == Some("stays")));
    let day = lake.dir.path().join("lake/default/facts/received_date=1970-01-01");
    let files = lake.table(TableKind::Facts).await.files().await.unwrap().len();
    assert_eq!(std::fs::read_dir(day).unwrap().count(), files, "only what the table names is left");
    assert!(Requests::new(&lake.lake).pending().await.unwrap().is_empty(), "the requests are done");
    let rows = receipts(&lake.lake, &lake.workspace).await.unwrap();
    let rows: BTreeSet<_> = rows.iter().map(|row| (row.request_id.as_bytes()[0], row.fact_rows)).collect();
    assert_eq!(rows, [(b'0', 40), (b'1', 0)].into(), "each has its own receipt");
    assert!(sealer.tidied(at(60)).await.is_some(), "and the files are put together after that");
    assert_eq!(lake.facts().await.len(), 40);
}
