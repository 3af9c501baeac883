//! Hook envelopes to facts: hook inputs, transcript lines, and whatever else a sender wraps.

use serde_json::{Map, Value};

use super::{Context, NormaliseError, is_shell_cut, rfc3339, transcript};
use crate::enrich::columns::Int;
use crate::model::{Columns, Fact, FactId, Kind, Source, Truncation};

/// Which hook event speaks of what (the client's 33 events; any other is kept as `other`).
const KINDS: &[(&str, Kind)] = &[
    ("SessionStart", Kind::SessionStart),
    ("SessionEnd", Kind::SessionEnd),
    ("UserPromptSubmit", Kind::Prompt),
    ("UserPromptExpansion", Kind::Prompt),
    ("MessageDisplay", Kind::ModelCall),
    ("Stop", Kind::ModelCall),
    ("StopFailure", Kind::Error),
    ("PreToolUse", Kind::ToolCall),
    ("PostToolUse", Kind::ToolCall),
    ("PostToolUseFailure", Kind::ToolCall),
    ("PostToolBatch", Kind::ToolCall),
    ("PermissionRequest", Kind::Permission),
    ("PermissionDenied", Kind::Permission),
    ("SubagentStart", Kind::Subagent),
    ("SubagentStop", Kind::Subagent),
    ("PreCompact", Kind::Compaction),
    ("PostCompact", Kind::Compaction),
];

pub fn normalise(context: &Context<'_>, payload: &[u8]) -> Result<Vec<Fact>, NormaliseError> {
    let mut facts = Vec::new();
    for (index, line) in payload.split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate() {
        let Ok(Value::Object(envelope)) = serde_json::from_slice(line) else {
            return Err(NormaliseError::HookLine(index + 1));
        };
        envelope_facts(context, index as u32, envelope, &mut facts);
    }
    Ok(facts)
}

/// What an envelope says about its data.
pub struct Wrapped<'a> {
    pub context: &'a Context<'a>,
    pub index: u32,
    pub id: FactId,
    pub session_id: Option<String>,
    pub agent_id: Option<String>,
    pub sequence: Option<i64>,
    /// `None`: the sender gave no time; the receive time stands in.
    pub at: Option<i64>,
}

impl Wrapped<'_> {
    /// The envelope's own fact; its part facts take their ids from [`Wrapped::part`].
    pub fn fact(&self, source: Source, kind: Kind, name: &str) -> Fact {
        let mut fact = self.context.fact(source, kind, name, self.index);
        fact.fact_id = self.id;
        fact.session_id = self.session_id.clone();
        fact.sequence = self.sequence;
        fact.time = self.at.unwrap_or(fact.received_at);
        fact.columns.agent_id = self.agent_id.clone();
        fact.columns.agent = Some("claude-code".to_owned());
        fact
    }

    /// The id of a part of the record.
    pub fn part(&self, part: &str) -> FactId {
        self.context.name_fact("part", &[&self.id.0, part.as_bytes()])
    }
}

fn envelope_facts(context: &Context<'_>, index: u32, mut envelope: Map<String, Value>, facts: &mut Vec<Fact>) {
    let kind = take_text(&mut envelope, "kind").unwrap_or_default();
    let data = match envelope.remove("data") {
        Some(Value::Object(data)) => data,
        _ => Map::new(),
    };
    let id = match (take_text(&mut envelope, "id"), context.hits(index)) {
        (Some(id), _) => context.name_fact("envelope", &[id.as_bytes()]),
        (None, Some(hits)) => FactId(hits.identity),
        (None, None) => context.name_fact("hook-line", &[&context.batch.payload, &index.to_le_bytes()]),
    };
    let mut wrapped = Wrapped {
        context,
        index,
        id,
        session_id: take_text(&mut envelope, "session_id"),
        agent_id: take_text(&mut envelope, "agent_id"),
        sequence: envelope.remove("seq").and_then(|v| v.as_i64()),
        at: take_text(&mut envelope, "at").and_then(|at| rfc3339(&at)),
    };
    match kind.as_str() {
        "hook" => hook(&mut wrapped, data, facts),
        "transcript" => transcript::line(&mut wrapped, data, facts),
        other => {
            let mut data = data;
            wrapped.session_id = wrapped.session_id.take().or_else(|| take_text(&mut data, "session_id"));
            let mut fact = wrapped.fact(Source::Hook, Kind::Other, if other.is_empty() { "unknown" } else { other });
            fact.columns.attributes = to_json(data);
            facts.push(fact);
        }
    }
}

