//! Values that are secrets because of the name before them: `password=...`, `"token": "..."`, `--api-key ...`,
//! `<secret>...</secret>`, `Authorization: Bearer ...`. Only the value is hidden; the name stays.
//!
//! Text is not one language: code (`password = os.environ["X"]`), types (`token: string`), prose (`the password: is
//! required`) and settings look alike. A quoted value is taken at its word; an unquoted one must not read as code.

mod joint;

use std::cell::Cell;
use std::ops::Range;

use super::engine::RuleIndex;
use super::names::{self, Certainty, KEY_KINDS};
use super::{shape, values};
use joint::Joint;

/// Longer names are not names.
const MAX_NAME: usize = 96;
/// Longer values are cut there: the rest is not hidden by this rule. A header with a 6 KB cookie still fits.
const MAX_VALUE: usize = 16 * 1024;

/// What stands in every name that [`names::classify`] knows, in lower case.
pub fn keywords() -> Vec<String> {
    const PLAIN: &[&str] = &[
        "pass",
        "pwd",
        "psw",
        "psk",
        "secret",
        "token",
        "credential",
        "authorization",
        "auth",
        "cookie",
        "apikey",
        "jwt",
        "bearer",
        "_pat",
        "-pat",
        "_pw",
        "-pw",
        "_key",
        "-key",
        "presharedkey",
    ];
    let apart = ["api key", "access key", "secret key", "private key"].map(str::to_owned);
    let keys = KEY_KINDS.iter().flat_map(|kind| ["", "_", "-", "."].map(|sep| format!("{kind}{sep}key")));
    let mut all: Vec<String> = PLAIN.iter().map(|word| (*word).to_owned()).chain(keys).chain(apart).collect();
    all.sort();
    all.dedup();
    all
}

/// Reads pairs at ascending positions of one text.
pub struct Reader<'t> {
    text: &'t str,
    /// Names before this position have been read.
    done: usize,
    /// Bytes of values that may still be read at their full length.
    budget: Cell<usize>,
}

