//! Chooses each column's value among an event's facts: the untruncated beats the truncated, then the source's rank for
//! that column, then the longer, then the bytes. Truncation and redactions travel with the value.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::de::IgnoredAny;
use serde_json::Value;

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
            *column.slot(&mut merged) = Some(value.text.into_owned());
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
    merged.attributes = attributes(items, draft);
    merged.resource = resources(items, draft);
    merged
}

/// A candidate for a text column.
struct Candidate<'a> {
    truncated: Option<Truncation>,
    rank: u8,
    text: Cow<'a, str>,
}

fn choose<'a>(items: &[Item<'a>], draft: &Draft, column: Text) -> Option<Candidate<'a>> {
    let mut candidates = candidates(items, draft, column, |_| true);
    candidates.sort_by(|a, b| order(a).cmp(&order(b)));
    let best = if CONTENT.contains(&column) { first_whole(&candidates) } else { 0 };
    (best < candidates.len()).then(|| candidates.swap_remove(best))
}

/// The first that is not only a part of another, which says less whatever its source's rank.
fn first_whole(candidates: &[Candidate<'_>]) -> usize {
    let is_part = |c: &Candidate<'_>| {
        let text = c.text.trim();
        c.rank != WRAPPED
            && candidates.iter().any(|o| o.truncated.is_none() && o.text.len() > c.text.len() && o.text.contains(text))
    };
    candidates.iter().position(|c| !is_part(c)).unwrap_or(0)
}

fn order<'c>(candidate: &'c Candidate<'_>) -> (bool, u8, Reverse<usize>, &'c str) {
    (candidate.truncated.is_some(), candidate.rank, Reverse(candidate.text.len()), &candidate.text)
}

/// What sources other than hooks say that a call replied, and whether it was cut.
pub fn content_without_hooks(items: &[Item<'_>], draft: &Draft) -> Option<(String, bool)> {
    let candidates = candidates(items, draft, Text::Content, |source| source != Source::Hook);
    let best = candidates.into_iter().min_by(|a, b| order(a).cmp(&order(b)))?;
    Some((best.text.into_owned(), best.truncated.is_some()))
}

fn candidates<'a>(
    items: &[Item<'a>],
    draft: &Draft,
    column: Text,
    speaks: impl Fn(Source) -> bool,
) -> Vec<Candidate<'a>> {
    let blocks = draft.kind == Kind::ModelCall && matches!(column, Text::Content | Text::Thinking);
    let mut found: Vec<Candidate<'a>> = of(items, draft)
        .filter(|i| speaks(i.fact.source) && !(blocks && in_pieces(i)))
        .filter_map(|i| {
            let text = column.get(&i.fact.columns).as_deref()?;
            let truncated = i.fact.columns.truncated.iter().find(|t| t.column == column.name()).cloned();
            Some(Candidate { truncated, rank: rank(column, i.fact.source, text), text: text.into() })
        })
        .collect();
    if blocks {
        for source in [Source::Hook, Source::Transcript].into_iter().filter(|s| speaks(*s)) {
            let (text, whole) = match source {
                Source::Hook => displayed(items, draft, column),
                _ => (transcript_blocks(items, draft, column), true),
            };
            let truncated = (!whole).then(|| Truncation { column: column.name().to_owned(), original_bytes: None });
            let rank = rank(column, source, &text);
            found.extend((!text.is_empty()).then_some(Candidate { truncated, rank, text: text.into() }));
        }
    }
    found
}

/// Sources that tell a reply piece by piece.
fn in_pieces(item: &Item<'_>) -> bool {
    item.fact.source == Source::Transcript || item.fact.name == "MessageDisplay"
}

/// A transcript's blocks by block index.
fn transcript_blocks(items: &[Item<'_>], draft: &Draft, column: Text) -> String {
    let mut pieces: BTreeMap<i64, &str> = BTreeMap::new();
    for item in of(items, draft).filter(|i| i.fact.source == Source::Transcript) {
        if let Some(text) = column.get(&item.fact.columns).as_deref() {
            longer(&mut pieces, item.number("apiBlockIndex").unwrap_or(0), text);
        }
    }
    pieces.into_values().collect::<Vec<_>>().join("\n")
}

fn longer<'t>(pieces: &mut BTreeMap<i64, &'t str>, at: i64, text: &'t str) {
    let piece = pieces.entry(at).or_insert(text);
    if (text.len(), text) > (piece.len(), *piece) {
        *piece = text;
    }
}

