//! What each kind of event looks like.

use serde_json::Value;

use crate::model::{Columns, Event, Joined, Kind};

use super::layout::{Block, Part, Style};
use super::numbers::{cost, count, duration};

/// Lines of each text that are shown unless everything is asked for.
const TEXT_LINES: usize = 20;
const THINKING_LINES: usize = 4;
const INPUT_LINES: usize = 4;
const OUTPUT_LINES: usize = 6;

/// The event as a block; `None` for what a timeline leaves out.
pub fn block(event: &Event) -> Option<Block> {
    let mut block = match event.kind {
        Kind::SessionStart => plain("●", "session start", Style::Dim, event),
        Kind::Prompt => prompt(event),
        Kind::ModelCall => model_call(event),
        Kind::ToolCall => tool_call(&event.columns),
        Kind::Permission => permission(&event.columns),
        Kind::Skill => plain("✦", &named("skill", event.columns.skill.as_deref()), Style::Bold, event),
        Kind::Subagent => plain("⑂", "subagent", Style::Bold, event),
        Kind::Compaction => plain("≡", "compaction", Style::Bold, event),
        Kind::Error => plain("✗", "error", Style::Bad, event),
        Kind::SessionEnd => plain("■", "session end", Style::Dim, event),
        Kind::Metric | Kind::Span | Kind::Other => return None,
    };
    if event.inherited {
        block.title.push_str(" (copied from the parent session, not counted)");
    }
    block.side.extend(redacted(&event.columns));
    Some(block)
}

fn named(what: &str, name: Option<&str>) -> String {
    name.map_or_else(|| what.to_owned(), |name| format!("{what} {name}"))
}

/// A title with whatever texts there are.
fn plain(symbol: &'static str, title: &str, style: Style, event: &Event) -> Block {
    let columns = &event.columns;
    let mut body = part(&columns.content, Style::Plain, TEXT_LINES);
    body.extend(part(&columns.error, Style::Bad, OUTPUT_LINES));
    let side = columns.duration_ms.map(|ms| (Style::Dim, duration(ms)));
    let title = title.to_owned();
    Block { symbol, title, title_style: Some(style), body, side: side.into_iter().collect(), ..Block::default() }
}

fn part(text: &Option<String>, style: Style, lines: usize) -> Vec<Part> {
    let text = text.as_deref().filter(|text| !text.trim().is_empty());
    text.map(|text| Part { style, text: text.to_owned(), lines }).into_iter().collect()
}

fn prompt(event: &Event) -> Block {
    let title = if event.synthetic { "prompt (written by no human)" } else { "prompt" };
    let style = if event.synthetic { Style::Plain } else { Style::Bold };
    let body = part(&event.columns.content, style, TEXT_LINES);
    Block { symbol: "❯", title: title.to_owned(), title_style: Some(Style::Accent), body, ..Block::default() }
}

fn model_call(event: &Event) -> Block {
    let columns = &event.columns;
    let mut body =
        part(&columns.thinking.as_ref().map(|text| format!("(thinking) {text}")), Style::Dim, THINKING_LINES);
    body.extend(part(&columns.content, Style::Plain, TEXT_LINES));
    body.extend(part(&columns.error, Style::Bad, OUTPUT_LINES));
    let mut side = vec![(Style::Good, cost(columns.cost_usd))];
    side.extend(usage(columns).into_iter().map(|line| (Style::Dim, line)));
    if event.joined == Joined::Inferred {
        side.push((Style::Dim, "placed by context".to_owned()));
    }
    let title = columns.model.clone().unwrap_or_else(|| "model call".to_owned());
    Block { symbol: "◆", title, body, side, ..Block::default() }
}

/// Tokens and times, as far as they are known.
fn usage(columns: &Columns) -> Vec<String> {
    let known = |pairs: [(Option<i64>, &str); 2]| {
        let parts: Vec<String> =
            pairs.into_iter().filter_map(|(n, what)| n.map(|n| format!("{} {what}", count(n)))).collect();
        (!parts.is_empty()).then(|| parts.join(" · "))
    };
    let tokens = known([(columns.input_tokens, "in"), (columns.output_tokens, "out")]);
    let cache = known([(columns.cache_read_tokens, "cached"), (columns.cache_creation_tokens, "written")]);
    let total = columns.duration_ms.map(duration);
    let first = columns.ttft_ms.map(|ms| format!("first token {}", duration(ms)));
    let times: Vec<String> = total.into_iter().chain(first).collect();
    let times = (!times.is_empty()).then(|| times.join(", "));
    [tokens, cache, times].into_iter().flatten().collect()
}

fn tool_call(columns: &Columns) -> Block {
    let mut body = part(&columns.tool_input.as_deref().map(readable), Style::Dim, INPUT_LINES);
    let failed = columns.success == Some(false) || columns.error.is_some();
    let style = if failed { Style::Bad } else { Style::Plain };
    body.extend(part(&columns.tool_output.as_deref().map(|text| format!("→ {}", readable(text))), style, OUTPUT_LINES));
    if columns.error != columns.tool_output {
        body.extend(part(&columns.error, Style::Bad, OUTPUT_LINES));
    }
    let mut side = vec![outcome(columns, failed)];
    side.extend(columns.decision.clone().map(|decision| (Style::Dim, format!("decision: {decision}"))));
    side.extend(columns.duration_ms.map(|ms| (Style::Dim, duration(ms))));
    Block { symbol: "⚙", title: tool_name(columns), body, side, ..Block::default() }
}

fn tool_name(columns: &Columns) -> String {
    match (&columns.mcp_server, &columns.mcp_tool) {
        (Some(server), Some(tool)) => format!("{tool} ({server}, MCP)"),
        _ => columns.tool_name.clone().unwrap_or_else(|| "tool call".to_owned()),
    }
}

fn outcome(columns: &Columns, failed: bool) -> (Style, String) {
    match (columns.success, failed) {
        (_, true) => (Style::Bad, "failed".to_owned()),
        (Some(true), _) => (Style::Good, "ok".to_owned()),
        (_, _) if columns.tool_output.is_some() => (Style::Plain, "answered".to_owned()),
        _ => (Style::Dim, "no result seen".to_owned()),
    }
}

fn permission(columns: &Columns) -> Block {
    let title = match (&columns.tool_name, &columns.decision) {
        (Some(tool), Some(decision)) => format!("permission for {tool}: {decision}"),
        (Some(tool), None) => format!("permission for {tool} requested"),
        (None, Some(decision)) => format!("permission: {decision}"),
        (None, None) => "permission requested".to_owned(),
    };
    let body = part(&columns.tool_input.as_deref().map(readable), Style::Dim, INPUT_LINES);
    Block { symbol: "?", title, title_style: Some(Style::Accent), body, ..Block::default() }
}

fn redacted(columns: &Columns) -> Vec<(Style, String)> {
    columns.redactions.iter().map(|r| (Style::Accent, format!("redacted: {} ×{}", r.rule, r.count))).collect()
}

/// A JSON object as `key: value` lines without what is empty, or its only text; anything else as it is.
fn readable(text: &str) -> String {
    let Ok(Value::Object(map)) = serde_json::from_str(text) else { return text.to_owned() };
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    let lines: Vec<String> =
        map.iter().filter(|(_, value)| !empty(value)).map(|(key, value)| entry(key, value)).collect();
    if lines.is_empty() { text.to_owned() } else { lines.join("\n") }
}

fn entry(key: &str, value: &Value) -> String {
    match value {
        Value::String(text) => format!("{key}: {}", text.trim_end()),
        other => format!("{key}: {other}"),
    }
}
