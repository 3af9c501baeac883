//! The tables, and the floors.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;

use super::DEPTHS;
use super::corpus::{Item, Label};
use super::covered::{hides_all, hides_some};

/// Shares in percent that the shipped rules must not fall below, a little under what they reach. By source.
const FLOORS: [(&str, f64); 3] = [("all", 70.0), ("creddata", 50.0), ("gitleaks-tps", 90.0)];
/// Escape depths may differ by that many points.
const DEPTH_SPREAD: f64 = 3.0;
const MOST_BENIGN: f64 = 9.0;
const MOST_HITS_PER_MB: f64 = 30.0;

/// What became of an item.
pub struct Finding<'i> {
    pub item: &'i Item,
    pub depth: usize,
    /// Whether the redacted text is the text with marks in it.
    pub aligned: bool,
    /// In characters of the item's text.
    pub hidden: Vec<Range<usize>>,
}

pub struct Quality<'i> {
    pub findings: Vec<Finding<'i>>,
    pub hits_per_mb: f64,
    pub megabytes: f64,
}

impl Finding<'_> {
    /// Every labelled span is hidden to its last character. `None` where the label has no spans.
    fn full(&self) -> Option<bool> {
        let text: Vec<char> = self.item.text.chars().collect();
        self.item.spans.as_ref()?;
        Some(self.item.labelled().all(|(span, _)| hides_all(&text, &span, &self.hidden)))
    }

    /// Something of it is hidden; where the label has no spans, anything.
    fn any(&self) -> bool {
        match self.item.spans {
            Some(_) => self.item.labelled().any(|(span, _)| hides_some(&span, &self.hidden)),
            None => !self.hidden.is_empty(),
        }
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 100.0 } else { part as f64 * 100.0 / whole as f64 }
}

impl Quality<'_> {
    fn of(&self, label: Label, source: &str, depth: usize) -> Vec<&Finding<'_>> {
        let fits = |f: &&Finding<'_>| {
            f.item.label == label && f.depth == depth && (source == "all" || f.item.source == source)
        };
        self.findings.iter().filter(fits).collect()
    }

    fn sources(&self, label: Label) -> Vec<&str> {
        let named: BTreeSet<&str> =
            self.findings.iter().filter(|f| f.item.label == label).map(|f| f.item.source.as_str()).collect();
        named.into_iter().chain(["all"]).collect()
    }

    /// (items with spans, share whose spans are hidden in full), percent.
    fn full(&self, source: &str, depth: usize) -> (usize, f64) {
        let full: Vec<bool> = self.of(Label::Secret, source, depth).iter().filter_map(|f| f.full()).collect();
        (full.len(), percent(full.iter().filter(|full| **full).count(), full.len()))
    }

    /// (items, share of which something is hidden), percent.
    fn any(&self, label: Label, source: &str) -> (usize, f64) {
        let findings = self.of(label, source, 0);
        let hit = |f: &&&Finding<'_>| if label == Label::Secret { f.any() } else { !f.hidden.is_empty() };
        (findings.len(), percent(findings.iter().filter(hit).count(), findings.len()))
    }

    pub fn tables(&self) -> String {
        let mut out = String::from("\nsecrets, % of items          n  full d0  full d1  full d2      any\n");
        for source in self.sources(Label::Secret) {
            let (n, _) = self.full(source, 0);
            let [d0, d1, d2] = DEPTHS.map(|depth| self.full(source, depth).1);
            let (_, any) = self.any(Label::Secret, source);
            let _ = writeln!(out, "{source:<24}{n:>6}{d0:>9.1}{d1:>9.1}{d2:>9.1}{any:>9.1}");
        }
        for (label, title) in [(Label::Benign, "benign"), (Label::Nearmiss, "near misses")] {
            let _ = writeln!(out, "\n{:<24}     n  flagged %", format!("{title}, items"));
            for source in self.sources(label) {
                let (n, flagged) = self.any(label, source);
                let _ = writeln!(out, "{source:<24}{n:>6}{flagged:>11.1}");
            }
        }
        let unaligned = self.findings.iter().filter(|f| !f.aligned).count();
        let _ = writeln!(out, "\nhits per MB on {:.1} MB of ordinary text: {:.2}", self.megabytes, self.hits_per_mb);
        let _ = writeln!(out, "texts changed otherwise than by marks: {unaligned} of {}", self.findings.len());
        out
    }

    pub fn assert_floors(&self) {
        for (source, floor) in FLOORS {
            let full = self.full(source, 0).1;
            assert!(full >= floor, "secrets of {source} found in full: {full:.1} %, floor {floor} %");
        }
        let depths = DEPTHS.map(|depth| self.full("all", depth).1);
        let spread = depths.iter().fold(0.0, |most: f64, share| most.max((share - depths[0]).abs()));
        assert!(spread <= DEPTH_SPREAD, "escape depths differ by {spread:.1} points, allowed {DEPTH_SPREAD}");
        let benign = self.any(Label::Benign, "all").1;
        assert!(benign <= MOST_BENIGN, "benign items flagged: {benign:.1} %, allowed {MOST_BENIGN} %");
        assert!(self.hits_per_mb <= MOST_HITS_PER_MB, "{:.1} hits per MB of ordinary text", self.hits_per_mb);
    }
}
