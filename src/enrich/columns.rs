//! The shared columns by name, so that mapping tables and the fold can treat them alike.

use crate::model::Columns;

macro_rules! columns_of {
    ($(#[$doc:meta])* $enum:ident: $type:ty { $($variant:ident => $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum { $($variant),* }

        impl $enum {
            pub const ALL: &'static [$enum] = &[$($enum::$variant),*];

            pub fn name(self) -> &'static str {
                match self { $($enum::$variant => stringify!($field)),* }
            }

            pub fn parse(name: &str) -> Option<$enum> {
                $enum::ALL.iter().copied().find(|c| c.name() == name)
            }

            pub fn get(self, columns: &Columns) -> &Option<$type> {
                match self { $($enum::$variant => &columns.$field),* }
            }

            pub fn slot(self, columns: &mut Columns) -> &mut Option<$type> {
                match self { $($enum::$variant => &mut columns.$field),* }
            }
        }
    };
}

columns_of! {
    /// Columns of text. `attributes` and `resource` are not among them: they are united, not chosen.
    Text: String {
        PromptId => prompt_id,
        RequestId => request_id,
        MessageId => message_id,
        ToolUseId => tool_use_id,
        AgentId => agent_id,
        TraceId => trace_id,
        SpanId => span_id,
        UserEmail => user_email,
        UserId => user_id,
        UserAccountId => user_account_id,
        OrganizationId => organization_id,
        Principal => principal,
        Agent => agent,
        AgentVersion => agent_version,
        Project => project,
        GitBranch => git_branch,
        PermissionMode => permission_mode,
        Content => content,
        Thinking => thinking,
        ToolName => tool_name,
        ToolInput => tool_input,
        ToolOutput => tool_output,
        McpServer => mcp_server,
        McpTool => mcp_tool,
        Skill => skill,
        Decision => decision,
        Error => error,
        Model => model,
        CostSource => cost_source,
        MetricUnit => metric_unit,
        Temporality => temporality,
    }
}

columns_of! {
    /// Columns of integers.
    Int: i64 {
        CostUsd => cost_usd,
        InputTokens => input_tokens,
        OutputTokens => output_tokens,
        CacheReadTokens => cache_read_tokens,
        CacheCreationTokens => cache_creation_tokens,
        DurationMs => duration_ms,
        TtftMs => ttft_ms,
        StartTime => start_time,
    }
}

impl Int {
    /// The attribute that says that a record's value for this column makes no sense.
    pub fn invalid(self) -> &'static str {
        match self {
            Int::CostUsd => "sessionlake.invalid.cost_usd",
            Int::InputTokens => "sessionlake.invalid.input_tokens",
            Int::OutputTokens => "sessionlake.invalid.output_tokens",
            Int::CacheReadTokens => "sessionlake.invalid.cache_read_tokens",
            Int::CacheCreationTokens => "sessionlake.invalid.cache_creation_tokens",
            Int::DurationMs => "sessionlake.invalid.duration_ms",
            Int::TtftMs => "sessionlake.invalid.ttft_ms",
            Int::StartTime => "sessionlake.invalid.start_time",
        }
    }

    /// Whether a record may say that of itself. Beyond these bounds a number is nonsense, and one of them would spoil
    /// every sum and every beginning that is counted back from an end.
    pub fn is_plausible(self, value: i64) -> bool {
        let most = match self {
            Int::CostUsd => MAX_NANOS - 1,
            Int::InputTokens | Int::OutputTokens | Int::CacheReadTokens | Int::CacheCreationTokens => MAX_TOKENS,
            Int::DurationMs | Int::TtftMs => MAX_MILLIS,
            Int::StartTime => i64::MAX,
        };
        (0..=most).contains(&value)
    }
}

/// A thousand times a million-token context, and more.
const MAX_TOKENS: i64 = 1_000_000_000;
/// A year.
const MAX_MILLIS: i64 = 366 * 86_400_000;
/// A million dollars: no request costs that.
const MAX_NANOS: i64 = 1_000_000 * 1_000_000_000;

/// Nano-dollars of a dollar amount; `None` unless finite, not negative and below a million dollars.
pub fn nano_usd(dollars: f64) -> Option<i64> {
    (0.0..1e6).contains(&dollars).then(|| (dollars * 1e9).round() as i64)
}

/// Nano-dollars of micro-dollars, with the same bounds.
pub fn nano_usd_of_micros(micros: i64) -> Option<i64> {
    (0..MAX_NANOS / 1000).contains(&micros).then(|| micros * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_become_exact_nanos_and_nonsense_becomes_nothing() {
        assert_eq!(nano_usd(0.005673999999999999), Some(5_674_000));
        assert_eq!(nano_usd_of_micros(5674), Some(5_674_000));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1e308] {
            assert_eq!(nano_usd(bad), None);
        }
        assert_eq!(nano_usd_of_micros(-1), None);
        assert_eq!(nano_usd_of_micros(i64::MAX), None);
    }

    #[test]
    fn names_parse_back() {
        for column in Text::ALL {
            assert_eq!(Text::parse(column.name()), Some(*column));
        }
        assert_eq!(Int::parse("ttft_ms"), Some(Int::TtftMs));
    }
}
