//! What the first pass over a text has read already, so that the next one, which sees to it that redacting twice changes
//! nothing, need not read all of it again: long strings that stay as they are, and those that changed at marks only.

use std::collections::HashMap;
use std::ops::Range;

use super::engine::Place;
use super::finding::{Finding, apply};
use super::marks;

/// Shorter strings are scanned again: that is quick. Longer than what is read around a mark.
const SHORTEST: usize = 16 << 10;
/// So far around a mark a text is read again: farther than any rule looks that does not find what it looks for, but for
/// blocks of keys, of which nothing is left to find once one was hidden.
const AROUND: usize = 4 << 10;

/// What is known of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing was found in it.
    Clean,
    /// It is what redaction made of another.
    Redacted,
}

/// Long strings of the text at hand.
#[derive(Default)]
pub struct Seen {
    known: HashMap<blake3::Hash, Known>,
    /// The pass is not the first.
    pub again: bool,
}

impl Seen {
    pub fn clear(&mut self) {
        self.known.clear();
        self.again = false;
    }

    /// Takes note of what a pass found in a string.
    pub fn note(&mut self, layer: usize, place: &Place<'_>, text: &str, found: &[Finding]) {
        if text.len() < SHORTEST || self.again {
            return;
        }
        // A mask, or a mark in base64, does not show where it stands.
        let marked = |f: &Finding| f.report || f.text.contains("[REDACTED:") || f.text.contains("[PSEUDONYM:");
        match apply(text, found) {
            Some(_) if !found.iter().all(marked) => None,
            None => self.known.insert(hash(layer, place, text), Known::Clean),
            Some(new) if new.len() >= SHORTEST => self.known.insert(hash(layer, place, &new), Known::Redacted),
            Some(_) => None,
        };
    }

    /// What the first pass left of this string.
    pub fn knows(&self, layer: usize, place: &Place<'_>, text: &str) -> Option<Known> {
        if !self.again || self.known.is_empty() || text.len() < SHORTEST {
            return None;
        }
        self.known.get(&hash(layer, place, text)).copied()
    }
}

/// Where a string stood is a part of it: names say what a value is.
fn hash(layer: usize, place: &Place<'_>, text: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let key = place.key.unwrap_or_default();
    for part in [&[layer as u8, u8::from(place.key.is_some())], key.as_bytes(), place.path.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.update(text.as_bytes()).finalize()
}

/// The stretches around the marks of `text`, ascending and apart, each of whole lines or at least words.
pub fn around(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let space = |b: &u8| b.is_ascii_whitespace();
    let line = |part: &[u8]| memchr::memrchr(b'\n', part);
    // From the beginning of a line, or of a word where lines are long.
    let before = |at: usize| {
        let (near, all) = (at.saturating_sub(AROUND), &bytes[..at]);
        line(&all[near..]).map(|n| near + n).or_else(|| all.iter().rposition(space)).map_or(0, |n| n + 1)
    };
    let after = |at: usize| bytes[at..].iter().position(space).map_or(bytes.len(), |n| at + n);
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut marks = marks::within(text);
    marks.sort_by_key(|mark| mark.start);
    for mark in marks {
        let part = before(mark.start.saturating_sub(AROUND))..after((mark.end + AROUND).min(bytes.len()));
        match parts.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_near_a_mark_is_read_again() {
        let far = "word ".repeat(4_000);
        let text = format!("{far}[REDACTED:jwt] {far}[PSEUDONYM:x] [REDACTED:jwt]");
        let parts = around(&text);
        assert_eq!(parts.len(), 2, "{parts:?}");
        for part in &parts {
            assert!(text[part.clone()].contains('[') && part.len() < 3 * AROUND, "{part:?}");
            assert!(!text[..part.start].ends_with(|c: char| !c.is_whitespace()), "it begins with a word");
        }
        assert!(around(&far).is_empty());
    }
}
