//! The fold over captured sessions, whole and in parts, against what the captures say themselves.

mod variants;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{Folded, fold};
use crate::enrich::normalise::normalise;
use crate::model::{Batch, Envelope, Event, Fact, Joined, Kind, LakeKey, RecordHits, Session, Signal, Source, Status};
use crate::receiver::otlp::json::to_protobuf;

/// When the captured requests are said to arrive: long after the sessions, as in a replay.
pub(super) const RECEIVED: i64 = 1_800_000_000_000_000;

fn captured(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sessions").join(name)
}

fn all_captured() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(captured("")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

pub(super) fn batch(signal: Signal, payload: Vec<u8>, received_at: i64, hits: Vec<RecordHits>) -> Batch {
    let envelope =
        Envelope { workspace: "default".into(), principal: None, received_at, signal, policy: "test".into(), hits };
    Batch { envelope, payload: Bytes::from(payload) }
}

pub(super) fn facts_of_batch(batch: &Batch) -> Vec<Fact> {
    normalise(batch, &LakeKey::new([7; 32]), "writer").unwrap()
}

/// A raw hook, as the client's http hooks send it.
pub(super) fn raw_hook(data: &Value, received_at: i64) -> Vec<Fact> {
    let identity = LakeKey::new([7; 32]).name("hook", &[data.to_string().as_bytes()]);
    let line = json!({"kind": "hook", "data": data}).to_string().into_bytes();
    let hits = vec![RecordHits { index: 0, identity, redactions: vec![] }];
    facts_of_batch(&batch(Signal::Hooks, line, received_at, hits))
}

pub(super) fn envelope(id: &str, at: i64, kind: &str, session_id: &str, data: &Value) -> Vec<Fact> {
    let at = chrono::DateTime::from_timestamp_micros(at).unwrap().to_rfc3339();
    let line = json!({"id": id, "at": at, "kind": kind, "session_id": session_id, "data": data});
    facts_of_batch(&batch(Signal::Hooks, line.to_string().into_bytes(), RECEIVED, vec![]))
}

fn request(dir: &Path, file: &str, received_at: i64) -> Vec<Fact> {
    let body = std::fs::read(dir.join(file)).unwrap();
    if file.starts_with("hooks/") {
        return raw_hook(&serde_json::from_slice(&body).unwrap(), received_at);
    }
    let signal = match file {
        f if f.contains("-logs") => Signal::Logs,
        f if f.contains("-metrics") => Signal::Metrics,
        _ => Signal::Traces,
    };
    let body = if file.ends_with(".json") { to_protobuf(signal, &body).unwrap() } else { body };
    facts_of_batch(&batch(signal, body, received_at, vec![]))
}

/// The facts of a captured session as its requests arrived.
fn arrived(dir: &Path) -> Vec<Fact> {
    let index = std::fs::read_to_string(dir.join("index.jsonl")).unwrap();
    let files = index.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["file"].as_str().unwrap().to_owned());
    files.enumerate().flat_map(|(i, file)| request(dir, &file, RECEIVED + i as i64 * 1000)).collect()
}

/// The facts of its transcripts.
fn transcripts(dir: &Path) -> Vec<Fact> {
    let mut lines = Vec::new();
    let mut folders = vec![dir.join("transcripts")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "jsonl") {
                lines.extend(std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned));
            }
        }
    }
    lines.sort();
    let line = |(i, line): (usize, &String)| {
        let data: Value = serde_json::from_str(line).unwrap();
        let session = data["sessionId"].as_str().unwrap().to_owned();
        envelope(&format!("line-{i}"), RECEIVED, "transcript", &session, &data)
    };
    lines.iter().enumerate().flat_map(line).collect()
}

pub(super) fn fold_all(facts: &[Fact]) -> Folded {
    let session = facts.iter().find_map(|f| f.session_id.clone()).unwrap();
    fold(&session, facts, false)
}

pub(super) fn of_kind(folded: &Folded, kind: Kind) -> Vec<&Event> {
    folded.events.iter().filter(|e| e.kind == kind).collect()
}

/// What the captured logs say that each request cost, read by other means than the fold's.
fn reported(facts: &[Fact]) -> BTreeMap<String, i64> {
    let requests = facts.iter().filter(|f| f.name == "api_request");
    requests.map(|f| (f.columns.request_id.clone().unwrap(), f.columns.cost_usd.unwrap())).collect()
}

