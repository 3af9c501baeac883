//! Rows as JSON, by the names of the tables' columns.

use serde_json::{Value, json};

use crate::model::{Columns, Event, Redaction, Session, Source};

use super::render::numbers::{cost_json, date, rfc3339};
use super::render::safe;

/// JSON text for stdout. Characters that could deceive a terminal stay escaped.
pub fn text(value: &Value) -> String {
    let plain = format!("{value:#}\n");
    if !plain.chars().any(needs_escape) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match needs_escape(c) {
            // Such characters occur in strings only, where an escape means the same.
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    out
}

fn needs_escape(c: char) -> bool {
    c == '\u{7f}' || safe::is_deceptive(c)
}

pub fn session(s: &Session) -> Value {
    let skills: Vec<Value> =
        s.skills.iter().map(|skill| json!({"name": skill.name, "version_hash": skill.version_hash})).collect();
    let prompts: Vec<Value> = s.prompts.iter().map(|p| json!({"time": rfc3339(p.time), "text": p.text})).collect();
    let gaps: Vec<Value> = s.gaps.iter().map(|gap| json!({"kind": gap.kind, "detail": gap.detail})).collect();
    json!({
        "session_id": s.session_id,
        "date": date(s.date),
        "user_email": s.user_email,
        "user_id": s.user_id,
        "user_account_id": s.user_account_id,
        "organization_id": s.organization_id,
        "principal": s.principal,
        "agent": s.agent,
        "agent_version": s.agent_version,
        "project": s.project,
        "git_branch": s.git_branch,
        "start_time": rfc3339(s.start_time),
        "end_time": rfc3339(s.end_time),
        "received_at": rfc3339(s.received_at),
        "status": s.status.as_str(),
        "end_reason": s.end_reason,
        "events": s.events,
        "prompt_count": s.prompt_count,
        "synthetic_prompt_count": s.synthetic_prompt_count,
        "model_calls": s.model_calls,
        "tool_calls": s.tool_calls,
        "errors": s.errors,
        "denials": s.denials,
        "input_tokens": s.input_tokens,
        "output_tokens": s.output_tokens,
        "cache_read_tokens": s.cache_read_tokens,
        "cache_creation_tokens": s.cache_creation_tokens,
        "cost_usd": cost_json(s.cost_usd),
        "models": s.models,
        "tools": s.tools,
        "mcp_servers": s.mcp_servers,
        "skills": skills,
        "prompts": prompts,
        "sources": sources(&s.sources),
        "gaps": gaps,
        "redactions": redactions(&s.redactions),
        "parent_session_id": s.parent_session_id,
        "parent_relation": s.parent_relation,
        "fold_version": s.fold_version,
    })
}

pub fn event(e: &Event) -> Value {
    let fact_ids: Vec<String> = e.fact_ids.iter().map(ToString::to_string).collect();
    let mut row = json!({
        "session_id": e.session_id,
        "event_id": e.event_id,
        "seq": e.seq,
        "kind": e.kind.as_str(),
        "date": date(e.date),
        "time": rfc3339(e.time),
        "end_time": e.end_time.map(rfc3339),
        "received_at": rfc3339(e.received_at),
        "sources": sources(&e.sources),
        "fact_ids": fact_ids,
        "joined": e.joined.as_str(),
        "parent_event_id": e.parent_event_id,
        "synthetic": e.synthetic,
        "inherited": e.inherited,
    });
    for part in [texts(&e.columns), amounts(&e.columns)] {
        if let (Value::Object(row), Value::Object(part)) = (&mut row, part) {
            row.extend(part);
        }
    }
    row
}

/// Links, who, where, and content.
fn texts(c: &Columns) -> Value {
    json!({
        "prompt_id": c.prompt_id,
        "request_id": c.request_id,
        "message_id": c.message_id,
        "tool_use_id": c.tool_use_id,
        "agent_id": c.agent_id,
        "trace_id": c.trace_id,
        "span_id": c.span_id,
        "user_email": c.user_email,
        "user_id": c.user_id,
        "user_account_id": c.user_account_id,
        "organization_id": c.organization_id,
        "principal": c.principal,
        "agent": c.agent,
        "agent_version": c.agent_version,
        "project": c.project,
        "git_branch": c.git_branch,
        "permission_mode": c.permission_mode,
        "content": c.content,
        "thinking": c.thinking,
        "tool_name": c.tool_name,
        "tool_input": c.tool_input,
        "tool_output": c.tool_output,
        "mcp_server": c.mcp_server,
        "mcp_tool": c.mcp_tool,
        "skill": c.skill,
        "decision": c.decision,
        "success": c.success,
        "error": c.error,
    })
}

/// Cost, metrics, honesty, and the rest.
fn amounts(c: &Columns) -> Value {
    let truncated: Vec<Value> =
        c.truncated.iter().map(|t| json!({"column": t.column, "original_bytes": t.original_bytes})).collect();
    json!({
        "model": c.model,
        "cost_usd": cost_json(c.cost_usd),
        "cost_source": c.cost_source,
        "input_tokens": c.input_tokens,
        "output_tokens": c.output_tokens,
        "cache_read_tokens": c.cache_read_tokens,
        "cache_creation_tokens": c.cache_creation_tokens,
        "duration_ms": c.duration_ms,
        "ttft_ms": c.ttft_ms,
        "metric_value": c.metric_value,
        "metric_unit": c.metric_unit,
        "temporality": c.temporality,
        "start_time": c.start_time.map(rfc3339),
        "redactions": redactions(&c.redactions),
        "truncated": truncated,
        "attributes": c.attributes,
        "resource": c.resource,
    })
}

fn sources(sources: &[Source]) -> Vec<&'static str> {
    sources.iter().map(|source| source.as_str()).collect()
}

fn redactions(redactions: &[Redaction]) -> Vec<Value> {
    redactions.iter().map(|r| json!({"rule": r.rule, "count": r.count})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_deceive_terminals_stay_escaped_and_mean_the_same() {
        let value = json!({"a\u{202e}": "x\u{1b}[2J\u{9b}\u{7f}\u{e0041}é漢"});
        let shown = text(&value);
        assert!(shown.chars().all(|c| c == '\n' || (!c.is_control() && !safe::is_deceptive(c))), "{shown:?}");
        assert!(shown.contains("é漢"));
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
