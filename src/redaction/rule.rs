//! A rule as data.

use super::names::masked;

/// A secret that is known by its own form.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Appears in `[REDACTED:id]`.
    pub id: &'static str,
    /// Literals, in lower case, one of which stands in every match; compared without case.
    pub keywords: &'static [&'static str],
    /// Regular expression over bytes (ASCII classes). The group `s`, if any, is the secret, else the whole match.
    pub pattern: &'static str,
    /// The most bytes a match may start before its keyword.
    pub back: usize,
    /// Bytes after the keyword in which a match is looked for first; a match that touches the end is looked for again
    /// in a longer window.
    pub ahead: usize,
    pub check: Check,
}

/// What a match has to pass beyond the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not masked already: true of all.
    None,
    /// Letters and digits both: not a word, not a number.
    Mixed,
    /// After a word that announces a token: as [`Check::Mixed`], or more letters, or capitals in other places, than
    /// words have.
    Announced,
    /// Not a variable, a template or a mark.
    NoTemplate,
}

impl Check {
    pub fn passes(self, secret: &[u8]) -> bool {
        match self {
            Check::None => !masked(secret),
            Check::Mixed => {
                !masked(secret) && secret.iter().any(u8::is_ascii_digit) && secret.iter().any(u8::is_ascii_alphabetic)
            }
            Check::Announced => Check::Mixed.passes(secret) || (!masked(secret) && unlike_words(secret)),
            Check::NoTemplate => !masked(secret) && !template(secret),
        }
    }
}

/// `misunderstanding` and `read-only` are words; `yYPBAujSIMAqPTNl` and forty small letters are not.
fn unlike_words(value: &[u8]) -> bool {
    let parts = || value.split(|b| !b.is_ascii_alphabetic());
    let inner_capital = |part: &[u8]| part.windows(2).any(|w| w[0].is_ascii_lowercase() && w[1].is_ascii_uppercase());
    parts().any(|part| part.len() > 22) || parts().filter(|part| inner_capital(part)).count() > 0 && value.len() >= 16
}

/// `${X}`, `$X`, `<x>`, `{x}`, `%s`, `***`, `[REDACTED:x]`.
fn template(value: &[u8]) -> bool {
    value.first().is_none_or(|b| b"$<{%[".contains(b)) || value.iter().all(|b| *b == b'*' || *b == b'.')
}
