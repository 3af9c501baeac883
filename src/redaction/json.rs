//! Finds what is to be redacted in JSON text: string literals are decoded where they are escaped and handed on; what was
//! found in them is traced back to where it stands, so that everything else keeps its bytes (numbers keep their digits,
//! keys their order). Text that ends inside a document (clients cut long values) is read as far as it goes.

use std::ops::Range;

use super::decode::{self, Decoded};
use super::engine::Place;
use super::finding::Finding;
use super::ids;
use super::marks::UNSCANNED;
use super::texts::Texts;

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
    /// In a list: the option of a command line (`--password`) that the item before was.
    flag: Option<String>,
}

/// A string literal: where it stands with its quotes, and whether the closing one is there.
#[derive(Clone)]
struct Literal {
    span: Range<usize>,
    closed: bool,
}

struct Walker<'a, 't, 'p> {
    text: &'a str,
    at: usize,
    found: Vec<Finding>,
    stack: Vec<Frame>,
    texts: &'t mut Texts<'p>,
    layer: usize,
    /// The document's own place.
    place: Place<'a>,
    wants_paths: bool,
}

/// What is to be done to the JSON in `text`, in any order; `None`: it is not JSON. `place` is where the document itself
/// stands.
pub fn findings(text: &str, place: &Place<'_>, texts: &mut Texts<'_>, layer: usize) -> Option<Vec<Finding>> {
    let top = Frame { key: place.key.map(str::to_owned), ..Frame::default() };
    let wants_paths = texts.engine().wants_paths();
    let mut walker =
        Walker { text, at: 0, found: Vec::new(), stack: vec![top], texts, layer, place: *place, wants_paths };
    walker.run().ok()?;
    Some(walker.found)
}

