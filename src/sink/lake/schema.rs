//! Every column of every table, once. The Arrow and Delta schemas, the statistics, the property that keeps other
//! writers from making statistics of content, and the text dump derive from these tables (`layout`).
//!
//! Evolves by adding nullable columns only: readers fill what a file lacks with NULL.

use super::table::TableKind;

/// What a column holds. Lists are never NULL, but may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    /// 64 bits.
    Int,
    /// 32 bits.
    Int32,
    Real,
    Flag,
    /// Days since 1970-01-01.
    Day,
    /// UTC microseconds.
    Time,
    /// `DECIMAL(18,9)`, US dollars.
    Usd,
    /// list of text
    Texts,
    /// list of {rule, count}
    Redactions,
    /// list of {column, original_bytes}
    Truncations,
    /// list of {time, text}
    Prompts,
    /// list of {kind, detail}
    Gaps,
    /// list of {name, version_hash}
    Skills,
}

/// How a column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// The partition: in the directory's name and the log, not in the files.
    Partition,
    /// Has minimum and maximum in the Delta log and in the files.
    Logged,
    /// Has statistics in the files only, which keeps commits small.
    Plain,
    /// As `Plain`, with a bloom filter in files large enough.
    Bloom,
    /// As `Logged`, with a bloom filter in files large enough.
    LoggedBloom,
    /// May hold what people wrote: no statistics anywhere.
    Content,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub ty: Type,
    pub nullable: bool,
    pub storage: Storage,
    /// Empty where the type says all.
    pub unit: &'static str,
    /// Where the value comes from.
    pub origin: &'static str,
    /// How several facts give one value.
    pub fold: &'static str,
    pub doc: &'static str,
}

const RANK: &str = "untruncated, then source rank, then longest, then bytes";
const LOG_ONLY: &str = "from the log, else NULL";
const COUNT: &str = "count over own (not inherited) events";
const SUM: &str = "sum over own (not inherited) model calls; NULL when none reports it";
const UNION: &str = "sorted union";

const fn column(name: &'static str, ty: Type, origin: &'static str, fold: &'static str, doc: &'static str) -> Column {
    Column { name, ty, nullable: true, storage: Storage::Plain, unit: "", origin, fold, doc }
}

impl Column {
    const fn required(mut self) -> Column {
        self.nullable = false;
        self
    }

    const fn stored(mut self, storage: Storage) -> Column {
        self.storage = storage;
        self
    }

    const fn content(self) -> Column {
        self.stored(Storage::Content)
    }

    const fn unit(mut self, unit: &'static str) -> Column {
        self.unit = unit;
        self
    }

    pub fn is_content(&self) -> bool {
        self.storage == Storage::Content
    }

    pub fn is_partition(&self) -> bool {
        self.storage == Storage::Partition
    }

    /// Whether the Delta log carries its minimum and maximum.
    pub fn is_logged(&self) -> bool {
        matches!(self.storage, Storage::Logged | Storage::LoggedBloom)
    }

    pub fn has_bloom(&self) -> bool {
        matches!(self.storage, Storage::Bloom | Storage::LoggedBloom)
    }
}

use Storage::{Bloom, Logged, LoggedBloom, Partition};
use Type::{Day, Flag, Gaps, Int, Int32, Prompts, Real, Redactions, Skills, Text, Texts, Time, Truncations, Usd};

/// What only `facts` has, before the shared columns.
const FACT: &[Column] = &[
    column("fact_id", Text, "keyed hash of what identifies the record", "", "names the fact; 32 hex digits").required(),
    column("session_id", Text, "hook session_id; OTLP session.id", "", "NULL: the record names no session")
        .stored(LoggedBloom),
    column("source", Text, "the receiver", "", "hook, transcript, otlp_log, otlp_span or otlp_metric").required(),
    column("kind", Text, "enrich", "", "the kind of event that the fact speaks of").required(),
    column("name", Text, "event.name, hook_event_name, span or metric name", "", "the source's own name of the record")
        .required(),
    column("sequence", Int, "event.sequence; a hook envelope's seq", "", "the source's own counter"),
    column("received_date", Day, "received_at", "", "UTC day of the receipt").required().stored(Partition),
    column("time", Time, "the record's time; a raw hook: first receipt", "", "when it happened")
        .required()
        .stored(Logged),
    column("end_time", Time, "span end; start plus duration", "", "when it was over"),
    column("received_at", Time, "our clock", "", "when we received it").required().stored(Logged),
    column("writer", Text, "the journal", "", "the journal that took it in").required(),
    column("policy", Text, "the redaction policy", "", "hash of the policy that the fact passed").required(),
];

