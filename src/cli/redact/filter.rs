//! `redact` of running text, in bounded memory however long the text is.
//!
//! The text is taken in stretches that end at a line end, far enough before what has been read so far that nothing can
//! begin in one stretch and end in the next.

use std::io::{BufRead, Write};

use super::super::failure::Failure;
use crate::redaction::rules::Subject;
use crate::redaction::{Hit, Redactor};

/// Read before a stretch is cut off.
const WINDOW: usize = 8 << 20;
/// What is kept back of a window: longer than any secret.
const KEPT_BACK: usize = 64 << 10;
/// A line that does not end within a window's length is not scanned, so not shown.
const UNSCANNED: &str = "[REDACTED:unscanned]";

/// Redacted text, out.
pub fn redact(redactor: &Redactor, input: &mut dyn BufRead, out: &mut impl Write) -> Result<(), Failure> {
    each_stretch(redactor, input, WINDOW, &mut |stretch, _| {
        match stretch {
            Stretch::Text(text) => out.write_all(redactor.redact_text(text).as_bytes())?,
            Stretch::Unscanned => out.write_all(UNSCANNED.as_bytes())?,
        }
        Ok(())
    })
}

/// What was found, a line each: `FILE:LINE:COLUMN  rule  bytes START..END  action`.
pub fn explain(redactor: &Redactor, name: &str, input: &mut dyn BufRead, out: &mut impl Write) -> Result<(), Failure> {
    let (mut line, mut column) = (1, 1);
    each_stretch(redactor, input, WINDOW, &mut |stretch, start| {
        let Stretch::Text(text) = stretch else {
            writeln!(out, "{name}:{line}:{column}\tunscanned\t{start}..\tunscanned")?;
            return Ok(());
        };
        let mut at = 0;
        for hit in explained(redactor, text) {
            advance(&text[at.min(hit.span.start)..hit.span.start], &mut line, &mut column);
            at = hit.span.start.max(at);
            let action = if hit.report { "report" } else { hit.action };
            let (from, until) = (start + hit.span.start as u64, start + hit.span.end as u64);
            writeln!(out, "{name}:{line}:{column}\t{}\t{from}..{until}\t{action}", hit.rule)?;
        }
        advance(&text[at..], &mut line, &mut column);
        Ok(())
    })
}

fn explained(redactor: &Redactor, text: &str) -> Vec<Hit> {
    let subject = Subject { workspace: "default".to_owned(), ..Subject::default() };
    redactor.explain(text, &subject, "").hits
}

/// Line and column (in characters) after `text`.
fn advance(text: &str, line: &mut u64, column: &mut u64) {
    *line += memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64;
    match text.rfind('\n') {
        Some(end) => *column = text[end + 1..].chars().count() as u64 + 1,
        None => *column += text.chars().count() as u64,
    }
}

enum Stretch<'t> {
    Text(&'t str),
    /// A line that is too long.
    Unscanned,
}

/// Calls `each` with every stretch and its position in the input, bytes. Bytes that are no UTF-8 become U+FFFD.
fn each_stretch(
    redactor: &Redactor,
    input: &mut dyn BufRead,
    window: usize,
    each: &mut dyn FnMut(Stretch<'_>, u64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut held, mut start) = (Vec::new(), 0u64);
    loop {
        let more = fill(input, &mut held, window)?;
        let cut = if more { cut(redactor, &held) } else { held.len() };
        if cut > 0 {
            each(Stretch::Text(&String::from_utf8_lossy(&held[..cut])), start)?;
        }
        start += cut as u64;
        held.drain(..cut);
        if !more {
            return Ok(());
        }
        if cut == 0 {
            each(Stretch::Unscanned, start)?;
            start += held.len() as u64 + skip_line(input)?;
            held.clear();
        }
    }
}

/// Reads until `held` has `window` bytes; `false`: the input has ended.
fn fill(input: &mut dyn BufRead, held: &mut Vec<u8>, window: usize) -> Result<bool, Failure> {
    while held.len() < window {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(false);
        }
        let taken = chunk.len().min(window - held.len());
        held.extend_from_slice(&chunk[..taken]);
        input.consume(taken);
    }
    Ok(true)
}

/// After which line end to cut: the last one that is far enough from the end and in no hit; 0: there is none.
fn cut(redactor: &Redactor, held: &[u8]) -> usize {
    let text = String::from_utf8_lossy(held);
    // With bytes that are no UTF-8, positions in both differ: then hits are not known, and only distance counts.
    let hits = if text.len() == held.len() { explained(redactor, &text) } else { Vec::new() };
    let latest = held.len().saturating_sub(KEPT_BACK.min(held.len() / 2));
    let ends = memchr::memrchr_iter(b'\n', &held[..latest]).map(|at| at + 1);
    let apart = |at: &usize| !hits.iter().any(|hit| hit.span.start < *at && *at < hit.span.end);
    ends.into_iter().find(apart).unwrap_or(0)
}

/// Passes over the rest of a line; its end stays.
fn skip_line(input: &mut dyn BufRead) -> Result<u64, Failure> {
    let mut skipped = 0;
    loop {
        let chunk = input.fill_buf()?;
        let end = memchr::memchr(b'\n', chunk);
        let taken = end.unwrap_or(chunk.len());
        let done = end.is_some() || chunk.is_empty();
        input.consume(taken);
        skipped += taken as u64;
        if done {
            return Ok(skipped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LakeKey;

    fn redactor() -> Redactor {
        Redactor::builtin(LakeKey::new([7; 32]))
    }

    fn in_windows(text: &str, window: usize) -> String {
        let (redactor, mut out) = (redactor(), String::new());
        each_stretch(&redactor, &mut text.as_bytes(), window, &mut |stretch, _| {
            match stretch {
                Stretch::Text(text) => out.push_str(&redactor.redact_text(text)),
                Stretch::Unscanned => out.push_str(UNSCANNED),
            }
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn a_text_in_stretches_is_redacted_as_a_whole_one() {
        let key = format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", "q7Rt2wZx9Kb4Lm0P\n".repeat(8));
        let text = format!("one line\n{key}AKIAQ4RZ7WJX2MNB5VTK é\n").repeat(12);
        let whole = redactor().redact_text(&text);
        for window in [400, 512, 700, 1000] {
            assert_eq!(in_windows(&text, window), whole, "window of {window} bytes");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_shown() {
        let text = format!("a\n{}AKIAQ4RZ7WJX2MNB5VTK\nb\n", "x ".repeat(400));
        let shown = in_windows(&text, 128);
        assert!(shown.starts_with("a\n[REDACTED:unscanned]") && shown.ends_with("\nb\n"), "{shown}");
    }

    #[test]
    fn what_is_found_is_told_by_line_and_column_without_the_value() {
        let mut out = Vec::new();
        let text = "first\né AKIAQ4RZ7WJX2MNB5VTK\n";
        explain(&redactor(), "f", &mut text.as_bytes(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "f:2:3\taws-access-key-id\t9..29\ttag\n");
    }
}
