//! The same sessions, however they arrive, give the same rows.
//!
//! With enveloped hooks (which carry their clock) every column is compared but `received_at`. Raw hooks have no clock:
//! their time is when they were received, so for events that only hooks speak of, the times and `seq` are left out,
//! and of the session its `end_time`; sessions whose replies came by raw hooks alone are not compared when shuffled.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::corpus::{self, Captured, Hooks, Request};
use crate::harness::{Server, Setup};
use crate::query::{Lake, Row, run_python, text};

pub struct Rows {
    /// By `event_id`.
    pub events: BTreeMap<String, Row>,
    pub session: Row,
}

/// Waits until the sessions are settled, then reads their rows.
pub fn read(lake: &Lake, session_ids: &[String], marker: &str) -> BTreeMap<String, Rows> {
    let all = ["SELECT * EXCLUDE (received_at) FROM events", "SELECT * EXCLUDE (received_at) FROM sessions"];
    let found = lake.when(&corpus::settled(session_ids, marker), &all);
    session_ids.iter().map(|id| (id.clone(), rows_of(id, &found[0], &found[1]))).collect()
}

/// Sends some captured sessions, and waits until they are settled. Their ids.
pub fn recorded(server: &Server) -> Vec<String> {
    let sessions: Vec<Captured> = ["content-on", "subagent", "sigkill"].map(corpus::fixture).into();
    for captured in &sessions {
        corpus::send(server, &captured.requests(Hooks::Raw));
    }
    corpus::send_marker(server, "marker");
    let ids: Vec<String> = sessions.iter().flat_map(Captured::session_ids).collect();
    read(&Lake::of(server), &ids, "marker");
    ids
}

fn rows_of(session_id: &str, events: &[Row], sessions: &[Row]) -> Rows {
    let of = |rows: &[Row]| rows.iter().filter(|r| r["session_id"] == session_id).cloned().collect::<Vec<_>>();
    let (events, mut session) = (of(events), of(sessions));
    assert_eq!(session.len(), 1, "{session_id}: sessions has one row per session");
    let count = events.len();
    let by_id: BTreeMap<String, Row> = events.into_iter().map(|e| (text(&e, "event_id").to_owned(), e)).collect();
    assert_eq!(by_id.len(), count, "{session_id}: events has one row per event");
    Rows { events: by_id, session: session.remove(0) }
}

/// How to deliver the corpus.
struct Mode {
    name: &'static str,
    shuffle: Option<u64>,
    double: bool,
    /// Kill and start again in the middle of each session.
    restart: bool,
}

const IN_ORDER: Mode = Mode { name: "in order", shuffle: None, double: false, restart: false };
const OTHERS: [Mode; 4] = [
    Mode { name: "doubled", double: true, ..IN_ORDER },
    Mode { name: "restarted", restart: true, ..IN_ORDER },
    Mode { name: "shuffled", shuffle: Some(1), ..IN_ORDER },
    Mode { name: "shuffled, doubled and restarted", shuffle: Some(2), double: true, restart: true },
];

impl Mode {
    fn arrange(&self, requests: Vec<Request>) -> Vec<Request> {
        let times = if self.double { 2 } else { 1 };
        let all = requests.into_iter().flat_map(|r| std::iter::repeat_n(r, times)).collect();
        match self.shuffle {
            Some(seed) => corpus::shuffled(all, seed),
            None => all,
        }
    }
}

/// All requests of a session; enveloped hooks come with the transcripts.
pub fn requests(captured: &Captured, hooks: Hooks) -> Vec<Request> {
    let mut requests = captured.requests(hooks);
    if hooks == Hooks::Enveloped {
        requests.extend(captured.transcripts());
    }
    requests
}

/// Sends all sessions to one server and reads their rows.
fn replay(sessions: &[Captured], hooks: Hooks, mode: &Mode, setup: Setup) -> (Server, BTreeMap<String, Rows>) {
    let mut server = setup.idle("3s").start();
    for captured in sessions {
        let arranged = mode.arrange(requests(captured, hooks));
        let (before, after) = arranged.split_at(arranged.len() / 2);
        corpus::send(&server, before);
        if mode.restart {
            server.crash();
        }
        corpus::send(&server, after);
    }
    corpus::send_marker(&server, "marker");
    let ids: Vec<String> = sessions.iter().flat_map(Captured::session_ids).collect();
    let rows = read(&Lake::of(&server), &ids, "marker");
    (server, rows)
}