/// What only `events` has, before the shared columns.
const EVENT: &[Column] = &[
    column("session_id", Text, "hook session_id; OTLP session.id", "natural key", "the session")
        .required()
        .stored(LoggedBloom),
    column("event_id", Text, "computed", "hash of the natural key", "stable across folds").required().stored(Bloom),
    column("seq", Int, "computed", "order in the session", "position in the session, from 0").required(),
    column("kind", Text, "enrich", "of the highest ranked fact", "prompt, model_call, tool_call, permission, skill, subagent, compaction, error, session_start, session_end, metric, span or other")
        .required(),
    column("date", Day, "computed", "UTC day of the session's start", "partition: a session lives in one")
        .required()
        .stored(Partition),
    column("time", Time, "the facts' times", "minimum", "when it began").required().stored(Logged),
    column("end_time", Time, "the facts' end times", "maximum", "when it was over"),
    column("received_at", Time, "our clock", "minimum", "when its first fact was received").required().stored(Logged),
    column("sources", Texts, "the facts", "set, by rank", "who spoke of it").required(),
    column("fact_ids", Texts, "the facts", "set, sorted", "the facts it was computed from").required(),
    column("joined", Text, "computed", "how the facts met", "exact, inferred or one_sided").required(),
    column("parent_event_id", Text, "computed", "subagent and prompt nesting", "the event it belongs to"),
    column("synthetic", Flag, "computed", "true when any fact says so", "a prompt that no human wrote").required(),
    column("inherited", Flag, "computed", "same uuid in another session", "copied by a fork: shown, not counted").required(),
];

/// What `facts` and `events` share.
const SHARED: &[Column] = &[
    column("prompt_id", Text, "hook prompt_id; OTLP prompt.id; transcript promptId", RANK, "the prompt it belongs to"),
    column("request_id", Text, "OTLP request_id; transcript requestId", RANK, "the API request"),
    column("message_id", Text, "OTLP message.uuid; transcript uuid", RANK, "the transcript's message"),
    column("tool_use_id", Text, "hook and OTLP tool_use_id", RANK, "the tool call").stored(Bloom),
    column("agent_id", Text, "hook and OTLP agent_id", RANK, "the subagent; NULL: the main agent"),
    column("trace_id", Text, "the span or log record", RANK, "32 lower-case hex digits"),
    column("span_id", Text, "the span or log record", RANK, "16 lower-case hex digits"),
    column("user_email", Text, "OTLP user.email", RANK, "who").stored(LoggedBloom),
    column("user_id", Text, "OTLP user.id, enduser.id", RANK, "who, as the client numbers its users"),
    column("user_account_id", Text, "OTLP user.account_uuid, user.account_id", RANK, "the account"),
    column("organization_id", Text, "OTLP organization.id", RANK, "the organization"),
    column("principal", Text, "the token", RANK, "the name of the token that delivered it"),
    column("agent", Text, "OTLP service.name; the hook", RANK, "claude-code, cowork, ..."),
    column("agent_version", Text, "OTLP service.version; transcript version", RANK, "the agent's version"),
    column("project", Text, "hook cwd; OTLP workspace.host_paths", RANK, "working directory"),
    column("git_branch", Text, "transcript gitBranch", RANK, "git branch"),
    column("permission_mode", Text, "hook and OTLP permission_mode", RANK, "permission mode at that moment"),
    column("content", Text, "hook, transcript, span or log", RANK, "prompt or reply").content(),
    column("thinking", Text, "transcript", RANK, "the reply's thinking").content(),
    column("tool_name", Text, "hook, transcript, OTLP tool_name", RANK, "the tool"),
    column("tool_input", Text, "hook tool_input; OTLP tool_input", RANK, "what the tool was given; JSON").content(),
    column("tool_output", Text, "hook tool_response; span event tool.output", RANK, "what it answered; text or JSON")
        .content(),
    column("mcp_server", Text, "hook mcp_server; OTLP mcp_server.name", RANK, "the MCP server"),
    column("mcp_tool", Text, "tool_name; OTLP mcp_tool.name", RANK, "the tool's name at the MCP server"),
    column("skill", Text, "OTLP skill.name; Skill tool", RANK, "the skill"),
    column("decision", Text, "OTLP decision; PermissionDenied hook", RANK, "accept or reject"),
    column("success", Flag, "OTLP success; PostToolUse or PostToolUseFailure", RANK, "whether it worked"),
    column("error", Text, "hook and OTLP error", RANK, "what went wrong").content(),
    column("model", Text, "OTLP model; transcript", RANK, "the model"),
    column("cost_usd", Usd, "OTLP cost_usd_micros, cost_usd", LOG_ONLY, "cost of the request").unit("USD"),
    column("cost_source", Text, "enrich", LOG_ONLY, "reported: the client said so"),
    column("input_tokens", Int, "OTLP input_tokens; transcript usage", RANK, "without cache reads and writes")
        .unit("tokens"),
    column("output_tokens", Int, "OTLP output_tokens; transcript usage", RANK, "tokens of the reply").unit("tokens"),
    column("cache_read_tokens", Int, "OTLP cache_read_tokens; transcript usage", RANK, "read from the cache")
        .unit("tokens"),
    column("cache_creation_tokens", Int, "OTLP cache_creation_tokens; transcript usage", RANK, "written to the cache")
        .unit("tokens"),
    column("duration_ms", Int, "hook and OTLP duration_ms; span", RANK, "how long it took").unit("ms"),
    column("ttft_ms", Int, "OTLP ttft_ms", RANK, "time to the first token").unit("ms"),
    column("metric_value", Real, "the data point", "latest", "the point's value, or its sum"),
    column("metric_unit", Text, "the metric", RANK, "the metric's unit"),
    column("temporality", Text, "the metric", RANK, "delta or cumulative"),
    column("start_time", Time, "the data point", "minimum", "start of the point's interval"),
    column("redactions", Redactions, "redaction", "of the winning values", "rules that hit, and how often").required(),
    column("truncated", Truncations, "the client; our limits", "of the winning values", "columns that were cut")
        .required(),
    column("attributes", Text, "all that no column holds", "by source and fact name", "JSON object").content(),
    column("resource", Text, "OTLP resource", "by source", "JSON object").content(),
];

