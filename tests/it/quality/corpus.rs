//! The labelled corpus: one JSON object a line, `{"source", "text", "spans", "label", "types"}`. It carries other
//! projects' licences, so it stays where it is, beside the checkout; nothing of it is copied here.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::json;

use crate::harness::root;

/// What a text holds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    Secret,
    Pii,
    Benign,
    /// Shaped like a secret, refused by its provider: no mistake when it is hidden.
    Nearmiss,
}

#[derive(Debug, Deserialize)]
pub struct Item {
    pub source: String,
    pub text: String,
    pub label: Label,
    /// In characters; `None` where the label says only that there is something.
    pub spans: Option<Vec<(usize, usize)>>,
    /// Of each span, where the label says it.
    #[serde(default)]
    pub types: Vec<String>,
}

/// The corpus, or the reason why there is none.
pub fn load() -> Result<Vec<Item>, String> {
    let named = std::env::var_os("SESSIONLAKE_REDACTION_CORPUS").map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("../shared/redaction/dev.jsonl"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().map(|line| serde_json::from_str(line).expect("an item of the corpus")).collect())
}

impl Item {
    /// The labelled stretches, and each one's type where the label says it.
    pub fn labelled(&self) -> impl Iterator<Item = (Range<usize>, Option<&str>)> {
        let spans = self.spans.iter().flatten().enumerate();
        spans.map(|(i, span)| (span.0..span.1, self.types.get(i).map(String::as_str)))
    }
}

/// The text as a tool's output that was put into JSON `depth` times.
pub fn wrapped(text: &str, depth: usize) -> String {
    (0..depth).fold(text.to_owned(), |inner, _| json!({"stdout": inner}).to_string())
}

/// What [`wrapped`] wrapped; `None` when the text is no such JSON any more.
pub fn unwrapped(text: &str, depth: usize) -> Option<String> {
    (0..depth).try_fold(text.to_owned(), |outer, _| {
        let value: serde_json::Value = serde_json::from_str(&outer).ok()?;
        value.get("stdout")?.as_str().map(str::to_owned)
    })
}

/// Ordinary text of many kinds, up to `limit` bytes: this project's documents and lock file, then sources, documents and
/// lock files of the crates that it is built from. Files with tests of redaction hold planted secrets: they are no measure.
pub fn ordinary(limit: usize) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let mut files = Vec::new();
    for name in ["Cargo.lock", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        list(&root().join(name), &mut files);
    }
    let mut others = Vec::new();
    home.into_iter().for_each(|home| list(&home.join("registry/src"), &mut others));
    let wanted = ["rs", "md", "toml", "json", "lock", "sh", "yml", "yaml", "py", "c", "h", "txt", "html", "proto"];
    others.retain(|path| path.extension().is_some_and(|e| wanted.iter().any(|w| e == *w)));
    // Neighbours are alike: a stride takes some of each.
    let stride = (others.len() / 2_000).max(1);
    files.extend(others.into_iter().step_by(stride));
    let mut taken = 0;
    let texts = files.iter().filter_map(|path| fs::read_to_string(path).ok()).filter(|text| text.len() < 100_000);
    texts
        .take_while(|text| {
            taken += text.len();
            taken <= limit
        })
        .collect()
}

fn list(path: &std::path::Path, found: &mut Vec<PathBuf>) {
    if path.is_file() {
        return found.push(path.to_owned());
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries.iter().for_each(|entry| list(entry, found));
}