fn without(row: &Row, columns: &[&str]) -> Row {
    row.iter().filter(|(name, _)| !columns.contains(&name.as_str())).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// What must not depend on arrival.
fn comparable(rows: &Rows, hooks: Hooks) -> (BTreeMap<String, Row>, Row) {
    if hooks == Hooks::Enveloped {
        return (rows.events.clone(), rows.session.clone());
    }
    let events = rows.events.iter().map(|(id, event)| {
        let only_hooks = event["sources"] == Value::from(vec!["hook"]);
        let left_out: &[&str] = if only_hooks { &["seq", "time", "end_time"] } else { &["seq"] };
        (id.clone(), without(event, left_out))
    });
    (events.collect(), without(&rows.session, &["end_time"]))
}

/// Collects every difference, so that one run shows all of them.
fn differences(what: &str, hooks: Hooks, expected: &Rows, found: &Rows) -> Vec<String> {
    let (expected_events, expected_session) = comparable(expected, hooks);
    let (found_events, found_session) = comparable(found, hooks);
    let mut all = columns_that_differ(&format!("{what}: session"), &expected_session, &found_session);
    for (id, event) in &expected_events {
        let what = format!("{what}: event {id} ({})", event["kind"]);
        match found_events.get(id) {
            Some(other) => all.extend(columns_that_differ(&what, event, other)),
            None => all.push(format!("{what} is missing: {event:?}")),
        }
    }
    let new = found_events.iter().filter(|(id, _)| !expected_events.contains_key(*id));
    all.extend(new.map(|(id, event)| format!("{what}: event {id} is new: {event:?}")));
    all
}

fn columns_that_differ(what: &str, expected: &Row, found: &Row) -> Vec<String> {
    let differ = expected.iter().filter(|(column, value)| found.get(*column) != Some(value));
    differ.map(|(c, v)| format!("{what}: {c} is {:?}, in order it is {v:?}", found.get(c))).collect()
}

fn any_order_gives_the_same_rows(hooks: Hooks) {
    let sessions = corpus::all();
    let (first, expected) = replay(&sessions, hooks, &IN_ORDER, Setup::default());
    let mut all = Vec::new();
    for mode in OTHERS {
        let (_server, found) = replay(&sessions, hooks, &mode, Setup::default().key_of(&first.lake()));
        for captured in &sessions {
            for id in captured.session_ids() {
                let what = format!("{}, {hooks:?}, {}", captured.name, mode.name);
                all.extend(differences(&what, hooks, &expected[&id], &found[&id]));
            }
        }
    }
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}

#[test]
fn raw_hooks_and_otlp_in_any_order_give_the_same_rows() {
    any_order_gives_the_same_rows(Hooks::Raw);
}

#[test]
fn enveloped_hooks_transcripts_and_otlp_in_any_order_give_the_same_rows() {
    any_order_gives_the_same_rows(Hooks::Enveloped);
}

/// Facts by `fact_id`, as they are kept but for what a delivery adds.
fn facts(lake: &Lake) -> BTreeMap<String, Row> {
    let rows = lake.rows(
        "SELECT DISTINCT * EXCLUDE (received_at, received_date, writer)
                REPLACE (CASE source WHEN 'hook' THEN NULL ELSE time END AS time)
         FROM facts WHERE session_id IS DISTINCT FROM 'marker'",
    );
    rows.into_iter().map(|fact| (text(&fact, "fact_id").to_owned(), fact)).collect()
}

/// The JSON path loses nothing that the protobuf path keeps.
#[test]
fn json_and_protobuf_of_the_same_requests_give_the_same_facts() {
    let json = [corpus::fixture("http-json")];
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("http-protobuf");
    run_python("transcode.py", &[json[0].folder.to_str().unwrap(), folder.to_str().unwrap()], b"");
    let protobuf = [Captured::open(folder)];

    let (first, _) = replay(&json, Hooks::Raw, &IN_ORDER, Setup::default());
    let (second, _) = replay(&protobuf, Hooks::Raw, &IN_ORDER, Setup::default().key_of(&first.lake()));

    let (expected, found) = (facts(&Lake::of(&second)), facts(&Lake::of(&first)));
    assert!(!expected.is_empty());
    let mut all = Vec::new();
    for (id, fact) in &expected {
        let what = format!("JSON against protobuf: {} {} {id}", fact["source"], fact["name"]);
        match found.get(id) {
            Some(json) => all.extend(columns_that_differ(&what, fact, json)),
            None => all.push(format!("{what} is missing: {fact:?}")),
        }
    }
    let new = found.iter().filter(|(id, _)| !expected.contains_key(*id));
    all.extend(new.map(|(id, fact)| format!("JSON against protobuf: {id} is new: {fact:?}")));
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}
