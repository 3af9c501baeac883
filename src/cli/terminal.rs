//! The terminal that stdout is, if it is one.

use std::io::{self, IsTerminal, Write};

use super::failure::Failure;
use super::render::RenderOptions;

/// Columns when the terminal does not say.
const DEFAULT_WIDTH: usize = 110;
/// Wider lines are hard to read.
const WIDEST: usize = 160;

/// How to draw on stdout: colours on a terminal only, unless `NO_COLOR` is set; width from `COLUMNS`.
pub fn options(full: bool) -> RenderOptions {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = io::stdout().is_terminal() && !no_color && !dumb;
    RenderOptions { width: columns().unwrap_or(DEFAULT_WIDTH).min(WIDEST), color, full }
}

/// `COLUMNS`, where it is set and sensible.
pub fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| (20..=1_000).contains(columns))
}

/// Writes to stdout; a closed pipe ends the command quietly.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// How this program was called, so that the lines we print can be pasted.
pub fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "sessionlake".to_owned())
}
