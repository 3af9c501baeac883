//! Prompts that spans tell of, and hooks or transcripts, where no log ties the two: a span names the trace, the others
//! the prompt.

use std::collections::{BTreeMap, BTreeSet};

use super::item::Item;
use crate::model::{Kind, Source};

/// A trace whose prompt is found by what was said, or by its place.
pub struct Pair {
    pub trace: String,
    pub time: i64,
    pub prompt: String,
}

/// Pairs the traces and the prompts that no log names: those of equal text in order, then the rest in order if there
/// are as many of the one as of the other.
pub fn pairs(items: &[Item<'_>]) -> Vec<Pair> {
    let (mut spans, mut prompts) =
        (untold(items, &[Source::OtlpSpan]), untold(items, &[Source::Hook, Source::Transcript]));
    let mut pairs = Vec::new();
    let mut by_text: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (p, (_, _, text)) in prompts.iter().enumerate().rev() {
        by_text.entry(text.clone()).or_default().push(p);
    }
    let mut taken = BTreeSet::new();
    spans.retain(|(trace, time, text)| {
        let Some(p) = by_text.get_mut(text).filter(|_| !text.is_empty()).and_then(Vec::pop) else { return true };
        pairs.push(Pair { trace: trace.clone(), time: *time, prompt: prompts[p].0.clone() });
        taken.insert(p);
        false
    });
    let mut p = 0..;
    prompts.retain(|_| p.next().is_some_and(|p| !taken.contains(&p)));
    if spans.len() == prompts.len() {
        let rest = spans.into_iter().zip(prompts);
        pairs.extend(rest.map(|((trace, time, _), (prompt, ..))| Pair { trace, time, prompt }));
    }
    pairs
}

/// The traces (of spans) or prompts (of others) that no log names, each with the time and text of its first prompt.
fn untold(items: &[Item<'_>], sources: &[Source]) -> Vec<(String, i64, String)> {
    let name = |item: &Item<'_>| {
        let columns = &item.fact.columns;
        if sources == [Source::OtlpSpan] { columns.trace_id.clone() } else { columns.prompt_id.clone() }
    };
    let logs = items.iter().filter(|i| i.fact.source == Source::OtlpLog && i.fact.columns.prompt_id.is_some());
    let mut seen: BTreeSet<String> = logs.filter_map(name).collect();
    let told = items.iter().filter(|i| sources.contains(&i.fact.source) && i.fact.kind == Kind::Prompt);
    told.filter_map(|i| {
        let name = name(i).filter(|name| seen.insert(name.clone()))?;
        Some((name, i.time(), i.fact.columns.content.as_deref().unwrap_or_default().trim().to_owned()))
    })
    .collect()
}