impl<'t> Reader<'t> {
    pub fn new(text: &'t str) -> Reader<'t> {
        Reader { text, done: 0, budget: Cell::new(text.len().saturating_mul(4).saturating_add(MAX_VALUE)) }
    }

    /// The value beside the name around `keyword`, if it is a secret, and the own rule whose name that is, if any.
    /// `secrets`: names of secrets count.
    pub fn read(
        &mut self,
        keyword: Range<usize>,
        own: &dyn Fn(&str) -> Option<RuleIndex>,
        secrets: bool,
    ) -> Option<(Range<usize>, Option<RuleIndex>)> {
        if keyword.start < self.done {
            return None;
        }
        let name = self.name(&keyword);
        self.done = name.end.max(keyword.end);
        if name.len() > MAX_NAME {
            return None;
        }
        let written = &self.text[name.clone()];
        let rule = own(written);
        let known = || names::classify(written).filter(|_| secrets);
        let certainty = rule.map(|_| Certainty::Strong).or_else(known)?;
        let (joint, at) = self.joint(&name)?;
        let value = self.value(&name, certainty, joint, at)?;
        // Names inside a hidden value are hidden with it.
        self.done = self.done.max(value.end);
        Some((value, rule))
    }

    /// How far a value that starts at `start` is looked for. Values that turn out to be none may hold names again, and
    /// theirs too: what all of them may read together is bounded by the text's length.
    fn limit(&self, start: usize) -> usize {
        const LEAST: usize = 128;
        let length = MAX_VALUE.min(self.budget.get().max(LEAST));
        self.text.floor_char_boundary(start.saturating_add(length))
    }

    fn spend(&self, bytes: usize) {
        self.budget.set(self.budget.get().saturating_sub(bytes));
    }

    fn byte(&self, at: usize) -> u8 {
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn skip(&self, mut at: usize, bytes: &[u8]) -> usize {
        while at < self.text.len() && bytes.contains(&self.byte(at)) {
            at += 1;
        }
        at
    }

    /// The whole name around a keyword, without dashes and dots at its ends.
    fn name(&self, keyword: &Range<usize>) -> Range<usize> {
        let bytes = self.text.as_bytes();
        let part = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        let floor = keyword.start.saturating_sub(MAX_NAME);
        let ceiling = keyword.end.saturating_add(MAX_NAME).min(bytes.len());
        let mut start = keyword.start;
        while start > floor && part(bytes[start - 1]) {
            start -= 1;
        }
        let mut end = keyword.end;
        while end < ceiling && part(bytes[end]) {
            end += 1;
        }
        while end > keyword.end && b"-.".contains(&bytes[end - 1]) {
            end -= 1;
        }
        while start < keyword.start && b"-.".contains(&bytes[start]) {
            start += 1;
        }
        // `\n` written out, and `-D` of a Java property, are no part of the name.
        let before = &bytes[..start];
        let escape = before.ends_with(b"\\") && b"nrt".contains(&bytes[start]);
        let property = bytes[start] == b'D' && before.ends_with(b"-") && !before.ends_with(b"--");
        start += usize::from(start < keyword.start && (escape || property));
        start..end
    }

    fn value(&self, name: &Range<usize>, certainty: Certainty, joint: Joint, at: usize) -> Option<Range<usize>> {
        let mut open = at;
        if b"bBrRfFuU@L".contains(&self.byte(open)) && b"\"'`".contains(&self.byte(open + 1)) {
            open += 1;
        }
        let escapes = self.skip(open, b"\\") - open;
        let quote = self.byte(open + escapes);
        if b"\"'`".contains(&quote) {
            let value = self.quoted(open + escapes + 1, quote, escapes)?;
            // The words of a list follow each other as a call's arguments do: `"password", "username"`.
            let listed = matches!(joint, Joint::Call | Joint::Apart);
            let certainty = if listed { certainty.min(Certainty::Weak) } else { certainty };
            return self.accept_quoted(name, certainty, value);
        }
        if matches!(joint, Joint::Call) {
            return None;
        }
        self.accept_bare(name, certainty, joint, at)
    }

    /// The stretch up to the closing quote, which has as many backslashes as the opening one.
    fn quoted(&self, start: usize, quote: u8, escapes: usize) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes();
        let limit = self.limit(start);
        let mut backslashes = 0;
        for (i, byte) in bytes[start..limit].iter().enumerate() {
            match byte {
                b'\\' => backslashes += 1,
                b'\n' => {
                    self.spend(i);
                    return None;
                }
                b if *b == quote && backslashes <= escapes => {
                    self.spend(i);
                    return Some(start..start + i - backslashes);
                }
                _ => backslashes = 0,
            }
        }
        self.spend(limit - start);
        // The text was cut before the quote closed. (Or it was no opening quote: `"password=" + x`.)
        let cut = limit > start && !bytes[start..limit].iter().any(|b| b" \t+\"'`,".contains(b));
        cut.then_some(start..limit)
    }

    fn accept_quoted(&self, name: &Range<usize>, certainty: Certainty, value: Range<usize>) -> Option<Range<usize>> {
        let value = self.after_scheme(value);
        let (name, text) = (self.get(name)?, self.get(&value)?);
        let words = text.split_ascii_whitespace().count();
        let phrase = words > 2 || (words > 1 && !text.bytes().any(|b| b.is_ascii_digit()));
        // A quote that closes where it seems to open: `"password=" + x + "..."`.
        let outside = text.starts_with(['+', ')', ',', ';', '\'', '"', ' ']);
        let template = contains_any(text, &["${", "{{", "#{", "[REDACTED", "[PSEUDONYM"]);
        let idle = cookie(name) && idle_cookie(text);
        if outside || template || (phrase && !header(name)) || idle || refers(text) {
            return None;
        }
        values::hides(certainty, name, text).then_some(value)
    }

    fn accept_bare(&self, name: &Range<usize>, certainty: Certainty, joint: Joint, at: usize) -> Option<Range<usize>> {
        let value = self.after_scheme(self.bare(name, joint, at));
        let text = self.get(&value)?;
        let next = self.byte(value.end);
        let named = self.get(name)?;
        let template = contains_any(text, &["[REDACTED", "[PSEUDONYM", "${", "$(", "#{", "{{", "("]);
        let call = b"([{".contains(&next)
            || text.starts_with(['{', '<'])
            || text.ends_with('{')
            || struct_literal(text)
            || (text.contains('[') && !text.contains(']'));
        let constant = joint != Joint::Tight && values::constant(text);
        let prose = joint == Joint::Colon && text.chars().all(|c| !c.is_ascii() && c.is_alphanumeric());
        let elided = self.text[value.end..].starts_with("...");
        let number =
            text.bytes().all(|b| b.is_ascii_digit()) && matches!(next, b';' | b'u' | b' ' if joint == Joint::Assign);
        let scoped = self.text[value.end..].starts_with("::");
        if template
            || call
            || constant
            || prose
            || elided
            || number
            || scoped
            || fields(text)
            || refers(text)
            || !values::hides(certainty, named, text)
        {
            return None;
        }
        let plain = text.bytes().all(|b| b.is_ascii_alphabetic() || b"_.-:".contains(&b));
        if header(named) && joint == Joint::Colon {
            // A scheme that nobody knows: `SSWS`, `GenieKey`.
            let schemed = text.split_once(' ').is_some_and(|(scheme, rest)| {
                scheme.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') && values::secretive(rest)
            });
            let code = text.contains("::") || text.starts_with('&');
            let idle = cookie(named) && idle_cookie(text);
            return (!code && !idle && (text.contains('=') || values::secretive(text) || schemed)).then_some(value);
        }
        let real = match (plain, certainty) {
            _ if joint == Joint::Apart => shape::jumbled(text.as_bytes()),
            // `<password>` alone is a placeholder.
            _ if joint == Joint::Element && !self.text[value.end..].trim_start().starts_with("</") => false,
            (false, _) => !path_in_code(text),
            (true, Certainty::Guess) => false,
            (true, Certainty::Weak) => {
                matches!(joint, Joint::Tight | Joint::Assign)
                    && text.len() >= 24
                    && !text.contains(['_', '.', '-', ':'])
            }
            (true, Certainty::Strong) => match joint {
                Joint::Tight => text.len() >= if shouted(named) { 4 } else { 5 } && !b".),".contains(&next),
                Joint::Element => true,
                Joint::Colon => self.alone_on_line(name, &value) && !text.starts_with(|c: char| c.is_ascii_uppercase()),
                _ => text.len() >= 24 && !text.contains(['_', '.', '-']),
            },
        };
        real.then_some(value)
    }

    /// The unquoted stretch from `at`; a cookie runs to the end of its line.
    fn bare(&self, name: &Range<usize>, joint: Joint, at: usize) -> Range<usize> {
        let header = matches!(joint, Joint::Colon | Joint::Tight) && self.get(name).is_some_and(header);
        let stop = |b: u8| match header {
            true => b"\"'`\r\n<>".contains(&b),
            false => b.is_ascii_whitespace() || b"\"'`<>,;&|)}]\\".contains(&b),
        };
        let length = self.text.as_bytes()[at..self.limit(at)].iter().take_while(|b| !stop(**b)).count();
        self.spend(length);
        let mut end = at + length;
        while end > at && b".:".contains(&self.byte(end - 1)) {
            end -= 1;
        }
        at..end
    }

    /// `Bearer`, `Basic`, `token` before a header's value stay.
    fn after_scheme(&self, value: Range<usize>) -> Range<usize> {
        let Some(text) = self.get(&value) else { return value };
        let Some((scheme, _)) = text.split_once(' ') else { return value };
        let known = ["bearer", "basic", "token", "digest", "apikey", "bot", "key", "negotiate", "aws4-hmac-sha256"];
        match known.contains(&scheme.to_ascii_lowercase().as_str()) {
            true => self.skip(value.start + scheme.len(), b" ").min(value.end)..value.end,
            false => value,
        }
    }

    fn alone_on_line(&self, name: &Range<usize>, value: &Range<usize>) -> bool {
        let bytes = self.text.as_bytes();
        let before = bytes[..name.start].iter().rev().take(64).take_while(|b| **b != b'\n');
        let after = bytes[value.end..].iter().take(64).take_while(|b| **b != b'\n');
        before.into_iter().all(|b| b" \t-\"'".contains(b)) && after.into_iter().all(|b| b" \t\r".contains(b))
    }

    fn get(&self, range: &Range<usize>) -> Option<&'t str> {
        self.text.get(range.clone())
    }
}

