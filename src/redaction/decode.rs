//! Text inside text: escapes, percent, HTML entities, base64, hex. What is decoded remembers where it came from.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// A decoded text, and where its parts stood in the source.
#[derive(Debug, Default, PartialEq)]
pub struct Decoded {
    pub text: String,
    /// After each escape: position in `text`, position in the source. Between them both advance alike.
    jumps: Vec<(u32, u32)>,
}

impl Decoded {
    /// Where the byte at `at` of the decoded text begins in the source.
    pub fn source(&self, at: usize) -> usize {
        let after = self.jumps.partition_point(|(decoded, _)| *decoded as usize <= at);
        match after.checked_sub(1).map(|i| self.jumps[i]) {
            Some((decoded, source)) => source as usize + (at - decoded as usize),
            None => at,
        }
    }

    pub fn source_span(&self, span: &Range<usize>) -> Range<usize> {
        self.source(span.start)..self.source(span.end)
    }

    fn jump(&mut self, source: usize) {
        // Texts are at most 16 MiB (`texts::MAX_TEXT`).
        self.jumps.push((self.text.len() as u32, source as u32));
    }
}

/// The text of a JSON string literal without its quotes; `None` when nothing in it is escaped. Escapes that are none stay
/// as they are: what is cut off is still read.
pub fn json_literal(literal: &str) -> Option<Decoded> {
    let mut next = memchr::memchr(b'\\', literal.as_bytes())?;
    let mut out = Decoded { text: String::with_capacity(literal.len()), jumps: Vec::new() };
    let mut copied = 0;
    loop {
        out.text.push_str(&literal[copied..next]);
        let (c, length) = json_escape(&literal[next..]);
        out.text.push(c);
        copied = next + length;
        out.jump(copied);
        match memchr::memchr(b'\\', &literal.as_bytes()[copied..]) {
            Some(at) => next = copied + at,
            None => break,
        }
    }
    out.text.push_str(&literal[copied..]);
    Some(out)
}

/// The character that the escape at the start of `text` stands for, and the escape's length in bytes.
fn json_escape(text: &str) -> (char, usize) {
    match text.as_bytes().get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(c @ (b'"' | b'\\' | b'/')) => (char::from(*c), 2),
        Some(b'u') => unicode(text).unwrap_or(('\\', 1)),
        _ => ('\\', 1),
    }
}

/// `\uXXXX`, or two of them that make one character; half of a pair alone is U+FFFD.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(0)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 6));
    }
    let low = unit(6).filter(|low| (0xdc00..0xe000).contains(low) && high < 0xdc00);
    let pair = low.and_then(|low| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)));
    Some(pair.map_or(('\u{fffd}', 6), |c| (c, 12)))
}

/// The stretches of `text` in which something is escaped, ascending and apart. A stretch ends at line ends, or at white
/// space far enough from the escapes that what stands around them is in it.
pub fn escaped_stretches(text: &str) -> Vec<Range<usize>> {
    const AROUND: usize = 256;
    let bytes = text.as_bytes();
    let mut stretches: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    let marker = markers(bytes);
    while let Some(found) = marker(&bytes[at..]) {
        let escape = at + found;
        at = escape + 1;
        if escape_at(text, escape).is_none() {
            continue;
        }
        let start = match stretches.last() {
            Some(last) if escape < last.end => continue,
            Some(last) => edge_before(bytes, escape, last.end, AROUND),
            None => edge_before(bytes, escape, 0, AROUND),
        };
        let end = edge_after(bytes, escape, AROUND);
        let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
        match stretches.last_mut() {
            Some(last) if start <= last.end && !bytes[last.end..].starts_with(b"\n") => last.end = end,
            _ => stretches.push(start..end),
        }
    }
    stretches
}

