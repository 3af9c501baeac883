//! Tables and what can be done with them.
//!
//! # Exactly once
//! A commit is one put-if-absent of the next log entry. Its reply can be lost, and a retry then finds the name taken:
//! by another writer, or by ourselves. So before every attempt, and after every error, the log is read to its end, and
//! the change has landed when its first transaction is there (also when another process, or an earlier run of this
//! one, committed it) or when an entry carries this attempt's own name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::EagerSnapshot;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::LakeError;
use super::log::{self, Commit, State, WRITER_VERSION};
use super::parquet::{FileWriter, groups};
use super::reader;
use super::row::Row;
use super::stats::FileStats;
pub use super::store::LakeOptions;
use super::store::Store;
use crate::clock::Clock;
use crate::model::{Event, Fact, LakeKey, Session, Workspace};

/// Control objects lie here, beside the workspaces.
const CONTROL: &str = "_sessionlake";
const KEY: &str = "_sessionlake/keys/facts";
/// A file of more sessions has no list of them: it would weigh more than it saves.
const MAX_TAGS: usize = 4096;
/// After this long a commit gives up: callers retry for ever, and want to say that they do.
const COMMIT_DEADLINE: Duration = Duration::from_secs(30);
/// Uploads older than this (in microseconds) may be vacuumed as unknown files before a commit that names them lands.
const UPLOAD_LIFETIME: i64 = 3_600_000_000;
/// Log entries read at a time.
const READ_AHEAD: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableKind {
    Facts,
    Events,
    Sessions,
}

/// A lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    store: Store,
    clock: Clock,
    /// The key as stored, once read.
    key: Arc<OnceLock<LakeKey>>,
}

impl Lake {
    /// Opens (for a directory: creates) the lake.
    pub async fn open(options: &LakeOptions) -> Result<Lake, LakeError> {
        Ok(Lake { store: Store::open(options)?, clock: Clock::system(), key: Arc::default() })
    }

    /// The same lake by another clock.
    pub fn with_clock(self, clock: Clock) -> Lake {
        Lake { clock, ..self }
    }

    /// The lake's key (`_sessionlake/keys/facts`); made from `fresh` by a put-if-absent when there is none.
    pub async fn key(&self, fresh: [u8; 32]) -> Result<LakeKey, LakeError> {
        if let Some(key) = self.stored_key().await? {
            return Ok(key);
        }
        let hex: String = fresh.iter().map(|byte| format!("{byte:02x}")).collect();
        self.store.create(&self.store.path(KEY), hex.into()).await?;
        // Whoever was first made the key of all.
        self.stored_key().await?.ok_or(LakeError::NoKey)
    }

    async fn stored_key(&self) -> Result<Option<LakeKey>, LakeError> {
        if let Some(key) = self.key.get() {
            return Ok(Some(key.clone()));
        }
        let Some(bytes) = self.store.read(&self.store.path(KEY)).await? else { return Ok(None) };
        let key = LakeKey::new(parse_key(&bytes).ok_or(LakeError::BadKey)?);
        Ok(Some(self.key.get_or_init(|| key).clone()))
    }

    /// Workspaces that have tables.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, LakeError> {
        let mut workspaces = Vec::new();
        for name in self.store.prefixes(&self.store.base).await? {
            let Some(workspace) = Workspace::parse(&name).ok().filter(|_| name != CONTROL) else { continue };
            let below = self.store.prefixes(&self.store.path(&name)).await?;
            if TableKind::ALL.iter().any(|kind| below.iter().any(|name| name == kind.name())) {
                workspaces.push(workspace);
            }
        }
        Ok(workspaces)
    }

    /// Opens a table, and creates it when it is not there.
    pub async fn table(&self, workspace: &Workspace, kind: TableKind, key: &LakeKey) -> Result<Table, LakeError> {
        let place = self.place(workspace, kind)?;
        if !self.store.any(&place.log).await? {
            let first = log::creation(kind, &Uuid::new_v4().to_string(), self.clock.now() / 1000);
            // When another was faster, its table is the one.
            self.store.create(&place.entry(0), first).await?;
        }
        Table::load(place, self.clock.clone(), key.clone()).await
    }

    /// Opens a table for reading; `None` when it does not exist.
    pub async fn existing(&self, workspace: &Workspace, kind: TableKind) -> Result<Option<Table>, LakeError> {
        let place = self.place(workspace, kind)?;
        if !self.store.any(&place.log).await? {
            return Ok(None);
        }
        let key = self.stored_key().await?.ok_or(LakeError::NoKey)?;
        Table::load(place, self.clock.clone(), key).await.map(Some)
    }

    fn place(&self, workspace: &Workspace, kind: TableKind) -> Result<Place, LakeError> {
        let name = format!("{workspace}/{}", kind.name());
        let root = self.store.path(&name);
        let url = self.store.url.join(&format!("{name}/"));
        let url = url.map_err(|e| LakeError::Location { url: self.store.url.to_string(), reason: e.to_string() })?;
        let prefixed = Arc::new(PrefixStore::new(self.store.root.clone(), root.clone()));
        let logs = default_logstore(prefixed, self.store.root.clone(), &url, &StorageConfig::default());
        Ok(Place { store: self.store.clone(), kind, log: root.clone().join("_delta_log"), root, name, logs })
    }
}

