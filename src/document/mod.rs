//! Documents that people write and we read: YAML within bounds, and what is wrong with one, and where.

mod problem;
mod yaml;

use std::io::Read;
use std::path::Path;

pub use problem::{ConfigError, Place, Problem, Source};
pub use yaml::{MAX_BYTES, Text, parse, place};

/// Reads a file of text. One byte more than [`MAX_BYTES`] at most, so that an endless file ends as one that is too large.
///
/// # Errors
/// The file cannot be read, or is no UTF-8.
pub fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}
