//! Transcript lines to facts. The format is the client's internal one and changes between versions: everything here
//! is tolerant, and nothing else requires a transcript.

use serde_json::{Map, Value};

use super::hooks::{Wrapped, fill_output, name_tool, take_text, text_or_json, to_json};
use super::rfc3339;
use crate::enrich::columns::Int;
use crate::model::{Columns, Fact, Kind, Source};

/// How lines begin that stand in the user's place and were written by the client.
const CLIENT_WRITTEN: [&str; 5] =
    ["<local-command-", "<bash-stdout>", "<bash-stderr>", "<system-reminder>", "[Request interrupted by user"];

/// How the client begins the body of a skill that it loads.
const SKILL_BODY: &str = "Base directory for this skill: ";

pub fn line(wrapped: &mut Wrapped<'_>, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let line_type = take_text(&mut data, "type").unwrap_or_else(|| "unknown".to_owned());
    identify(wrapped, &mut data);
    let mut head = wrapped.fact(Source::Transcript, Kind::Other, &line_type);
    let columns = &mut head.columns;
    columns.project = take_text(&mut data, "cwd");
    columns.git_branch = take_text(&mut data, "gitBranch");
    columns.agent_version = take_text(&mut data, "version");
    columns.prompt_id = take_text(&mut data, "promptId");
    columns.request_id = take_text(&mut data, "requestId");
    columns.permission_mode = take_text(&mut data, "permissionMode");
    match line_type.as_str() {
        "assistant" => assistant(wrapped, head, data, facts),
        "user" => user(wrapped, head, data, facts),
        "system" => system(head, data, facts),
        _ => other(head, data, facts),
    }
}

/// The line's own id, session, agent and time beat the envelope's.
fn identify(wrapped: &mut Wrapped<'_>, data: &mut Map<String, Value>) {
    let own_session = data.get("sessionId").and_then(|s| s.as_str()).map(str::to_owned);
    wrapped.session_id = wrapped.session_id.take().or_else(|| own_session.clone());
    if own_session == wrapped.session_id {
        data.remove("sessionId");
    }
    wrapped.agent_id = take_text(data, "agentId").or_else(|| take_text(data, "agent_id")).or(wrapped.agent_id.take());
    wrapped.at = data.get("timestamp").and_then(|t| t.as_str()).and_then(rfc3339).or(wrapped.at);
    if let (Some(session), Some(uuid)) = (&wrapped.session_id, data.get("uuid").and_then(|u| u.as_str())) {
        wrapped.id = wrapped.context.name_fact("transcript", &[session.as_bytes(), uuid.as_bytes()]);
    }
}

fn other(mut fact: Fact, data: Map<String, Value>, facts: &mut Vec<Fact>) {
    fact.columns.attributes = to_json(data);
    facts.push(fact);
}

fn system(mut fact: Fact, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    if let Some(subtype) = take_text(&mut data, "subtype") {
        fact.name = format!("system/{subtype}");
    }
    if fact.name == "system/compact_boundary" {
        fact.kind = Kind::Compaction;
    }
    fact.columns.content = take_text(&mut data, "content");
    other(fact, data, facts);
}

/// The blocks of a message's content: a lone string is one text block.
fn blocks(message: &mut Map<String, Value>) -> Vec<Map<String, Value>> {
    match message.remove("content") {
        Some(Value::String(text)) => {
            vec![Map::from_iter([("type".to_owned(), "text".into()), ("text".to_owned(), text.into())])]
        }
        Some(Value::Array(blocks)) => {
            blocks.into_iter().filter_map(|b| if let Value::Object(b) = b { Some(b) } else { None }).collect()
        }
        _ => Vec::new(),
    }
}

fn take_message(data: &mut Map<String, Value>) -> Map<String, Value> {
    match data.remove("message") {
        Some(Value::Object(message)) => message,
        _ => Map::new(),
    }
}

/// A line of a reply: the model call (text or thinking, tokens), and a tool call for each `tool_use` block.
fn assistant(wrapped: &Wrapped<'_>, mut head: Fact, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let mut message = take_message(&mut data);
    let blocks = blocks(&mut message);
    let columns = &mut head.columns;
    columns.message_id = take_text(&mut message, "id");
    columns.model = take_text(&mut message, "model").filter(|m| m != "<synthetic>");
    usage(columns, message.get("usage"));
    head.kind = Kind::ModelCall;
    let first_index = data.get("apiBlockIndex").and_then(Value::as_i64).unwrap_or(0);
    let failed = data.get("isApiErrorMessage").and_then(Value::as_bool).unwrap_or(false);
    data.insert("message".to_owned(), Value::Object(message));
    if blocks.is_empty() {
        return other(head, data, facts);
    }
    for (i, mut block) in blocks.into_iter().enumerate() {
        let mut fact = part(wrapped, &head, i);
        let block_type = take_text(&mut block, "type").unwrap_or_default();
        fact.name = format!("assistant/{block_type}");
        match block_type.as_str() {
            "text" if failed => {
                fact.kind = Kind::Error;
                fact.columns.error = take_text(&mut block, "text");
            }
            "text" => fact.columns.content = take_text(&mut block, "text"),
            "thinking" => fact.columns.thinking = take_text(&mut block, "thinking"),
            "tool_use" => facts.push(tool_use(wrapped, &head, i, block)),
            _ => {}
        }
        let mut attributes = data.clone();
        attributes.insert("apiBlockIndex".to_owned(), Value::from(first_index + i as i64));
        fact.columns.attributes = to_json(attributes);
        facts.push(fact);
    }
}

