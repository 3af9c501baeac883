//! The second pass: redacts an event that was put together of facts, each of which passed the redactor by itself.
//!
//! What stood whole in one fact was scanned when it arrived, under the policy that the fact names, and is not scanned
//! again. The rest is: texts that the fold composed (the pieces of a displayed message), the places where pieces meet, and
//! everything of facts that passed another policy than the one in force.

use std::ops::Range;

use super::Redactor;
use super::rules::Subject;
use crate::model::{Columns, Event, Fact, Workspace};

/// A column with text, and the place that it has for rules.
type Slot = fn(&mut Columns) -> &mut Option<String>;

const CONTENT: [(&str, Slot); 5] = [
    ("content", |c| &mut c.content),
    ("thinking", |c| &mut c.thinking),
    ("tool_input", |c| &mut c.tool_input),
    ("tool_response", |c| &mut c.tool_output),
    ("error", |c| &mut c.error),
];
const REST: [(&str, Slot); 2] = [("attributes", |c| &mut c.attributes), ("resource", |c| &mut c.resource)];

/// Bytes before a seam that are read with what follows it: a name and its sign stand there.
const BEFORE: usize = 256;
/// Bytes after a seam up to a blank: longer than any token.
const AFTER: usize = 4096;
/// Pieces that belong together are joined with a line end; that many seams in one stretch are read as one.
const MOST_SEAMS: usize = 64;
/// Shorter runs around a seam of which nobody says that it is one are words.
const SHORTEST_RUN: usize = 20;

/// The event's texts with their places, as `dry-run` reads them.
pub fn texts(columns: &mut Columns) -> impl Iterator<Item = (&'static str, &mut String)> {
    let Columns { content, thinking, tool_input, tool_output, error, attributes, resource, .. } = columns;
    let all = [
        ("content", content),
        ("thinking", thinking),
        ("tool_input", tool_input),
        ("tool_response", tool_output),
        ("error", error),
        ("attributes", attributes),
        ("resource", resource),
    ];
    all.into_iter().filter_map(|(place, text)| Some((place, text.as_mut()?)))
}

/// What a row says of itself, to choose its policy by.
pub fn subject(workspace: &Workspace, columns: &Columns) -> Subject {
    Subject {
        workspace: workspace.as_str().to_owned(),
        users: columns.user_email.iter().chain(&columns.user_id).chain(&columns.user_account_id).cloned().collect(),
        project: columns.project.clone(),
        agent: columns.agent.clone(),
        tool: columns.tool_name.clone(),
        mcp_server: columns.mcp_server.clone(),
        event: None,
    }
}

impl Redactor {
    /// Redacts an event put together of `facts`; says whether it hid anything that they still show.
    pub fn recheck(&self, workspace: &Workspace, event: &mut Event, facts: &[&Fact]) -> bool {
        let subject = subject(workspace, &event.columns);
        let current = facts.iter().all(|fact| fact.policy == self.policy());
        let mut hid = false;
        for (place, slot) in CONTENT.iter().chain(REST.iter().filter(|_| !current)) {
            let of_facts: Vec<&str> = facts.iter().filter_map(|fact| of(fact, place)).collect();
            let Some(text) = slot(&mut event.columns) else { continue };
            if !current || !of_facts.contains(&text.as_str()) {
                hid |= join_marks(text, &of_facts);
                hid |= self.whole(text, &subject, place);
            }
            if *place != "tool_input" && text.contains('\n') {
                hid |= self.at_seams(text, &of_facts, &subject, place);
            }
        }
        hid
    }

    fn whole(&self, text: &mut String, subject: &Subject, place: &str) -> bool {
        let explained = self.explain(text, subject, place);
        let changed = explained.text != *text;
        *text = explained.text;
        changed
    }

    /// Hides what stands across the line ends with which pieces were joined.
    fn at_seams(&self, text: &mut String, pieces: &[&str], subject: &Subject, place: &str) -> bool {
        let mut hid = false;
        let mut from = 0;
        while let Some(stretch) = next_stretch(text, pieces, from) {
            let joined: String = text[stretch.clone()].split('\n').collect();
            let seams: Vec<usize> = seams_of(&text[stretch.clone()]);
            let explained = self.explain(&joined, subject, place);
            let crosses = |span: &Range<usize>| seams.iter().any(|seam| span.start < *seam && *seam < span.end);
            if explained.text != joined && explained.hits.iter().any(|hit| !hit.report && crosses(&hit.span)) {
                from = stretch.start + explained.text.len();
                text.replace_range(stretch, &explained.text);
                hid = true;
            } else {
                from = stretch.end;
            }
        }
        hid
    }
}

