//! What a journal holds of buried sessions.

use serde_json::Value;

use super::super::tombstones::Tombstones;
use crate::enrich::privacy::{Said, hook, records};
use crate::journal::{EraseError, Journal, Position, ReadError};
use crate::model::{Batch, Signal, Workspace};

/// What was found and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Records that were overwritten.
    pub erased: u64,
    /// Records that hold facts of other sessions as well, which the lake does not have yet: to be overwritten when it has.
    pub waiting: u64,
}

/// Why a journal was not swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Erase(#[from] EraseError),
}

/// How much of a record is of buried sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Nothing,
    /// Other sessions' facts, or such of no session, are in it too.
    Some,
    All,
}

/// Overwrites what the journal holds of buried sessions. `in_lake`: the number of the last record that the lake is done
/// with. A later one is overwritten only where it holds nothing else, and only if `hurry` says so: what it cost would be
/// lost otherwise. Blocks for files.
///
/// # Errors
/// The journal cannot be read or written: do it again.
pub fn sweep(journal: &Journal, tombstones: &Tombstones, in_lake: u64, hurry: bool) -> Result<Swept, SweepError> {
    let (mut swept, mut gone) = (Swept::default(), Vec::<Position>::new());
    let mut retained = journal.retained();
    while let Some((position, record)) = retained.try_next()? {
        let Ok(batch) = Batch::decode(&record) else { continue };
        match share(&batch, tombstones) {
            Share::Nothing => {}
            Share::All if hurry => gone.push(position),
            _ if position.seq <= in_lake => gone.push(position),
            _ => swept.waiting += 1,
        }
    }
    swept.erased = if gone.is_empty() { 0 } else { journal.erase(&gone)? };
    Ok(swept)
}

/// Erases what the journal has set aside as damaged, or as not to be processed, and that names one of these sessions; says
/// how many files that were. Blocks for files.
///
/// # Errors
/// The journal cannot be read or written: do it again.
pub fn sweep_quarantine(journal: &Journal, sessions: &[String]) -> Result<u64, SweepError> {
    Ok(journal.erase_quarantined(&sessions.iter().map(String::as_str).collect::<Vec<_>>())?)
}

fn share(batch: &Batch, tombstones: &Tombstones) -> Share {
    let Ok(workspace) = Workspace::parse(&batch.envelope.workspace) else { return Share::Nothing };
    if tombstones.none_in(&workspace) {
        return Share::Nothing;
    }
    let all = said(batch);
    let buried = |said: &&Said| said.sessions.iter().any(|session| tombstones.contains(&workspace, session));
    match all.iter().filter(buried).count() {
        0 => Share::Nothing,
        count if count == all.len() => Share::All,
        _ => Share::Some,
    }
}

/// What does not decode says nothing.
fn said(batch: &Batch) -> Vec<Said> {
    match batch.envelope.signal {
        Signal::Hooks => {
            let lines = batch.payload.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(|line| hook(&serde_json::from_slice(line).unwrap_or(Value::Null))).collect()
        }
        signal => records(signal, &batch.payload).unwrap_or_default(),
    }
}
