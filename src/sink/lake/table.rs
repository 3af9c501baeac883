//! Tables and what can be done with them.

use std::collections::{BTreeSet, HashSet};

use futures::TryStreamExt;

use super::checkpoint;
use super::error::LakeError;
use super::lease::Fence;
use super::log::State;
pub use super::open::Lake;
use super::place::Place;
use super::reader;
pub use super::reader::Seen;
use super::row::{Row, day_of};
pub use super::store::LakeOptions;
use super::tags::{MOST_LISTED, Tags};
use crate::clock::Clock;
use crate::model::{AuditEntry, Event, Fact, FactId, LakeKey, Session};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableKind {
    Facts,
    Events,
    Sessions,
    /// What was done to the others.
    Audit,
}

/// A data file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Relative to the table, as in the log (percent-decoded).
    pub path: String,
    pub size: u64,
    /// The partition: days since 1970-01-01.
    pub date: i32,
    /// The sessions in the file; `None`: unknown, may hold any.
    pub sessions: Option<Tags>,
    /// Whether it was written to stay: in large pages, with bloom filters.
    pub lasting: bool,
}

impl TableFile {
    /// Whether it may hold rows of a session with one of these tags, ascending.
    pub fn may_hold(&self, tags: &[u64]) -> bool {
        self.sessions.as_ref().is_none_or(|inside| inside.may_have_one_of(tags))
    }

    /// The sessions in the file for certain, where the log lists them.
    pub fn listed(&self) -> Option<&[u64]> {
        self.sessions.as_ref()?.exact()
    }
}

/// A written (and, locally, synced) file that no commit refers to yet.
#[derive(Clone, Debug)]
pub struct NewFile {
    pub file: TableFile,
    pub rows: usize,
    /// Delta statistics, JSON.
    pub stats: String,
    /// When its upload began, UTC microseconds.
    pub written: i64,
}

/// One commit's worth of change.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub add: Vec<NewFile>,
    /// Files to remove; the commit fails with a conflict when one of them is gone already.
    pub remove: Vec<TableFile>,
    /// The application transaction (id, version) that this commit carries: where the table has it already, at this
    /// version or later, the change has landed.
    pub transaction: Option<(String, i64)>,
    /// More of them, for whoever asks later whether they are there.
    pub also: Vec<(String, i64)>,
    /// Whoever removes files shows that it may: the commit fails when the table has seen a later fence.
    pub fence: Option<Fence>,
}

/// What one commit changed.
#[derive(Clone, Debug)]
pub struct CommitChanges {
    pub version: i64,
    pub added: Vec<TableFile>,
    pub removed: Vec<String>,
    /// `false`: the same rows in other files.
    pub data_change: bool,
}

/// The keyed hash of a session's id.
pub(super) fn session_name(key: &LakeKey, session_id: &str) -> [u8; 16] {
    key.name("session tag", &[session_id.as_bytes()])
}

