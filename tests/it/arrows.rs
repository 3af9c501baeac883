//! Imports run one way (ARCHITECTURE.md): this reads the sources and holds the arrows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::root;

/// What each module of ours may import. `cli`, `run` and `config` know the stages; no stage knows them.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &[]),
    ("document", &[]),
    ("telemetry", &["model", "clock"]),
    ("redaction", &["model", "document"]),
    // The one sideways arrow: the journal takes nothing but a `RedactedBatch`.
    ("journal", &["redaction", "model", "clock", "telemetry"]),
    ("enrich", &["model"]),
    ("tls", &[]),
    ("private", &[]),
    ("auth", &["private", "model", "telemetry", "clock"]),
    ("receiver", &["auth", "tls", "redaction", "journal", "model", "telemetry", "clock"]),
    ("query", &["auth", "tls", "sink", "model", "clock", "private"]),
    // The lake's writer is where facts are made and folded.
    ("sink", &["enrich", "journal", "model", "telemetry", "clock"]),
];

/// Crates that only these modules may name.
const OWNED: &[(&str, &[&str])] = &[
    ("arrow::", &["sink", "query"]),
    ("parquet::", &["sink", "query"]),
    ("object_store::", &["sink", "query"]),
    ("datafusion::", &["query"]),
    ("datafusion_postgres::", &["query"]),
    ("tokio_postgres::", &["query"]),
    ("deltalake_core::", &["sink"]),
    ("tonic::", &["receiver"]),
    ("axum::", &["receiver", "telemetry", "cli", "run"]),
    // Telemetry reads its own process in /proc; what a fuzzer calls damages a journal's files.
    (
        "std::fs",
        &[
            "journal",
            "sink",
            "query",
            "telemetry",
            "private",
            "auth",
            "tls",
            "document",
            "cli",
            "run",
            "main",
            "fuzzing",
        ],
    ),
    ("SystemTime::now", &[]),
    ("Utc::now", &["clock"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// (module, file, code without comments and test modules), for each production source file.
fn production() -> Vec<(String, String, String)> {
    let (src, mut files) = (root().join("src"), Vec::new());
    sources(&src, &mut files);
    let relative = files.iter().map(|f| f.strip_prefix(&src).unwrap().display().to_string());
    let tests = |f: &String| f.contains("/tests/") || ["tests.rs", "testing.rs"].iter().any(|t| f.ends_with(t));
    let kept = relative.filter(|f| !tests(f));
    kept.map(|file| {
        let text = fs::read_to_string(src.join(&file)).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines();
        let code: Vec<&str> = code.filter(|l| !l.trim_start().starts_with("//")).collect();
        (file.split('/').next().unwrap().trim_end_matches(".rs").to_owned(), file, code.join("\n"))
    })
    .collect()
}

/// The modules of ours that a text names (`crate::module`).
fn named(code: &str) -> impl Iterator<Item = &str> {
    code.split("crate::").skip(1).map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
}

#[test]
fn imports_run_one_way() {
    let sources = production();
    assert!(sources.len() > 10);
    for (module, file, code) in &sources {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(m, _)| m == module) else { continue };
        for name in named(code).filter(|n| *n != module && !n.is_empty()) {
            assert!(allowed.contains(&name), "{file} names crate::{name}; {module} may name {allowed:?}");
        }
    }
}

#[test]
fn each_dependency_stays_with_its_owner() {
    for (module, file, code) in production() {
        for (name, owners) in OWNED {
            let uses = code.split(name).count() > 1;
            assert!(!uses || owners.contains(&module.as_str()), "{file} names {name}, which belongs to {owners:?}");
        }
    }
}
