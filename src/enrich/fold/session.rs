//! The session's summary.

use std::collections::{BTreeMap, BTreeSet};

use super::super::columns::Text;
use super::binding::Binding;
use super::item::Item;
use super::runs::Run;
use super::{FOLD_VERSION, gaps, order};
use crate::model::{Event, Kind, Prompt, Redaction, Session, SkillUse, Source, Status};

/// `sessions.prompts` holds at most that many prompts...
const MAX_PROMPTS: usize = 200;
/// ...each of at most that many bytes: enough to recognise it; the whole text is in `events`.
const MAX_PROMPT_BYTES: usize = 4096;

pub fn summary(
    session_id: &str,
    items: &[Item<'_>],
    events: &[Event],
    runs: &[Run],
    binding: &Binding<'_>,
    idle: bool,
) -> Session {
    let own: Vec<&Event> = events.iter().filter(|e| !e.inherited).collect();
    let who = |column| usual(items, binding, column);
    let ended = ended(items, events, runs);
    let (parent_session_id, parent_relation) = parent(items);
    Session {
        session_id: session_id.to_owned(),
        date: order::date(items),
        user_email: who(Text::UserEmail),
        user_id: who(Text::UserId),
        user_account_id: who(Text::UserAccountId),
        organization_id: who(Text::OrganizationId),
        principal: binding.principal().map(str::to_owned),
        agent: who(Text::Agent),
        agent_version: who(Text::AgentVersion),
        project: who(Text::Project),
        git_branch: who(Text::GitBranch),
        start_time: order::start(items),
        end_time: end(items),
        received_at: items.iter().map(|i| i.received_at).min().unwrap_or(0),
        status: if ended || idle { Status::Ended } else { Status::Running },
        end_reason: if ended { Some("hook".to_owned()) } else { idle.then(|| "idle".to_owned()) },
        skills: skills(&own, items),
        sources: items.iter().map(|i| i.fact.source).collect::<BTreeSet<Source>>().into_iter().collect(),
        gaps: gaps::gaps(items, &own, runs, binding, idle && !ended),
        parent_session_id,
        parent_relation,
        fold_version: FOLD_VERSION,
        ..counted(events)
    }
}

/// What the summary takes from the events alone.
pub fn counted(events: &[Event]) -> Session {
    let own: Vec<&Event> = events.iter().filter(|e| !e.inherited).collect();
    let count = |test: &dyn Fn(&Event) -> bool| own.iter().filter(|e| test(e)).count() as i64;
    let sum = |get: &dyn Fn(&Event) -> Option<i64>| own.iter().filter_map(|e| get(e)).reduce(i64::saturating_add);
    Session {
        events: events.len() as i64,
        prompt_count: count(&|e| e.kind == Kind::Prompt && !e.synthetic),
        synthetic_prompt_count: count(&|e| e.kind == Kind::Prompt && e.synthetic),
        model_calls: count(&|e| e.kind == Kind::ModelCall),
        tool_calls: count(&|e| e.kind == Kind::ToolCall),
        errors: count(&|e| e.kind == Kind::Error || failed(e)),
        denials: denials(&own),
        input_tokens: sum(&|e| e.columns.input_tokens),
        output_tokens: sum(&|e| e.columns.output_tokens),
        cache_read_tokens: sum(&|e| e.columns.cache_read_tokens),
        cache_creation_tokens: sum(&|e| e.columns.cache_creation_tokens),
        cost_usd: sum(&|e| e.columns.cost_usd),
        models: distinct(&own, |e| (e.kind == Kind::ModelCall).then_some(e.columns.model.as_deref()).flatten()),
        tools: distinct(&own, |e| (e.kind == Kind::ToolCall).then_some(e.columns.tool_name.as_deref()).flatten()),
        mcp_servers: distinct(&own, |e| e.columns.mcp_server.as_deref()),
        prompts: prompts(&own),
        redactions: redactions(&own),
        ..Session::empty(0)
    }
}

/// What the summary takes from the events' texts, taken anew.
pub fn quote(session: &mut Session, events: &[Event]) {
    let own: Vec<&Event> = events.iter().filter(|e| !e.inherited).collect();
    session.prompts = prompts(&own);
    session.redactions = redactions(&own);
}

/// A tool that was not allowed to run did not fail.
fn failed(event: &Event) -> bool {
    event.kind == Kind::ToolCall && event.columns.success == Some(false) && !refused(event)
}

/// Whether the event says that a call was not allowed.
pub fn refused(event: &Event) -> bool {
    matches!(event.columns.decision.as_deref(), Some("reject" | "deny" | "denied"))
}

/// Calls that were not allowed: by the permission's own event, or by the decision that stands with the call.
fn denials(events: &[&Event]) -> i64 {
    let refusals = events.iter().filter(|e| refused(e) && matches!(e.kind, Kind::ToolCall | Kind::Permission));
    let calls: BTreeSet<&str> =
        refusals.map(|e| e.columns.tool_use_id.as_deref().unwrap_or(e.event_id.as_str())).collect();
    calls.len() as i64
}

/// The value that most facts of the owner have, those of OpenTelemetry before others; ties by the bytes.
fn usual(items: &[Item<'_>], binding: &Binding<'_>, column: Text) -> Option<String> {
    let local = |source| matches!(source, Source::Hook | Source::Transcript);
    let mut counts: BTreeMap<&str, (bool, usize)> = BTreeMap::new();
    for item in items.iter().filter(|item| binding.owns(item.fact)) {
        if let Some(value) = column.get(&item.fact.columns).as_deref() {
            let count = counts.entry(value).or_default();
            count.0 |= !local(item.fact.source);
            count.1 += 1;
        }
    }
    counts.into_iter().max_by_key(|(value, count)| (*count, std::cmp::Reverse(*value))).map(|(v, _)| v.to_owned())
}

fn end(items: &[Item<'_>]) -> i64 {
    let last = items.iter().filter(|i| i.clocked()).map(Item::end).max();
    last.or_else(|| items.iter().map(Item::end).max()).unwrap_or(0)
}

/// Whether an end was seen that nothing follows. Runs and ends are counted, and an end that names a prompt belongs to
/// that prompt's run, so that the answer does not depend on the receive times of clockless hooks; only where a run may
/// have died without an end, and an end names no prompt, do times decide.
fn ended(items: &[Item<'_>], events: &[Event], runs: &[Run]) -> bool {
    let ends: Vec<&Event> = events.iter().filter(|e| e.kind == Kind::SessionEnd).collect();
    let starts = events.iter().filter(|e| e.kind == Kind::SessionStart && !after_compaction(e)).count();
    let known = runs.len().max(starts);
    if known > 0 && ends.len() >= known {
        return true;
    }
    let prompts = LastRun::new(items, runs);
    let open = ends.iter().filter(|e| prompts.ends_with(e) != Some(false));
    let last_end = open.map(|e| e.end_time.unwrap_or(e.time)).max();
    let activity = items.iter().filter(|i| !matches!(i.fact.kind, Kind::SessionEnd | Kind::Metric));
    let nothing_after = || last_end.is_some_and(|end| activity.map(Item::time).max().is_none_or(|last| last <= end));
    ends.iter().any(|e| prompts.ends_with(e) == Some(true)) || nothing_after()
}

fn after_compaction(start: &Event) -> bool {
    start.columns.attributes.as_deref().is_some_and(|json| json.contains(r#""source":"compact""#))
}

/// The prompts of a resumed session's last run and of those before it.
struct LastRun<'i> {
    last: BTreeSet<&'i str>,
    before: BTreeSet<&'i str>,
}

impl<'i> LastRun<'i> {
    fn new(items: &'i [Item<'_>], runs: &[Run]) -> LastRun<'i> {
        let mut found = LastRun { last: BTreeSet::new(), before: BTreeSet::new() };
        let Some(run) = runs.last().filter(|_| runs.len() > 1) else { return found };
        for item in items.iter().filter(|i| i.fact.source == Source::OtlpLog) {
            let prompts = if item.time() < run.start { &mut found.before } else { &mut found.last };
            prompts.extend(item.fact.columns.prompt_id.as_deref());
        }
        found
    }

    /// Whether an end is that of the last run; `None` where it names no prompt that tells.
    fn ends_with(&self, end: &Event) -> Option<bool> {
        let prompt = end.columns.prompt_id.as_deref()?;
        (self.last.contains(prompt) || self.before.contains(prompt)).then(|| self.last.contains(prompt))
    }
}

fn parent(items: &[Item<'_>]) -> (Option<String>, Option<String>) {
    let forked = items.iter().filter_map(|i| {
        let from = i.notes_if("forkedFrom")?.get("forkedFrom")?.get("sessionId")?.as_str()?;
        Some(from.to_owned())
    });
    let copied = items.iter().filter_map(|i| i.note("sessionId").map(str::to_owned));
    let parent = forked.chain(copied).min();
    let relation = parent.as_ref().map(|_| "fork".to_owned());
    (parent, relation)
}

fn distinct(events: &[&Event], get: impl for<'e> Fn(&'e Event) -> Option<&'e str>) -> Vec<String> {
    let values: BTreeSet<&str> = events.iter().filter_map(|e| get(e)).collect();
    values.into_iter().map(str::to_owned).collect()
}

/// Skills by name, with the hash of the text where a transcript shows it.
fn skills(events: &[&Event], items: &[Item<'_>]) -> Vec<SkillUse> {
    let mut skills: BTreeSet<SkillUse> = BTreeSet::new();
    for item in items.iter().filter(|i| i.fact.kind == Kind::Skill) {
        if let (Some(name), Some(hash)) = (&item.fact.columns.skill, item.note("version_hash")) {
            skills.insert(SkillUse { name: name.clone(), version_hash: Some(hash.to_owned()) });
        }
    }
    let used = events.iter().filter(|e| matches!(e.kind, Kind::Skill | Kind::ToolCall));
    let hashed: BTreeSet<String> = skills.iter().map(|s| s.name.clone()).collect();
    let unhashed = used.filter_map(|e| e.columns.skill.as_ref()).filter(|name| !hashed.contains(*name));
    skills.extend(unhashed.map(|name| SkillUse { name: name.clone(), version_hash: None }));
    skills.into_iter().collect()
}

fn prompts(events: &[&Event]) -> Vec<Prompt> {
    events
        .iter()
        .filter(|e| e.kind == Kind::Prompt && !e.synthetic)
        .filter_map(|e| Some(Prompt { time: e.time, text: cut(e.columns.content.as_deref()?).to_owned() }))
        .take(MAX_PROMPTS)
        .collect()
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_PROMPT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn redactions(events: &[&Event]) -> Vec<Redaction> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for redaction in events.iter().flat_map(|e| &e.columns.redactions) {
        let count = counts.entry(&redaction.rule).or_default();
        *count = count.saturating_add(redaction.count);
    }
    counts.into_iter().map(|(rule, count)| Redaction { rule: rule.to_owned(), count }).collect()
}