fn edge_before(bytes: &[u8], at: usize, floor: usize, around: usize) -> usize {
    let line = memchr::memrchr(b'\n', &bytes[floor..at]).map_or(floor, |n| floor + n + 1);
    if at - line <= around {
        return line;
    }
    let space = bytes[line..at - around].iter().rposition(u8::is_ascii_whitespace);
    space.map_or(line, |n| line + n + 1).max(at.saturating_sub(16 * around))
}

fn edge_after(bytes: &[u8], at: usize, around: usize) -> usize {
    // Not looked for beyond: in a long line without an edge every stretch would search all of the rest.
    let most = (at + 16 * around).min(bytes.len());
    let line = memchr::memchr(b'\n', &bytes[at..most]).map_or(most, |n| at + n);
    if line - at <= around {
        return line;
    }
    let space = bytes[at + around..line].iter().position(u8::is_ascii_whitespace);
    space.map_or(line, |n| at + around + n)
}

/// Decodes every escape of a stretch: JSON's and C's backslashes, `%XX`, HTML entities.
pub fn unescape(stretch: &str) -> Decoded {
    let bytes = stretch.as_bytes();
    let mut out = Decoded { text: String::with_capacity(stretch.len()), jumps: Vec::new() };
    let (mut copied, mut at) = (0, 0);
    let marker = markers(bytes);
    while let Some(found) = marker(&bytes[at..]) {
        at += found;
        let Some((c, length)) = escape_at(stretch, at) else {
            at += 1;
            continue;
        };
        out.text.push_str(&stretch[copied..at]);
        out.text.push_str(c.encode_utf8(&mut [0; 4]));
        at += length;
        copied = at;
        out.jump(copied);
    }
    out.text.push_str(&stretch[copied..]);
    out
}

/// What looks for the first byte that may start an escape. A terminal's colour codes are rare: where none stands, three
/// bytes are looked for at once.
fn markers(bytes: &[u8]) -> fn(&[u8]) -> Option<usize> {
    match memchr::memchr(0x1b, bytes) {
        None => |rest| memchr::memchr3(b'\\', b'%', b'&', rest),
        Some(_) => |rest| rest.iter().position(|b| matches!(b, b'\\' | b'%' | b'&' | 0x1b)),
    }
}

/// The escape at `at`, and its length.
fn escape_at(text: &str, at: usize) -> Option<(char, usize)> {
    let rest = text.as_bytes().get(at..)?;
    match rest[0] {
        b'\\' => match rest.get(1)? {
            b'x' => hex_byte(rest.get(2..4)?).filter(u8::is_ascii).map(|b| (char::from(b), 4)),
            b'u' => unicode(&text[at..]),
            b'\'' => Some(('\'', 2)),
            b'n' | b't' | b'r' | b'"' | b'\\' | b'/' => Some(json_escape(&text[at..])),
            _ => None,
        },
        b'%' => percent(rest),
        b'&' => entity(rest),
        // A terminal's `ESC[1;32m` parts words.
        0x1b if rest.get(1) == Some(&b'[') => {
            let code = rest[2..].iter().take(16).take_while(|b| b.is_ascii_digit() || **b == b';').count();
            rest.get(2 + code).filter(|b| b.is_ascii_alphabetic()).map(|_| (' ', code + 3))
        }
        _ => None,
    }
}

/// One character of percent-encoded UTF-8.
fn percent(rest: &[u8]) -> Option<(char, usize)> {
    let byte = |i: usize| rest.get(3 * i..3 * i + 3).filter(|r| r[0] == b'%').and_then(|r| hex_byte(&r[1..]));
    let first = byte(0)?;
    let length = match first {
        0x20..0x7f | b'\t' | b'\n' | b'\r' => return Some((char::from(first), 3)),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return None,
    };
    let bytes: Vec<u8> = (0..length).map_while(byte).collect();
    let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
    Some((c, 3 * length))
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let digit = |b: &u8| char::from(*b).to_digit(16);
    Some((digit(digits.first()?)? * 16 + digit(digits.get(1)?)?) as u8)
}