impl Walker<'_, '_, '_> {
    fn run(&mut self) -> Result<(), NotJson> {
        while let Some(byte) = self.peek() {
            match byte {
                b'{' | b'[' => self.open(byte)?,
                b'}' | b']' => self.close(byte)?,
                b'"' => self.string()?,
                // A list without brackets is text.
                b',' if self.stack.len() > 1 => self.at += 1,
                _ => self.scalar()?,
            }
        }
        Ok(())
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
            return self.replace_container(None);
        }
        let frame = self.frame()?;
        if frame.object && frame.key.is_none() {
            return Err(NotJson);
        }
        if self.wants_paths
            && let path = self.path()
            && !path.is_empty()
            && let Some(rule) = self.texts.engine().field_rule(&path)
        {
            return self.replace_container(Some(rule));
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
        if number {
            self.number(word)?;
        }
        self.at += length;
        self.value_done()
    }

    /// A number that means something (a card's, a PIN under its name) becomes a string.
    fn number(&mut self, digits: &str) -> Result<(), NotJson> {
        let whole = digits.bytes().all(|b| b.is_ascii_digit());
        if !whole || !ids::is_telling(self.frame()?.key.as_deref(), digits) {
            return Ok(());
        }
        let (key, path) = (self.frame()?.key.clone(), self.path());
        let place = Place { key: key.as_deref(), path: &path };
        let found = self.texts.findings(digits, &place, self.layer + 1);
        if let Some(finding) = found.into_iter().next() {
            let text = format!("\"{}\"", finding.text);
            self.found.push(Finding { span: self.at..self.at + digits.len(), text, ..finding });
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        let (end, closed) = literal_end(self.text, start);
        self.at = end;
        let literal = Literal { span: start..end, closed };
        let frame = self.frame()?;
        if frame.object && frame.key.is_none() {
            return self.key(literal);
        }
        self.leaf(literal)?;
        self.value_done()
    }

    fn leaf(&mut self, literal: Literal) -> Result<(), NotJson> {
        let text = self.text;
        let body = literal.body(text);
        let decoded = decode::json_literal(body);
        let value = decoded.as_ref().map_or(body, |d| &d.text);
        let inside = self.key_block(value)?;
        let path = self.path();
        let frame = self.stack.last().ok_or(NotJson)?;
        let member = if frame.object { frame.key.as_deref() } else { None };
        let is_value = member.is_some_and(is_value);
        let is_label = member.is_some_and(is_label);
        let label = frame.label.as_deref().filter(|_| is_value).or(frame.flag.as_deref());
        let context = label.or(frame.key.as_deref());
        let place = Place { key: context, path: &path };
        let mut found = match inside {
            true => self.texts.key_line(value).into_iter().collect(),
            false => self.texts.findings(value, &place, self.layer + 1),
        };
        if let Some(key) = context
            && found.is_empty()
            && !key.is_empty()
        {
            found = self.texts.beside(key, value, &place);
        }
        let found = self.texts.drop_field(value, found);
        let flag = if frame.object { None } else { option(value) };
        let label = is_label.then(|| value.to_owned());
        self.trace(&literal, decoded.as_ref(), found);
        self.frame()?.flag = flag;
        if let Some(label) = label {
            return self.label(label);
        }
        if is_value {
            self.frame()?.value = Some(literal);
        }
        Ok(())
    }

    /// Puts what was found in a literal's text where it stands in the document.
    fn trace(&mut self, literal: &Literal, decoded: Option<&Decoded>, found: Vec<Finding>) {
        let start = literal.span.start + 1;
        for finding in found {
            let span = decoded.map_or(finding.span.clone(), |d| d.source_span(&finding.span));
            let text = if finding.text.contains(['"', '\\', '\n']) { escaped(&finding.text) } else { finding.text };
            self.found.push(Finding { span: start + span.start..start + span.end, text, ..finding });
        }
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
        let hidden = super::shape::is_mark(text.trim_start_matches(['+', '-', ' ']));
        Ok(inside && !ends && !hidden && text.split_whitespace().any(|run| run.len() >= 8))
    }

    /// A `name` came: the `value` before it, if any, may be a secret.
    fn label(&mut self, label: String) -> Result<(), NotJson> {
        let earlier = self.frame()?.value.take();
        if let Some(literal) = earlier {
            let text = self.text;
            let body = literal.body(text);
            let decoded = decode::json_literal(body);
            let value = decoded.as_ref().map_or(body, |d| &d.text);
            let path = self.path();
            let found = self.texts.by_name(value, &label, &Place { key: Some(&label), path: &path });
            self.trace(&literal, decoded.as_ref(), found.into_iter().collect());
        }
        self.frame()?.label = Some(label);
        Ok(())
    }

    fn key(&mut self, literal: Literal) -> Result<(), NotJson> {
        let text = self.text;
        let body = literal.body(text);
        let decoded = decode::json_literal(body);
        let key = decoded.as_ref().map_or(body, |d| &d.text);
        let found = self.texts.findings(key, &Place::default(), self.layer + 1);
        self.trace(&literal, decoded.as_ref(), found);
        match self.peek() {
            Some(b':') => self.at += 1,
            None => {}
            Some(_) => return Err(NotJson),
        }
        let key = decoded.map_or_else(|| body.to_owned(), |d| d.text);
        self.frame()?.key = Some(key);
        Ok(())
    }

    /// The keys down to here, if anybody wants to know.
    fn path(&self) -> String {
        if !self.wants_paths {
            return String::new();
        }
        let keys = self.stack[1..].iter().filter(|frame| frame.object).filter_map(|frame| frame.key.as_deref());
        let all = Some(self.place.path).into_iter().chain(keys).filter(|key| !key.is_empty());
        all.collect::<Vec<_>>().join(".")
    }

    /// Replaces the container that opens here: it lies too deep, or a rule hides its place.
    fn replace_container(&mut self, rule: Option<super::engine::RuleIndex>) -> Result<(), NotJson> {
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
        let span = start..self.at;
        let whole = match rule {
            Some(rule) => self.texts.finding(rule, span.clone(), &self.text[span]),
            None => Finding { text: UNSCANNED.to_owned(), ..self.texts.unscanned(span) },
        };
        self.found.push(Finding { text: format!("\"{}\"", whole.text), ..whole });
        self.value_done()
    }
}

impl Literal {
    /// What stands between the quotes.
    fn body<'t>(&self, text: &'t str) -> &'t str {
        &text[self.span.start + 1..self.span.end - usize::from(self.closed)]
    }
}

/// The name of a command's option: `--password`, `-Password`.
fn option(item: &str) -> Option<String> {
    let name = item.strip_prefix("--").or_else(|| item.strip_prefix('-'))?;
    let part = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let named = name.len() <= 64 && name.bytes().all(part) && name.starts_with(|c: char| c.is_ascii_alphabetic());
    named.then(|| name.to_owned())
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
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        match bytes[at] {
            b'"' => return (at + 1, true),
            _ => at += 2,
        }
    }
    (bytes.len(), false)
}

/// A text as it stands between a JSON literal's quotes.
fn escaped(text: &str) -> String {
    let literal = serde_json::Value::from(text).to_string();
    literal[1..literal.len() - 1].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::finding::{apply, settle};
    use crate::redaction::tests::{plain_marks, policies};

    /// `None`: no JSON; `Some(None)`: nothing changes. Marks without their fingerprint.
    fn redacted(text: &str) -> Option<Option<String>> {
        let policies = policies();
        let mut texts = Texts::new(policies.base(), policies.keys());
        texts.refill(1 << 20);
        let found = findings(text, &Place::default(), &mut texts, 0)?;
        Some(apply(text, &settle(found)).map(|new| plain_marks(&new)))
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
}
