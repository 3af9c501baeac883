//! A session's summary: one row that answers "who, what, how much, and what is missing".

use super::fact::{NanoUsd, Redaction, Source};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Running,
    Ended,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Ended => "ended",
        }
    }

    pub fn parse(text: &str) -> Option<Status> {
        [Status::Running, Status::Ended].into_iter().find(|s| s.as_str() == text)
    }
}

/// Something that the record lacks, or that makes it doubtful.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// `sequence`, `tool_without_result`, `model_call_without_content`, `model_call_without_cost`, `silent_hook`,
    /// `no_session_end`; `principal_conflict` and `user_conflict`: others than the session's owner sent facts that name
    /// it.
    pub kind: String,
    pub detail: String,
}

/// A prompt as listed in `sessions.prompts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// UTC microseconds.
    pub time: i64,
    pub text: String,
}

/// A skill that was used, with a hash of its text where the text was seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkillUse {
    pub name: String,
    pub version_hash: Option<String>,
}

/// One row of the `sessions` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub session_id: String,
    /// UTC day of the session's start, days since 1970-01-01.
    pub date: i32,
    pub user_email: Option<String>,
    pub user_id: Option<String>,
    pub user_account_id: Option<String>,
    pub organization_id: Option<String>,
    pub principal: Option<String>,
    pub agent: Option<String>,
    pub agent_version: Option<String>,
    pub project: Option<String>,
    pub git_branch: Option<String>,
    /// UTC microseconds.
    pub start_time: i64,
    pub end_time: i64,
    /// First receive time, UTC microseconds.
    pub received_at: i64,
    pub status: Status,
    /// `hook` or `idle`; `None` while running.
    pub end_reason: Option<String>,
    pub events: i64,
    /// Prompts by humans.
    pub prompt_count: i64,
    pub synthetic_prompt_count: i64,
    pub model_calls: i64,
    pub tool_calls: i64,
    /// Failed tool calls and API errors.
    pub errors: i64,
    pub denials: i64,
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cache_read_tokens: Option<i64>,
    pub cache_creation_tokens: Option<i64>,
    /// Sum of the reported costs; `None` when no source reported one.
    pub cost_usd: Option<NanoUsd>,
    pub models: Vec<String>,
    pub tools: Vec<String>,
    pub mcp_servers: Vec<String>,
    pub skills: Vec<SkillUse>,
    /// Human prompts in order; at most 200, each at most 4 KiB.
    pub prompts: Vec<Prompt>,
    pub sources: Vec<Source>,
    pub gaps: Vec<Gap>,
    pub redactions: Vec<Redaction>,
    pub parent_session_id: Option<String>,
    /// `fork`, `resume` or `compaction`.
    pub parent_relation: Option<String>,
    pub fold_version: i32,
}

impl Session {
    /// A row that says nothing yet.
    pub fn empty(date: i32) -> Session {
        Session {
            session_id: String::new(),
            date,
            user_email: None,
            user_id: None,
            user_account_id: None,
            organization_id: None,
            principal: None,
            agent: None,
            agent_version: None,
            project: None,
            git_branch: None,
            start_time: 0,
            end_time: 0,
            received_at: 0,
            status: Status::Running,
            end_reason: None,
            events: 0,
            prompt_count: 0,
            synthetic_prompt_count: 0,
            model_calls: 0,
            tool_calls: 0,
            errors: 0,
            denials: 0,
            input_tokens: None,
            output_tokens: None,
            cache_read_tokens: None,
            cache_creation_tokens: None,
            cost_usd: None,
            models: Vec::new(),
            tools: Vec::new(),
            mcp_servers: Vec::new(),
            skills: Vec::new(),
            prompts: Vec::new(),
            sources: Vec::new(),
            gaps: Vec::new(),
            redactions: Vec::new(),
            parent_session_id: None,
            parent_relation: None,
            fold_version: 0,
        }
    }
}
