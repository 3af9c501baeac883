//! A session as text. Pure: no terminal, no clock; the same rows give the same text.

mod blocks;
mod layout;
pub mod numbers;
pub mod safe;
mod summary;
pub mod table;
mod tree;

#[cfg(test)]
mod tests;

pub use layout::{RenderOptions, Style, paint};
pub use summary::{details, headline};

use crate::model::{Event, Kind, Session, Source};
use numbers::counted;

/// The session step by step: who and how much, then every step with what it cost beside it.
pub fn timeline(session: &Session, events: &[Event], options: RenderOptions) -> String {
    let mut out = headline(session, options);
    out.push('\n');
    for (depth, event) in tree::order(events) {
        if let Some(mut block) = blocks::block(event) {
            block.offset = offset(session, event);
            block.depth = depth;
            block.draw(options, &mut out);
        }
    }
    if let Some(footer) = hidden(events) {
        out.push_str(&format!("\n{}\n", paint(Style::Dim, &footer, options.color)));
    }
    out
}

/// When the event happened. A raw hook has no clock: its time is when it was received, which says nothing where it
/// lies outside the session, as when hooks are sent again later.
fn offset(session: &Session, event: &Event) -> String {
    let clockless = event.sources == [Source::Hook] && event.time == event.received_at;
    match clockless && !(session.start_time..=session.end_time).contains(&event.time) {
        true => "–".to_owned(),
        false => numbers::offset(event.time.saturating_sub(session.start_time)),
    }
}

/// What the timeline leaves out.
fn hidden(events: &[Event]) -> Option<String> {
    let count = |kind: Kind| events.iter().filter(|e| e.kind == kind).count() as i64;
    let nouns = [(Kind::Metric, "metric"), (Kind::Span, "span"), (Kind::Other, "other event")];
    let parts: Vec<String> = nouns
        .into_iter()
        .map(|(kind, noun)| (count(kind), noun))
        .filter(|(n, _)| *n > 0)
        .map(|(n, noun)| counted(n, noun))
        .collect();
    (!parts.is_empty()).then(|| format!("Not shown: {} (--json has everything).", parts.join(", ")))
}