fn entity(rest: &[u8]) -> Option<(char, usize)> {
    const NAMED: &[(&[u8], char)] = &[
        (b"&quot;", '"'),
        (b"&amp;", '&'),
        (b"&lt;", '<'),
        (b"&gt;", '>'),
        (b"&apos;", '\''),
        (b"&colon;", ':'),
        (b"&equals;", '='),
        (b"&sol;", '/'),
        (b"&plus;", '+'),
        (b"&commat;", '@'),
        (b"&nbsp;", ' '),
    ];
    if let Some((name, c)) = NAMED.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((*c, name.len()));
    }
    let number = rest.strip_prefix(b"&#")?;
    let end = number.iter().take(8).position(|b| *b == b';')?;
    let digits = std::str::from_utf8(&number[..end]).ok()?;
    let code = match digits.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some((char::from_u32(code).filter(|c| *c != '\0')?, end + 3))
}

/// How a stretch encodes another text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    Base64 { url: bool, padded: bool },
    Hex { upper: bool },
}

/// A stretch that is another text in base64 or hex.
#[derive(Debug, PartialEq)]
pub struct Wrapped {
    pub span: Range<usize>,
    pub text: String,
    pub wrapping: Wrapping,
}

impl Wrapping {
    /// Writes a text the way the stretch was written.
    pub fn encode(self, text: &str) -> String {
        match self {
            Wrapping::Hex { upper: false } => text.bytes().map(|b| format!("{b:02x}")).collect(),
            Wrapping::Hex { upper: true } => text.bytes().map(|b| format!("{b:02X}")).collect(),
            Wrapping::Base64 { url, padded } => engine(url, padded).encode(text),
        }
    }
}

const fn engine_of(alphabet: &alphabet::Alphabet, padded: bool) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(padded)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(alphabet, config)
}

fn engine(url: bool, padded: bool) -> &'static GeneralPurpose {
    static PLAIN: [GeneralPurpose; 2] = [engine_of(&alphabet::STANDARD, false), engine_of(&alphabet::STANDARD, true)];
    static URL: [GeneralPurpose; 2] = [engine_of(&alphabet::URL_SAFE, false), engine_of(&alphabet::URL_SAFE, true)];
    &(if url { &URL } else { &PLAIN })[usize::from(padded)]
}

/// The shortest encoding worth a look: eight characters in base64.
const MIN_RUN: usize = 12;

/// The stretches of `text` that are printable text in base64 or hex.
pub fn wrapped(text: &str) -> Vec<Wrapped> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    // Runs shorter than the step fall between two looks.
    while at + MIN_RUN <= bytes.len() {
        let probe = at + MIN_RUN - 1;
        if !is_base64(bytes[probe]) {
            at = probe + 1;
            continue;
        }
        let back = bytes[at..probe].iter().rev().take_while(|b| is_base64(**b)).count();
        let start = probe - back;
        let mut end = probe + 1;
        while end < bytes.len() && is_base64(bytes[end]) {
            end += 1;
        }
        at = end + 1;
        if end - start >= MIN_RUN {
            let padding = bytes[end..].iter().take(2).take_while(|b| **b == b'=').count();
            found.extend(unwrap(text, start..end, padding));
        }
    }
    found
}