/// The text of each reply, from the transcript.
fn said(facts: &[Fact]) -> BTreeMap<String, String> {
    let blocks = facts.iter().filter(|f| f.name == "assistant/text");
    blocks.map(|f| (f.columns.request_id.clone().unwrap(), f.columns.content.clone().unwrap())).collect()
}

/// Rows without what rests on receive times alone.
pub(super) fn comparable(folded: &Folded) -> (Vec<Event>, Session) {
    let mut events = folded.events.clone();
    for event in &mut events {
        event.received_at = 0;
        if event.sources == [Source::Hook] {
            event.time = 0;
            event.end_time = None;
        }
    }
    let mut session = folded.session.clone();
    session.received_at = 0;
    (events, session)
}

#[test]
fn every_request_is_one_model_call_with_its_cost() {
    for dir in all_captured() {
        let facts = arrived(&dir);
        let folded = fold_all(&facts);
        let costs = reported(&facts);
        let calls: BTreeMap<String, i64> = of_kind(&folded, Kind::ModelCall)
            .iter()
            .map(|e| (e.columns.request_id.clone().unwrap(), e.columns.cost_usd.unwrap()))
            .collect();
        assert_eq!(calls, costs, "{}", dir.display());
        assert_eq!(of_kind(&folded, Kind::ModelCall).len(), costs.len(), "{}", dir.display());
        assert_eq!(folded.session.cost_usd, Some(costs.values().sum()), "{}", dir.display());
    }
}

#[test]
fn every_reply_that_a_source_told_stands_with_its_request() {
    for dir in all_captured() {
        let texts = said(&transcripts(&dir));
        let folded = fold_all(&arrived(&dir));
        for (request, text) in texts {
            let call = folded
                .events
                .iter()
                .find(|e| e.kind == Kind::ModelCall && e.columns.request_id.as_deref() == Some(&request));
            let content = call.and_then(|c| c.columns.content.clone());
            assert_eq!(content.as_deref(), Some(text.as_str()), "{} {request}", dir.display());
        }
    }
}

#[test]
fn tool_calls_pair_by_their_id_with_input_and_outcome() {
    for dir in all_captured() {
        let facts = arrived(&dir);
        let folded = fold_all(&facts);
        let mut calls = BTreeSet::new();
        for event in of_kind(&folded, Kind::ToolCall) {
            assert!(calls.insert(event.columns.tool_use_id.clone().unwrap()), "twice: {event:?}");
            assert!(event.columns.tool_input.is_some() && event.columns.tool_name.is_some(), "{event:?}");
        }
        let finished =
            facts.iter().filter(|f| f.name.starts_with("PostToolUse")).filter_map(|f| f.columns.tool_use_id.clone());
        for id in finished.collect::<BTreeSet<_>>() {
            let call = folded.events.iter().find(|e| e.columns.tool_use_id.as_deref() == Some(&id)).unwrap();
            assert!(call.columns.success.is_some(), "{call:?}");
            assert!(call.columns.tool_output.is_some() || call.columns.error.is_some(), "{call:?}");
        }
    }
}

#[test]
fn content_that_the_client_kept_from_telemetry_stands_beside_the_right_costs() {
    let folded = fold_all(&arrived(&captured("content-off")));
    let placed = of_kind(&folded, Kind::ModelCall).into_iter().filter(|e| e.columns.content.is_some());
    assert!(placed.clone().count() > 0);
    assert!(placed.clone().all(|e| e.joined == Joined::Inferred && e.columns.cost_usd.is_some()));
    assert!(!folded.events.iter().any(|e| e.columns.content.as_deref() == Some("<REDACTED>")));
}

#[test]
fn content_finds_its_place_whatever_order_clockless_hooks_arrived_in() {
    let dir = captured("content-off");
    let index = std::fs::read_to_string(dir.join("index.jsonl")).unwrap();
    let files: Vec<String> =
        index.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["file"].as_str().unwrap().to_owned()).collect();
    let backwards = files.iter().rev().enumerate();
    let reversed: Vec<Fact> = backwards.flat_map(|(i, f)| request(&dir, f, RECEIVED + i as i64 * 1000)).collect();
    assert_eq!(comparable(&fold_all(&reversed)), comparable(&fold_all(&arrived(&dir))));
}

