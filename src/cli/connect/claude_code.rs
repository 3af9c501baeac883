//! `sessionlake connect claude-code`: environment and managed settings for the client's OpenTelemetry exporter.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::super::failure::Failure;
use super::super::json;
use super::{TokenArg, endpoint};

/// Print what makes Claude Code export its telemetry here.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eval \"$(sessionlake connect claude-code --env)\"
  sessionlake connect claude-code --endpoint https://collector.example.com:4318 --json > managed-settings.json")]
pub struct ClaudeCode {
    /// Where the client reaches this collector [default: http://127.0.0.1:4318, or :4317 with grpc]
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// How the client encodes and sends
    #[arg(long, value_enum, value_name = "PROTOCOL", default_value_t = Protocol::HttpProtobuf)]
    protocol: Protocol,
    #[command(flatten)]
    token: TokenArg,
    /// Print only the managed settings (JSON)
    #[arg(long, conflicts_with = "env")]
    json: bool,
    /// Print only the export lines for a shell
    #[arg(long)]
    env: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    #[value(name = "grpc")]
    Grpc,
    #[value(name = "http/protobuf")]
    HttpProtobuf,
    #[value(name = "http/json")]
    HttpJson,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http/protobuf",
            Protocol::HttpJson => "http/json",
        }
    }

    fn default_endpoint(self) -> &'static str {
        match self {
            Protocol::Grpc => "http://127.0.0.1:4317",
            Protocol::HttpProtobuf | Protocol::HttpJson => "http://127.0.0.1:4318",
        }
    }
}

/// A variable, its value, and what it is for.
type Variable<'a> = (&'static str, &'a str, &'static str);

impl ClaudeCode {
    pub fn text(&self) -> Result<String, Failure> {
        let url = endpoint(self.endpoint.as_deref().unwrap_or(self.protocol.default_endpoint()))?;
        // The value is percent-encoded (OpenTelemetry's "Protocol Exporter", "Specifying headers").
        let header = self.token.bearer()?.map(|bearer| format!("Authorization={}", bearer.replace(' ', "%20")));
        let mut variables = variables(self.protocol, url);
        if let Some(header) = &header {
            variables.push(("OTEL_EXPORTER_OTLP_HEADERS", header, "who sends"));
        }
        if self.json {
            return Ok(json::text(&settings(&variables)));
        }
        if self.env {
            return Ok(exports(&variables));
        }
        Ok(format!(
            "# For one shell:\n{}\n# For everyone, as managed settings (managed-settings.json) or in a settings.json:\n{}\n\
             # Then run 'sessionlake connect hooks' too: hooks bring texts that telemetry cuts, and the session's end.\n\
             # Where authentication is on: --token TOKEN adds the header that it takes.\n",
            exports(&variables),
            json::text(&settings(&variables)),
        ))
    }
}

fn variables<'a>(protocol: Protocol, url: &'a str) -> Vec<Variable<'a>> {
    vec![
        ("CLAUDE_CODE_ENABLE_TELEMETRY", "1", "switches telemetry on"),
        ("OTEL_METRICS_EXPORTER", "otlp", "usage and cost counters"),
        ("OTEL_LOGS_EXPORTER", "otlp", "events: prompts, requests with their cost, tool calls"),
        ("OTEL_TRACES_EXPORTER", "otlp", "spans, which carry tool output"),
        ("CLAUDE_CODE_ENHANCED_TELEMETRY_BETA", "1", "spans need it"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.name(), "has no default"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url, "this collector"),
        ("OTEL_LOG_USER_PROMPTS", "1", "the text of prompts, otherwise <REDACTED>"),
        ("OTEL_LOG_ASSISTANT_RESPONSES", "1", "the text of replies"),
        ("OTEL_LOG_TOOL_DETAILS", "1", "tool arguments, and names of MCP tools and skills"),
        ("OTEL_LOG_TOOL_CONTENT", "1", "tool output, in spans"),
    ]
}

fn exports(variables: &[Variable<'_>]) -> String {
    let lines: Vec<String> = variables.iter().map(|(name, value, _)| format!("export {name}={value}")).collect();
    let width = lines.iter().map(String::len).max().unwrap_or(0);
    lines.iter().zip(variables).map(|(line, (.., why))| format!("{line:<width$}  # {why}\n")).collect()
}

fn settings(variables: &[Variable<'_>]) -> Value {
    let env: Map<String, Value> =
        variables.iter().map(|(name, value, _)| ((*name).to_owned(), Value::from(*value))).collect();
    json!({ "env": env })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Token;

    fn command() -> ClaudeCode {
        ClaudeCode {
            endpoint: None,
            protocol: Protocol::HttpProtobuf,
            token: TokenArg::default(),
            json: false,
            env: false,
        }
    }

    #[test]
    fn the_text_to_paste() {
        insta::assert_snapshot!(command().text().unwrap(), @r#"
        # For one shell:
        export CLAUDE_CODE_ENABLE_TELEMETRY=1                     # switches telemetry on
        export OTEL_METRICS_EXPORTER=otlp                         # usage and cost counters
        export OTEL_LOGS_EXPORTER=otlp                            # events: prompts, requests with their cost, tool calls
        export OTEL_TRACES_EXPORTER=otlp                          # spans, which carry tool output
        export CLAUDE_CODE_ENHANCED_TELEMETRY_BETA=1              # spans need it
        export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf          # has no default
        export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318  # this collector
        export OTEL_LOG_USER_PROMPTS=1                            # the text of prompts, otherwise <REDACTED>
        export OTEL_LOG_ASSISTANT_RESPONSES=1                     # the text of replies
        export OTEL_LOG_TOOL_DETAILS=1                            # tool arguments, and names of MCP tools and skills
        export OTEL_LOG_TOOL_CONTENT=1                            # tool output, in spans

        # For everyone, as managed settings (managed-settings.json) or in a settings.json:
        {
          "env": {
            "CLAUDE_CODE_ENABLE_TELEMETRY": "1",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_TRACES_EXPORTER": "otlp",
            "CLAUDE_CODE_ENHANCED_TELEMETRY_BETA": "1",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
            "OTEL_LOG_USER_PROMPTS": "1",
            "OTEL_LOG_ASSISTANT_RESPONSES": "1",
            "OTEL_LOG_TOOL_DETAILS": "1",
            "OTEL_LOG_TOOL_CONTENT": "1"
          }
        }

        # Then run 'sessionlake connect hooks' too: hooks bring texts that telemetry cuts, and the session's end.
        # Where authentication is on: --token TOKEN adds the header that it takes.
        "#);
    }

    #[test]
    fn json_alone_is_a_settings_file() {
        let command = ClaudeCode {
            protocol: Protocol::Grpc,
            endpoint: Some("https://c.example.com/".into()),
            token: TokenArg { token: Some(Token::new([7; 30]).reveal().to_owned()) },
            json: true,
            env: false,
        };
        let settings: Value = serde_json::from_str(&command.text().unwrap()).unwrap();
        assert_eq!(settings["env"]["OTEL_EXPORTER_OTLP_PROTOCOL"], "grpc");
        assert_eq!(settings["env"]["OTEL_EXPORTER_OTLP_ENDPOINT"], "https://c.example.com");
        let header = format!("Authorization=Bearer%20{}", Token::new([7; 30]).reveal());
        assert_eq!(settings["env"]["OTEL_EXPORTER_OTLP_HEADERS"], header);
    }
}
