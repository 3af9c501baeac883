//! A fact: what one source said about one thing. Kept as it arrived (after redaction), never changed afterwards.

use std::fmt;

/// Nano-dollars: `DECIMAL(18,9)` of US dollars as an integer.
pub type NanoUsd = i64;

/// Which source spoke. The order is the rank of `sources` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    Hook,
    Transcript,
    OtlpLog,
    OtlpSpan,
    OtlpMetric,
}

impl Source {
    pub const ALL: [Source; 5] =
        [Source::Hook, Source::Transcript, Source::OtlpLog, Source::OtlpSpan, Source::OtlpMetric];

    /// The name stored in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Hook => "hook",
            Source::Transcript => "transcript",
            Source::OtlpLog => "otlp_log",
            Source::OtlpSpan => "otlp_span",
            Source::OtlpMetric => "otlp_metric",
        }
    }

    pub fn parse(text: &str) -> Option<Source> {
        Source::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

/// What kind of event a fact speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    SessionStart,
    Prompt,
    ModelCall,
    ToolCall,
    Permission,
    Skill,
    Subagent,
    Compaction,
    Error,
    SessionEnd,
    Metric,
    Span,
    Other,
}

impl Kind {
    pub const ALL: [Kind; 13] = [
        Kind::SessionStart,
        Kind::Prompt,
        Kind::ModelCall,
        Kind::ToolCall,
        Kind::Permission,
        Kind::Skill,
        Kind::Subagent,
        Kind::Compaction,
        Kind::Error,
        Kind::SessionEnd,
        Kind::Metric,
        Kind::Span,
        Kind::Other,
    ];

    /// The name stored in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::SessionStart => "session_start",
            Kind::Prompt => "prompt",
            Kind::ModelCall => "model_call",
            Kind::ToolCall => "tool_call",
            Kind::Permission => "permission",
            Kind::Skill => "skill",
            Kind::Subagent => "subagent",
            Kind::Compaction => "compaction",
            Kind::Error => "error",
            Kind::SessionEnd => "session_end",
            Kind::Metric => "metric",
            Kind::Span => "span",
            Kind::Other => "other",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// Identifies a fact by what identifies the record it came from, so that a retry or a second delivery of the record
/// is the same fact. 16 bytes of a keyed BLAKE3; stored as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FactId(pub [u8; 16]);

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In one piece: every row has several of these, and the formatter takes its time for each piece.
        let mut digits = [0; 32];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        }
        f.write_str(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for FactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FactId {
    /// The inverse of `Display`; `None` unless 32 hex digits.
    pub fn parse(text: &str) -> Option<FactId> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let pairs: &[[u8; 2]; 16] = pairs.try_into().ok().filter(|_| rest.is_empty())?;
        let mut id = [0; 16];
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            // Both are below 16.
            *byte = (char::from(*high).to_digit(16)? as u8) << 4 | char::from(*low).to_digit(16)? as u8;
        }
        Some(FactId(id))
    }
}

/// How often a redaction rule hit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Redaction {
    pub rule: String,
    pub count: i64,
}

/// A column whose value was cut before it was stored (by the client or by us).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Truncation {
    pub column: String,
    /// Size before the cut, in bytes; `None` where the source does not say.
    pub original_bytes: Option<i64>,
}

/// The columns that facts and events share, named as in the tables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    // links
    pub prompt_id: Option<String>,
    pub request_id: Option<String>,
    pub message_id: Option<String>,
    pub tool_use_id: Option<String>,
    pub agent_id: Option<String>,
    /// Lower-case hex, 32 digits.
    pub trace_id: Option<String>,
    /// Lower-case hex, 16 digits.
    pub span_id: Option<String>,
    // who
    pub user_email: Option<String>,
    pub user_id: Option<String>,
    pub user_account_id: Option<String>,
    pub organization_id: Option<String>,
    /// The name of the token that delivered it.
    pub principal: Option<String>,
    // where
    pub agent: Option<String>,
    pub agent_version: Option<String>,
    pub project: Option<String>,
    pub git_branch: Option<String>,
    pub permission_mode: Option<String>,
    // content
    pub content: Option<String>,
    pub thinking: Option<String>,
    pub tool_name: Option<String>,
    /// JSON text.
    pub tool_input: Option<String>,
    /// Text, or JSON text where the source gives a structure.
    pub tool_output: Option<String>,
    pub mcp_server: Option<String>,
    pub mcp_tool: Option<String>,
    pub skill: Option<String>,
    pub decision: Option<String>,
    pub success: Option<bool>,
    pub error: Option<String>,
    // cost
    pub model: Option<String>,
    pub cost_usd: Option<NanoUsd>,
    /// `reported`: the client said so.
    pub cost_source: Option<String>,
    /// Without cache reads and writes.
    pub input_tokens: Option<i64>,
    pub output_tokens: Option<i64>,
    pub cache_read_tokens: Option<i64>,
    pub cache_creation_tokens: Option<i64>,
    pub duration_ms: Option<i64>,
    pub ttft_ms: Option<i64>,
    // metric
    pub metric_value: Option<f64>,
    pub metric_unit: Option<String>,
    /// `delta` or `cumulative`.
    pub temporality: Option<String>,
    /// Start of a metric point's interval, UTC microseconds.
    pub start_time: Option<i64>,
    // honesty
    pub redactions: Vec<Redaction>,
    pub truncated: Vec<Truncation>,
    // the rest
    /// JSON object of what no column holds. In a fact: flat. In an event: by source, then by the facts' names.
    pub attributes: Option<String>,
    /// JSON object of resource attributes. In a fact: flat. In an event: by source.
    pub resource: Option<String>,
}

/// One row of the `facts` table.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    pub fact_id: FactId,
    /// `None`: the record names no session; it is kept in `facts` and no event is computed from it.
    pub session_id: Option<String>,
    pub source: Source,
    pub kind: Kind,
    /// The source's own name of the record: an event name (`api_request`), a hook event (`PreToolUse`), a transcript
    /// line type and block (`assistant/text`), a span or metric name.
    pub name: String,
    /// The source's own counter (`event.sequence`, an envelope's `seq`).
    pub sequence: Option<i64>,
    /// Event time, UTC microseconds. For a raw hook, which has no clock: when it was first received.
    pub time: i64,
    pub end_time: Option<i64>,
    /// When we received it, UTC microseconds.
    pub received_at: i64,
    /// The journal that took it in.
    pub writer: String,
    /// Hash of the redaction policy that it passed.
    pub policy: String,
    pub columns: Columns,
}
