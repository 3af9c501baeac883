//! Tokens whose form says nothing of their issuer, beside the name of one: `twilio: 3f9a...`. There are hundreds of such
//! names and few such tokens, so the tokens are looked for first.

use std::ops::Range;

use aho_corasick::AhoCorasick;

use super::shape;

/// The shortest and the longest token.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;
/// The most bytes from a name's beginning to the token.
const WITHIN: usize = 96;

/// The tokens of `text` in or before which a name stands.
pub fn named(text: &str, names: &AhoCorasick) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // Shorter runs fall between two looks.
    while at + LENGTHS.start() <= bytes.len() {
        let probe = at + LENGTHS.start() - 1;
        if !in_token(bytes[probe]) {
            at = probe + 1;
            continue;
        }
        let start = probe - bytes[at..probe].iter().rev().take_while(|b| in_token(**b)).count();
        let end = probe + bytes[probe..].iter().take_while(|b| in_token(**b)).count();
        at = end + 1;
        found.extend(token(bytes, start..end).filter(|token| is_named(bytes, token, names)));
    }
    found
}

static IN_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'/' | b'~' | b'.' | b'-');
        byte += 1;
    }
    table
};

fn in_token(byte: u8) -> bool {
    IN_TOKEN[usize::from(byte)]
}

/// What of a run is a token, if it is one: without signs around it but the equals signs that end base64.
fn token(bytes: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start + bytes[run.clone()].iter().position(u8::is_ascii_alphanumeric)?;
    let end = run.start + bytes[run.clone()].iter().rposition(u8::is_ascii_alphanumeric)? + 1;
    let padding = bytes[end..].iter().take(2).take_while(|b| **b == b'=').count();
    (LENGTHS.contains(&(end - start)) && shape::service_token(&bytes[start..end])).then_some(start..end + padding)
}

fn is_named(bytes: &[u8], token: &Range<usize>, names: &AhoCorasick) -> bool {
    let from = token.start.saturating_sub(WITHIN);
    names.find_overlapping_iter(&bytes[from..token.end]).any(|name| shape::starts_word(bytes, from + name.start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_in_and_after_a_name_only() {
        let names = crate::redaction::compile::automaton(&["twilio".to_owned(), "heroku".to_owned()]);
        let found = |text: &str| named(text, &names).into_iter().map(|span| text[span].to_owned()).collect::<Vec<_>>();
        let token = "q7Rt2wZx9Kb4Lm0Pq7Rt";
        assert_eq!(found(&format!("twilio = '{token}==' and {token}")), [format!("{token}=="), token.to_owned()]);
        assert_eq!(found(&format!("HEROKU_{token}")), [format!("HEROKU_{token}")]);
        assert_eq!(found(&format!("{token} twilio sherokux {}{token}", " ".repeat(96))), Vec::<String>::new());
        assert_eq!(found("twilio docs/reference/api-overview.md SomeLongIdentifierName"), Vec::<String>::new());
    }
}
