//! Replays the committed inputs: what a fuzzer found once stays found.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz_corpus").join(target);
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} has too few inputs to protect anything", folder.display());
    for file in files {
        eprintln!("{}", file.display());
        run(&fs::read(&file).unwrap());
    }
}

#[test]
fn otlp_proto() {
    replay("otlp_proto", super::otlp_proto);
}

#[test]
fn otlp_json() {
    replay("otlp_json", super::otlp_json);
}

#[test]
fn hook_json() {
    replay("hook_json", super::hook_json);
}

#[test]
fn journal_reader() {
    replay("journal_reader", super::journal_reader);
}

#[test]
fn redact_apply() {
    replay("redact_apply", super::redact_apply);
}
