//! Replaces the rows of sessions: what to add to and to remove from `events` and `sessions`.

use std::collections::HashSet;
use std::future::Future;

use super::index::FileIndex;
use crate::model::{Event, Session, Status};
use crate::sink::lake::{Change, LakeError, NewFile, Table, TableFile, weight};

/// Rows of that many running sessions share a file: few enough that an ending session makes us copy little, many
/// enough that the table has few files. Whoever compacts leaves files with running sessions alone: no file with more
/// sessions than this holds a running one, which is how a restart finds them without reading the whole table.
pub const RUNNING_PER_FILE: usize = 16;

/// Settled rows are written when about that many bytes are gathered: bounds memory while files are rewritten.
const WRITE_BYTES: usize = 64 << 20;

/// A row of a table that holds sessions' rows.
pub trait Row: Sized + Send + Sync {
    fn session_id(&self) -> &str;
    fn weight(&self) -> usize;
    /// Whether its session runs, where the row itself says so.
    fn runs(&self) -> Option<bool>;
    fn read(table: &Table, file: &TableFile) -> impl Future<Output = Result<Vec<Self>, LakeError>> + Send;
    fn write(table: &Table, rows: &[Self]) -> impl Future<Output = Result<Vec<NewFile>, LakeError>> + Send;
}

impl Row for Event {
    fn session_id(&self) -> &str {
        &self.session_id
    }

    fn weight(&self) -> usize {
        weight::event(self)
    }

    fn runs(&self) -> Option<bool> {
        None
    }

    async fn read(table: &Table, file: &TableFile) -> Result<Vec<Event>, LakeError> {
        table.read_events(file, None).await
    }

    async fn write(table: &Table, rows: &[Event]) -> Result<Vec<NewFile>, LakeError> {
        table.write_events(rows).await
    }
}

impl Row for Session {
    fn session_id(&self) -> &str {
        &self.session_id
    }

    fn weight(&self) -> usize {
        weight::session(self)
    }

    fn runs(&self) -> Option<bool> {
        Some(self.status == Status::Running)
    }

    async fn read(table: &Table, file: &TableFile) -> Result<Vec<Session>, LakeError> {
        table.read_sessions(file, None).await
    }

    async fn write(table: &Table, rows: &[Session]) -> Result<Vec<NewFile>, LakeError> {
        table.write_sessions(rows).await
    }
}

/// New rows of the sessions of a round. Running sessions' rows are kept in files of their own, because they will be
/// replaced soon.
pub struct Rows<R> {
    pub settled: Vec<R>,
    pub running: Vec<R>,
}

impl<R> Default for Rows<R> {
    fn default() -> Rows<R> {
        Rows { settled: Vec::new(), running: Vec::new() }
    }
}

/// Writes `rows`, and with them what else stood in the files that hold older rows of `sessions`; those files are to
/// be removed. `is_running` tells where a kept row belongs that
/// does not say it.
pub async fn rewrite<R: Row>(
    table: &Table,
    index: &FileIndex,
    sessions: &HashSet<String>,
    rows: Rows<R>,
    is_running: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Change, LakeError> {
    let Rows { mut settled, mut running } = rows;
    let mut change = Change::default();
    let mut gathered: usize = settled.iter().map(Row::weight).sum();
    for file in index.holding(sessions.iter().map(|session| table.session_tag(session))) {
        let old = R::read(table, &file).await?;
        let count = old.len();
        let kept: Vec<R> = old.into_iter().filter(|row| !sessions.contains(row.session_id())).collect();
        if kept.len() == count {
            continue;
        }
        change.remove.push((*file).clone());
        for row in kept {
            if row.runs().unwrap_or_else(|| is_running(row.session_id())) {
                running.push(row);
            } else {
                gathered += row.weight();
                settled.push(row);
            }
        }
        if gathered > WRITE_BYTES {
            change.add.append(&mut R::write(table, &settled).await?);
            settled.clear();
            gathered = 0;
        }
    }
    if !settled.is_empty() {
        change.add.append(&mut R::write(table, &settled).await?);
    }
    for part in by_sessions(running, RUNNING_PER_FILE) {
        change.add.append(&mut R::write(table, &part).await?);
    }
    Ok(change)
}

/// Cuts rows into parts of at most `count` sessions each.
fn by_sessions<R: Row>(mut rows: Vec<R>, count: usize) -> Vec<Vec<R>> {
    rows.sort_by(|a, b| a.session_id().cmp(b.session_id()));
    let mut parts: Vec<Vec<R>> = Vec::new();
    let mut sessions = 0;
    for row in rows {
        let same = parts.last().and_then(|part| part.last()).is_some_and(|last| last.session_id() == row.session_id());
        sessions += usize::from(!same);
        match parts.last_mut() {
            Some(part) if same || sessions <= count => part.push(row),
            _ => {
                sessions = 1;
                parts.push(vec![row]);
            }
        }
    }
    parts
}
