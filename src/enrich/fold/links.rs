//! Who belongs to whom: the prompt and agent of each draft, and its parent.

use std::collections::{HashMap, HashSet};

use super::group::{Draft, Drafts, what_tool};
use super::item::Item;
use super::nearest::Nearest;
use super::{is_call, of};
use crate::model::{Kind, Source};

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
    let mut lines = Lines::new(items);
    for draft in drafts.values_mut().filter(|d| d.prompt_id.is_none() && (is_call(d.kind) || d.kind == Kind::ToolCall))
    {
        draft.prompt_id = surroundings.prompt(items, draft, &mut lines);
        if draft.prompt_id.is_none() {
            let prompt = of(items, draft).find_map(|i| surroundings.last_line(i));
            draft.inferred |= prompt.is_some();
            draft.prompt_id = prompt;
        }
    }
}

/// Prompts by what leads to them.
struct Surroundings {
    of_request: HashMap<String, String>,
    of_trace: Nearest,
    /// When each agent's transcript lines named which prompt.
    lines: HashMap<Option<String>, Vec<(i64, String)>>,
}

impl Surroundings {
    fn new(items: &[Item<'_>], drafts: &Drafts) -> Surroundings {
        let mut of_trace = Nearest::default();
        for fact in items.iter().map(|i| i.fact).filter(|f| f.source == Source::OtlpLog) {
            if let (Some(prompt), Some(trace)) = (&fact.columns.prompt_id, &fact.columns.trace_id) {
                of_trace.learn(trace, fact.time, prompt);
            }
        }
        for draft in drafts.values().filter(|d| matches!(d.kind, Kind::Prompt | Kind::ToolCall)) {
            for item in of(items, draft).filter(|i| i.fact.source == Source::OtlpSpan) {
                if let (Some(prompt), Some(trace)) = (&draft.prompt_id, &item.fact.columns.trace_id) {
                    of_trace.learn(trace, item.time(), prompt);
                }
            }
        }
        let mut of_request = HashMap::new();
        for draft in drafts.values().filter(|d| d.kind == Kind::ToolCall) {
            if let (Some(prompt), Some(request)) = (&draft.prompt_id, request_of(items, draft)) {
                of_request.insert(request, prompt.clone());
            }
        }
        Surroundings { of_request, of_trace: of_trace.sorted(), lines: prompt_lines(items) }
    }

    /// The prompt that the agent's transcript was last at: for a line whose chain of lines is not all there.
    fn last_line(&self, item: &Item<'_>) -> Option<String> {
        let lines = self.lines.get(&item.fact.columns.agent_id).filter(|_| item.fact.source == Source::Transcript)?;
        let after = lines.partition_point(|(time, _)| *time <= item.time());
        lines[..after].last().map(|(_, prompt)| prompt.clone())
    }

    fn prompt<'i>(&self, items: &'i [Item<'_>], draft: &Draft, lines: &mut Lines<'i>) -> Option<String> {
        request_of(items, draft)
            .and_then(|r| self.of_request.get(&r).cloned())
            .or_else(|| draft.items.iter().find_map(|i| lines.prompt(line_uuid(&items[*i])?)).map(str::to_owned))
            .or_else(|| of(items, draft).find_map(|i| self.through_trace(i)))
    }

    fn through_trace(&self, item: &Item<'_>) -> Option<String> {
        self.of_trace.find(item.fact.columns.trace_id.as_ref()?, item.time()).cloned()
    }
}

fn line_uuid<'i>(item: &'i Item<'_>) -> Option<&'i str> {
    item.note("uuid").filter(|_| item.fact.source == Source::Transcript)
}

fn prompt_lines(items: &[Item<'_>]) -> HashMap<Option<String>, Vec<(i64, String)>> {
    let mut lines: HashMap<Option<String>, Vec<(i64, String)>> = HashMap::new();
    for item in items.iter().filter(|i| i.fact.source == Source::Transcript) {
        if let Some(prompt) = &item.fact.columns.prompt_id {
            let of_agent = lines.entry(item.fact.columns.agent_id.clone()).or_default();
            of_agent.push((item.time(), prompt.clone()));
        }
    }
    lines
}

/// The transcript's chain of lines, each naming the one before it.
struct Lines<'i> {
    /// What is known of a line's prompt; `None` where the chain leads to none.
    prompts: HashMap<&'i str, Option<&'i str>>,
    parents: HashMap<&'i str, &'i str>,
}

impl<'i> Lines<'i> {
    fn new(items: &'i [Item<'_>]) -> Lines<'i> {
        let mut lines = Lines { prompts: HashMap::new(), parents: HashMap::new() };
        for item in items {
            let Some(uuid) = line_uuid(item) else { continue };
            if let Some(prompt) = &item.fact.columns.prompt_id {
                lines.prompts.insert(uuid, Some(prompt));
            }
            if let Some(parent) = item.note("parentUuid") {
                lines.parents.insert(uuid, parent);
            }
        }
        lines
    }

    /// The prompt that a line's chain leads to. What is found is kept for all lines on the way, so that a long chain
    /// is walked once; a circle leads nowhere.
    fn prompt(&mut self, uuid: &'i str) -> Option<&'i str> {
        let mut way = Vec::new();
        let mut next = Some(uuid);
        let mut found = None;
        while let Some(uuid) = next {
            if let Some(known) = self.prompts.get(uuid) {
                found = *known;
                break;
            }
            self.prompts.insert(uuid, None);
            way.push(uuid);
            next = self.parents.get(uuid).copied();
        }
        for uuid in way {
            self.prompts.insert(uuid, found);
        }
        found
    }
}