fn usage(columns: &mut Columns, usage: Option<&Value>) {
    let plausible = |n: &i64| Int::InputTokens.is_plausible(*n);
    let count = |name: &str| usage.and_then(|u| u.get(name)).and_then(Value::as_i64).filter(plausible);
    columns.input_tokens = count("input_tokens");
    columns.output_tokens = count("output_tokens");
    columns.cache_read_tokens = count("cache_read_input_tokens");
    columns.cache_creation_tokens = count("cache_creation_input_tokens");
}

/// The fact of the i-th block; the first is the line's own.
fn part(wrapped: &Wrapped<'_>, head: &Fact, i: usize) -> Fact {
    let mut fact = head.clone();
    if i > 0 {
        fact.fact_id = wrapped.part(&i.to_string());
        fact.columns.redactions.clear();
    }
    fact
}

fn tool_use(wrapped: &Wrapped<'_>, head: &Fact, i: usize, mut block: Map<String, Value>) -> Fact {
    let mut fact = head.clone();
    fact.fact_id = wrapped.part(&format!("tool_use {i}"));
    fact.kind = Kind::ToolCall;
    fact.name = "assistant/tool_use".to_owned();
    let message_id = fact.columns.message_id.take();
    fact.columns = Columns {
        // usage and model are the reply's
        model: None,
        input_tokens: None,
        output_tokens: None,
        cache_read_tokens: None,
        cache_creation_tokens: None,
        message_id,
        redactions: Vec::new(),
        ..fact.columns
    };
    fact.columns.tool_use_id = take_text(&mut block, "id");
    let input = block.remove("input");
    fact.columns.skill = input.as_ref().and_then(|v| v.get("skill")).and_then(|s| s.as_str()).map(str::to_owned);
    fact.columns.tool_input = input.map(text_or_json);
    if let Some(name) = take_text(&mut block, "name") {
        name_tool(&mut fact, name);
    }
    fact.columns.attributes = to_json(block);
    fact
}

fn user(wrapped: &Wrapped<'_>, mut head: Fact, mut data: Map<String, Value>, facts: &mut Vec<Fact>) {
    let mut message = take_message(&mut data);
    let (results, texts): (Vec<_>, Vec<_>) =
        blocks(&mut message).into_iter().partition(|b| b.get("type").and_then(|t| t.as_str()) == Some("tool_result"));
    if !results.is_empty() {
        return tool_results(wrapped, head, results, data, facts);
    }
    let text = texts.into_iter().filter_map(|mut b| take_text(&mut b, "text")).collect::<Vec<_>>().join("\n");
    let flag = |name: &str| data.get(name).and_then(Value::as_bool).unwrap_or(false);
    let columns = &mut head.columns;
    head.kind = if let Some(body) = text.strip_prefix(SKILL_BODY) {
        columns.skill = body.lines().next().and_then(|dir| dir.trim().rsplit(['/', '\\']).next()).map(str::to_owned);
        columns.tool_use_id = data.get("sourceToolUseID").and_then(|id| id.as_str()).map(str::to_owned);
        data.insert("version_hash".to_owned(), Value::from(skill_hash(body)));
        head.name = "user/skill".to_owned();
        Kind::Skill
    } else if flag("isCompactSummary") {
        Kind::Compaction
    } else if flag("isSidechain") || columns.agent_id.is_some() {
        Kind::Subagent
    } else if flag("isMeta") || text.is_empty() || CLIENT_WRITTEN.iter().any(|begin| text.starts_with(begin)) {
        head.name = "user/meta".to_owned();
        Kind::Other
    } else {
        Kind::Prompt
    };
    columns.content = Some(text).filter(|t| !t.is_empty());
    other(head, data, facts);
}

/// Names a skill's version by its text: without the directory it was loaded from and without this call's arguments.
fn skill_hash(body: &str) -> String {
    let text = body.split_once('\n').map_or("", |(_, text)| text);
    let text = text.rfind("\nARGUMENTS: ").map_or(text, |at| &text[..at]);
    blake3::hash(text.trim().as_bytes()).to_hex()[..16].to_owned()
}

fn tool_results(
    wrapped: &Wrapped<'_>,
    mut head: Fact,
    results: Vec<Map<String, Value>>,
    mut data: Map<String, Value>,
    facts: &mut Vec<Fact>,
) {
    head.kind = Kind::ToolCall;
    head.name = "user/tool_result".to_owned();
    head.columns.decision =
        data.get("permissionDecision").and_then(|p| p.get("decision")).and_then(|d| d.as_str()).map(str::to_owned);
    // a line with several results has one structured result for none of them in particular
    let structured = if results.len() == 1 { data.remove("toolUseResult") } else { None };
    for (i, mut block) in results.into_iter().enumerate() {
        let mut fact = part(wrapped, &head, i);
        let text = block.remove("content").map(result_text);
        let failed = block.get("is_error").and_then(Value::as_bool).unwrap_or(false);
        let columns = &mut fact.columns;
        columns.tool_use_id = take_text(&mut block, "tool_use_id");
        columns.success = Some(!failed);
        columns.error = text.clone().filter(|_| failed);
        if let Some(output) = structured.clone().or(text.map(Value::String)).filter(|_| !failed) {
            fill_output(columns, output);
        }
        columns.attributes = to_json(data.clone());
        facts.push(fact);
    }
}

/// A result's content: text blocks joined, anything else as JSON.
fn result_text(content: Value) -> String {
    let Value::Array(blocks) = &content else { return text_or_json(content) };
    let texts: Option<Vec<&str>> = blocks.iter().map(|b| b.get("text").and_then(|t| t.as_str())).collect();
    texts.map_or_else(|| content.to_string(), |texts| texts.join("\n"))
}
