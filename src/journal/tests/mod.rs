//! Tests of the journal as a whole.

mod basics;
mod crash;
mod damage;
mod erasing;
mod exhaustive;
mod faults;
mod full;
mod golden;
mod model_disk;
mod throughput;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::options::MAX_RECORD_BYTES;
use super::segment::{self, DATA_START};
use super::*;
use model_disk::ModelDisk;

/// Where the journal is on a model disk.
const DIR: &str = "/journal";

impl Journal {
    /// Appends bytes that no redactor has seen: tests only.
    pub(crate) async fn append_bytes(&self, payload: Vec<u8>) -> Result<Position, AppendError> {
        self.append_frame([frame::unsealed(), payload].concat()).await
    }

    fn degraded(&self) -> bool {
        !self.findings().is_empty()
    }
}

/// Segments with room for 4 KiB.
fn small() -> JournalOptions {
    JournalOptions { segment_bytes: DATA_START + 4096, ..JournalOptions::default() }
}

fn open_model(disk: &ModelDisk, epoch: u64) -> Journal {
    Journal::open_on(Arc::new(disk.clone()), Path::new(DIR), small(), epoch).unwrap()
}

fn segment_path(first_seq: u64) -> PathBuf {
    Path::new(DIR).join(segment::file_name(first_seq))
}

async fn append_all(journal: &Journal, payloads: &[&str]) -> Vec<Position> {
    let mut positions = Vec::new();
    for payload in payloads {
        positions.push(journal.append_bytes(payload.as_bytes().to_vec()).await.unwrap());
    }
    positions
}

/// Everything that is durable and not read yet.
fn read_all(reader: &mut Reader) -> Vec<(Position, String)> {
    let records = std::iter::from_fn(|| reader.try_next().unwrap());
    records.map(|(position, payload)| (position, String::from_utf8(payload.to_vec()).unwrap())).collect()
}

fn payloads(records: &[(Position, String)]) -> Vec<&str> {
    records.iter().map(|(_, payload)| payload.as_str()).collect()
}