fn of<'f>(fact: &'f Fact, place: &str) -> Option<&'f str> {
    let columns = &fact.columns;
    match place {
        "content" => columns.content.as_deref(),
        "thinking" => columns.thinking.as_deref(),
        "tool_input" => columns.tool_input.as_deref(),
        "tool_response" => columns.tool_output.as_deref(),
        "error" => columns.error.as_deref(),
        _ => None,
    }
}

/// Where a piece was hidden to its end (or from its beginning), what touches the mark in the next piece (the one before)
/// is the rest of the secret: the mark takes it in.
fn join_marks(text: &mut String, pieces: &[&str]) -> bool {
    let seams: Vec<usize> = pieces
        .iter()
        .filter(|piece| !piece.is_empty() && piece.len() < text.len())
        .filter_map(|piece| text.find(piece).map(|at| [at, at + piece.len()]))
        .flatten()
        .collect();
    let marks: Vec<Range<usize>> =
        marks(text).filter(|mark| seams.contains(&mark.start) || seams.contains(&mark.end)).collect();
    let mut joined = false;
    // From the last to the first, so that what is still to be done keeps its place.
    for mark in marks.into_iter().rev() {
        if seams.contains(&mark.end) {
            let start = mark.end + usize::from(text[mark.end..].starts_with('\n'));
            let run = text[start..].bytes().take_while(|b| is_token(*b)).count();
            if run > 0 {
                text.replace_range(mark.end..start + run, "");
                joined = true;
            }
        }
        if seams.contains(&mark.start) {
            let end = mark.start - usize::from(text[..mark.start].ends_with('\n'));
            let run = text[..end].bytes().rev().take_while(|b| is_token(*b)).count();
            if run > 0 {
                text.replace_range(end - run..mark.start, "");
                joined = true;
            }
        }
    }
    joined
}

fn marks(text: &str) -> impl Iterator<Item = Range<usize>> {
    const OPEN: &str = "[REDACTED:";
    text.match_indices(OPEN).filter_map(|(at, _)| text[at..].find(']').map(|end| at..at + end + 1))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_+/=-".contains(&byte)
}

/// The next stretch from `from` on that may hold something across line ends: runs that touch, with what stands before
/// them on their line.
fn next_stretch(text: &str, pieces: &[&str], from: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        let seam = at + text.get(at..)?.find('\n')?;
        at = seam + 1;
        let end = run_end(text, seam + 1);
        if end == seam + 1 {
            continue;
        }
        let known = is_between(text, pieces, seam);
        let run = bytes[..seam].iter().rev().take_while(|b| !b.is_ascii_whitespace()).count();
        let like_a_token =
            || run > 0 && run + end - seam >= SHORTEST_RUN && bytes[seam - run..end].iter().any(u8::is_ascii_digit);
        if !known && !like_a_token() {
            continue;
        }
        let line = text[..seam].rfind('\n').map_or(0, |n| n + 1).max(seam.saturating_sub(BEFORE)).max(from.min(seam));
        return Some(text.ceil_char_boundary(line)..further(text, pieces, end, known));
    }
}

/// The end of the run that begins at `start`: no blank in it.
fn run_end(text: &str, start: usize) -> usize {
    let most = text.floor_char_boundary((start + AFTER).min(text.len()));
    text[start..most].find(char::is_whitespace).map_or(most, |n| start + n)
}

/// Goes on over line ends as long as each is followed by a run. Where pieces are known, a line end inside a piece is one.
fn further(text: &str, pieces: &[&str], mut end: usize, known: bool) -> usize {
    for _ in 1..MOST_SEAMS {
        if !text[end..].starts_with('\n') || (known && !is_between(text, pieces, end)) {
            break;
        }
        match run_end(text, end + 1) {
            next if next > end + 1 => end = next,
            _ => break,
        }
    }
    end
}

/// Whether a piece ends before the line end at `seam` or begins after it.
fn is_between(text: &str, pieces: &[&str], seam: usize) -> bool {
    pieces.iter().any(|piece| {
        let shorter = !piece.is_empty() && piece.len() < text.len();
        shorter && (text[..seam].ends_with(piece) || text[seam + 1..].starts_with(piece))
    })
}

/// Where the line ends stood in the joined text.
fn seams_of(stretch: &str) -> Vec<usize> {
    stretch.match_indices('\n').enumerate().map(|(before, (at, _))| at - before).collect()
}

#[cfg(test)]
#[path = "recheck_tests.rs"]
mod tests;
