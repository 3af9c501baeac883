//! How much of a labelled corpus the shipped rules find, printed as tables. It fails below stated floors only: it tells
//! of a rule that broke, and is no target to tune to.

mod corpus;
mod covered;
mod tables;

use std::io::Write;

use sessionlake::model::LakeKey;
use sessionlake::redaction::Redactor;

use corpus::{Item, Label, ordinary, unwrapped, wrapped};
use covered::covered;
use tables::{Finding, Quality};

/// How deep the texts are put into JSON.
const DEPTHS: [usize; 3] = [0, 1, 2];
/// Ordinary text for the count of hits per MB; more says more, and takes longer.
const ORDINARY_BYTES: usize = 3 << 20;

/// Past the harness, which shows the output of failed tests only.
fn show(text: &str) {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).unwrap();
}

fn find<'i>(item: &'i Item, depth: usize, redactor: &Redactor) -> Finding<'i> {
    let redacted = redactor.redact_text(&wrapped(&item.text, depth));
    let hidden = unwrapped(&redacted, depth).and_then(|redacted| covered(&item.text, &redacted));
    Finding { item, depth, aligned: hidden.is_some(), hidden: hidden.unwrap_or_default() }
}

#[test]
fn the_shipped_rules_find_what_they_found() {
    let items = match corpus::load() {
        Ok(items) => items,
        Err(reason) => return show(&format!("\nredaction quality: NOT MEASURED, there is no corpus ({reason})\n")),
    };
    let redactor = Redactor::builtin(LakeKey::new([7; 32]));
    let judged = items.iter().filter(|item| item.label != Label::Pii);
    let findings = judged.flat_map(|item| DEPTHS.map(|depth| find(item, depth, &redactor))).collect();
    let texts = ordinary(ORDINARY_BYTES);
    let hits = texts.iter().map(|text| redactor.redact_text(text).matches("[REDACTED:").count()).sum::<usize>()
        - texts.iter().map(|text| text.matches("[REDACTED:").count()).sum::<usize>();
    let megabytes = texts.iter().map(String::len).sum::<usize>() as f64 / 1e6;
    let quality = Quality { findings, hits_per_mb: hits as f64 / megabytes, megabytes };
    show(&quality.tables());
    quality.assert_floors();
}
