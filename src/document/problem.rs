//! What is wrong with a configuration, and where: file, line, column and a caret.

use std::fmt;
use std::path::Path;

/// A text that configuration was read from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file's path as given, or the `--set` argument.
    pub name: String,
    pub text: String,
}

impl Source {
    /// Where relative paths in it begin: its file's directory; an argument's, the current one.
    pub fn directory(&self) -> &Path {
        let file = Some(Path::new(&self.name)).filter(|_| !self.name.starts_with("--"));
        file.and_then(Path::parent).unwrap_or(Path::new(""))
    }
}

/// A place in a [`Source`], as YAML counts: from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// One thing that is wrong. Values of secret keys are masked when it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the source; `None` when nothing written is to blame.
    source: Option<String>,
    /// Where, and the text of that line.
    at: Option<(Place, String)>,
    message: String,
    /// What to write instead.
    help: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>, help: Option<String>) -> Problem {
        Problem { source: None, at: None, message: printable(&message.into()), help: help.map(|h| printable(&h)) }
    }

    /// The same place, and something else that is wrong there.
    pub fn saying(self, message: impl Into<String>, help: Option<String>) -> Problem {
        Problem { source: self.source, at: self.at, ..Problem::new(message, help) }
    }

    /// What is wrong and where, in one line and without quoting what stands there: for logs.
    pub fn summary(&self) -> String {
        match (&self.source, &self.at) {
            (Some(source), Some((place, _))) => format!("{source}:{}:{}: {}", place.line, place.column, self.message),
            (Some(source), None) => format!("{source}: {}", self.message),
            (None, _) => self.message.clone(),
        }
    }

    /// Says which source it is about.
    pub fn of(mut self, source: impl Into<String>) -> Problem {
        self.source = Some(source.into());
        self
    }

    /// Says where in the source it is, without showing what stands there.
    pub fn hidden_at(self, source: &Source, place: Place) -> Problem {
        self.of(format!("{}:{}:{}", source.name, place.line, place.column))
    }

    /// Says where in the source it is.
    pub fn at(mut self, source: &Source, place: Place) -> Problem {
        let line = usize::try_from(place.line).unwrap_or(usize::MAX).saturating_sub(1);
        self.source = Some(source.name.clone());
        self.at = source.text.lines().nth(line).map(|text| (place, printable(&mask_secret(text))));
        self
    }
}

/// Keys whose values never appear in an error.
const SECRET_KEYS: [&str; 2] = ["secret_access_key", "access_key_id"];

/// The line up to the value of its first secret key, and without the credentials of its URLs.
fn mask_secret(line: &str) -> String {
    let line = &mask_credentials(line);
    let secret = SECRET_KEYS.iter().filter_map(|key| line.find(key).map(|at| at + key.len())).min();
    match secret.and_then(|end| line[end..].find(':').map(|colon| end + colon + 1)) {
        Some(value) => format!("{} ***", &line[..value]),
        None => line.to_owned(),
    }
}

/// `scheme://***@host` for every `scheme://user:password@host`.
fn mask_credentials(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + "://".len());
        // What stands before the path may hold an `@` itself: the last one ends the credentials.
        let authority = tail.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(tail.len());
        let host = tail[..authority].rfind('@').unwrap_or(0);
        out.push_str(head);
        out.push_str(if host > 0 { "***" } else { "" });
        rest = &tail[host..];
    }
    out + rest
}

/// Tabs keep their width of one column, so that the caret stays right.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c == '\t' { ' ' } else { c }).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match (&self.source, &self.at) {
            (Some(source), Some((place, line))) => write_snippet(f, source, *place, line)?,
            (Some(source), None) => write!(f, "\n --> {source}")?,
            (None, _) => {}
        }
        self.help.iter().try_for_each(|help| write!(f, "\n  = help: {help}"))
    }
}

/// A longer line is shown around the caret only.
const SHOWN_CHARS: usize = 160;

fn write_snippet(f: &mut fmt::Formatter<'_>, source: &str, place: Place, line: &str) -> fmt::Result {
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let column = usize::try_from(place.column).unwrap_or(1).clamp(1, line.chars().count() + 1);
    let skipped = column.saturating_sub(SHOWN_CHARS / 2);
    let (line, caret) = (line.chars().skip(skipped).take(SHOWN_CHARS).collect::<String>(), column - skipped);
    write!(f, "\n{gutter}--> {source}:{}:{}", place.line, place.column)?;
    write!(f, "\n{gutter} |\n{number} | {line}\n{gutter} | {:>caret$}", "^")
}

/// A configuration that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n\n" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_secret_key_is_never_shown() {
        let text = "storage: {region: eu, secret_access_key: hunter2, nope: 1}";
        let source = Source { name: "c.yaml".into(), text: text.into() };
        let shown = Problem::new("unknown key 'nope'", None).at(&source, Place { line: 1, column: 51 }).to_string();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("secret_access_key: ***"), "{shown}");
    }

    #[test]
    fn credentials_in_a_url_are_never_shown() {
        for (line, shown) in [
            ("url: s3://key:hunter2@bucket/p", "url: s3://***@bucket/p"),
            ("[https://token@h, http://a:b@c@host:1/x@y]", "[https://***@h, http://***@host:1/x@y]"),
            ("url: s3://bucket/p # by bob@corp", "url: s3://bucket/p # by bob@corp"),
        ] {
            assert_eq!(mask_secret(line), shown);
        }
    }

    #[test]
    fn a_place_outside_the_text_still_names_the_source() {
        let source = Source { name: "c.yaml".into(), text: String::new() };
        let shown = Problem::new("empty", None).at(&source, Place { line: 0, column: 0 }).to_string();
        assert_eq!(shown, "error: empty\n --> c.yaml");
    }
}