/// A displayed message's pieces by index, and whether none is missing; of several messages (a reply's blocks) the
/// first shown comes first.
fn displayed(items: &[Item<'_>], draft: &Draft, column: Text) -> (String, bool) {
    let mut messages: Vec<(&str, BTreeMap<i64, &str>, Option<bool>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for item in of(items, draft).filter(|i| i.fact.name == "MessageDisplay" && i.fact.source == Source::Hook) {
        let text = column.get(&item.fact.columns).as_deref().unwrap_or_default();
        let id = item.note("message_id").unwrap_or_default();
        let place = *places.entry(id).or_insert(messages.len());
        if place == messages.len() {
            messages.push((id, BTreeMap::new(), None));
        }
        let (_, pieces, is_final) = &mut messages[place];
        longer(pieces, item.number("index").unwrap_or(0), text);
        if item.has("final") {
            *is_final = Some(is_final.unwrap_or(false) || item.flag("final"));
        }
    }
    let whole = |pieces: &BTreeMap<i64, &str>| pieces.keys().copied().eq(0..pieces.len() as i64);
    let complete = messages.iter().all(|(_, pieces, is_final)| *is_final != Some(false) && whole(pieces));
    let texts: Vec<String> = messages.into_iter().map(|(_, pieces, _)| pieces.into_values().collect()).collect();
    (texts.join("\n"), complete)
}

/// The rank of a command that the transcript wraps in marks: believed when nothing else is there.
const WRAPPED: u8 = 9;

/// The lower speaks first.
fn rank(column: Text, source: Source, text: &str) -> u8 {
    use Source::*;
    let order: [Source; 5] = match column {
        Text::Content if source == Transcript && text.starts_with("<command-") => return WRAPPED,
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
pub fn redactions(columns: &Columns) -> Vec<Redaction> {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for text in CONTENT.iter().filter_map(|c| c.get(columns).as_deref()) {
        for (at, _) in text.match_indices("[REDACTED:") {
            let rest = &text[at + "[REDACTED:".len()..];
            let mark = rest.split_once(']').map(|(mark, _)| mark).filter(|mark| is_mark(mark));
            // What follows the rule is the value's fingerprint.
            if let Some(rule) = mark.and_then(|mark| mark.split(':').next()) {
                *counts.entry(rule).or_default() += 1;
            }
        }
    }
    counts.into_iter().map(|(rule, count)| Redaction { rule: rule.to_owned(), count }).collect()
}

fn is_mark(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:".contains(&b))
}

/// What the facts say beyond columns, by source and name; a list where facts of one name say different things.
fn attributes(items: &[Item<'_>], draft: &Draft) -> Option<String> {
    let mut by_source: BTreeMap<Source, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for item in of(items, draft) {
        if let Some(json) = item.fact.columns.attributes.as_deref().filter(|json| is_object(json)) {
            by_source.entry(item.fact.source).or_default().entry(&item.fact.name).or_default().insert(json);
        }
    }
    let sources = by_source.into_iter().map(|(source, names)| {
        let names = names.into_iter().map(|(name, values)| (name, one_or_list(&values)));
        (source.as_str(), object(names))
    });
    Some(object(sources)).filter(|json| json != "{}")
}

fn one_or_list(values: &BTreeSet<&str>) -> String {
    let values: Vec<&str> = values.iter().copied().collect();
    if let [one] = values[..] { one.to_owned() } else { format!("[{}]", values.join(",")) }
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
    by_source.retain(|_, json| serde_json::from_str::<IgnoredAny>(json).is_ok());
    let members = by_source.into_iter().map(|(source, json)| (source.as_str(), json.to_owned()));
    Some(object(members)).filter(|json| json != "{}")
}

/// Whether a text is a JSON object with something in it. Facts hold JSON as this program writes it: it need not be
/// taken apart to be put into another object.
fn is_object(json: &str) -> bool {
    json.starts_with('{') && json != "{}" && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

/// A JSON object of members whose values are JSON.
fn object<'n>(members: impl Iterator<Item = (&'n str, String)>) -> String {
    let members: Vec<String> = members.map(|(name, json)| format!("{}:{json}", Value::from(name))).collect();
    format!("{{{}}}", members.join(","))
}