/// The tag that a session's name begins with.
pub(super) fn tag_of(&[a, b, c, d, e, f, g, h, ..]: &[u8; 16]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The keyed hash of a session id as used in file tags.
pub(super) fn session_tag(key: &LakeKey, session_id: &str) -> u64 {
    tag_of(&session_name(key, session_id))
}

/// An open table at some version.
pub struct Table {
    pub(super) place: Place,
    pub(super) state: State,
    pub(super) clock: Clock,
    pub(super) key: LakeKey,
    /// Times that another writer took the place in the log that a commit was made for.
    pub(super) collisions: u64,
}

impl Table {
    pub(super) async fn load(place: Place, clock: Clock, key: LakeKey) -> Result<Table, LakeError> {
        let state = place.state().await?;
        Ok(Table { place, state, clock, key, collisions: 0 })
    }

    pub fn version(&self) -> i64 {
        self.state.version
    }

    pub fn kind(&self) -> TableKind {
        self.place.kind
    }

    /// Days since 1970-01-01, UTC.
    pub(super) fn today(&self) -> i32 {
        day_of(self.clock.now())
    }

    /// The same table, opened anew by whoever awaits it.
    pub fn reopened(&self) -> impl Future<Output = Result<Table, LakeError>> + Send + use<> {
        Table::load(self.place.clone(), self.clock.clone(), self.key.clone())
    }

    /// Moves to the newest version.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        self.advance(None).await.map(|_| ())
    }

    /// Reads the log to its end; says whether it met the commit of this name.
    ///
    /// The end is where the next entry is missing and our own is not: when both are missing, the log was cleaned
    /// behind us, and to put an entry there would hide it from every reader.
    pub(super) async fn advance(&mut self, operation: Option<&str>) -> Result<bool, LakeError> {
        let mut seen = false;
        let (here, next) = (self.place.entry(self.version()), self.version() + 1);
        let (here, mut next) = tokio::try_join!(self.place.store.exists(&here), self.place.read(next))?;
        if !here && next.is_none() {
            self.state = self.place.state().await?;
        }
        while let Some(commit) = next {
            seen |= operation.is_some_and(|operation| commit.is(operation));
            self.state.apply(self.place.kind, &commit).map_err(|e| self.place.error(e))?;
            next = self.place.read(self.version() + 1).await?;
        }
        Ok(seen)
    }

    /// The version last committed for an application transaction id, after a refresh.
    pub async fn transaction_version(&mut self, id: &str) -> Result<Option<i64>, LakeError> {
        self.refresh().await?;
        self.known_transaction(id).await
    }

    /// As of this handle's version. An id that no entry after the checkpoint names is looked up there, once.
    pub(super) async fn known_transaction(&mut self, id: &str) -> Result<Option<i64>, LakeError> {
        if let Some(known) = self.state.transactions.get(id) {
            return Ok(*known);
        }
        let found = match self.state.base {
            Some(version) => self.place.transaction_at(version, id).await?,
            None => None,
        };
        self.state.transactions.insert(id.to_owned(), found);
        Ok(found)
    }

    /// The files of this version, with their tags.
    pub async fn files(&self) -> Result<Vec<TableFile>, LakeError> {
        Ok(self.state.files.values().cloned().collect())
    }

    /// Where a file of the table is, below the root of [`Lake::objects`].
    pub fn location(&self, file: &TableFile) -> object_store::path::Path {
        self.place.file(&file.path)
    }

    /// What commits after `version` (exclusive) changed, up to this handle's version. `None` when the log no longer
    /// reaches back that far: start from `files`.
    pub async fn changes_since(&self, version: i64) -> Result<Option<Vec<CommitChanges>>, LakeError> {
        let mut commits = std::pin::pin!(self.place.entries(version + 1..=self.version()));
        let mut changes = Vec::new();
        while let Some(commit) = commits.try_next().await? {
            let Some(commit) = commit else { return Ok(None) };
            changes.push(commit.changes(self.place.kind).map_err(|e| self.place.error(e))?);
        }
        Ok(Some(changes))
    }

    /// Writes a checkpoint of this version, so that opening the table does not replay what came before. For
    /// maintenance: no append does this on its way.
    pub async fn checkpoint(&self) -> Result<(), LakeError> {
        checkpoint::write(&self.place, &self.state).await
    }

    /// Commits since the checkpoint that opening the table begins with.
    pub fn since_checkpoint(&self) -> i64 {
        self.version() - self.state.base.unwrap_or(-1)
    }

    /// The keyed hash of a session id as used in file tags.
    pub fn session_tag(&self, session_id: &str) -> u64 {
        session_tag(&self.key, session_id)
    }

    /// The sessions' tags, as [`TableFile::may_hold`] wants them.
    pub fn session_tags<'s>(&self, sessions: impl IntoIterator<Item = &'s String>) -> Vec<u64> {
        let mut tags: Vec<u64> = sessions.into_iter().map(|session| self.session_tag(session)).collect();
        tags.sort_unstable();
        tags
    }

    /// Writes facts (any order; sorted and cut by partition inside) to new files.
    pub async fn write_facts(&self, facts: &[Fact]) -> Result<Vec<NewFile>, LakeError> {
        self.write(facts).await
    }

    /// Whether files that no commit refers to are all still there.
    pub async fn holds(&self, files: &[NewFile]) -> Result<bool, LakeError> {
        for new in files {
            if !self.place.store.exists(&self.place.file(&new.file.path)).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes files that no commit refers to, nor will.
    pub async fn discard(&self, files: &[NewFile]) -> Result<(), LakeError> {
        for new in files {
            self.place.store.delete(&self.place.file(&new.file.path)).await?;
        }
        Ok(())
    }

    pub async fn write_events(&self, events: &[Event]) -> Result<Vec<NewFile>, LakeError> {
        self.write(events).await
    }

    pub async fn write_sessions(&self, sessions: &[Session]) -> Result<Vec<NewFile>, LakeError> {
        self.write(sessions).await
    }

    /// Writes rows of `audit` to new files.
    pub async fn write_audit(&self, entries: &[AuditEntry]) -> Result<Vec<NewFile>, LakeError> {
        self.write(entries).await
    }

    /// The rows of a file of `audit`.
    pub async fn read_audit(&self, file: &TableFile) -> Result<Vec<AuditEntry>, LakeError> {
        self.read(file, None).await
    }

    /// The tags of sessions.
    pub(super) fn tags(&self, sessions: &[String]) -> Option<Tags> {
        let tags: BTreeSet<u64> = sessions.iter().take(MOST_LISTED + 1).map(|id| self.session_tag(id)).collect();
        Tags::list(tags.into_iter().collect())
    }

    /// The tags of a file's sessions for certain: where the log does not list them, the file is read.
    pub(super) async fn tags_of(&self, file: &TableFile) -> Result<Vec<u64>, LakeError> {
        if let Some(listed) = file.listed() {
            return Ok(listed.to_vec());
        }
        let read = reader::session_tags(&self.place.store, self.place.file(&file.path), file, &self.key).await;
        self.explained(file, read).await
    }

    /// The facts of a file; with `sessions`, only theirs (row groups that cannot hold them are not decoded).
    pub async fn read_facts(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Fact>, LakeError> {
        self.read(file, sessions).await
    }

    /// What sealing looks at first in a file of facts; the other columns are not read.
    pub async fn read_seen(&self, file: &TableFile) -> Result<Vec<Seen>, LakeError> {
        let read = reader::seen(&self.place.store, self.place.file(&file.path), file).await;
        self.explained(file, read).await
    }

    /// The ids of a file's facts.
    pub async fn read_fact_ids(&self, file: &TableFile) -> Result<Vec<FactId>, LakeError> {
        let read = reader::fact_ids(&self.place.store, self.place.file(&file.path), file).await;
        self.explained(file, read).await
    }

    /// A read beyond a file's end looks like a store that is away. Where the file has not the length that the log says,
    /// it is damaged, and waiting does not help.
    async fn explained<T>(&self, file: &TableFile, read: Result<T, LakeError>) -> Result<T, LakeError> {
        let Err(error) = read else { return read };
        match self.place.store.size(&self.place.file(&file.path)).await {
            Ok(Some(found)) if found != file.size => {
                Err(LakeError::Length { file: file.path.clone(), found, expected: file.size })
            }
            _ => Err(error),
        }
    }

    pub async fn read_events(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Event>, LakeError> {
        self.read(file, sessions).await
    }

    pub async fn read_sessions(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Session>, LakeError> {
        self.read(file, sessions).await
    }

    async fn read<R: Row + 'static>(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<R>, LakeError> {
        let read = reader::read(&self.place.store, self.place.file(&file.path), file, sessions).await;
        self.explained(file, read).await
    }
}