/// The request that a draft's facts name.
pub fn request_of(items: &[Item<'_>], draft: &Draft) -> Option<String> {
    of(items, draft).find_map(|i| i.fact.columns.request_id.clone())
}

/// Finds each draft's parent; call it when all facts are placed.
pub fn parents(items: &[Item<'_>], drafts: &mut Drafts) {
    let family = Family::new(items, drafts);
    let found: Vec<(String, Option<String>, bool)> = drafts
        .values()
        .map(|draft| {
            let (parent, inferred) = family.parent(items, drafts, draft);
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

/// Who may be a parent, by what names it.
struct Family {
    /// The call that spawned an agent, and whether that is inferred.
    spawned: HashMap<String, (String, bool)>,
    by_description: HashMap<String, String>,
    by_span: HashMap<String, String>,
    /// Calls of the skill tool by prompt and skill.
    skill_calls: HashMap<(Option<String>, String), String>,
    /// The messages that share a prompt id, in order of time.
    parts: HashMap<String, Vec<(Option<i64>, String)>>,
}

impl Family {
    fn new(items: &[Item<'_>], drafts: &Drafts) -> Family {
        let by_span = drafts_by_span(items, drafts);
        Family {
            spawned: spawns(items, drafts, &by_span),
            by_description: tools_by_description(items, drafts),
            by_span,
            skill_calls: skill_calls(items, drafts),
            parts: prompt_parts(items, drafts),
        }
    }

    fn parent(&self, items: &[Item<'_>], drafts: &Drafts, draft: &Draft) -> (Option<String>, bool) {
        let agent = draft.agent_id.as_ref().map(|a| format!("agent:{a}")).filter(|k| drafts.contains_key(k));
        let prompt = draft.prompt_id.as_ref().and_then(|p| self.prompt(items, drafts, p, draft));
        let tool = of(items, draft)
            .find_map(|i| i.fact.columns.tool_use_id.as_ref())
            .map(|id| format!("tool:{id}"))
            .filter(|key| drafts.contains_key(key));
        let above = || of(items, draft).find_map(|i| self.by_span.get(i.note("otel.parent_span_id")?).cloned());
        let enclosing = agent.or_else(|| prompt.clone()).or_else(|| above().filter(|_| draft.kind != Kind::Span));
        match draft.kind {
            Kind::ModelCall | Kind::Error | Kind::Compaction => (enclosing, false),
            Kind::ToolCall => {
                let call = request_of(items, draft).map(|r| format!("request:{r}")).filter(|k| drafts.contains_key(k));
                (call.or(enclosing), false)
            }
            Kind::Subagent => match draft.agent_id.as_ref().and_then(|a| self.spawned.get(a)) {
                Some((tool, inferred)) => (Some(tool.clone()), *inferred),
                None => (prompt, false),
            },
            Kind::Permission if tool.is_none() => {
                let described = of(items, draft).find_map(|i| self.by_description.get(&what_tool(i.fact)?).cloned());
                let inferred = described.is_some();
                (described.or(enclosing), inferred)
            }
            Kind::Permission => (tool, false),
            Kind::Skill => (tool.or_else(|| self.skill_call(items, draft)).or(enclosing), false),
            Kind::Span => (above(), false),
            Kind::Other => (enclosing, false),
            Kind::Prompt | Kind::SessionStart | Kind::SessionEnd | Kind::Metric => (None, false),
        }
    }

    /// The prompt's draft; where the id stands for several prompts, the last that began before the draft did.
    fn prompt(&self, items: &[Item<'_>], drafts: &Drafts, prompt: &str, draft: &Draft) -> Option<String> {
        let whole = format!("prompt:{prompt}");
        if drafts.contains_key(&whole) {
            return Some(whole);
        }
        let parts = self.parts.get(prompt)?;
        let at = clocked_begin(items, draft);
        let after = parts.partition_point(|(begin, _)| *begin <= at);
        parts.get(after.saturating_sub(1)).map(|(_, key)| key.clone())
    }

    /// The call of the skill tool that a skill's activation belongs to.
    fn skill_call(&self, items: &[Item<'_>], skill: &Draft) -> Option<String> {
        let name = of(items, skill).find_map(|i| i.fact.columns.skill.clone())?;
        self.skill_calls.get(&(skill.prompt_id.clone(), name)).cloned()
    }
}

fn clocked_begin(items: &[Item<'_>], draft: &Draft) -> Option<i64> {
    of(items, draft).filter(|i| i.clocked()).map(Item::begin).min()
}

fn prompt_parts(items: &[Item<'_>], drafts: &Drafts) -> HashMap<String, Vec<(Option<i64>, String)>> {
    let mut parts: HashMap<String, Vec<(Option<i64>, String)>> = HashMap::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::Prompt) {
        if let Some(prompt) = draft.prompt_id.as_ref().filter(|p| draft.key.len() > "prompt:".len() + p.len()) {
            parts.entry(prompt.clone()).or_default().push((clocked_begin(items, draft), draft.key.clone()));
        }
    }
    parts.values_mut().for_each(|parts| parts.sort_unstable());
    parts
}

fn skill_calls(items: &[Item<'_>], drafts: &Drafts) -> HashMap<(Option<String>, String), String> {
    let mut calls = HashMap::new();
    for draft in drafts.values().filter(|d| d.kind == Kind::ToolCall) {
        for columns in of(items, draft).map(|i| &i.fact.columns) {
            if let (Some("Skill"), Some(skill)) = (columns.tool_name.as_deref(), &columns.skill) {
                calls.entry((draft.prompt_id.clone(), skill.clone())).or_insert_with(|| draft.key.clone());
            }
        }
    }
    calls
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
fn spawns(items: &[Item<'_>], drafts: &Drafts, spans: &HashMap<String, String>) -> HashMap<String, (String, bool)> {
    let mut found: HashMap<String, (String, bool)> = HashMap::new();
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
    let taken: HashSet<String> = found.values().map(|(tool, _)| tool.clone()).collect();
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
        tools.sort_by_cached_key(|d| begin(d));
        agents.sort_by_cached_key(|d| begin(d));
        for (tool, agent) in tools.iter().zip(&agents) {
            // no agent spawned itself
            if let Some(agent) = agent.agent_id.as_ref().filter(|a| tool.agent_id.as_ref() != Some(*a)) {
                found.insert(agent.clone(), (tool.key.clone(), true));
            }
        }
    }
}