fn parse_key(hex: &[u8]) -> Option<[u8; 32]> {
    let text = std::str::from_utf8(hex).ok()?.trim();
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(key)
}

/// A data file of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// Relative to the table, as in the log (percent-decoded).
    pub path: String,
    pub size: u64,
    /// The partition: days since 1970-01-01.
    pub date: i32,
    /// Keyed hashes of the sessions in the file (`Table::session_tag`), sorted; `None`: unknown, may hold any.
    pub sessions: Option<Vec<u64>>,
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
    /// Application transactions (id, version) that this commit carries. The first says whether the change has landed;
    /// the others are fences: one that is past its version here makes the commit fail.
    pub transactions: Vec<(String, i64)>,
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

/// Where a table is.
struct Place {
    store: Store,
    kind: TableKind,
    /// `workspace/table`, for errors.
    name: String,
    root: Path,
    log: Path,
    logs: LogStoreRef,
}

impl Place {
    fn entry(&self, version: i64) -> Path {
        self.log.clone().join(format!("{version:020}.json"))
    }

    /// A file of the table by its path in the log.
    fn file(&self, path: &str) -> Path {
        path.split('/').fold(self.root.clone(), |root, part| root.join(part))
    }

    async fn read(&self, version: i64) -> Result<Option<Commit>, LakeError> {
        let bytes = self.store.read(&self.entry(version)).await?;
        bytes.map(|bytes| Commit::parse(version, &bytes).map_err(|e| self.error(e))).transpose()
    }

    async fn snapshot(&self) -> Result<EagerSnapshot, LakeError> {
        EagerSnapshot::try_new(self.logs.as_ref(), None).await.map_err(|e| self.error(e))
    }

    fn error(&self, source: DeltaTableError) -> LakeError {
        LakeError::log(&self.name, source)
    }

    async fn state(&self) -> Result<State, LakeError> {
        let snapshot = self.snapshot().await?;
        let mut files = BTreeMap::new();
        let mut views = snapshot.file_views(self.logs.as_ref(), None);
        while let Some(view) = views.try_next().await.map_err(|e| self.error(e))? {
            #[expect(deprecated, reason = "the only way to a file's tags")]
            let add = view.add_action();
            let file = log::table_file(self.kind, &add).ok_or_else(|| self.error(log::no_day(&add)))?;
            files.insert(file.path.clone(), file);
        }
        Ok(State {
            version: i64::try_from(snapshot.version()).unwrap_or(i64::MAX),
            writer_version: snapshot.protocol().min_writer_version(),
            files,
            ..State::default()
        })
    }
}

/// An open table at some version.
pub struct Table {
    place: Place,
    state: State,
    clock: Clock,
    key: LakeKey,
}

impl Table {
    async fn load(place: Place, clock: Clock, key: LakeKey) -> Result<Table, LakeError> {
        let state = place.state().await?;
        Ok(Table { place, state, clock, key })
    }

    pub fn version(&self) -> i64 {
        self.state.version
    }