/// Whether one of `marks` is in `text`; each mark starts with one of `[$#{(`, which most texts lack.
fn contains_any(text: &str, marks: &[&str]) -> bool {
    text.bytes().any(|b| b"[$#{(".contains(&b)) && marks.iter().any(|mark| text.contains(mark))
}

/// A variable of the environment: `DB_PASSWORD`.
fn shouted(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// Header names whose value has spaces in it.
fn header(name: &str) -> bool {
    let tail = name.len().saturating_sub(13);
    let tail = name.get(tail..).unwrap_or(name).to_ascii_lowercase();
    tail == "authorization" || tail.ends_with("cookie")
}

fn cookie(name: &str) -> bool {
    name.get(name.len().saturating_sub(6)..).is_some_and(|tail| tail.eq_ignore_ascii_case("cookie"))
}

/// Cookies that open no session: words, and not long ones: `fig=newton; Path=/`. A session's is drawn.
fn idle_cookie(text: &str) -> bool {
    const LONGEST: usize = 16;
    let word = |value: &str| value.len() <= LONGEST && !value.bytes().any(|b| b.is_ascii_digit());
    let mut values = text.split(';').filter_map(|pair| pair.split_once('=')).map(|(_, value)| value).peekable();
    values.peek().is_some() && values.all(|value| word(value.split('\\').next().unwrap_or_default().trim()))
}

/// `reader.read_u32`, `s.symbol_lists_index`: names joined by dots as code has them.
fn fields(value: &str) -> bool {
    let name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && part.contains('_')
    };
    value.contains('.')
        && value.split('.').all(|part| part.len() == 1 || name(part) || part.bytes().all(|b| b.is_ascii_lowercase()))
        && value.split('.').any(name)
}

