//! Redacts JSON text in place: string literals are decoded, redacted and, if that changed them, written back with
//! their escapes; everything else keeps its bytes (numbers keep their digits, keys their order). Text that ends inside a
//! document (clients cut long values) is read as far as it goes.

use std::ops::Range;

use super::texts::{Texts, UNSCANNED};

/// Containers nested deeper are replaced as a whole.
const MAX_DEPTH: usize = 64;

/// The text is no JSON.
#[derive(Debug, PartialEq, Eq)]
struct NotJson;

/// One open container.
#[derive(Default)]
struct Frame {
    object: bool,
    /// In an object: the key whose value comes next. In a list: the key that the list stands under.
    key: Option<String>,
    /// The string under `name` or `key`: what the `value` beside it is.
    label: Option<String>,
    /// The string under `value`, until its label is known.
    value: Option<Literal>,
    /// In a list: an item opened a private key's block, and the next ones are its lines.
    key_block: bool,
}

/// A string literal: where it stands, whether its closing quote is there, and what it holds after redaction.
struct Literal {
    span: Range<usize>,
    closed: bool,
    text: String,
}

struct Rewriter<'a, 't> {
    text: &'a str,
    at: usize,
    /// What stands in place of which stretch of `text`; a later edit of the same stretch replaces the earlier.
    edits: Vec<(Range<usize>, String)>,
    stack: Vec<Frame>,
    texts: &'a mut Texts<'t>,
    layer: usize,
}

/// Redacts every string and key of the JSON in `text`. `None`: not JSON. `Some(None)`: nothing to change. `context` is
/// the key that the document itself stands under.
pub fn redact(text: &str, context: Option<&str>, texts: &mut Texts<'_>, layer: usize) -> Option<Option<String>> {
    let top = Frame { key: context.map(str::to_owned), ..Frame::default() };
    let stack = vec![top];
    let mut rewriter = Rewriter { text, at: 0, edits: Vec::new(), stack, texts, layer };
    rewriter.run().ok()?;
    Some(rewriter.finish())
}

impl Rewriter<'_, '_> {
    fn run(&mut self) -> Result<(), NotJson> {
        while let Some(byte) = self.peek() {
            match byte {
                b'{' | b'[' => self.open(byte)?,
                b'}' | b']' => self.close(byte)?,
                b'"' => self.string()?,
                b',' => self.at += 1,
                _ => self.scalar()?,
            }
        }
        Ok(())
    }

    fn finish(self) -> Option<String> {
        let Rewriter { text, mut edits, .. } = self;
        if edits.is_empty() {
            return None;
        }
        edits.sort_by_key(|(span, _)| span.start);
        let mut out = String::with_capacity(text.len());
        let mut copied = 0;
        for (i, (span, new)) in edits.iter().enumerate() {
            // The sort is stable: of two edits of one stretch the later comes last.
            if edits.get(i + 1).is_some_and(|(next, _)| next == span) {
                continue;
            }
            out.push_str(&text[copied..span.start]);
            out.push_str(new);
            copied = span.end;
        }
        out.push_str(&text[copied..]);
        Some(out)
    }