#[test]
fn a_resumed_session_is_one_session_with_two_ends() {
    let dir = captured("resume");
    let folded = fold_all(&arrived(&dir));
    assert_eq!(of_kind(&folded, Kind::SessionStart).len(), 2);
    assert_eq!(of_kind(&folded, Kind::SessionEnd).len(), 2);
    assert_eq!((folded.session.status, folded.session.end_reason.as_deref()), (Status::Ended, Some("hook")));
    assert!(folded.session.gaps.is_empty(), "{:?}", folded.session.gaps);

    let without_last: Vec<Fact> =
        arrived(&dir).into_iter().rev().skip_while(|f| f.kind != Kind::SessionEnd).skip(1).collect();
    assert_eq!(fold_all(&without_last).session.status, Status::Running);
}

#[test]
fn a_killed_session_shows_its_open_tool_call_and_ends_by_idleness() {
    let facts = arrived(&captured("sigkill"));
    assert_eq!(fold_all(&facts).session.status, Status::Running);
    let idle = fold(facts[0].session_id.as_deref().unwrap(), &facts, true);
    assert_eq!((idle.session.status, idle.session.end_reason.as_deref()), (Status::Ended, Some("idle")));
    let kinds: Vec<&str> = idle.session.gaps.iter().map(|g| g.kind.as_str()).collect();
    assert_eq!(kinds, ["tool_without_result", "no_session_end"]);
}

