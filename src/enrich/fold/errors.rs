//! A request that failed is told of by many: the client's log when it gives up (once more when its retries are used
//! up), a span, the hook that ends the turn, the line that the transcript shows. It is one error.

use std::collections::BTreeMap;

use super::group::{Draft, Drafts};
use super::item::Item;
use super::of;
use crate::model::{Kind, Source};

/// A failure is shown as soon as it is known.
const SAME_MICROS: u64 = 10_000_000;

/// Unites the error drafts that speak of one failure: of each turn's, the best-informed source's drafts stay, and each
/// of the others joins the one nearest in time. Call it when drafts know their prompts.
pub fn unite(items: &[Item<'_>], drafts: &mut Drafts) {
    let mut by_prompt: BTreeMap<Option<String>, Vec<Told>> = BTreeMap::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::Error) {
        if let Some(told) = Told::new(items, draft) {
            by_prompt.entry(draft.prompt_id.clone()).or_default().push(told);
        }
    }
    place_promptless(&mut by_prompt);
    for told in by_prompt.into_values() {
        for (from, to) in joins(&told) {
            join(drafts, &from, &to);
        }
    }
}

/// A line whose chain is broken names no prompt: it goes with what failed at the same time.
fn place_promptless(by_prompt: &mut BTreeMap<Option<String>, Vec<Told>>) {
    let mut times: Vec<(i64, String)> = by_prompt
        .iter()
        .flat_map(|(prompt, told)| told.iter().filter_map(move |t| Some((t.time?, prompt.clone()?))))
        .collect();
    times.sort_unstable();
    for told in by_prompt.remove(&None).unwrap_or_default() {
        let at = told.time.unwrap_or(i64::MAX);
        let after = times.partition_point(|(time, _)| *time < at);
        let around = times[after.saturating_sub(1)..(after + 1).min(times.len())].iter();
        let near = around.filter(|(time, _)| time.abs_diff(at) <= SAME_MICROS);
        let prompt = near.min_by_key(|(time, _)| time.abs_diff(at)).map(|(_, prompt)| prompt.clone());
        by_prompt.entry(prompt).or_default().push(told);
    }
}

/// Whether a draft is an error that a request ended in.
pub fn is_failed_request(items: &[Item<'_>], draft: &Draft) -> bool {
    draft.kind == Kind::Error && Told::new(items, draft).is_some()
}

/// What a draft tells of a failure.
struct Told {
    key: String,
    agent_id: Option<String>,
    /// The lower is the better informed.
    rank: u8,
    /// `None`: nobody with a clock told it.
    time: Option<i64>,
}

impl Told {
    /// `None`: no failed request, but another kind of error.
    fn new(items: &[Item<'_>], draft: &Draft) -> Option<Told> {
        let rank = of(items, draft).filter_map(|i| rank(i.fact.source, &i.fact.name)).min()?;
        let time = of(items, draft).filter(|i| i.clocked()).map(Item::end).max();
        Some(Told { key: draft.key.clone(), agent_id: draft.agent_id.clone(), rank, time })
    }
}

fn rank(source: Source, name: &str) -> Option<u8> {
    match (source, name) {
        (Source::OtlpLog, "api_error" | "api_refusal") => Some(0),
        (Source::Transcript, _) => Some(1),
        (Source::Hook, "StopFailure") => Some(2),
        (Source::OtlpLog, "api_retries_exhausted") => Some(3),
        (Source::OtlpSpan, "llm_request") => Some(4),
        _ => None,
    }
}

/// Which draft joins which.
fn joins(told: &[Told]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let Some(best) = told.iter().map(|t| t.rank).min() else { return pairs };
    let mut stays: Vec<&Told> = told.iter().filter(|t| t.rank == best).collect();
    stays.sort_by_key(|t| (t.time, &t.key));
    for other in told.iter().filter(|t| t.rank != best) {
        let same_agent = stays.iter().filter(|t| t.agent_id == other.agent_id);
        // a span does not name its subagent
        let to = nearest(same_agent, other.time).or_else(|| nearest(stays.iter(), other.time));
        pairs.extend(to.map(|to| (other.key.clone(), to.key.clone())));
    }
    pairs
}

/// The one nearest in time; without a time, the last.
fn nearest<'t>(told: impl Iterator<Item = &'t &'t Told>, time: Option<i64>) -> Option<&'t Told> {
    let Some(time) = time else { return told.last().copied() };
    told.min_by_key(|t| t.time.map_or(u64::MAX, |at| at.abs_diff(time))).copied()
}

fn join(drafts: &mut Drafts, from: &str, to: &str) {
    let Some(from) = drafts.remove(from) else { return };
    if let Some(to) = drafts.get_mut(to) {
        to.items.extend(from.items);
        to.items.sort_unstable();
        to.agent_id = to.agent_id.take().or(from.agent_id);
        to.inferred = true;
    }
}