fn hook(wrapped: &mut Wrapped<'_>, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let name = take_text(&mut data, "hook_event_name").unwrap_or_else(|| "unknown".to_owned());
    let session_id = take_text(&mut data, "session_id");
    wrapped.session_id = wrapped.session_id.take().or(session_id);
    let kind = KINDS.iter().find(|(n, _)| *n == name).map_or(Kind::Other, |(_, kind)| *kind);
    // the session's own forks (a compaction) are no subagents: they have no type
    let forked = name == "SubagentStop" && data.get("agent_type").is_some_and(|t| t == "");
    let kind = if forked { Kind::Other } else { kind };
    let mut fact = wrapped.fact(Source::Hook, kind, &name);
    let columns = &mut fact.columns;
    columns.project = take_text(&mut data, "cwd");
    columns.prompt_id = take_text(&mut data, "prompt_id");
    columns.permission_mode = take_text(&mut data, "permission_mode");
    columns.agent_id = take_text(&mut data, "agent_id").or(columns.agent_id.take());
    columns.error = take_text(&mut data, "error");
    match name.as_str() {
        "UserPromptSubmit" | "UserPromptExpansion" => columns.content = take_text(&mut data, "prompt"),
        "MessageDisplay" => columns.content = take_text(&mut data, "delta"),
        "PostCompact" => columns.content = take_text(&mut data, "compact_summary"),
        "PermissionDenied" => columns.decision = Some("reject".to_owned()),
        "SessionStart" => columns.model = take_text(&mut data, "model"),
        _ => {}
    }
    match name.as_str() {
        "PostToolBatch" => return batch(wrapped, fact, data, facts),
        "Stop" | "SubagentStop" | "StopFailure" => return stop(wrapped, fact, data, facts),
        _ => tool(&mut fact, &mut data),
    }
    fact.columns.attributes = to_json(data);
    facts.push(fact);
}

/// What the hooks around a tool call say. Members that are absent change nothing.
fn tool(fact: &mut Fact, data: &mut Map<String, Value>) {
    let columns = &mut fact.columns;
    columns.tool_use_id = take_text(data, "tool_use_id");
    columns.duration_ms =
        data.get("duration_ms").and_then(Value::as_i64).filter(|ms| Int::DurationMs.is_plausible(*ms));
    if columns.duration_ms.is_some() {
        data.remove("duration_ms");
    }
    if let Some(output) = data.remove("tool_response") {
        fill_output(columns, output);
    }
    let input = data.remove("tool_input");
    columns.skill = input.as_ref().and_then(|i| i.get("skill")).and_then(|s| s.as_str()).map(str::to_owned);
    columns.tool_input = input.map(text_or_json);
    if let Some(name) = take_text(data, "tool_name") {
        name_tool(fact, name);
    }
    let columns = &mut fact.columns;
    if let Some(server) = data.get("mcp_server").and_then(|s| s.get("name")).and_then(|n| n.as_str()) {
        columns.mcp_server = Some(server.to_owned());
    }
    columns.success = match fact.name.as_str() {
        "PostToolUse" => Some(true),
        "PostToolUseFailure" => Some(false),
        _ => None,
    };
}

