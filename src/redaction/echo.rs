//! A secret that was found once in a record is hidden wherever its exact value stands in that record.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::finding::Finding;
use super::{names, shape, values};

/// Secrets of one record that are looked for in the rest of it.
const MAX_SECRETS: usize = 256;
/// Longer secrets (key blocks) are not looked for.
const MAX_LENGTH: usize = 4096;
/// Shorter ones are words that stand elsewhere by chance.
const MIN_LENGTH: usize = 6;
/// Shorter ones only as whole words.
const MIN_INSIDE: usize = 12;

/// The secrets found in a record, and what stands for each.
#[derive(Default)]
pub struct Found(Vec<(String, Finding)>);

impl Found {
    pub fn add(&mut self, value: &str, finding: &Finding) {
        let value = value.trim();
        if self.0.len() < MAX_SECRETS && worth_it(value) && !self.0.iter().any(|(known, _)| known == value) {
            self.0.push((value.to_owned(), finding.clone()));
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn truncate(&mut self, count: usize) {
        self.0.truncate(count);
    }

    /// Takes in what another list has after its first entries.
    pub fn extend<'f>(&mut self, others: impl Iterator<Item = (&'f str, &'f Finding)>) {
        others.for_each(|(value, finding)| self.add(value, finding));
    }

    /// The values from position `from` on, with what stands for them.
    pub fn after(&self, from: usize) -> impl Iterator<Item = (&str, &Finding)> {
        self.0.iter().skip(from).map(|(value, finding)| (value.as_str(), finding))
    }

    /// Those whose exact value stands in `bytes`.
    pub fn standing_in(self, bytes: &[u8]) -> Found {
        let stands = |value: &str| memchr::memmem::find(bytes, value.as_bytes()).is_some();
        Found(self.0.into_iter().filter(|(value, _)| stands(value)).collect())
    }

    /// What finds them; `None`: there are none.
    pub fn echo(&self) -> Option<Echo> {
        if self.0.is_empty() {
            return None;
        }
        let values = self.0.iter().map(|(value, _)| value);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // Built for one record: a DFA takes longer to build than to use.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(values)
            .ok()?;
        let marks = self.0.iter().map(|(value, finding)| (value.len(), finding.clone())).collect();
        Some(Echo { automaton, marks })
    }
}

/// Whether a value is so much a secret's own that it means the secret wherever it stands.
fn worth_it(value: &str) -> bool {
    let letters = value.bytes().all(|b| b.is_ascii_alphabetic());
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let least = if letters || digits { MIN_LENGTH + 2 } else { MIN_LENGTH };
    (least..=MAX_LENGTH).contains(&value.len())
        && !values::placeholder(value)
        && names::classify(value).is_none()
        && !shape::is_mark(value)
}

/// Looks for secrets that are known by their value.
pub struct Echo {
    automaton: AhoCorasick,
    /// By secret: its length and what stands for it.
    marks: Vec<(usize, Finding)>,
}

impl Echo {
    pub fn findings(&self, text: &str) -> Vec<Finding> {
        let bytes = text.as_bytes();
        let word = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
        let mut findings = Vec::new();
        for found in self.automaton.find_iter(text) {
            let (length, mark) = &self.marks[found.pattern().as_usize()];
            let inside = found.start() > 0 && word(found.start() - 1) || word(found.end());
            if !inside || *length >= MIN_INSIDE {
                findings.push(Finding { span: found.range(), ..mark.clone() });
            }
        }
        findings
    }
}