    /// The next byte after white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() && b" \t\r\n".contains(&bytes[self.at]) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn frame(&mut self) -> Result<&mut Frame, NotJson> {
        self.stack.last_mut().ok_or(NotJson)
    }

    fn open(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.stack.len() > MAX_DEPTH {
            return self.skip_deep();
        }
        // A list hands its key on to its items.
        let key = if byte == b'[' { self.frame()?.key.clone() } else { None };
        self.stack.push(Frame { object: byte == b'{', key, ..Frame::default() });
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8) -> Result<(), NotJson> {
        let frame = self.stack.pop().ok_or(NotJson)?;
        if frame.object != (byte == b'}') || self.stack.is_empty() {
            return Err(NotJson);
        }
        self.at += 1;
        self.value_done()
    }

    /// A value ended: in an object a key comes next.
    fn value_done(&mut self) -> Result<(), NotJson> {
        let frame = self.frame()?;
        if frame.object {
            frame.key = None;
        }
        Ok(())
    }

    /// A number, `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<(), NotJson> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)).count();
        let word = &rest[..length];
        let number = word.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
            && word.bytes().any(|b| b.is_ascii_digit())
            && word.parse::<f64>().is_ok();
        let cut = self.at + length == self.text.len();
        let known = ["true", "false", "null"].iter().any(|w| *w == word || (cut && w.starts_with(word)));
        let expects_key = {
            let frame = self.frame()?;
            frame.object && frame.key.is_none()
        };
        if length == 0 || expects_key || !(number || known || (cut && word == "-")) {
            return Err(NotJson);
        }
        self.at += length;
        self.value_done()
    }

    fn string(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        let (end, closed) = literal_end(self.text, start);
        let text = decode(&self.text[start + 1..end - usize::from(closed)]);
        self.at = end;
        let literal = Literal { span: start..end, closed, text };
        let frame = self.frame()?;
        if frame.object && frame.key.is_none() {
            return self.key(literal);
        }
        self.leaf(literal)?;
        self.value_done()
    }

    fn leaf(&mut self, mut literal: Literal) -> Result<(), NotJson> {
        let frame = self.frame()?;
        let member = if frame.object { frame.key.clone() } else { None };
        let is_value = member.as_deref().is_some_and(is_value);
        let context = frame.label.clone().filter(|_| is_value).or_else(|| frame.key.clone());
        let label = member.as_deref().is_some_and(is_label).then(|| literal.text.clone());
        let inside = self.key_block(&literal.text)?;
        let new = match inside {
            true => Some(self.texts.key_line()),
            false => self.texts.once(&literal.text, context.as_deref(), self.layer + 1),
        };
        if let Some(new) = new {
            self.edit(&literal, &new);
            literal.text = new;
        }
        if let Some(label) = label {
            return self.label(label);
        }
        if is_value {
            self.frame()?.value = Some(literal);
        }
        Ok(())
    }

    /// Whether an item of a list is a line inside a private key's block: patches come as lists of lines.
    fn key_block(&mut self, text: &str) -> Result<bool, NotJson> {
        let frame = self.frame()?;
        if frame.object || !(frame.key_block || text.contains("PRIVATE KEY")) {
            return Ok(false);
        }
        let inside = frame.key_block;
        let ends = text.contains("-----END");
        frame.key_block = !ends && (inside || text.contains("-----BEGIN"));
        Ok(inside && !ends && text.split_whitespace().any(|run| run.len() >= 8))
    }

    /// A `name` came: the `value` before it, if any, may be a secret.
    fn label(&mut self, label: String) -> Result<(), NotJson> {
        let earlier = self.frame()?.value.take();
        if let Some(literal) = earlier
            && let Some(new) = self.texts.by_name(&literal.text, &label)
        {
            self.edit(&literal, &new);
        }
        self.frame()?.label = Some(label);
        Ok(())
    }

    fn key(&mut self, literal: Literal) -> Result<(), NotJson> {
        if let Some(new) = self.texts.once(&literal.text, None, self.layer + 1) {
            self.edit(&literal, &new);
        }
        match self.peek() {
            Some(b':') => self.at += 1,
            None => {}
            Some(_) => return Err(NotJson),
        }
        self.frame()?.key = Some(literal.text);
        Ok(())
    }

    fn edit(&mut self, literal: &Literal, new: &str) {
        let mut encoded = encode(new);
        if !literal.closed {
            encoded.pop();
        }
        self.edits.push((literal.span.clone(), encoded));
    }

    /// Replaces a container that lies too deep.
    fn skip_deep(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.at = literal_end(self.text, self.at).0,
                b'{' | b'[' => {
                    open += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    open -= 1;
                    self.at += 1;
                    if open == 0 {
                        break;
                    }
                }
                _ => self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        self.texts.count_unscanned();
        self.edits.push((start..self.at, encode(UNSCANNED)));
        self.value_done()
    }
}

