//! Chooses each column's value among an event's facts: the untruncated beats the truncated, then the source's rank for
//! that column, then the longer, then the bytes. Truncation and redactions travel with the value.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::columns::{Int, Text};
use super::group::Draft;
use super::item::Item;
use super::of;
use crate::model::{Columns, Kind, Redaction, Source, Truncation};

/// Columns whose text people wrote, read or ran, in which redaction marks are counted.
const CONTENT: [Text; 5] = [Text::Content, Text::Thinking, Text::ToolInput, Text::ToolOutput, Text::Error];

/// The columns of an event.
pub fn columns(items: &[Item<'_>], draft: &Draft) -> Columns {
    let mut merged = Columns::default();
    for column in Text::ALL {
        if let Some(value) = choose(items, draft, *column) {
            if value.truncated.is_some() {
                merged.truncated.extend(value.truncated);
            }
            *column.slot(&mut merged) = Some(value.text);
        }
    }
    for column in Int::ALL {
        *column.slot(&mut merged) = number(items, draft, *column);
    }
    let mut success: Vec<_> =
        of(items, draft).filter_map(|i| i.fact.columns.success.map(|s| (timing_rank(i.fact.source), s))).collect();
    success.sort_unstable();
    merged.success = success.first().map(|(_, s)| *s);
    let point = of(items, draft).max_by_key(|i| (i.time(), i.fact.fact_id));
    merged.metric_value = point.and_then(|i| i.fact.columns.metric_value);
    merged.prompt_id = merged.prompt_id.or_else(|| draft.prompt_id.clone());
    merged.agent_id = merged.agent_id.or_else(|| draft.agent_id.clone());
    merged.redactions = redactions(&merged);
    merged.attributes = united(items, draft, |i| (!i.notes().is_empty()).then(|| Value::Object(i.notes().clone())));
    merged.resource = resources(items, draft);
    merged
}

/// A candidate for a text column.
struct Candidate {
    truncated: Option<Truncation>,
    rank: u8,
    text: String,
}

fn choose(items: &[Item<'_>], draft: &Draft, column: Text) -> Option<Candidate> {
    let mut candidates = candidates(items, draft, column, |_| true);
    if CONTENT.contains(&column) {
        drop_parts(&mut candidates);
    }
    candidates.into_iter().min_by(|a, b| order(a).cmp(&order(b)))
}

fn order(candidate: &Candidate) -> (bool, u8, Reverse<usize>, &str) {
    (candidate.truncated.is_some(), candidate.rank, Reverse(candidate.text.len()), &candidate.text)
}

/// What sources other than hooks say that a call replied, and whether it was cut.
pub fn content_without_hooks(items: &[Item<'_>], draft: &Draft) -> Option<(String, bool)> {
    let candidates = candidates(items, draft, Text::Content, |source| source != Source::Hook);
    let best = candidates.into_iter().min_by(|a, b| order(a).cmp(&order(b)))?;
    Some((best.text, best.truncated.is_some()))
}

fn candidates(items: &[Item<'_>], draft: &Draft, column: Text, speaks: impl Fn(Source) -> bool) -> Vec<Candidate> {
    let blocks = draft.kind == Kind::ModelCall && matches!(column, Text::Content | Text::Thinking);
    let mut found: Vec<Candidate> = of(items, draft)
        .filter(|i| speaks(i.fact.source) && !(blocks && in_pieces(i)))
        .filter_map(|i| {
            let text = column.get(&i.fact.columns).clone()?;
            let truncated = i.fact.columns.truncated.iter().find(|t| t.column == column.name()).cloned();
            Some(Candidate { truncated, rank: rank(column, i.fact.source, &text), text })
        })
        .collect();
    if blocks {
        for source in [Source::Hook, Source::Transcript].into_iter().filter(|s| speaks(*s)) {
            let text = pieces(items, draft, column, source);
            found.extend((!text.is_empty()).then(|| Candidate {
                truncated: None,
                rank: rank(column, source, &text),
                text,
            }));
        }
    }
    found
}

/// Sources that tell a reply piece by piece.
fn in_pieces(item: &Item<'_>) -> bool {
    item.fact.source == Source::Transcript || item.fact.name == "MessageDisplay"
}

/// A reply's pieces in order: a transcript's blocks by block index, a displayed message's deltas by index.
fn pieces(items: &[Item<'_>], draft: &Draft, column: Text, source: Source) -> String {
    let mut pieces: BTreeMap<(String, i64), &str> = BTreeMap::new();
    let (index, glue) = if source == Source::Hook { ("index", "") } else { ("apiBlockIndex", "\n") };
    for item in of(items, draft).filter(|i| i.fact.source == source && in_pieces(i)) {
        let Some(text) = column.get(&item.fact.columns).as_deref() else { continue };
        let at = item.notes().get(index).and_then(Value::as_i64).unwrap_or(0);
        let message = item.note("message_id").filter(|_| source == Source::Hook).unwrap_or_default().to_owned();
        let piece = pieces.entry((message, at)).or_insert(text);
        if (text.len(), text) > (piece.len(), *piece) {
            *piece = text;
        }
    }
    pieces.into_values().collect::<Vec<_>>().join(glue)
}

/// A text that is only a part of another candidate says less, whatever its source's rank.
fn drop_parts(candidates: &mut Vec<Candidate>) {
    let whole: Vec<String> = candidates.iter().filter(|c| c.truncated.is_none()).map(|c| c.text.clone()).collect();
    candidates.retain(|c| {
        let part = |other: &String| other.len() > c.text.len() && other.contains(c.text.trim());
        c.rank == 9 || !whole.iter().any(part)
    });
}

/// The lower speaks first.
fn rank(column: Text, source: Source, text: &str) -> u8 {
    use Source::*;
    let order: [Source; 5] = match column {
        // the transcript wraps a command that the user typed
        Text::Content if source == Transcript && text.starts_with("<command-") => return 9,
        Text::Content | Text::Thinking | Text::ToolInput | Text::ToolOutput | Text::Error | Text::ToolName => {
            [Hook, Transcript, OtlpSpan, OtlpLog, OtlpMetric]
        }
        Text::Project => [Hook, Transcript, OtlpLog, OtlpSpan, OtlpMetric],
        _ => [OtlpLog, OtlpSpan, OtlpMetric, Transcript, Hook],
    };
    order.iter().position(|s| *s == source).unwrap_or(8) as u8
}

/// Who is believed about times and outcomes: the client's own log first.
fn timing_rank(source: Source) -> u8 {
    match source {
        Source::OtlpLog => 0,
        Source::OtlpSpan => 1,
        Source::Hook => 2,
        Source::Transcript => 3,
        Source::OtlpMetric => 4,
    }
}

fn number(items: &[Item<'_>], draft: &Draft, column: Int) -> Option<i64> {
    of(items, draft)
        .filter(|i| column != Int::CostUsd || i.fact.source == Source::OtlpLog)
        // a span inside a tool call times a part of it
        .filter(|i| column != Int::DurationMs || !i.fact.name.starts_with("tool."))
        .filter_map(|i| {
            let value = (*column.get(&i.fact.columns))?;
            let rank = match (column, i.fact.source) {
                (Int::DurationMs | Int::TtftMs, source) => timing_rank(source),
                (_, Source::OtlpLog) => 0,
                (_, Source::Transcript) => 1,
                (_, source) => 2 + timing_rank(source),
            };
            Some((rank, Reverse(value)))
        })
        .min()
        .map(|(_, Reverse(value))| value)
}

/// The marks that redaction left in the chosen values, by rule.
fn redactions(columns: &Columns) -> Vec<Redaction> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for text in CONTENT.iter().filter_map(|c| c.get(columns).as_deref()) {
        for (at, _) in text.match_indices("[REDACTED:") {
            let rest = &text[at + "[REDACTED:".len()..];
            if let Some(rule) = rest.split_once(']').map(|(rule, _)| rule).filter(|r| is_rule(r)) {
                *counts.entry(rule).or_default() += 1;
            }
        }
    }
    counts.into_iter().map(|(rule, count)| Redaction { rule: rule.to_owned(), count }).collect()
}

fn is_rule(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
}

/// What the facts say beyond columns, by source and name; a list where facts of one name say different things.
fn united(items: &[Item<'_>], draft: &Draft, said: impl Fn(&Item<'_>) -> Option<Value>) -> Option<String> {
    let mut by_source: BTreeMap<Source, BTreeMap<&str, BTreeMap<String, Value>>> = BTreeMap::new();
    for item in of(items, draft) {
        if let Some(value) = said(item) {
            let names = by_source.entry(item.fact.source).or_default();
            names.entry(&item.fact.name).or_default().insert(value.to_string(), value);
        }
    }
    let mut object = Map::new();
    for (source, names) in by_source {
        let names = names.into_iter().map(|(name, values)| {
            let mut values: Vec<Value> = values.into_values().collect();
            let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
            (name.to_owned(), value)
        });
        object.insert(source.as_str().to_owned(), Value::Object(names.collect()));
    }
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}

/// One resource per source; of several the smallest, so that the choice is no accident.
fn resources(items: &[Item<'_>], draft: &Draft) -> Option<String> {
    let mut by_source: BTreeMap<Source, &str> = BTreeMap::new();
    for item in of(items, draft) {
        if let Some(resource) = item.fact.columns.resource.as_deref() {
            let kept = by_source.entry(item.fact.source).or_insert(resource);
            *kept = (*kept).min(resource);
        }
    }
    let members = by_source
        .into_iter()
        .filter_map(|(source, json)| Some((source.as_str().to_owned(), serde_json::from_str(json).ok()?)));
    let object: Map<String, Value> = members.collect();
    (!object.is_empty()).then(|| Value::Object(object).to_string())
}