/// Whether a value is a name of a secret itself: `password=db_password`, `token = token1`.
fn refers(value: &str) -> bool {
    let name = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-/#:@&".contains(&b));
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let public = value.get(value.len().saturating_sub(9)..).is_some_and(|end| end.eq_ignore_ascii_case("publickey"));
    // `MLKEM768X25519PrivateKey` has many digits, but no more than a name has.
    let few = digits <= 1 || (digits * 3 <= value.len() && value.ends_with("Key"));
    name && few && (public || names::classify(value).is_some())
}

/// `Authorization{Email: ...`: the value of a type.
fn struct_literal(value: &str) -> bool {
    value.split_once('{').is_some_and(|(name, rest)| {
        let part = |b: u8| b.is_ascii_alphanumeric() || b"_.".contains(&b);
        name.len() >= 3 && name.bytes().all(part) && rest.bytes().all(part)
    })
}

/// `self.config.v2`, `process.env.X1`, `a/b/c.rs`: a place, not a value.
fn path_in_code(value: &str) -> bool {
    let starts = [
        "self.",
        "this.",
        "process.",
        "os.",
        "env.",
        "config.",
        "settings.",
        "secrets.",
        "var.",
        "local.",
        "/",
        "./",
        "~/",
        "&",
        "*",
        "!",
    ];
    starts.iter().any(|start| value.starts_with(start)) || value.contains("::") || value.contains("->")
}

#[cfg(test)]
mod tests;
