//! A session's summary.

use crate::model::Session;

use super::layout::{RenderOptions, Style, paint};
use super::numbers::{cost, count, counted, duration, time};
use super::safe::{clean, one_line, wrap};

/// Which session, where and when, how much.
pub fn headline(session: &Session, options: RenderOptions) -> String {
    let who = session.user_email.as_ref().or(session.user_id.as_ref());
    let agent = match (&session.agent, &session.agent_version) {
        (Some(agent), Some(version)) => Some(format!("{agent} {version}")),
        (agent, _) => agent.clone(),
    };
    let length = duration(session.end_time.saturating_sub(session.start_time) / 1_000);
    let when = format!("{} UTC, {length}", time(session.start_time));
    let identity = dotted([Some(format!("Session {}", session.session_id)), agent, who.cloned()]);
    let place = dotted([session.project.clone(), Some(when), Some(status(session))]);
    let line = |style, text: &str| {
        let (lines, _) = wrap(&one_line(text), options.width.max(40), 4);
        lines.iter().map(|line| paint(style, line, options.color) + "\n").collect::<String>()
    };
    line(Style::Bold, &identity) + &line(Style::Dim, &place) + &line(Style::Plain, &amounts(session))
}

fn dotted(parts: impl IntoIterator<Item = Option<String>>) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn status(session: &Session) -> String {
    match &session.end_reason {
        Some(reason) => format!("{} ({reason})", session.status.as_str()),
        None => session.status.as_str().to_owned(),
    }
}

fn amounts(session: &Session) -> String {
    dotted([
        Some(counted(session.prompt_count, "prompt")),
        Some(counted(session.model_calls, "model call")),
        Some(counted(session.tool_calls, "tool call")),
        Some(counted(session.errors, "error")),
        (session.denials > 0).then(|| counted(session.denials, "denial")),
        Some(format!("cost {}", cost(session.cost_usd))),
    ])
}

/// Everything else the session's row says: tokens, models, tools, what was redacted, what is missing.
pub fn details(session: &Session, options: RenderOptions) -> String {
    let skills: Vec<String> = session.skills.iter().map(|skill| skill.name.clone()).collect();
    let sources: Vec<String> = session.sources.iter().map(|s| s.as_str().to_owned()).collect();
    let redactions: Vec<String> = session.redactions.iter().map(|r| format!("{} ×{}", r.rule, r.count)).collect();
    let mut out = String::new();
    for (name, text) in [
        ("tokens", tokens(session)),
        ("models", session.models.join(", ")),
        ("tools", session.tools.join(", ")),
        ("MCP servers", session.mcp_servers.join(", ")),
        ("skills", skills.join(", ")),
        ("sources", sources.join(", ")),
        ("redacted", redactions.join(", ")),
        ("parent", parent(session)),
    ] {
        row(name, &text, options, &mut out);
    }
    prompts(session, options, &mut out);
    gaps(session, options, &mut out);
    out
}

/// Columns before a row's text.
const NAME: usize = 13;

fn row(name: &str, text: &str, options: RenderOptions, out: &mut String) {
    if text.is_empty() {
        return;
    }
    let most = if options.full { usize::MAX } else { 6 };
    let (lines, missing) = wrap(&clean(text), options.width.max(40) - NAME, most);
    for (i, line) in lines.iter().enumerate() {
        let label = if i == 0 { name } else { "" };
        out.push_str(&format!("{}{line}\n", paint(Style::Dim, &format!("{label:<NAME$}"), options.color)));
    }
    if missing {
        out.push_str(&format!("{:NAME$}…\n", ""));
    }
}

fn tokens(session: &Session) -> String {
    let part = |n: Option<i64>, what: &str| n.map(|n| format!("{} {what}", count(n)));
    dotted([
        part(session.input_tokens, "in"),
        part(session.output_tokens, "out"),
        part(session.cache_read_tokens, "read from cache"),
        part(session.cache_creation_tokens, "written to cache"),
    ])
}

fn parent(session: &Session) -> String {
    let relation = session.parent_relation.as_ref().map(|relation| format!("by {relation}"));
    dotted([session.parent_session_id.clone(), relation])
}

fn prompts(session: &Session, options: RenderOptions, out: &mut String) {
    for (i, prompt) in session.prompts.iter().enumerate() {
        let text = if options.full { prompt.text.clone() } else { one_line(&prompt.text) };
        row(if i == 0 { "prompts" } else { "" }, &text, options, out);
    }
}

fn gaps(session: &Session, options: RenderOptions, out: &mut String) {
    if session.gaps.is_empty() {
        row("gaps", "none known", options, out);
    }
    for (i, gap) in session.gaps.iter().enumerate() {
        row(if i == 0 { "gaps" } else { "" }, &format!("{}: {}", gap.kind, gap.detail), options, out);
    }
}