fn is_label(key: &str) -> bool {
    matches!(key, "name" | "key" | "Name" | "Key")
}

fn is_value(key: &str) -> bool {
    matches!(key, "value" | "Value" | "stringValue" | "string_value")
}

/// Where the literal that opens at `start` ends, and whether it is closed.
fn literal_end(text: &str, start: usize) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return (at + 1, true),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    (bytes.len(), false)
}

/// The text of a literal without its quotes. Escapes that are none stay as they are: what is cut off is still read.
fn decode(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (c, length) = escape(&rest[at..]);
        out.push(c);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

/// The character that the escape at the start of `text` stands for, and the escape's length in bytes.
fn escape(text: &str) -> (char, usize) {
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

/// A JSON string literal.
fn encode(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::builtin;
    use crate::redaction::engine::Engine;

    fn redacted(text: &str) -> Option<Option<String>> {
        let engine = Engine::new(builtin::RULES).expect("the rules compile");
        redact(text, None, &mut Texts::new(&engine), 0)
    }

    #[test]
    fn only_the_literals_that_hit_change() {
        let text = "{ \"n\" : 1.500, \"big\": 12345678901234567890123, \"password\":\"hunter2\",\"u\":\"\\u00e9\\/\" }";
        let expected = text.replace("hunter2", "[REDACTED:key-name]");
        assert_eq!(redacted(text), Some(Some(expected)));
        assert_eq!(redacted("{\"a\": [1, true, null, \"x\"]}\n{\"b\": {}}"), Some(None));
    }

    #[test]
    fn names_and_values_side_by_side_are_a_pair_in_either_order() {
        for text in [
            r#"{"name":"DB_PASSWORD","value":"hunter2"}"#,
            r#"{"value":"hunter2","name":"DB_PASSWORD"}"#,
            r#"{"key":"client_secret","value":"hunter2"}"#,
        ] {
            assert_eq!(redacted(text), Some(Some(text.replace("hunter2", "[REDACTED:key-name]"))));
        }
        assert_eq!(redacted(r#"{"name":"USER","value":"hunter2"}"#), Some(None));
    }

    #[test]
    fn the_lines_of_a_key_are_hidden_when_they_are_a_list() {
        let line = "q7Rt2wZx9Kb4Lm0P".repeat(4);
        let text = format!(r#"["+-----BEGIN PRIVATE KEY-----","+{line}","-----END PRIVATE KEY-----","+and on"]"#);
        let new = redacted(&text).flatten().expect("a line is hidden");
        assert!(!new.contains(&line) && new.ends_with(r#""+and on"]"#), "{new}");
        assert_eq!(redacted(&new), Some(None));
    }

    #[test]
    fn documents_that_are_cut_off_are_read_to_their_end() {
        assert_eq!(
            redacted(r#"{"a":{"api_key":"hunter2"#),
            Some(Some(r#"{"a":{"api_key":"[REDACTED:key-name]"#.to_owned()))
        );
        for text in ["{\"a", "{\"a\":", "[1,", "[tr", "{\"a\":\"\\", "{\"a\":\"\\u12", "["] {
            assert_eq!(redacted(text), Some(None), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_json() {
        for text in
            ["[2026-11-22] started", "{{ template }}", "[x]", "{a: 1}", "{\"a\" 1}", "[1]]", "{]", "[REDACTED:jwt]"]
        {
            assert_eq!(redacted(text), None, "{text}");
        }
    }

    #[test]
    fn escapes_are_decoded() {
        assert_eq!(decode(r#"a\n\t\"\\\/\u0041\ud83d\ude00\ud83d\x\"#), "a\n\t\"\\/A\u{1f600}\u{fffd}\\x\\");
    }
}
