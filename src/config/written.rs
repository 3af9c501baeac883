//! The configuration as written: the collector's keys, every one optional, unknown ones refused.
//!
//! Every scalar is kept as its text with its place: what it means is decided after `${env:...}` is expanded.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::problem::{Place, Problem, Source};

/// A scalar's text and where it stands.
pub type Text = Spanned<String>;
pub type Scalar = Option<Text>;

pub fn place(text: &Text) -> Place {
    Place { line: text.referenced.line(), column: text.referenced.column() }
}

/// Declares sections: structs of optional keys that refuse unknown ones.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(pub $key: Option<$type>,)*
        }
    )*};
}

sections! {
    /// A whole file.
    File {
        receivers: Receivers,
        processors: Processors,
        exporters: Exporters,
        extensions: Extensions,
        auth: Auth,
        service: Service,
        memory_limit_mib: Text,
        data_dir: Text,
    }
    Receivers { otlp: Otlp, hooks: Hooks }
    Otlp { protocols: Protocols }
    Protocols { grpc: Grpc, http: Http }
    Grpc { endpoint: Text, max_recv_msg_size_mib: Text, insecure: Text }
    Http { endpoint: Text, max_request_body_size: Text, insecure: Text }
    Hooks {}
    Processors { redaction: Redaction, sessions: Sessions }
    Redaction { rules: Vec<Text> }
    Sessions { idle_timeout: Text }
    Exporters { lake: Lake }
    Lake { url: Text, flush_interval: Text, facts_retention: Text, storage: Storage }
    Storage {
        endpoint: Text,
        region: Text,
        access_key_id: Text,
        secret_access_key: Text,
        path_style: Text,
        allow_http: Text,
    }
    Extensions { health_check: HealthCheck }
    HealthCheck { endpoint: Text, insecure: Text }
    Auth { enabled: Text }
    Service { telemetry: Telemetry, extensions: Vec<Text>, pipelines: BTreeMap<String, Pipeline> }
    Telemetry { metrics: Metrics, logs: Logs }
    Metrics { address: Text, insecure: Text }
    Logs { level: Text, encoding: Text }
    Pipeline { receivers: Vec<Text>, processors: Vec<Text>, exporters: Vec<Text> }
}

/// A configuration is written by hand: anything larger is a mistake or an attack.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads one source with the typed schema.
pub fn parse(source: &Source) -> Result<File, Problem> {
    if source.text.len() > MAX_BYTES {
        let message = format!("configuration is larger than {MAX_BYTES} bytes");
        return Err(Problem::new(message, None).of(&source.name));
    }
    serde_saphyr::from_str_with_options(&source.text, options()).map_err(|error| problem(source, &error))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_documents: 1,
            max_nodes: 20_000,
            max_depth: 32,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000 },
    }
}

fn problem(source: &Source, error: &serde_saphyr::Error) -> Problem {
    let problem = match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => unknown_key(field, expected),
        other => Problem::new(plain_message(other), None),
    };
    match error.location() {
        Some(at) => problem.at(source, Place { line: at.line(), column: at.column() }),
        None => problem.of(&source.name),
    }
}

fn unknown_key(field: &str, expected: &[&'static str]) -> Problem {
    let mut allowed = expected.to_vec();
    allowed.sort_unstable();
    let help = match allowed.is_empty() {
        true => "this section takes no keys: write {}".to_owned(),
        false => format!("allowed here: {}", allowed.join(", ")),
    };
    Problem::new(format!("unknown key '{}'", field.escape_debug()), Some(help))
}

/// The parser's message without its own position, which is shown as a snippet.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let formatter = serde_saphyr::UserMessageFormatter;
    serde_saphyr::MessageFormatter::format_message(&formatter, error).escape_debug().to_string()
}
