//! Replaces the rows of sessions: what to add to and to remove from `events` and `sessions`.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::index::FileIndex;
use crate::model::{Event, Session, Status};
use crate::sink::lake::{Change, LakeError, NewFile, Table, TableFile, weight};

/// Rows of that many running sessions share a file: few enough that an ending session makes us copy little, many
/// enough that the table has few files. Whoever compacts leaves files with running sessions alone: no file with more
/// sessions than this holds a running one, which is how a restart finds them without reading the whole table.
pub const RUNNING_PER_FILE: usize = 16;

/// Settled rows are written when about that many bytes are gathered: bounds memory while files are rewritten.
const WRITE_BYTES: usize = 64 << 20;

/// Files up to that size are read [`CONCURRENT`] at a time, larger ones one by one: compacted files are large, and a
/// late fact must not bring many of them into memory.
const SMALL_BYTES: u64 = 4 << 20;

/// Small files read or written at the same time: on S3 that is mostly waiting.
const CONCURRENT: usize = 8;

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
/// be removed. `is_running` tells where a kept row belongs that does not say it.
pub async fn rewrite<R: Row>(
    table: &Table,
    index: &FileIndex,
    sessions: &HashSet<String>,
    rows: Rows<R>,
    is_running: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Change, LakeError> {
    let tags: HashSet<u64> = sessions.iter().map(|session| table.session_tag(session)).collect();
    // A file with no other session is replaced unread. That two of its few sessions share a 64-bit keyed hash is less
    // likely than that the disk errs.
    let (whole, mixed): (Vec<_>, Vec<_>) = index
        .holding(tags.iter().copied())
        .into_iter()
        .partition(|file| file.sessions.as_ref().is_some_and(|inside| inside.iter().all(|tag| tags.contains(tag))));
    let (small, large): (Vec<_>, Vec<_>) = mixed.into_iter().partition(|file| file.size <= SMALL_BYTES);
    let read = |file: Arc<TableFile>| async move { Ok::<_, LakeError>((R::read(table, &file).await?, file)) };
    let old = stream::iter(small).map(read).buffered(CONCURRENT).chain(stream::iter(large).then(read));
    let mut old = std::pin::pin!(old);

    let mut rewriting = Rewriting::new(table, rows);
    rewriting.change.remove.extend(whole.iter().map(|file| TableFile::clone(file)));
    while let Some((rows, file)) = old.try_next().await? {
        rewriting.replace(&file, rows, sessions, is_running).await?;
    }
    rewriting.finish().await
}

/// Rows on their way to new files.
struct Rewriting<'a, R> {
    table: &'a Table,
    rows: Rows<R>,
    /// Bytes of the settled rows.
    bytes: usize,
    change: Change,
}

impl<'a, R: Row> Rewriting<'a, R> {
    fn new(table: &'a Table, rows: Rows<R>) -> Rewriting<'a, R> {
        Rewriting { table, bytes: rows.settled.iter().map(Row::weight).sum(), rows, change: Change::default() }
    }

    /// Keeps a file's rows of other sessions. A file that has only such stays as it is.
    async fn replace(
        &mut self,
        file: &TableFile,
        rows: Vec<R>,
        sessions: &HashSet<String>,
        is_running: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), LakeError> {
        if !rows.iter().any(|row| sessions.contains(row.session_id())) {
            return Ok(());
        }
        self.change.remove.push(file.clone());
        for row in rows.into_iter().filter(|row| !sessions.contains(row.session_id())) {
            if row.runs().unwrap_or_else(|| is_running(row.session_id())) {
                self.rows.running.push(row);
            } else {
                self.bytes += row.weight();
                self.rows.settled.push(row);
            }
        }
        if self.bytes > WRITE_BYTES { self.write_settled().await } else { Ok(()) }
    }

    async fn write_settled(&mut self) -> Result<(), LakeError> {
        let rows = std::mem::take(&mut self.rows.settled);
        self.bytes = 0;
        if !rows.is_empty() {
            self.change.add.append(&mut R::write(self.table, &rows).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Change, LakeError> {
        self.write_settled().await?;
        let table = self.table;
        let files: Vec<Vec<NewFile>> = stream::iter(by_sessions(self.rows.running, RUNNING_PER_FILE))
            .map(|part| async move { R::write(table, &part).await })
            .buffered(CONCURRENT)
            .try_collect()
            .await?;
        self.change.add.extend(files.into_iter().flatten());
        Ok(self.change)
    }
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