#[test]
fn a_subagent_stands_under_the_call_that_spawned_it() {
    let folded = fold_all(&arrived(&captured("subagent")));
    let agents = of_kind(&folded, Kind::Subagent);
    let [agent] = agents[..] else { panic!("{agents:?}") };
    let parent = folded.events.iter().find(|e| Some(&e.event_id) == agent.parent_event_id.as_ref()).unwrap();
    assert_eq!(parent.columns.tool_name.as_deref(), Some("Agent"));
    let below: Vec<&Event> =
        folded.events.iter().filter(|e| e.parent_event_id.as_ref() == Some(&agent.event_id)).collect();
    assert_eq!(below.iter().filter(|e| e.kind == Kind::ModelCall).count(), 2);
    assert!(agent.columns.attributes.as_deref().unwrap().contains(r#""model_calls":2"#));
    assert_eq!((folded.session.prompt_count, folded.session.synthetic_prompt_count), (1, 1));
}

#[test]
fn transcripts_add_thinking_and_change_no_cost() {
    for dir in all_captured() {
        let (plain, mut facts) = (arrived(&dir), transcripts(&dir));
        facts.extend(plain.clone());
        let (with, without) = (fold_all(&facts), fold_all(&plain));
        assert_eq!(with.session.cost_usd, without.session.cost_usd);
        assert_eq!(with.session.model_calls, without.session.model_calls, "{}", dir.display());
        assert_eq!(with.session.tool_calls, without.session.tool_calls, "{}", dir.display());
        assert_eq!(with.session.prompt_count, without.session.prompt_count, "{}", dir.display());
    }
}

#[test]
fn a_transcript_alone_gives_the_same_calls_without_costs() {
    let folded = fold_all(&transcripts(&captured("content-on")));
    let calls = of_kind(&folded, Kind::ModelCall);
    assert_eq!(calls.len(), reported(&arrived(&captured("content-on"))).len());
    assert!(calls.iter().all(|c| c.columns.cost_usd.is_none() && c.columns.output_tokens.is_some()));
    assert_eq!(folded.session.cost_usd, None);
    assert!(folded.session.gaps.iter().any(|g| g.kind == "model_call_without_cost"));
}

#[test]
fn hooks_alone_give_replies_and_tools() {
    let dir = captured("content-on");
    let hooks: Vec<Fact> = arrived(&dir).into_iter().filter(|f| f.source == Source::Hook).collect();
    let folded = fold_all(&hooks);
    let texts: BTreeSet<String> = said(&transcripts(&dir)).into_values().collect();
    let calls = of_kind(&folded, Kind::ModelCall);
    assert_eq!(calls.iter().filter_map(|c| c.columns.content.clone()).collect::<BTreeSet<_>>(), texts);
    assert!(calls.iter().all(|c| c.joined == Joined::Inferred && c.columns.cost_usd.is_none()));
    assert_eq!(folded.session.status, Status::Ended);
}

#[test]
fn a_hook_configured_twice_counts_once() {
    let facts = arrived(&captured("content-on"));
    let hooks = facts.iter().filter(|f| f.source == Source::Hook);
    // the same hooks from a second forwarder: other ids, a little later
    let twice: Vec<Fact> = hooks
        .map(|f| Fact { fact_id: crate::model::FactId(LakeKey::new([9; 32]).name("x", &[&f.fact_id.0])), ..f.clone() })
        .collect();
    let folded = fold_all(&[facts.clone(), twice].concat());
    let once = fold_all(&facts);
    let count = |f: &Folded| {
        f.events.iter().map(|e| e.kind).fold(BTreeMap::new(), |mut m, k| {
            *m.entry(k).or_insert(0) += 1;
            m
        })
    };
    assert_eq!(count(&folded), count(&once));
}

#[test]
fn whichever_sources_spoke_as_many_prompts_and_calls_were_made() {
    use Source::*;
    for dir in all_captured() {
        let facts = [arrived(&dir), transcripts(&dir)].concat();
        let counts = |sources: &[Source]| {
            let part: Vec<Fact> = facts.iter().filter(|f| sources.contains(&f.source)).cloned().collect();
            let session = fold_all(&part).session;
            (session.prompt_count, session.synthetic_prompt_count, session.model_calls, session.errors)
        };
        let all = counts(&Source::ALL);
        let parts: [&[Source]; 7] = [
            &[OtlpLog],
            &[Transcript],
            &[OtlpLog, Hook],
            &[OtlpSpan, Hook],
            &[OtlpLog, OtlpSpan],
            &[OtlpSpan, Transcript],
            &[Hook, Transcript],
        ];
        for part in parts {
            assert_eq!(counts(part), all, "{} {part:?}", dir.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn order_and_duplicates_change_nothing(
        which in any::<Index>(),
        swaps in prop::collection::vec(any::<(Index, Index)>(), 0..400),
        copies in prop::collection::vec(any::<(Index, i64)>(), 0..100),
    ) {
        let dirs = all_captured();
        let mut facts = arrived(&dirs[which.index(dirs.len())]);
        facts.extend(transcripts(&dirs[which.index(dirs.len())]));
        let expected = comparable(&fold_all(&facts));
        let later: Vec<Fact> = copies.iter().map(|(i, delay)| {
            let fact = &facts[i.index(facts.len())];
            let received_at = fact.received_at + delay.rem_euclid(1_000_000_000) + 1;
            let clockless = fact.source == Source::Hook && fact.time == fact.received_at;
            let time = if clockless { received_at } else { fact.time };
            Fact { received_at, time, writer: "other".into(), ..fact.clone() }
        }).collect();
        facts.extend(later);
        for (a, b) in &swaps {
            let (a, b) = (a.index(facts.len()), b.index(facts.len()));
            facts.swap(a, b);
        }
        prop_assert_eq!(comparable(&fold_all(&facts)), expected);
    }

    #[test]
    fn any_part_of_a_session_folds(which in any::<Index>(), keep in prop::collection::vec(any::<bool>(), 700)) {
        let dirs = all_captured();
        let mut facts = arrived(&dirs[which.index(dirs.len())]);
        facts.extend(transcripts(&dirs[which.index(dirs.len())]));
        let costs = reported(&facts);
        let part: Vec<Fact> =
            facts.into_iter().zip(keep.iter().chain(std::iter::repeat(&true))).filter(|(_, k)| **k).map(|(f, _)| f).collect();
        prop_assume!(!part.is_empty());
        let folded = fold_all(&part);
        let kept: i64 = reported(&part).values().sum();
        prop_assert!(reported(&part).len() <= costs.len());
        prop_assert_eq!(folded.session.cost_usd.unwrap_or(0), kept);
        let mut facts_used: Vec<_> = folded.events.iter().flat_map(|e| e.fact_ids.clone()).collect();
        facts_used.sort();
        let mut facts_given: Vec<_> = part.iter().map(|f| f.fact_id).collect();
        facts_given.sort();
        facts_given.dedup();
        prop_assert_eq!(facts_used, facts_given, "every fact is in exactly one event");
    }
}
