//! Drafts to events: times, parents, and the place in the session.

use std::collections::{BTreeSet, HashMap};

use super::group::{Draft, Drafts};
use super::item::Item;
use super::runs::Run;
use super::{merge, of};
use crate::model::{Columns, Event, Joined, Kind, Source};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// The session's events in order.
pub fn events(session_id: &str, items: &[Item<'_>], drafts: Drafts, runs: &[Run]) -> Vec<Event> {
    let date = date(items);
    let ids: HashMap<String, String> = drafts.keys().map(|key| (key.clone(), event_id(session_id, key))).collect();
    let places = places(items, &drafts, runs);
    let mut ordered: Vec<&Draft> = drafts.values().filter(|d| !d.items.is_empty()).collect();
    ordered.sort_by_cached_key(|d| (places.get(&d.key).copied(), d.kind, counter(items, d), &d.key));
    let mut events: Vec<Event> = Vec::with_capacity(ordered.len());
    for (seq, draft) in ordered.into_iter().enumerate() {
        let columns = merge::columns(items, draft);
        let parent = draft.parent.as_ref().and_then(|key| ids.get(key)).cloned();
        events.push(event(session_id, items, draft, columns, &ids[&draft.key], parent, seq as i64, date));
    }
    note_subagent_totals(&mut events);
    events
}

/// The UTC day on which the session began, in days since 1970-01-01.
pub fn date(items: &[Item<'_>]) -> i32 {
    start(items).div_euclid(DAY) as i32
}

/// The first time that a source with a clock tells of; without any, the first receive time. What a fork copied
/// happened before the session began.
pub fn start(items: &[Item<'_>]) -> i64 {
    let first = items.iter().filter(|i| i.clocked() && !i.inherited()).map(Item::begin).min();
    first.or_else(|| items.iter().map(Item::begin).min()).unwrap_or(0)
}

fn event_id(session_id: &str, key: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(session_id.len() as u64).to_le_bytes());
    hasher.update(session_id.as_bytes());
    hasher.update(key.as_bytes());
    hasher.finalize().to_hex()[..32].to_owned()
}

#[allow(clippy::too_many_arguments, reason = "an event has that many parts, and one place that puts them together")]
fn event(
    session_id: &str,
    items: &[Item<'_>],
    draft: &Draft,
    columns: Columns,
    event_id: &str,
    parent_event_id: Option<String>,
    seq: i64,
    date: i32,
) -> Event {
    let sources: BTreeSet<Source> = of(items, draft).map(|i| i.fact.source).collect();
    let (time, end_time) = times(items, draft);
    let mut fact_ids: Vec<_> = of(items, draft).map(|i| i.fact.fact_id).collect();
    fact_ids.sort_unstable();
    Event {
        session_id: session_id.to_owned(),
        event_id: event_id.to_owned(),
        seq,
        kind: draft.kind,
        date,
        time,
        end_time,
        received_at: of(items, draft).map(|i| i.received_at).min().unwrap_or(time),
        joined: match (draft.inferred, sources.len()) {
            (true, _) => Joined::Inferred,
            (false, 0 | 1) => Joined::OneSided,
            (false, _) => Joined::Exact,
        },
        sources: sources.into_iter().collect(),
        fact_ids,
        parent_event_id,
        synthetic: draft.kind == Kind::Prompt && synthetic(items, draft, &columns),
        inherited: of(items, draft).all(Item::inherited),
        columns,
    }
}

/// First and last time that the sources with a clock tell of; an event that only clockless hooks know has the first
/// receive time.
fn times(items: &[Item<'_>], draft: &Draft) -> (i64, Option<i64>) {
    let clocked = of(items, draft).filter(|i| i.clocked());
    let span = clocked.map(|i| (i.begin(), i.end())).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    match span {
        Some((begin, end)) => (begin, (end > begin).then_some(end)),
        None => (of(items, draft).map(Item::time).min().unwrap_or(0), None),
    }
}

/// Prompts that no human wrote.
fn synthetic(items: &[Item<'_>], draft: &Draft, columns: &Columns) -> bool {
    let text = columns.content.as_deref().unwrap_or_default().trim_start();
    ["<task-notification>", "<teammate-message"].iter().any(|begin| text.starts_with(begin))
        || of(items, draft).any(|i| {
            i.note("turnOrigin") == Some("task_notification")
                || i.note("promptSource") == Some("system")
                || i.flag("isMeta")
        })
}

/// The smallest counter among a draft's facts: tells apart what has the same millisecond.
fn counter(items: &[Item<'_>], draft: &Draft) -> i64 {
    of(items, draft).filter(|i| i.clocked()).filter_map(|i| i.fact.sequence).min().unwrap_or(i64::MAX)
}

/// Where each draft stands in time. What only clockless hooks tell stands at the edge of its run, or with its parent:
/// their receive time may be of another day than the rest (a replay, an import).
fn places(items: &[Item<'_>], drafts: &Drafts, runs: &[Run]) -> HashMap<String, i64> {
    let mut places = HashMap::new();
    let mut starts = 0;
    let times: HashMap<&String, i64> = drafts.iter().map(|(key, draft)| (key, times(items, draft).0)).collect();
    let mut ordered: Vec<&Draft> = drafts.values().collect();
    ordered.sort_by_cached_key(|d| (times[&d.key], start_rank(items, d), &d.key));
    for draft in ordered {
        let time = times[&draft.key];
        let clocked = of(items, draft).any(Item::clocked);
        let place = match draft.kind {
            _ if clocked || runs.is_empty() => time,
            Kind::SessionStart if start_rank(items, draft) < 2 => {
                let run = &runs[starts.min(runs.len() - 1)];
                starts += 1;
                run.start.saturating_sub(1)
            }
            Kind::SessionEnd => run_of_end(items, drafts, draft, runs).end.saturating_add(1),
            _ => draft.parent.as_ref().and_then(|parent| times.get(parent)).copied().unwrap_or(time),
        };
        places.insert(draft.key.clone(), place);
    }
    places
}

/// 0: the session's first start; 1: a start that goes on with it; 2: a start that is none (after a compaction).
fn start_rank(items: &[Item<'_>], draft: &Draft) -> u8 {
    match of(items, draft).find_map(|i| i.note("source")) {
        Some("resume") => 1,
        Some("compact") => 2,
        _ => 0,
    }
}

/// The run that a session end closes: its prompt's; without one, the last.
fn run_of_end<'r>(items: &[Item<'_>], drafts: &Drafts, end: &Draft, runs: &'r [Run]) -> &'r Run {
    let last = &runs[runs.len() - 1];
    let Some(prompt) = end.prompt_id.as_ref().and_then(|p| drafts.get(&format!("prompt:{p}"))) else { return last };
    let time = times(items, prompt).0;
    runs.iter().find(|r| (r.start..=r.end).contains(&time)).unwrap_or(last)
}

/// A subagent's own cost and calls stand with it as attributes, so that the sum over all events counts them once.
fn note_subagent_totals(events: &mut [Event]) {
    let mut totals: HashMap<String, (i64, i64, i64, i64)> = HashMap::new();
    for event in events.iter().filter(|e| !e.inherited) {
        let Some(agent) = &event.columns.agent_id else { continue };
        let total = totals.entry(agent.clone()).or_default();
        match event.kind {
            Kind::ModelCall => {
                total.0 += 1;
                total.2 = total.2.saturating_add(event.columns.cost_usd.unwrap_or(0));
                total.3 += i64::from(event.columns.cost_usd.is_some());
            }
            Kind::ToolCall => total.1 += 1,
            _ => {}
        }
    }
    for event in events.iter_mut().filter(|e| e.kind == Kind::Subagent) {
        let Some((calls, tools, cost, priced)) = event.columns.agent_id.as_ref().and_then(|a| totals.get(a)) else {
            continue;
        };
        let mut object: serde_json::Map<String, serde_json::Value> =
            event.columns.attributes.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let cost = (*priced > 0).then(|| crate::model::money::dollars(*cost));
        object.insert(
            "computed".to_owned(),
            serde_json::json!({"model_calls": calls, "tool_calls": tools, "cost_usd": cost}),
        );
        event.columns.attributes = Some(serde_json::Value::Object(object).to_string());
    }
}
