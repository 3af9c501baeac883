//! Redacts the strings of one request and counts what was done to them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::engine::{Engine, Hit, Scope};
use super::{ids, json, names};

/// Stands for what could not be scanned.
pub const UNSCANNED: &str = "[REDACTED:unscanned]";
/// The rule of values hidden for their key's name.
pub const KEY_NAME: &str = "key-name";

/// Longer strings are not scanned, so not kept. Four times the largest message that receivers take by default.
const MAX_TEXT: usize = 16 * 1024 * 1024;
/// JSON in JSON in JSON: what is wrapped deeper is not kept. Each layer doubles the backslashes before a quote.
const MAX_LAYERS: usize = 16;
/// A redacted text is scanned again until nothing hits, so that redacting it once more changes nothing. The second pass
/// finds nothing but in texts made to that end.
const MAX_PASSES: usize = 4;

/// How often each rule hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(Vec<(&'static str, u32)>);

impl Tally {
    pub fn add(&mut self, rule: &'static str, count: u32) {
        match self.0.iter_mut().find(|(r, _)| *r == rule) {
            Some((_, n)) => *n = n.saturating_add(count),
            None => self.0.push((rule, count)),
        }
    }

    pub fn merge(&mut self, other: &Tally) {
        other.0.iter().for_each(|(rule, count)| self.add(rule, *count));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By rule id.
    pub fn into_sorted(mut self) -> Vec<(String, u32)> {
        self.0.sort_unstable();
        self.0.into_iter().map(|(rule, count)| (rule.to_owned(), count)).collect()
    }
}

/// Redacts strings, one after the other.
pub struct Texts<'e> {
    engine: &'e Engine,
    tally: Tally,
}

impl<'e> Texts<'e> {
    pub fn new(engine: &'e Engine) -> Texts<'e> {
        Texts { engine, tally: Tally::default() }
    }

    /// What was done since the last call.
    pub fn take(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    pub fn count_unscanned(&mut self) {
        self.tally.add("unscanned", 1);
    }

    /// Redacts a string that stands under the key `context`. `None`: unchanged.
    pub fn string(&mut self, text: &str, context: Option<&str>) -> Option<String> {
        self.settle(text, |texts, text| texts.once(text, context, 0))
    }

    /// Redacts one JSON document. What is not JSON after all is replaced as a whole.
    pub fn document(&mut self, text: &str) -> Option<String> {
        self.settle(text, |texts, text| {
            json::redact(text, None, texts, 0).unwrap_or_else(|| {
                texts.count_unscanned();
                Some(format!("\"{UNSCANNED}\""))
            })
        })
    }

    /// Repeats a pass until it changes nothing. A text that does not settle, or on which a pass panics, is replaced.
    fn settle(&mut self, text: &str, pass: impl Fn(&mut Self, &str) -> Option<String>) -> Option<String> {
        let mut current: Option<String> = None;
        for _ in 0..MAX_PASSES {
            let input = current.as_deref().unwrap_or(text);
            match catch_unwind(AssertUnwindSafe(|| pass(self, input))) {
                Ok(None) => return current,
                Ok(changed) => current = changed,
                Err(_) => break,
            }
        }
        self.count_unscanned();
        Some(UNSCANNED.to_owned())
    }

    /// One pass over a string. `layer`: how many JSON strings enclose it.
    pub(super) fn once(&mut self, text: &str, context: Option<&str>, layer: usize) -> Option<String> {
        if text.len() > MAX_TEXT {
            self.count_unscanned();
            return Some(UNSCANNED.to_owned());
        }
        let id = context.is_some_and(|name| ids::is_id(name, text));
        if let Some(name) = context.filter(|_| !id)
            && let Some(hidden) = self.by_name(text, name)
        {
            return Some(hidden);
        }
        let parsed = self.as_json(text, context, layer);
        let current = parsed.as_ref().map_or(Some(text), |new| new.as_deref().or(Some(text))).unwrap_or(text);
        // The names in a JSON text have been heard: read again as plain text, its commas would pass for a call's.
        let scope = if id || parsed.is_some() { Scope::Forms } else { Scope::All };
        let hits = self.engine.scan(current, scope);
        if hits.is_empty() {
            return parsed.flatten();
        }
        Some(self.replace(current, &hits))
    }

    /// Hides a value for its key's name. A value that is one secret of a known form keeps that form's name.
    pub(super) fn by_name(&mut self, text: &str, name: &str) -> Option<String> {
        let certainty = names::classify(name)?;
        if !names::hides(certainty, name, text) {
            return None;
        }
        let hits = self.engine.scan(text, Scope::Forms);
        if let [hit] = hits.as_slice()
            && hit.span == (0..text.len())
        {
            return Some(self.replace(text, &hits));
        }
        self.tally.add(KEY_NAME, 1);
        Some(tag(KEY_NAME))
    }

    /// What stands for one line of a private key.
    pub(super) fn key_line(&mut self) -> String {
        const RULE: &str = "private-key";
        self.tally.add(RULE, 1);
        tag(RULE)
    }

    /// Redacts a text that is JSON: `None` when it is none, or when no leaf of it can hit.
    fn as_json(&mut self, text: &str, context: Option<&str>, layer: usize) -> Option<Option<String>> {
        if !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        if !text.contains('\\') && !self.engine.may_hit(text) {
            return None;
        }
        if layer >= MAX_LAYERS {
            self.count_unscanned();
            return Some(Some(UNSCANNED.to_owned()));
        }
        let before = self.tally.clone();
        let parsed = json::redact(text, context, self, layer);
        if parsed.is_none() {
            self.tally = before;
        }
        parsed
    }

    fn replace(&mut self, text: &str, hits: &[Hit]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for hit in hits {
            out.push_str(&text[copied..hit.span.start]);
            out.push_str(&tag(hit.rule));
            copied = hit.span.end;
            self.tally.add(hit.rule, 1);
        }
        out.push_str(&text[copied..]);
        out
    }
}

fn tag(rule: &str) -> String {
    format!("[REDACTED:{rule}]")
}