/// What a byte stands for in base64, of either alphabet; 64: it is no digit of base64.
static SIX_BITS: [u8; 256] = {
    let mut table = [64; 256];
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < digits.len() {
        table[digits[i] as usize] = i as u8;
        i += 1;
    }
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

fn is_base64(byte: u8) -> bool {
    SIX_BITS[usize::from(byte)] < 64
}

/// Whether the first nine bytes that a run encodes can begin a text: random bytes seldom are UTF-8, and words as base64
/// are random bytes.
fn begins_text(run: &[u8]) -> bool {
    let mut first = [0u8; MIN_RUN / 4 * 3];
    for (quad, bytes) in run[..MIN_RUN].chunks_exact(4).zip(first.chunks_exact_mut(3)) {
        let bits = quad.iter().fold(0u32, |bits, digit| bits << 6 | u32::from(SIX_BITS[usize::from(*digit)]));
        bytes.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    if !first.iter().all(|b| is_printable(*b) || *b >= 0x80) {
        return false;
    }
    // The head may end inside a character.
    std::str::from_utf8(&first).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn unwrap(text: &str, run: Range<usize>, padding: usize) -> Option<Wrapped> {
    let digits = &text[run.clone()];
    let bytes = digits.as_bytes();
    if bytes.len() >= 16 && bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit) {
        let decoded: Option<Vec<u8>> = bytes.chunks(2).map(hex_byte).collect();
        if let Some(text) = decoded.and_then(printable) {
            let upper = digits.bytes().any(|b| b.is_ascii_uppercase());
            return Some(Wrapped { span: run, text, wrapping: Wrapping::Hex { upper } });
        }
    }
    if !begins_text(bytes) {
        return None;
    }
    let url = bytes.iter().any(|b| b"-_".contains(b));
    let text = printable(engine(url, padding > 0).decode(digits).ok()?)?;
    Some(Wrapped { span: run.start..run.end + padding, text, wrapping: Wrapping::Base64 { url, padded: padding > 0 } })
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

fn printable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    text.chars().all(|c| !c.is_control() || "\n\r\t".contains(c)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_escapes_are_decoded_and_traced_back() {
        let literal = r#"a\n\t\"\\\/\u0041\ud83d\ude00\ud83d\x\"#;
        let decoded = json_literal(literal).expect("there are escapes");
        assert_eq!(decoded.text, "a\n\t\"\\/A\u{1f600}\u{fffd}\\x\\");
        let at = decoded.text.find('A').expect("it is there");
        assert_eq!(&literal[decoded.source_span(&(at..at + 1))], r"\u0041");
        assert_eq!(json_literal("none"), None);
    }

    #[test]
    fn escapes_of_all_kinds_are_decoded_together() {
        let text = "a%20b&quot;c&#39;&#x41;\\u0022d\\\"%C3%A9%zz&nope;\\q";
        assert_eq!(escaped_stretches(text), std::iter::once(0..text.len()).collect::<Vec<_>>());
        let decoded = unescape(text);
        assert_eq!(decoded.text, "a b\"c'A\"d\"é%zz&nope;\\q");
        let at = decoded.text.find('é').expect("it is there");
        assert_eq!(&text[decoded.source_span(&(at..at + 2))], "%C3%A9");
    }

    #[test]
    fn a_stretch_is_a_line_or_what_is_near() {
        let near = "x".repeat(1000);
        let text = format!("one\na%20b\nthree {near} {near} c%20d {near} {near}");
        let stretches = escaped_stretches(&text);
        assert_eq!(&text[stretches[0].clone()], "a%20b");
        assert!(text[stretches[1].clone()].contains("c%20d") && stretches[1].len() < 2100, "{stretches:?}");
    }

    #[test]
    fn texts_in_base64_and_hex_are_found_and_written_back() {
        for (text, encoded) in [
            ("password=hunter2", "cGFzc3dvcmQ9aHVudGVyMg=="),
            ("password=hunter2!", "cGFzc3dvcmQ9aHVudGVyMiE"),
            ("password=hunter2", "70617373776f72643d68756e74657232"),
            ("subjects?_d=~~~>>>", "c3ViamVjdHM_X2Q9fn5-Pj4-"),
        ] {
            let found = wrapped(&format!("x {encoded}, y"));
            assert_eq!(found.len(), 1, "{encoded}");
            assert_eq!((found[0].text.as_str(), &found[0].span), (text, &(2..2 + encoded.len())));
            assert_eq!(found[0].wrapping.encode(text), encoded);
        }
        assert_eq!(wrapped("3b18e512dba79e4c8300dd08aeb37f8e728b8dad SomeLongIdentifierName"), []);
    }
}