/// `sessions`.
const SESSION: &[Column] = &[
    column("session_id", Text, "the events", "natural key", "the session").required().stored(LoggedBloom),
    column("date", Day, "start_time", "", "partition: UTC day of the start").required().stored(Partition),
    column("user_email", Text, "the events", "first known", "who").stored(LoggedBloom),
    column("user_id", Text, "the events", "first known", "who, as the client numbers its users"),
    column("user_account_id", Text, "the events", "first known", "the account"),
    column("organization_id", Text, "the events", "first known", "the organization"),
    column("principal", Text, "the events", "first known", "the name of the token that delivered it"),
    column("agent", Text, "the events", "first known", "claude-code, cowork, ..."),
    column("agent_version", Text, "the events", "first known", "the agent's version"),
    column("project", Text, "the events", "first known", "working directory"),
    column("git_branch", Text, "the events", "first known", "git branch"),
    column("start_time", Time, "the events", "minimum", "when it began").required().stored(Logged),
    column("end_time", Time, "the events", "maximum", "when its last event was over").required().stored(Logged),
    column("received_at", Time, "the events", "minimum", "when its first fact was received").required().stored(Logged),
    column("status", Text, "seal", "", "running or ended").required(),
    column("end_reason", Text, "seal", "", "hook or idle; NULL while running"),
    column("events", Int, "the events", "count", "how many events").required(),
    column("prompt_count", Int, "the events", COUNT, "prompts by humans").required(),
    column("synthetic_prompt_count", Int, "the events", COUNT, "prompts that no human wrote").required(),
    column("model_calls", Int, "the events", COUNT, "model calls").required(),
    column("tool_calls", Int, "the events", COUNT, "tool calls").required(),
    column("errors", Int, "the events", COUNT, "failed tool calls and API errors").required(),
    column("denials", Int, "the events", COUNT, "rejected permissions").required(),
    column("input_tokens", Int, "the events", SUM, "without cache reads and writes").unit("tokens"),
    column("output_tokens", Int, "the events", SUM, "tokens of the replies").unit("tokens"),
    column("cache_read_tokens", Int, "the events", SUM, "read from the cache").unit("tokens"),
    column("cache_creation_tokens", Int, "the events", SUM, "written to the cache").unit("tokens"),
    column("cost_usd", Usd, "the events", SUM, "sum of the reported costs").unit("USD").stored(Logged),
    column("models", Texts, "the events", UNION, "models used").required(),
    column("tools", Texts, "the events", UNION, "tools used").required(),
    column("mcp_servers", Texts, "the events", UNION, "MCP servers used").required(),
    column("skills", Skills, "the events", UNION, "skills used, with a hash of their text where it was seen")
        .required(),
    column("prompts", Prompts, "the events", "in order", "prompts by humans: at most 200, each at most 4 KiB")
        .required()
        .content(),
    column("sources", Texts, "the events", "set, by rank", "who spoke of it").required(),
    column("gaps", Gaps, "the events", "computed", "what the record lacks").required(),
    column("redactions", Redactions, "the events", "sum by rule", "rules that hit, and how often").required(),
    column("parent_session_id", Text, "the events", "computed", "the session that this one goes on from"),
    column("parent_relation", Text, "the events", "computed", "fork, resume or compaction"),
    column("fold_version", Int32, "seal", "", "the version of the fold that computed it").required(),
];

