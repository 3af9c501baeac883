//! What can go wrong with the journal. Names places and numbers, never content.

use std::fs::TryLockError;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why an append was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("journal is full ({bytes} bytes wait for its readers)")]
    Full { bytes: u64 },
    #[error("the journal's disk is full ({available} bytes are free)")]
    DiskFull { available: u64 },
    #[error("record of {0} bytes is larger than the journal takes")]
    TooLarge(usize),
    #[error("journal cannot write: {0}")]
    Failed(Arc<io::Error>),
    #[error("journal is closed")]
    Closed,
}

/// Why a journal, or a reader of it, was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is in use by another process: stop that one, or use another data directory")]
    Locked { path: String },
    #[error("{path}: {source}")]
    Io { path: String, source: io::Error },
    #[error("{path} was written by a newer version (format {found}, this one knows up to {known}): use that version")]
    Format { path: String, found: u32, known: u32 },
    #[error("journal has a reader {name:?} already")]
    ReaderTaken { name: String },
    #[error("journal is closed")]
    Closed,
}

impl OpenError {
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        move |source| OpenError::Io { path: path.display().to_string(), source }
    }

    pub(super) fn from_lock(dir: &Path, error: TryLockError) -> OpenError {
        match error {
            TryLockError::WouldBlock => OpenError::Locked { path: dir.display().to_string() },
            TryLockError::Error(source) => OpenError::at(&dir.join("lock"))(source),
        }
    }
}

/// Why records were not erased. What was begun is finished by the next erasure or the next open, whatever comes first.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    #[error("{path}: records could not be erased: {source}")]
    Io { path: String, source: io::Error },
    #[error("an earlier erasure cannot be finished: {0}")]
    Unfinished(OpenError),
}

impl EraseError {
    pub(super) fn at(dir: &Path) -> impl Fn(io::Error) -> EraseError {
        move |source| EraseError::Io { path: dir.display().to_string(), source }
    }
}
