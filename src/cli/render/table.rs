//! Sessions as a table, one a line.

use crate::model::Session;

use super::layout::{RenderOptions, Style, paint};
use super::numbers::{cost, count, time};
use super::safe::{cut, one_line, width};

const HEAD: [&str; 11] = [
    "START (UTC)",
    "SESSION",
    "STATUS",
    "AGENT",
    "USER",
    "PROMPTS",
    "CALLS",
    "TOOLS",
    "ERRORS",
    "COST",
    "FIRST PROMPT",
];
/// Columns whose values are numbers, drawn from the right.
const NUMBERS: std::ops::RangeInclusive<usize> = 5..=9;
/// The last column gets what is left of the line, and at least that much.
const LEAST_PROMPT: usize = 24;

/// Left out where the terminal is too narrow, the first one first: agent, tools, calls, prompts, errors, status, user.
const SPARE: [usize; 7] = [3, 7, 6, 5, 8, 2, 4];

/// Draws the table. Only the first prompt is cut; ids are whole, so that they can be copied. `fit`: leaves columns out
/// until the lines fit.
pub fn sessions(sessions: &[Session], options: RenderOptions, fit: bool) -> String {
    let rows: Vec<[String; 11]> = sessions.iter().map(cells).collect();
    let mut widths: Vec<usize> = (0..HEAD.len())
        .map(|column| rows.iter().map(|row| width(&row[column])).chain([width(HEAD[column])]).max().unwrap_or(0))
        .collect();
    if fit {
        leave_out(&mut widths, options.width);
    }
    let head = line(&HEAD.map(str::to_owned), &widths, options.width);
    let mut out = paint(Style::Bold, &head, options.color) + "\n";
    for row in &rows {
        out.push_str(&line(row, &widths, options.width));
        out.push('\n');
    }
    out
}

fn cells(session: &Session) -> [String; 11] {
    let text = |text: Option<&String>| text.map_or_else(|| "–".to_owned(), |text| cut(&one_line(text), 32));
    let prompt = session.prompts.first().map_or_else(|| "–".to_owned(), |prompt| one_line(&prompt.text));
    [
        time(session.start_time),
        one_line(&session.session_id),
        session.status.as_str().to_owned(),
        text(session.agent.as_ref()),
        text(session.user_email.as_ref().or(session.user_id.as_ref()).map(|user| cut(user, 28)).as_ref()),
        count(session.prompt_count),
        count(session.model_calls),
        count(session.tool_calls),
        count(session.errors),
        cost(session.cost_usd),
        prompt,
    ]
}

/// A column of width 0 is not drawn.
fn leave_out(widths: &mut [usize], total: usize) {
    for column in SPARE {
        let fixed: usize = widths[..HEAD.len() - 1].iter().filter(|width| **width > 0).map(|width| width + 2).sum();
        if fixed + LEAST_PROMPT <= total {
            return;
        }
        widths[column] = 0;
    }
}

fn line(cells: &[String; 11], widths: &[usize], total: usize) -> String {
    let last = cells.len() - 1;
    let mut out = String::new();
    for (column, cell) in cells.iter().enumerate().take(last).filter(|(column, _)| widths[*column] > 0) {
        let pad = " ".repeat(widths[column].saturating_sub(width(cell)));
        match NUMBERS.contains(&column) {
            true => out.extend([&pad, cell.as_str(), "  "]),
            false => out.extend([cell.as_str(), &pad, "  "]),
        }
    }
    let left = total.saturating_sub(width(&out)).max(LEAST_PROMPT);
    out.push_str(&cut(&cells[last], left));
    out
}
