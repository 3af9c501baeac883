//! Where in a file a key's value stands, for the caret: the YAML reader tells the line of a rule or a policy only.

use crate::document::{Place, Source};

/// A stretch of a file: from a line on (from 1), up to but without another.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    pub from: u64,
    pub until: u64,
}

impl Lines {
    pub fn all() -> Lines {
        Lines { from: 1, until: u64::MAX }
    }
}

/// Where the value of `key` begins in `lines`; `None`: it is not there. With `offset`, bytes into the value as it is meant,
/// the place of that byte where the value is written on the key's line.
pub fn of_key(source: &Source, lines: Lines, key: &str, offset: Option<usize>) -> Option<Place> {
    let within = source.text.lines().zip(1..).filter(|(_, n)| (lines.from..lines.until).contains(n));
    for (line, number) in within {
        if let Some(value) = value_of(line, key) {
            let at = value + offset.and_then(|offset| written(&line[value..], offset)).unwrap_or(0);
            return Some(Place { line: number, column: line[..at].chars().count() as u64 + 1 });
        }
    }
    None
}

/// Where the value of `key` begins in a line: after `key:` that no word goes before.
fn value_of(line: &str, key: &str) -> Option<usize> {
    let starts = line.match_indices(key).map(|(at, _)| at);
    starts.into_iter().find_map(|at| {
        let before = line[..at].trim_end_matches(['"', '\'']).chars().next_back();
        let after = line[at + key.len()..].trim_start_matches(['"', '\'']);
        let is_key = before.is_none_or(|c| " -{,".contains(c)) && !line[..at].contains(" #");
        let value = after.strip_prefix(':').filter(|_| is_key)?;
        let value = value.trim_start();
        Some(line.len() - value.len())
    })
}

/// Bytes of a written scalar up to the one that means byte `offset` of its value.
fn written(scalar: &str, offset: usize) -> Option<usize> {
    match scalar.as_bytes().first()? {
        b'"' | b'|' | b'>' => None,
        b'\'' => {
            let (mut at, mut meant) = (1, 0);
            while meant < offset {
                let length = if scalar[at..].starts_with("''") { 2 } else { scalar[at..].chars().next()?.len_utf8() };
                meant += if length == 2 && scalar[at..].starts_with("''") { 1 } else { length };
                at += length;
            }
            Some(at)
        }
        _ => Some(offset).filter(|offset| scalar.is_char_boundary(*offset)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, from: u64, key: &str, offset: Option<usize>) -> (u64, u64) {
        let source = Source { name: "r.yaml".to_owned(), text: text.to_owned() };
        let place = of_key(&source, Lines { from, until: u64::MAX }, key, offset);
        place.map_or((0, 0), |place| (place.line, place.column))
    }

    #[test]
    fn keys_are_found_in_blocks_and_in_flows() {
        let text = "rules:\n  - id: a\n    regex: 'x''(y'\n  - {id: b, regex: é(}\n";
        assert_eq!(at(text, 2, "id", None), (2, 9));
        assert_eq!(at(text, 2, "regex", Some(2)), (3, 16), "a doubled quote is one");
        assert_eq!(at(text, 4, "regex", Some(2)), (4, 21));
        assert_eq!(at(text, 4, "id", None), (4, 10));
        assert_eq!(at(text, 4, "near", None), (0, 0), "a key that is not there");
    }

    #[test]
    fn words_that_end_alike_are_other_keys() {
        assert_eq!(at("my_regex: a\n\"regex\": b # regex: c\n", 1, "regex", None), (2, 10));
        assert_eq!(at("a: b # regex: c\n", 1, "regex", None), (0, 0));
    }
}
