//! What the record lacks, or what makes it doubtful. Holes that we made ourselves are not gaps.

use std::collections::BTreeSet;

use super::binding::Binding;
use super::item::Item;
use super::runs::Run;
use super::session::refused;
use crate::model::{Event, Gap, Kind, Source};

/// At most that many gaps of one kind are listed; the last entry then says how many more there are.
const MAX_PER_KIND: usize = 100;

/// `closed_by_idleness`: the session is over although nobody said so.
pub fn gaps(
    items: &[Item<'_>],
    events: &[&Event],
    runs: &[Run],
    binding: &Binding<'_>,
    closed_by_idleness: bool,
) -> Vec<Gap> {
    let mut gaps = Vec::new();
    list(&mut gaps, "sequence", holes(runs));
    list(&mut gaps, "tool_without_result", without_result(events));
    list(&mut gaps, "model_call_without_content", without_content(events));
    list(&mut gaps, "model_call_without_cost", without_cost(events));
    let spoke = |source| items.iter().any(|i| i.fact.source == source);
    if !spoke(Source::Hook) && !spoke(Source::Transcript) && events.iter().any(|e| e.kind != Kind::Metric) {
        list(&mut gaps, "silent_hook", vec!["no hook and no transcript spoke in this session".to_owned()]);
    }
    if closed_by_idleness {
        list(&mut gaps, "no_session_end", vec!["closed by idleness".to_owned()]);
    }
    list(&mut gaps, "principal_conflict", binding.principal_conflicts());
    list(&mut gaps, "user_conflict", binding.user_conflicts());
    gaps
}

fn list(gaps: &mut Vec<Gap>, kind: &str, mut details: Vec<String>) {
    let more = details.len().saturating_sub(MAX_PER_KIND);
    details.truncate(MAX_PER_KIND);
    if more > 0 {
        details.push(format!("and {more} more"));
    }
    gaps.extend(details.into_iter().map(|detail| Gap { kind: kind.to_owned(), detail }));
}

fn holes(runs: &[Run]) -> Vec<String> {
    let holes = runs.iter().enumerate().flat_map(|(n, run)| run.holes().into_iter().map(move |h| (n + 1, h)));
    holes
        .map(|(run, (from, to))| match from == to {
            true => format!("run {run}: event {from} is missing"),
            false => format!("run {run}: events {from} to {to} are missing"),
        })
        .collect()
}

fn without_result(events: &[&Event]) -> Vec<String> {
    let refusals = events.iter().filter(|e| e.kind == Kind::Permission && refused(e));
    let refused_ids: BTreeSet<&str> = refusals.filter_map(|e| e.columns.tool_use_id.as_deref()).collect();
    let open = |e: &&&Event| {
        e.kind == Kind::ToolCall
            && e.columns.success.is_none()
            && e.columns.tool_output.is_none()
            && !refused(e)
            && !e.columns.tool_use_id.as_deref().is_some_and(|id| refused_ids.contains(id))
    };
    events.iter().filter(open).map(|e| name(e, e.columns.tool_use_id.as_deref())).collect()
}

fn name(event: &Event, id: Option<&str>) -> String {
    let tool = event.columns.tool_name.as_deref();
    [tool, Some(id.unwrap_or(&event.event_id))].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A reply that only asked for tools has no text: its tool calls are its content. So it may be where calls do not name
/// their request (older clients). A compaction's reply is the summary.
fn without_content(events: &[&Event]) -> Vec<String> {
    let calls = || events.iter().filter(|e| e.kind == Kind::ToolCall);
    let tools: BTreeSet<&str> =
        calls().flat_map(|e| [e.columns.request_id.as_deref(), e.parent_event_id.as_deref()]).flatten().collect();
    let turn = |e: &Event| (e.columns.prompt_id.clone(), e.columns.agent_id.clone());
    let unnamed: BTreeSet<_> = calls().filter(|e| e.columns.request_id.is_none()).map(|e| turn(e)).collect();
    let summarised = events.iter().any(|e| e.kind == Kind::Compaction && e.columns.content.is_some());
    let silent = |e: &&&Event| {
        e.kind == Kind::ModelCall
            && e.columns.content.is_none()
            && e.columns.thinking.is_none()
            && !e.columns.request_id.as_deref().is_some_and(|r| tools.contains(r))
            && !tools.contains(e.event_id.as_str())
            && !unnamed.contains(&turn(e))
            && !(summarised && compacts(e))
    };
    events.iter().filter(silent).map(|e| name(e, e.columns.request_id.as_deref())).collect()
}

fn compacts(event: &Event) -> bool {
    event.columns.attributes.as_deref().is_some_and(|json| json.contains(r#""query_source":"compact""#))
}

fn without_cost(events: &[&Event]) -> Vec<String> {
    let free = |e: &&&Event| e.kind == Kind::ModelCall && e.columns.cost_usd.is_none();
    events.iter().filter(free).map(|e| name(e, e.columns.request_id.as_deref())).collect()
}
