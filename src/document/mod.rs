//! Documents that people write and we read: YAML within bounds, and what is wrong with one, and where.

mod problem;
mod yaml;

use std::io::{ErrorKind, Read};
use std::path::Path;

pub use problem::{ConfigError, Place, Problem, Source};
pub use yaml::{MAX_BYTES, Text, parse, place};

/// Reads a document. One byte more than [`MAX_BYTES`] at most, so that an endless file ends as one that is too large.
///
/// # Errors
/// The file cannot be read, or is no UTF-8.
pub fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// The file cannot be read, is no UTF-8, or is larger.
pub fn read_up_to(path: &Path, most: u64) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    match text.len() as u64 > most {
        true => Err(std::io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most} bytes"))),
        false => Ok(text),
    }
}
