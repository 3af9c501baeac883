//! A secret that was found once in a record is hidden wherever its exact value stands in that record.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem::Finder;

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
/// So many are looked for one by one: an automaton takes longer to build than most records take to search.
const FEW: usize = 4;

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
        let search = match self.0.len() {
            ..=FEW => Search::Few(self.0.iter().map(|(value, _)| Finder::new(value).into_owned()).collect()),
            _ => Search::Many(automaton(self.0.iter().map(|(value, _)| value))?),
        };
        let marks = self.0.iter().map(|(value, finding)| (value.len(), finding.clone())).collect();
        Some(Echo { search, marks })
    }
}

fn automaton<'v>(values: impl Iterator<Item = &'v String>) -> Option<AhoCorasick> {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        // Built for one record: a DFA takes longer to build than to use.
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .build(values)
        .ok()
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
    search: Search,
    /// By secret: its length and what stands for it.
    marks: Vec<(usize, Finding)>,
}

enum Search {
    /// One for each secret. What they find may overlap, as findings of rules do.
    Few(Vec<Finder<'static>>),
    Many(AhoCorasick),
}

impl Echo {
    pub fn findings(&self, text: &str) -> Vec<Finding> {
        let bytes = text.as_bytes();
        let mut findings = Vec::new();
        match &self.search {
            Search::Few(finders) => {
                for (finder, mark) in finders.iter().zip(&self.marks) {
                    findings.extend(finder.find_iter(bytes).filter_map(|at| finding(bytes, at, mark)));
                }
            }
            Search::Many(automaton) => {
                let matches = automaton.find_iter(text);
                findings.extend(matches.filter_map(|m| finding(bytes, m.start(), &self.marks[m.pattern().as_usize()])));
            }
        }
        findings
    }
}

/// A secret that stands at `at`, unless it is a short one inside a word.
fn finding(text: &[u8], at: usize, (length, mark): &(usize, Finding)) -> Option<Finding> {
    let word = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let inside = at > 0 && word(at - 1) || word(at + length);
    (!inside || *length >= MIN_INSIDE).then(|| Finding { span: at..at + length, ..mark.clone() })
}
