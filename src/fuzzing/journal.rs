//! A journal whose segments were damaged: what is read was written, and what was not touched is read.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::redact_hooks;
use crate::journal::{Journal, JournalOptions, OpenError};

/// The first bytes are the records' lengths, the rest is what happens to the segment, five bytes a blow.
pub fn journal_reader(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let (lengths, blows) = rest.split_at(rest.len().min(usize::from(*count % 8) + 1));
    let dir = Scratch::new();
    let written = write(&dir.0, lengths);
    let segments = segments(&dir.0);
    assert_eq!(segments.len(), 1, "small records share a segment");
    let whole = fs::read(&segments[0]).unwrap();
    let damaged = damage(whole.clone(), blows);
    let intact = whole.iter().zip(&damaged).take_while(|(a, b)| a == b).count();
    fs::write(&segments[0], &damaged).unwrap();
    let Some(read) = read(&dir.0) else { return };
    is_in_order(&written, &read);
    let untouched = written.iter().take_while(|record| end_of(&whole, record).is_some_and(|end| end <= intact)).count();
    assert_eq!(read.get(..untouched), written.get(..untouched), "what lies before the damage is read");
}

/// A directory that goes with the value; below `TMPDIR`.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("sessionlake-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(dir: &Path, epoch: u64) -> Result<Journal, OpenError> {
    Journal::open(dir, JournalOptions { segment_bytes: 1 << 16, ..JournalOptions::default() }, epoch)
}

/// Appends a record of each length; their encoded forms.
fn write(dir: &Path, lengths: &[u8]) -> Vec<Vec<u8>> {
    let journal = open(dir, 1).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let records = lengths.iter().enumerate().map(|(n, length)| {
        let data = json!({ "n": n, "text": "x".repeat(usize::from(*length)) });
        let batch = redact_hooks(vec![json!({ "kind": "hook", "data": data })]);
        runtime.block_on(journal.append(&batch)).unwrap();
        let mut bytes = Vec::new();
        batch.batch().encode(&mut bytes);
        bytes
    });
    records.collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "seg")).collect()
}

/// Flips, fills, cuts or copies within what was written.
fn damage(mut bytes: Vec<u8>, blows: &[u8]) -> Vec<u8> {
    for [kind, high, low, length, value] in blows.as_chunks::<5>().0 {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if used == 0 {
            return bytes;
        }
        let at = usize::from(u16::from_be_bytes([*high, *low])) % used;
        let end = (at + 1 + usize::from(*length)).min(bytes.len());
        match kind % 4 {
            0 => bytes[at] ^= value | 1,
            1 => bytes[at..end].fill(*value),
            2 => bytes.truncate(at),
            _ => {
                let to = usize::from(*value).min(bytes.len() - (end - at));
                bytes.copy_within(at..end, to);
            }
        }
    }
    bytes
}

/// Everything that can be read; `None` when the journal says that it cannot be opened.
fn read(dir: &Path) -> Option<Vec<Vec<u8>>> {
    let journal = open(dir, 2).ok()?;
    let mut reader = journal.reader("fuzz").ok()?;
    let mut records = Vec::new();
    while let Some((_, bytes)) = reader.try_next().ok()? {
        records.push(bytes.to_vec());
    }
    Some(records)
}

fn is_in_order(written: &[Vec<u8>], read: &[Vec<u8>]) {
    let mut left = written.iter();
    assert!(read.iter().all(|record| left.any(|other| other == record)), "what is read was written, once, in order");
}

/// Where a record's bytes end in the segment.
fn end_of(segment: &[u8], record: &[u8]) -> Option<usize> {
    segment.windows(record.len()).position(|window| window == record).map(|start| start + record.len())
}
