//! Who belongs to whom: the prompt and agent of each draft, and its parent.

use std::collections::HashMap;

use super::group::{Draft, Drafts, what_tool};
use super::item::Item;
use super::{is_call, of};
use crate::model::{Kind, Source};

/// A chain of transcript lines longer than that is followed no further.
const MAX_CHAIN: usize = 10_000;

/// The tools that spawn subagents, by the client's names for them.
const SPAWNERS: [&str; 2] = ["Agent", "Task"];

/// Finds each draft's prompt and agent: from its facts, and where these do not say, from what surrounds them.
pub fn resolve(items: &[Item<'_>], drafts: &mut Drafts) {
    for draft in drafts.values_mut() {
        let prompt_id = of(items, draft).find_map(|i| i.fact.columns.prompt_id.clone());
        let agent_id = of(items, draft).find_map(|i| i.fact.columns.agent_id.clone());
        (draft.prompt_id, draft.agent_id) = (prompt_id, agent_id);
    }
    let surroundings = Surroundings::new(items, drafts);
    for draft in drafts.values_mut().filter(|d| d.prompt_id.is_none() && (is_call(d.kind) || d.kind == Kind::ToolCall))
    {
        draft.prompt_id = surroundings.prompt(items, draft);
    }
}

/// Prompts by what leads to them.
struct Surroundings {
    of_request: HashMap<String, String>,
    of_trace: HashMap<String, Vec<(i64, String)>>,
    of_uuid: HashMap<String, String>,
    parent_uuid: HashMap<String, String>,
}

impl Surroundings {
    fn new(items: &[Item<'_>], drafts: &Drafts) -> Surroundings {
        let mut found = Surroundings {
            of_request: HashMap::new(),
            of_trace: HashMap::new(),
            of_uuid: HashMap::new(),
            parent_uuid: HashMap::new(),
        };
        for item in items {
            let columns = &item.fact.columns;
            if item.fact.source == Source::Transcript
                && let Some(uuid) = item.note("uuid")
            {
                if let Some(prompt) = &columns.prompt_id {
                    found.of_uuid.insert(uuid.to_owned(), prompt.clone());
                }
                if let Some(parent) = item.note("parentUuid") {
                    found.parent_uuid.insert(uuid.to_owned(), parent.to_owned());
                }
            }
            if let (Some(prompt), Some(trace), Source::OtlpLog) =
                (&columns.prompt_id, &columns.trace_id, item.fact.source)
            {
                found.of_trace.entry(trace.clone()).or_default().push((item.fact.time, prompt.clone()));
            }
        }
        for draft in drafts.values().filter(|d| d.kind == Kind::ToolCall) {
            if let (Some(prompt), Some(request)) = (&draft.prompt_id, request_of(items, draft)) {
                found.of_request.insert(request, prompt.clone());
            }
        }
        found
    }

    fn prompt(&self, items: &[Item<'_>], draft: &Draft) -> Option<String> {
        request_of(items, draft)
            .and_then(|r| self.of_request.get(&r).cloned())
            .or_else(|| of(items, draft).find_map(|i| self.through_lines(i)))
            .or_else(|| of(items, draft).find_map(|i| self.through_trace(i)))
    }

    fn through_lines(&self, item: &Item<'_>) -> Option<String> {
        let mut uuid = item.note("uuid").filter(|_| item.fact.source == Source::Transcript)?;
        for _ in 0..MAX_CHAIN {
            if let Some(prompt) = self.of_uuid.get(uuid) {
                return Some(prompt.clone());
            }
            uuid = self.parent_uuid.get(uuid)?;
        }
        None
    }

    fn through_trace(&self, item: &Item<'_>) -> Option<String> {
        let prompts = self.of_trace.get(item.fact.columns.trace_id.as_ref()?)?;
        let nearest = prompts.iter().min_by_key(|(at, prompt)| (at.abs_diff(item.time()), prompt))?;
        Some(nearest.1.clone())
    }
}

/// The request that a draft's facts name.
pub fn request_of(items: &[Item<'_>], draft: &Draft) -> Option<String> {
    of(items, draft).find_map(|i| i.fact.columns.request_id.clone())
}

/// Finds each draft's parent; call it when all facts are placed.
pub fn parents(items: &[Item<'_>], drafts: &mut Drafts) {
    let spawned = spawns(items, drafts);
    let tools = tools_by_description(items, drafts);
    let spans = drafts_by_span(items, drafts);
    let found: Vec<(String, Option<String>, bool)> = drafts
        .values()
        .map(|draft| {
            let (parent, inferred) = parent(items, drafts, draft, &spawned, &tools, &spans);
            (draft.key.clone(), parent.filter(|p| *p != draft.key), inferred)
        })
        .collect();
    for (key, parent, inferred) in found {
        if let Some(draft) = drafts.get_mut(&key) {
            draft.parent = parent;
            draft.inferred |= inferred;
        }
    }
}

fn parent(
    items: &[Item<'_>],
    drafts: &Drafts,
    draft: &Draft,
    spawned: &HashMap<String, (String, bool)>,
    tools: &HashMap<String, String>,
    spans: &HashMap<String, String>,
) -> (Option<String>, bool) {
    let agent = draft.agent_id.as_ref().map(|a| format!("agent:{a}")).filter(|k| drafts.contains_key(k));
    let prompt = draft.prompt_id.as_ref().and_then(|p| prompt_key(items, drafts, p, draft));
    let tool = of(items, draft)
        .find_map(|i| i.fact.columns.tool_use_id.as_ref())
        .map(|id| format!("tool:{id}"))
        .filter(|key| drafts.contains_key(key));
    let enclosing = agent.or_else(|| prompt.clone());
    match draft.kind {
        Kind::ModelCall | Kind::Error | Kind::Compaction => (enclosing, false),
        Kind::ToolCall => {
            let call = request_of(items, draft).map(|r| format!("request:{r}")).filter(|k| drafts.contains_key(k));
            (call.or(enclosing), false)
        }
        Kind::Subagent => match draft.agent_id.as_ref().and_then(|a| spawned.get(a)) {
            Some((tool, inferred)) => (Some(tool.clone()), *inferred),
            None => (prompt, false),
        },
        Kind::Permission if tool.is_none() => {
            let described = of(items, draft).find_map(|i| what_tool(i.fact)).and_then(|w| tools.get(&w).cloned());
            let inferred = described.is_some();
            (described.or(enclosing), inferred)
        }
        Kind::Permission => (tool, false),
        Kind::Skill => (tool.or_else(|| skill_call(items, drafts, draft)).or(enclosing), false),
        Kind::Span => (of(items, draft).find_map(|i| spans.get(i.note("otel.parent_span_id")?).cloned()), false),
        Kind::Other => (enclosing, false),
        Kind::Prompt | Kind::SessionStart | Kind::SessionEnd | Kind::Metric => (None, false),
    }
}

/// The prompt's draft; where the id stands for several prompts, the last that began before the draft did.
fn prompt_key(items: &[Item<'_>], drafts: &Drafts, prompt: &str, draft: &Draft) -> Option<String> {
    let whole = format!("prompt:{prompt}");
    if drafts.contains_key(&whole) {
        return Some(whole);
    }
    let begin = |d: &Draft| of(items, d).filter(|i| i.clocked()).map(Item::begin).min();
    let at = begin(draft);
    let parts = drafts.range(format!("{whole}:")..format!("{whole};")).map(|(_, d)| (begin(d), &d.key));
    let mut parts: Vec<_> = parts.collect();
    parts.sort();
    parts.iter().rev().find(|(b, _)| *b <= at).or(parts.first()).map(|(_, key)| (*key).clone())
}

/// The call of the skill tool that a skill's activation belongs to.
fn skill_call(items: &[Item<'_>], drafts: &Drafts, skill: &Draft) -> Option<String> {
    let name = of(items, skill).find_map(|i| i.fact.columns.skill.as_deref())?;
    drafts
        .values()
        .filter(|d| d.kind == Kind::ToolCall && d.prompt_id == skill.prompt_id)
        .find(|d| {
            of(items, d).any(|i| {
                i.fact.columns.tool_name.as_deref() == Some("Skill") && i.fact.columns.skill.as_deref() == Some(name)
            })
        })
        .map(|d| d.key.clone())
}

fn tools_by_description(items: &[Item<'_>], drafts: &Drafts) -> HashMap<String, String> {
    let mut tools = HashMap::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::ToolCall) {
        for what in of(items, draft).filter_map(|i| what_tool(i.fact)) {
            tools.entry(what).or_insert_with(|| draft.key.clone());
        }
    }
    tools
}

fn drafts_by_span(items: &[Item<'_>], drafts: &Drafts) -> HashMap<String, String> {
    let mut spans = HashMap::new();
    for draft in drafts.values() {
        for item in of(items, draft).filter(|i| i.fact.source == Source::OtlpSpan) {
            if let Some(span) = &item.fact.columns.span_id {
                spans.insert(span.clone(), draft.key.clone());
            }
        }
    }
    spans
}

/// Which tool call spawned which agent, and whether that is inferred.
fn spawns(items: &[Item<'_>], drafts: &Drafts) -> HashMap<String, (String, bool)> {
    let mut found: HashMap<String, (String, bool)> = HashMap::new();
    let spans = drafts_by_span(items, drafts);
    for item in items {
        if let Some(agent) = &item.fact.columns.agent_id
            && let Some(parent) = item.note("otel.parent_span_id").and_then(|p| spans.get(p))
            && drafts.get(parent).is_some_and(|d| d.kind == Kind::ToolCall && d.agent_id.as_ref() != Some(agent))
        {
            found.insert(agent.clone(), (parent.clone(), false));
        }
        if let Some((agent, tool)) = item.fact.columns.content.as_deref().and_then(notified) {
            let key = format!("tool:{tool}");
            if item.fact.kind == Kind::Prompt && drafts.contains_key(&key) {
                found.insert(agent.to_owned(), (key, false));
            }
        }
    }
    let spawners: Vec<&Draft> = drafts.values().filter(|d| is_spawner(items, d)).collect();
    for draft in &spawners {
        for agent in of(items, draft).filter_map(|i| launched(i.fact.columns.tool_output.as_deref()?)) {
            found.insert(agent, (draft.key.clone(), false));
        }
    }
    pair_the_rest(items, drafts, &spawners, &mut found);
    found
}

fn is_spawner(items: &[Item<'_>], draft: &Draft) -> bool {
    draft.kind == Kind::ToolCall
        && of(items, draft).any(|i| i.fact.columns.tool_name.as_deref().is_some_and(|n| SPAWNERS.contains(&n)))
}

/// `<task-id>` and `<tool-use-id>` of the notification that a background agent's end sends.
fn notified(content: &str) -> Option<(&str, &str)> {
    let member = |name: &str| {
        let (_, rest) = content.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0)
    };
    content.starts_with("<task-notification>").then(|| Some((member("task-id")?, member("tool-use-id")?)))?
}

/// The agent that a spawning tool's structured result names.
fn launched(output: &str) -> Option<String> {
    if !output.contains("agentId") {
        return None;
    }
    let output: serde_json::Value = serde_json::from_str(output).ok()?;
    output.get("agentId").and_then(|id| id.as_str()).map(str::to_owned)
}

/// Agents and spawning calls that nothing ties together, paired in order where their numbers agree within a prompt.
fn pair_the_rest(
    items: &[Item<'_>],
    drafts: &Drafts,
    spawners: &[&Draft],
    found: &mut HashMap<String, (String, bool)>,
) {
    let begin = |d: &Draft| (of(items, d).map(Item::begin).min(), d.key.clone());
    let taken: Vec<String> = found.values().map(|(tool, _)| tool.clone()).collect();
    let mut by_prompt: HashMap<Option<&String>, (Vec<&Draft>, Vec<&Draft>)> = HashMap::new();
    for draft in spawners.iter().filter(|d| !taken.contains(&d.key)) {
        by_prompt.entry(draft.prompt_id.as_ref()).or_default().0.push(draft);
    }
    for draft in drafts.values().filter(|d| d.kind == Kind::Subagent) {
        if draft.agent_id.as_ref().is_some_and(|a| !found.contains_key(a)) {
            by_prompt.entry(draft.prompt_id.as_ref()).or_default().1.push(draft);
        }
    }
    for (mut tools, mut agents) in by_prompt.into_values() {
        if tools.len() != agents.len() {
            continue;
        }
        tools.sort_by_key(|d| begin(d));
        agents.sort_by_key(|d| begin(d));
        for (tool, agent) in tools.iter().zip(&agents) {
            if let Some(agent) = &agent.agent_id {
                found.insert(agent.clone(), (tool.key.clone(), true));
            }
        }
    }
}