    /// Moves to the newest version.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        self.advance(None).await.map(|_| ())
    }

    /// Reads the log to its end; says whether it met the commit of this name.
    ///
    /// The end is where the next entry is missing and our own is not: when both are missing, the log was cleaned
    /// behind us, and to put an entry there would hide it from every reader.
    async fn advance(&mut self, operation: Option<&str>) -> Result<bool, LakeError> {
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

    /// As of this handle's version. An id that no entry named since the table was opened is looked up once.
    async fn known_transaction(&mut self, id: &str) -> Result<Option<i64>, LakeError> {
        if let Some(known) = self.state.transactions.get(id) {
            return Ok(*known);
        }
        let snapshot = self.place.snapshot().await?;
        let found = snapshot.transaction_version(self.place.logs.as_ref(), id).await;
        let found = found.map_err(|e| self.place.error(e))?;
        self.state.transactions.insert(id.to_owned(), found);
        Ok(found)
    }

    /// The files of this version, with their tags.
    pub async fn files(&self) -> Result<Vec<TableFile>, LakeError> {
        Ok(self.state.files.values().cloned().collect())
    }

    /// What commits after `version` (exclusive) changed, up to this handle's version. `None` when the log no longer
    /// reaches back that far: start from `files`.
    pub async fn changes_since(&self, version: i64) -> Result<Option<Vec<CommitChanges>>, LakeError> {
        let versions = futures::stream::iter(version + 1..=self.version());
        let mut commits = versions.map(|version| self.place.read(version)).buffered(READ_AHEAD);
        let mut changes = Vec::new();
        while let Some(commit) = commits.try_next().await? {
            let Some(commit) = commit else { return Ok(None) };
            changes.push(commit.changes(self.place.kind).map_err(|e| self.place.error(e))?);
        }
        Ok(Some(changes))
    }

    /// Commits, retrying conflicts as far as the change allows. Before each attempt and after every error the
    /// transactions are looked up: if the first is there already at its version or later, the change has landed
    /// and the present version is returned. Locally, returns after the log entry and its directory are synced.
    ///
    /// # Errors
    /// `Conflict`: a file to be removed is gone. `Fenced`: a further transaction is past its version here. `Stale`: a
    /// file to be added was uploaded too long ago. All other errors leave open whether the change landed: commit it
    /// again.
    pub async fn commit(&mut self, change: Change) -> Result<i64, LakeError> {
        self.commit_as(change, true).await
    }

    /// As `commit`, for a change that puts the same rows into other files: it does not count as new data.
    pub async fn commit_rearranged(&mut self, change: Change) -> Result<i64, LakeError> {
        self.commit_as(change, false).await
    }

    async fn commit_as(&mut self, change: Change, data_change: bool) -> Result<i64, LakeError> {
        self.check_uploads(&change)?;
        let operation = Uuid::new_v4().to_string();
        let bytes = log::commit(self.place.kind, &change, data_change, &operation, self.clock.now() / 1000);
        let deadline = Instant::now() + COMMIT_DEADLINE;
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.attempt(&change, &operation, bytes.clone()).await {
                Ok(Some(version)) => return Ok(version),
                // Another writer took the version: go on at once, from where it left the table.
                Ok(None) => None,
                Err(error) if error.is_transient() => Some(error),
                Err(error) => return Err(error),
            };
            if Instant::now() + pause > deadline {
                let (table, seconds) = (self.place.name.clone(), COMMIT_DEADLINE.as_secs());
                return Err(error.unwrap_or(LakeError::Contended { table, seconds }));
            }
            if error.is_some() {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }

    fn check_uploads(&self, change: &Change) -> Result<(), LakeError> {
        let oldest = self.clock.now().saturating_sub(UPLOAD_LIFETIME);
        match change.add.iter().find(|new| new.written < oldest) {
            Some(new) => Err(LakeError::Stale { table: self.place.name.clone(), path: new.file.path.clone() }),
            None => Ok(()),
        }
    }

    /// One look at the log's end and one put behind it; `None` when the place was taken.
    async fn attempt(&mut self, change: &Change, operation: &str, bytes: Bytes) -> Result<Option<i64>, LakeError> {
        if self.advance(Some(operation)).await? || self.has_landed(change).await? {
            // Its writer may have died between giving the entry its name and syncing it.
            self.place.store.settle(&self.place.entry(self.version())).await?;
            return Ok(Some(self.version()));
        }
        self.check(change).await?;
        let version = self.version() + 1;
        let commit = Commit::parse(version, &bytes).map_err(|e| self.place.error(e))?;
        if !self.place.store.create(&self.place.entry(version), bytes).await? {
            return Ok(None);
        }
        self.state.apply(self.place.kind, &commit).map_err(|e| self.place.error(e))?;
        Ok(Some(version))
    }

    async fn has_landed(&mut self, change: &Change) -> Result<bool, LakeError> {
        let Some((id, ours)) = change.transactions.first() else { return Ok(false) };
        Ok(self.known_transaction(id).await?.is_some_and(|present| present >= *ours))
    }

    /// Whether the change still applies to this version.
    async fn check(&mut self, change: &Change) -> Result<(), LakeError> {
        let table = || self.place.name.clone();
        if self.state.writer_version > WRITER_VERSION {
            return Err(LakeError::Protocol { table: table(), version: self.state.writer_version });
        }
        if let Some(gone) = change.remove.iter().find(|file| !self.state.files.contains_key(&file.path)) {
            return Err(LakeError::Conflict { table: table(), path: gone.path.clone() });
        }
        for (id, ours) in change.transactions.iter().skip(1) {
            if let Some(present) = self.known_transaction(id).await?.filter(|present| present > ours) {
                let (table, id, ours) = (self.place.name.clone(), id.clone(), *ours);
                return Err(LakeError::Fenced { table, id, ours, present });
            }
        }
        Ok(())
    }

    /// The keyed hash of a session id as used in file tags.
    pub fn session_tag(&self, session_id: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.key.name("session tag", &[session_id.as_bytes()]);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Writes facts (any order; sorted and cut by partition inside) to new files.
    pub async fn write_facts(&self, facts: &[Fact]) -> Result<Vec<NewFile>, LakeError> {
        self.write(facts).await
    }

    pub async fn write_events(&self, events: &[Event]) -> Result<Vec<NewFile>, LakeError> {
        self.write(events).await
    }

    pub async fn write_sessions(&self, sessions: &[Session]) -> Result<Vec<NewFile>, LakeError> {
        self.write(sessions).await
    }

    async fn write<R: Row>(&self, rows: &[R]) -> Result<Vec<NewFile>, LakeError> {
        let mut days: BTreeMap<i32, Vec<&R>> = BTreeMap::new();
        for row in rows {
            days.entry(log::clamp_day(row.date())).or_default().push(row);
        }
        let mut files = Vec::with_capacity(days.len());
        for (day, rows) in days {
            files.push(self.write_day(day, rows).await?);
        }
        Ok(files)
    }

    async fn write_day<R: Row>(&self, date: i32, mut rows: Vec<&R>) -> Result<NewFile, LakeError> {
        rows.sort_by(|a, b| a.order(b));
        let path = format!("{}={}/part-{}.zstd.parquet", R::KIND.partition(), log::day_name(date), Uuid::new_v4());
        let mut stats = FileStats::new(R::KIND);
        let mut writer = FileWriter::new(&path, R::KIND, rows.len())?;
        for group in groups(&rows) {
            let batch = R::encode(group)?;
            stats.add(&batch);
            writer = writer.group(batch).await?;
        }
        let bytes = writer.finish()?;
        let size = bytes.len() as u64;
        let written = self.clock.now();
        self.place.store.put(&self.place.file(&path), bytes.into()).await?;
        let file = TableFile { path, size, date, sessions: self.tags(&rows) };
        Ok(NewFile { file, rows: rows.len(), stats: stats.json(), written })
    }

    fn tags<R: Row>(&self, rows: &[&R]) -> Option<Vec<u64>> {
        // Rows are sorted by session: equal ones stand together.
        let mut sessions: Vec<&str> = rows.iter().filter_map(|row| row.session()).collect();
        sessions.dedup();
        let tags: BTreeSet<u64> = sessions.into_iter().take(MAX_TAGS + 1).map(|id| self.session_tag(id)).collect();
        (tags.len() <= MAX_TAGS).then(|| tags.into_iter().collect())
    }

    /// The facts of a file; with `sessions`, only theirs (row groups that cannot hold them are not decoded).
    pub async fn read_facts(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Fact>, LakeError> {
        self.read(file, sessions).await
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
        reader::read(&self.place.store, self.place.file(&file.path), file, sessions).await
    }
}
