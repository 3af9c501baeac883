//! YAML that people write, read into typed structs within bounds. Every scalar is kept as its text with its place: what
//! it means is decided by whoever reads it.

use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use super::problem::{Place, Problem, Source};

/// A scalar's text and where it stands.
pub type Text = Spanned<String>;

pub fn place(text: &Text) -> Place {
    Place { line: text.referenced.line(), column: text.referenced.column() }
}

/// Such files are written by hand: anything larger is a mistake or an attack.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads one source with the typed schema.
///
/// # Errors
/// With the first thing that is wrong: larger than [`MAX_BYTES`], no YAML, beyond the bounds (nodes, depth, aliases), or
/// not what the schema has.
pub fn parse<T: DeserializeOwned>(source: &Source) -> Result<T, Problem> {
    if source.text.len() > MAX_BYTES {
        let message = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(Problem::new(message, None).of(&source.name));
    }
    serde_saphyr::from_str_with_options(&source.text, options()).map_err(|error| problem(source, &error))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        with_snippet: false,
        // A tag names a type for somebody else's reader, some of which build objects from it.
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
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