/// `audit`.
const AUDIT: &[Column] = &[
    column("request_id", Text, "the request", "", "names the request; 32 hex digits").required().stored(Logged),
    column("action", Text, "the request", "", "erase, private, reredact or read").required().stored(Logged),
    column("date", Day, "time", "", "partition: UTC day").required().stored(Partition),
    column("time", Time, "our clock", "", "when it was done").required().stored(Logged),
    column("requested_at", Time, "our clock", "", "when it was asked for").required(),
    column("who", Text, "the token, or the operating system", "", "who asked for it; NULL: nobody that is known"),
    column(
        "how",
        Text,
        "the request",
        "",
        "what chose the sessions, or rows: hook, otlp, rule, or options of the command",
    )
    .required(),
    column("reason", Text, "the command", "", "why, as the command was told").content(),
    column(
        "outcome",
        Text,
        "maintenance",
        "",
        "done, or incomplete: see remaining and silent_writers; of a read: begun, then done or stopped",
    )
    .required(),
    column("names", Texts, "the request", "", "keyed hashes of the sessions' ids, at most 10,000").required(),
    column("session_count", Int, "the request", "", "how many sessions").required(),
    column("fact_rows", Int, "maintenance", "", "rows removed from facts, or redacted in it").required(),
    column("event_rows", Int, "maintenance", "", "rows removed from events, or redacted in it").required(),
    column("session_rows", Int, "maintenance", "", "rows removed from sessions, or redacted in it").required(),
    column("journal_records", Int, "the journals", "", "records overwritten in journals").required(),
    column("objects_before", Int, "maintenance", "", "data files that held the rows").required(),
    column("objects_after", Int, "maintenance", "", "data files that took their place").required(),
    column("bytes_before", Int, "maintenance", "", "their size").required().unit("bytes"),
    column("bytes_after", Int, "maintenance", "", "their size").required().unit("bytes"),
    column("silent_writers", Texts, "maintenance", "", "journals of processes that did not answer").required(),
    column("remaining", Texts, "maintenance", "", "objects that the store would not give up").required(),
    column("statement", Text, "the reader", "", "what a read asked, redacted").content(),
    column("result_rows", Int, "the server", "", "rows that a read was given; NULL before it is over"),
];

impl TableKind {
    pub const ALL: [TableKind; 4] = [TableKind::Facts, TableKind::Events, TableKind::Sessions, TableKind::Audit];
    /// What sessions' rows are in.
    pub const OF_SESSIONS: [TableKind; 3] = [TableKind::Facts, TableKind::Events, TableKind::Sessions];

    /// The table's name, and its directory below the workspace.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Facts => "facts",
            TableKind::Events => "events",
            TableKind::Sessions => "sessions",
            TableKind::Audit => "audit",
        }
    }

    /// The table's columns, in order.
    pub fn columns(self) -> impl Iterator<Item = &'static Column> {
        let (own, shared): (&'static [Column], &'static [Column]) = match self {
            TableKind::Facts => (FACT, SHARED),
            TableKind::Events => (EVENT, SHARED),
            TableKind::Sessions => (SESSION, &[]),
            TableKind::Audit => (AUDIT, &[]),
        };
        own.iter().chain(shared)
    }

    /// The partition column's name.
    pub fn partition(self) -> &'static str {
        match self {
            TableKind::Facts => "received_date",
            TableKind::Events | TableKind::Sessions | TableKind::Audit => "date",
        }
    }
}
