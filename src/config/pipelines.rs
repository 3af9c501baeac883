//! `service.pipelines` and `service.extensions` as pasted from a collector: nothing is wired by them, so they must
//! say what the one pipeline does anyway.

use super::values::Wrong;
use super::written::{Pipeline, Service};
use crate::document::Text;

const RECEIVERS: [&str; 2] = ["otlp", "hooks"];
const PROCESSORS: [&str; 2] = ["redaction", "sessions"];
const EXPORTERS: [&str; 1] = ["lake"];
const EXTENSIONS: [&str; 1] = ["health_check"];
const SIGNALS: [&str; 3] = ["logs", "metrics", "traces"];

type Expand<'a> = &'a dyn Fn(&str) -> Result<String, Wrong>;
type Report<'a> = &'a mut dyn FnMut(&Text, Wrong);

/// Reports every component that does not exist here, and pipelines of signals that do not.
pub fn check(service: &Service, expand: Expand<'_>, report: Report<'_>) {
    names(service.extensions.as_deref(), "extension", &EXTENSIONS, expand, report);
    for (name, pipeline) in service.pipelines.iter().flatten() {
        signal(name, pipeline, report);
        names(pipeline.receivers.as_deref(), "receiver", &RECEIVERS, expand, report);
        names(pipeline.processors.as_deref(), "processor", &PROCESSORS, expand, report);
        names(pipeline.exporters.as_deref(), "exporter", &EXPORTERS, expand, report);
    }
}

fn names(list: Option<&[Text]>, what: &str, known: &[&str], expand: Expand<'_>, report: Report<'_>) {
    for text in list.unwrap_or_default() {
        match expand(&text.value) {
            Ok(name) if known.contains(&name.as_str()) => {}
            // As it was written: what a variable holds is not repeated.
            Ok(_) => report(text, unknown(&text.value, what, known)),
            Err(wrong) => report(text, wrong),
        }
    }
}

fn unknown(name: &str, what: &str, known: &[&str]) -> Wrong {
    let builtin = match name.split('/').next() {
        Some("batch") => "; batching is built in: remove it",
        Some("memory_limiter") => "; write memory_limit_mib at the top level instead",
        _ => "",
    };
    let message = format!("no {what} is called '{name}' here");
    Wrong { message, help: Some(format!("known: {}{builtin}", known.join(", "))) }
}

/// A pipeline is called `logs` or `logs/name`. The message stands at its first component.
fn signal(name: &str, pipeline: &Pipeline, report: Report<'_>) {
    let known = name.split('/').next().is_some_and(|signal| SIGNALS.contains(&signal));
    let lists = [&pipeline.receivers, &pipeline.processors, &pipeline.exporters];
    if let (false, Some(text)) = (known, lists.into_iter().flatten().flatten().next()) {
        let message = format!("no pipeline carries '{name}'");
        report(text, Wrong { message, help: Some(format!("known: {}", SIGNALS.join(", "))) });
    }
}
