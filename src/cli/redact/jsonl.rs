//! `redact --jsonl`: one JSON object in, one out, line by line.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::failure::Failure;
use crate::redaction::rules::Subject;
use crate::redaction::{Hit, Redactor};

/// A longer line is refused: four times the longest text that is scanned.
const MAX_LINE: usize = 64 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    text: String,
}

#[derive(Serialize)]
struct Redacted<'a> {
    id: &'a Value,
    text: &'a str,
    spans: Vec<Span<'a>>,
}

/// A stretch of the input text, in characters.
#[derive(Serialize)]
struct Span<'a> {
    rule: &'a str,
    start: usize,
    end: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
}

/// Redacts every line; says how many were left out. Memory is bounded by the longest line.
pub fn run(
    redactor: &Redactor,
    name: &str,
    input: &mut dyn BufRead,
    out: &mut impl Write,
    explain: bool,
) -> Result<u64, Failure> {
    let subject = Subject { workspace: "default".to_owned(), ..Subject::default() };
    let (mut bad, mut line) = (0, Vec::new());
    for number in 1u64.. {
        let whole = match next_line(input, &mut line) {
            Ok(None) => break,
            Ok(Some(whole)) => whole,
            Err(error) => return Err(Failure::Failed(anyhow::anyhow!("cannot read {name}: {error}"))),
        };
        if whole && line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let parsed = if whole { parse(&line) } else { Err(format!("longer than {MAX_LINE} bytes")) };
        match parsed {
            Ok(parsed) => write(redactor, &subject, &parsed, out, explain)?,
            Err(reason) => {
                bad += 1;
                eprintln!("{name}: line {number}: {reason}");
            }
        }
    }
    Ok(bad)
}

/// What is wrong is told without a quotation.
fn parse(line: &[u8]) -> Result<Line, String> {
    serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "no object {\"id\": .., \"text\": \"..\"}".to_owned(),
        _ => format!("no JSON, at column {}", error.column()),
    })
}

fn write(
    redactor: &Redactor,
    subject: &Subject,
    line: &Line,
    out: &mut impl Write,
    explain: bool,
) -> Result<(), Failure> {
    let explained = redactor.explain(&line.text, subject, "");
    let hits = explained.hits.iter().filter(|hit| explain || !hit.report);
    let mut characters = Characters::new(&line.text);
    let spans = hits.map(|hit| characters.span(hit, explain)).collect();
    serde_json::to_writer(&mut *out, &Redacted { id: &line.id, text: &explained.text, spans })
        .map_err(std::io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Reads a line without its end. `false`: it is too long and was passed over.
fn next_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<bool>> {
    line.clear();
    let (mut any, mut whole) = (false, true);
    loop {
        let chunk = input.fill_buf()?;
        if chunk.is_empty() {
            return Ok(any.then_some(whole));
        }
        any = true;
        let end = memchr::memchr(b'\n', chunk);
        let taken = end.unwrap_or(chunk.len());
        whole &= line.len() + taken <= MAX_LINE;
        if whole {
            line.extend_from_slice(&chunk[..taken]);
        }
        input.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(Some(whole));
        }
    }
}

/// Byte positions of a text as character positions. Hits come in order of their beginning, so it goes on from the last.
struct Characters<'t> {
    text: &'t str,
    ascii: bool,
    byte: usize,
    character: usize,
}

impl<'t> Characters<'t> {
    fn new(text: &'t str) -> Characters<'t> {
        Characters { text, ascii: text.is_ascii(), byte: 0, character: 0 }
    }

    fn span<'h>(&mut self, hit: &'h Hit, explain: bool) -> Span<'h> {
        let start = self.to(hit.span.start);
        let inside = &self.text[hit.span.clone()];
        let end = start + if self.ascii { inside.len() } else { inside.chars().count() };
        Span { rule: &hit.rule, start, end, action: explain.then_some(if hit.report { "report" } else { hit.action }) }
    }

    fn to(&mut self, byte: usize) -> usize {
        if self.ascii {
            return byte;
        }
        if byte < self.byte {
            (self.byte, self.character) = (0, 0);
        }
        self.character += self.text[self.byte..byte].chars().count();
        self.byte = byte;
        self.character
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LakeKey;

    fn run_on(input: &[u8]) -> (u64, Vec<Value>) {
        let redactor = Redactor::builtin(LakeKey::new([7; 32]));
        let mut out = Vec::new();
        let bad = run(&redactor, "-", &mut &input[..], &mut out, false).unwrap();
        let lines = std::str::from_utf8(&out).unwrap().lines();
        (bad, lines.map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    #[test]
    fn spans_count_characters_of_the_input_text() {
        let text = "ключ é 🔑 ghp_Zq7Lw3Xk9Vb2Nc5Rt8Yp1Ms4Hd6Jf0Ga3Qe7 and \u{301}AKIAQ4RZ7WJX2MNB5VTK";
        let (bad, lines) = run_on(serde_json::json!({"id": 7, "text": text}).to_string().as_bytes());
        assert_eq!((bad, &lines[0]["id"]), (0, &Value::from(7)));
        let characters: Vec<char> = text.chars().collect();
        let spans = lines[0]["spans"].as_array().unwrap();
        let shown = spans.iter().map(|span| {
            let at = |key: &str| span[key].as_u64().unwrap() as usize;
            characters[at("start")..at("end")].iter().collect::<String>()
        });
        let shown: Vec<String> = shown.collect();
        assert!(shown.contains(&"ghp_Zq7Lw3Xk9Vb2Nc5Rt8Yp1Ms4Hd6Jf0Ga3Qe7".to_owned()), "{shown:?}");
        assert!(lines[0]["text"].as_str().unwrap().starts_with("ключ é 🔑 [REDACTED:"));
    }

    /// What is hidden in an inner layer covers the stretch of the given text that encodes it.
    #[test]
    fn spans_of_what_was_decoded_cover_what_encodes_it() {
        let inner = serde_json::json!({"a": "\"AKIAQ4RZ7WJX2MNB5VTK\" \n"}).to_string();
        let text = serde_json::json!({"stdout": inner}).to_string();
        let (_, lines) = run_on(serde_json::json!({"id": "x", "text": text}).to_string().as_bytes());
        let span = &lines[0]["spans"][0];
        let (start, end) = (span["start"].as_u64().unwrap() as usize, span["end"].as_u64().unwrap() as usize);
        assert!(text[start..end].contains("AKIAQ4RZ7WJX2MNB5VTK"));
        assert!(end - start < 40, "not the whole text");
    }

    #[test]
    fn bad_lines_are_counted_and_the_others_go_on() {
        let (bad, lines) =
            run_on(b"{\"id\":1,\"text\":\"a\"}\n\nnonsense\n{\"id\":2}\n\xff\n{\"text\":\"b\",\"more\":1}");
        assert_eq!((bad, lines.len()), (3, 2));
        assert_eq!(lines[1], serde_json::json!({"id": null, "text": "b", "spans": []}));
    }
}
