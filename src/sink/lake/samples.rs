//! Rows for tests: full ones, with every column filled, and bare ones, with every optional column empty.

use crate::model::{
    Columns, Event, Fact, FactId, Gap, Joined, Kind, Prompt, Redaction, Session, SkillUse, Source, Status, Truncation,
};

/// 2026-01-02T03:04:05.678901Z
pub const TIME: i64 = 1_767_323_045_678_901;
/// Its day.
pub const DAY: i32 = 20_455;
/// Stands in every content column of full rows.
pub const CANARY: &str = "canary-7f3a";

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn content(text: &str) -> Option<String> {
    // First, where a minimum or maximum would show it even when cut.
    Some(format!("{CANARY} {text}"))
}

pub fn columns() -> Columns {
    Columns {
        prompt_id: some("p1"),
        request_id: some("req_1"),
        message_id: some("m1"),
        tool_use_id: some("toolu_1"),
        agent_id: some("a1"),
        trace_id: some("0af7651916cd43dd8448eb211c80319c"),
        span_id: some("b7ad6b7169203331"),
        user_email: some("user@example.com"),
        user_id: some("u1"),
        user_account_id: some("acc1"),
        organization_id: some("org1"),
        principal: some("laptops"),
        agent: some("claude-code"),
        agent_version: some("2.1.330"),
        project: some("/home/u/p"),
        git_branch: some("main"),
        permission_mode: some("default"),
        content: content("hé\u{0}llo 😀"),
        thinking: content("hm"),
        tool_name: some("Bash"),
        tool_input: content("{}"),
        tool_output: content(""),
        mcp_server: some("srv"),
        mcp_tool: some("tool"),
        skill: some("pdf"),
        decision: some("accept"),
        success: Some(false),
        error: content("boom"),
        model: some("claude-opus-4"),
        cost_usd: Some(123_456_789),
        cost_source: some("reported"),
        input_tokens: Some(i64::MAX),
        output_tokens: Some(-1),
        cache_read_tokens: Some(0),
        cache_creation_tokens: Some(7),
        duration_ms: Some(1500),
        ttft_ms: Some(12),
        metric_value: Some(-0.5),
        metric_unit: some("tokens"),
        temporality: some("delta"),
        start_time: Some(TIME - 1),
        redactions: vec![Redaction { rule: "aws-key".into(), count: 2 }, Redaction { rule: "jwt".into(), count: 1 }],
        truncated: vec![
            Truncation { column: "content".into(), original_bytes: Some(70_000) },
            Truncation { column: "tool_output".into(), original_bytes: None },
        ],
        attributes: content("{\"a\":1}"),
        resource: content("{\"service.name\":\"x\"}"),
    }
}

pub fn fact(session: &str, id: u8) -> Fact {
    Fact {
        fact_id: FactId([id; 16]),
        session_id: some(session),
        source: Source::OtlpSpan,
        kind: Kind::ToolCall,
        name: "tool_result".into(),
        sequence: Some(4),
        time: TIME + i64::from(id),
        end_time: Some(TIME + 9),
        received_at: TIME + 10,
        writer: "journal-1".into(),
        policy: "abc".into(),
        columns: columns(),
    }
}

pub fn bare_fact(id: u8) -> Fact {
    Fact {
        session_id: None,
        sequence: None,
        end_time: None,
        name: String::new(),
        columns: Columns::default(),
        ..fact("", id)
    }
}

pub fn event(session: &str, seq: i64) -> Event {
    Event {
        session_id: session.to_owned(),
        event_id: format!("{session}-{seq}"),
        seq,
        kind: Kind::Compaction,
        date: DAY,
        time: TIME,
        end_time: Some(TIME + 1),
        received_at: TIME + 2,
        sources: vec![Source::Hook, Source::OtlpLog],
        fact_ids: vec![FactId([1; 16]), FactId([0xfe; 16])],
        joined: Joined::Inferred,
        parent_event_id: some("parent"),
        synthetic: true,
        inherited: true,
        columns: columns(),
    }
}

pub fn bare_event(session: &str, seq: i64) -> Event {
    Event {
        end_time: None,
        sources: Vec::new(),
        fact_ids: Vec::new(),
        parent_event_id: None,
        synthetic: false,
        inherited: false,
        columns: Columns::default(),
        ..event(session, seq)
    }
}

pub fn session(id: &str) -> Session {
    Session {
        session_id: id.to_owned(),
        date: DAY,
        user_email: some("user@example.com"),
        user_id: some("u1"),
        user_account_id: some("acc1"),
        organization_id: some("org1"),
        principal: some("laptops"),
        agent: some("cowork"),
        agent_version: some("1.2"),
        project: some("/p"),
        git_branch: some("dev"),
        start_time: TIME,
        end_time: TIME + 5,
        received_at: TIME + 6,
        status: Status::Ended,
        end_reason: some("hook"),
        events: 1,
        prompt_count: 2,
        synthetic_prompt_count: 3,
        model_calls: 4,
        tool_calls: 5,
        errors: 6,
        denials: 7,
        input_tokens: Some(8),
        output_tokens: Some(9),
        cache_read_tokens: Some(10),
        cache_creation_tokens: Some(11),
        cost_usd: Some(-12),
        models: vec!["m1".into(), "m2".into()],
        tools: vec!["Bash".into()],
        mcp_servers: vec!["srv".into()],
        skills: vec![
            SkillUse { name: "pdf".into(), version_hash: None },
            SkillUse { name: "xls".into(), version_hash: some("h") },
        ],
        prompts: vec![
            Prompt { time: TIME, text: format!("{CANARY} one") },
            Prompt { time: TIME + 1, text: format!("{CANARY} two") },
        ],
        sources: vec![Source::Transcript],
        gaps: vec![Gap { kind: "sequence".into(), detail: "3-4".into() }],
        redactions: vec![Redaction { rule: "jwt".into(), count: 3 }],
        parent_session_id: some("s0"),
        parent_relation: some("fork"),
        fold_version: 3,
    }
}

pub fn bare_session(id: &str) -> Session {
    let full = session(id);
    Session {
        session_id: full.session_id,
        start_time: full.start_time,
        end_time: full.end_time,
        received_at: full.received_at,
        events: full.events,
        prompt_count: full.prompt_count,
        synthetic_prompt_count: full.synthetic_prompt_count,
        model_calls: full.model_calls,
        tool_calls: full.tool_calls,
        errors: full.errors,
        denials: full.denials,
        fold_version: full.fold_version,
        ..Session::empty(full.date)
    }
}