/// What a tool gave back, and whether the client kept the rest in a file.
pub fn fill_output(columns: &mut Columns, output: Value) {
    let text = |value: &Value| value.as_str().is_some_and(|t| is_shell_cut(t) || t.starts_with(KEPT_IN_FILE));
    let kept = output.get("persistedOutputSize").and_then(Value::as_i64);
    if kept.is_some() || text(&output) || output.get("stdout").is_some_and(text) {
        columns.truncated.push(Truncation { column: "tool_output".to_owned(), original_bytes: kept });
    }
    columns.tool_output = Some(text_or_json(output));
}

/// How the client begins what it shows of an output that it keeps in a file.
const KEPT_IN_FILE: &str = "<persisted-output>";

/// A tool's name, and from `mcp__server__tool` the server and its tool; the `skill` input is a skill's only there.
pub fn name_tool(fact: &mut Fact, name: String) {
    let columns = &mut fact.columns;
    if let Some((server, tool)) = name.strip_prefix("mcp__").and_then(|rest| rest.split_once("__")) {
        columns.mcp_server = Some(server.to_owned());
        columns.mcp_tool = Some(tool.to_owned());
    }
    if name != "Skill" {
        columns.skill = None;
    }
    columns.tool_name = Some(name);
}

/// A batch of tool results is one fact per call.
fn batch(wrapped: &Wrapped<'_>, head: Fact, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let calls = match data.remove("tool_calls") {
        Some(Value::Array(calls)) => calls,
        _ => Vec::new(),
    };
    let (calls, strange): (Vec<Value>, Vec<Value>) = calls.into_iter().partition(Value::is_object);
    if calls.is_empty() || !strange.is_empty() {
        let mut fact = Fact { kind: Kind::Other, ..head.clone() };
        let mut data = data.clone();
        data.insert("tool_calls".to_owned(), Value::Array(strange));
        fact.columns.attributes = to_json(data);
        facts.push(fact);
    }
    for (i, call) in calls.into_iter().enumerate() {
        let Value::Object(mut call) = call else { continue };
        let mut fact = head.clone();
        tool(&mut fact, &mut call);
        let part = fact.columns.tool_use_id.clone().unwrap_or_else(|| i.to_string());
        fact.fact_id = wrapped.part(&part);
        call.extend(data.clone());
        fact.columns.attributes = to_json(call);
        if i > 0 {
            fact.columns.redactions.clear();
        }
        facts.push(fact);
    }
}

/// The hooks at the end of a turn hold the last reply: a fact about that model call, beside what the hook itself says.
fn stop(wrapped: &Wrapped<'_>, mut fact: Fact, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let reply = take_text(&mut data, "last_assistant_message").filter(|text| !text.is_empty());
    if fact.kind == Kind::ModelCall {
        fact.columns.content = reply;
        if fact.columns.content.is_none() {
            fact.kind = Kind::Other;
        }
    } else if let Some(reply) = reply {
        let mut said = wrapped.fact(Source::Hook, Kind::ModelCall, &fact.name);
        said.fact_id = wrapped.part("last_assistant_message");
        said.columns = fact.columns.clone();
        said.columns.error = None;
        said.columns.redactions.clear();
        said.columns.content = Some(reply);
        said.columns.attributes = data.get("agent_type").map(|t| serde_json::json!({"agent_type": t}).to_string());
        facts.push(said);
    }
    fact.columns.attributes = to_json(data);
    facts.push(fact);
}

/// Takes a non-empty string member.
pub fn take_text(object: &mut Map<String, Value>, name: &str) -> Option<String> {
    match object.get(name) {
        Some(Value::String(_)) => match object.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        },
        Some(Value::Null) => {
            object.remove(name);
            None
        }
        _ => None,
    }
}

/// A string as it is, anything else as JSON text.
pub fn text_or_json(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The object as JSON text; `None` when it is empty.
pub fn to_json(object: Map<String, Value>) -> Option<String> {
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}
