//! Where a table is, and how its log is read.

use std::collections::BTreeMap;

use bytes::Bytes;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::EagerSnapshot;
use deltalake_core::logstore::LogStoreRef;
use futures::{Stream, StreamExt, TryStreamExt, future};
use object_store::path::Path;

use super::additions::Additions;
use super::checkpoint;
use super::error::LakeError;
use super::log::{self, Commit, State};
use super::store::Store;
use super::table::TableKind;

/// Log entries read at a time: small, and each a round trip.
const READ_AHEAD: usize = 32;

/// Where a table is.
#[derive(Clone)]
pub(super) struct Place {
    pub store: Store,
    pub kind: TableKind,
    /// `workspace/table`, for errors.
    pub name: String,
    pub root: Path,
    pub log: Path,
    pub logs: LogStoreRef,
    /// Of all tables of the lake.
    pub additions: Additions,
}

impl Place {
    pub fn entry(&self, version: i64) -> Path {
        self.log.clone().join(format!("{version:020}.json"))
    }

    /// A file of the table by its path in the log.
    pub fn file(&self, path: &str) -> Path {
        path.split('/').fold(self.root.clone(), |root, part| root.join(part))
    }

    /// A file's path in the log; `None` when it is not below the table.
    pub fn relative(&self, path: &Path) -> Option<String> {
        let parts: Vec<_> = path.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    pub async fn read(&self, version: i64) -> Result<Option<Commit>, LakeError> {
        let bytes = self.store.read(&self.entry(version)).await?;
        bytes.map(|bytes| Commit::parse(version, &bytes).map_err(|e| self.error(e))).transpose()
    }

    /// The entries of these versions, in their order; `None` for one that is not there.
    pub fn entries(
        &self,
        versions: impl IntoIterator<Item = i64>,
    ) -> impl Stream<Item = Result<Option<Commit>, LakeError>> {
        futures::stream::iter(versions).map(|version| self.read(version)).buffered(READ_AHEAD)
    }

    /// The entries after `version`, in order, up to the first that is missing.
    fn entries_after(&self, version: i64) -> impl Stream<Item = Result<Commit, LakeError>> {
        let entries = self.entries(version + 1..).map(Result::transpose);
        entries.take_while(|entry| future::ready(entry.is_some())).filter_map(future::ready)
    }

    fn hint(&self) -> Path {
        self.log.clone().join("_last_checkpoint")
    }

    /// Says where readers begin; not before where they are told to already, since older entries may be gone.
    pub async fn hint_at(&self, version: i64, hint: Bytes) -> Result<(), LakeError> {
        match self.checkpoint().await? {
            Some(newer) if newer > version => Ok(()),
            _ => self.store.put(&self.hint(), hint.into()).await,
        }
    }

    /// The version of the last checkpoint, as the log's hint says.
    pub async fn checkpoint(&self) -> Result<Option<i64>, LakeError> {
        let hint = self.store.read(&self.hint()).await?;
        let version = |hint: Bytes| serde_json::from_slice::<serde_json::Value>(&hint).ok()?.get("version")?.as_i64();
        Ok(hint.and_then(version))
    }

    /// The table as the library reads it; at a checkpoint's version it reads that alone.
    async fn snapshot(&self, version: i64) -> Result<EagerSnapshot, LakeError> {
        let version = u64::try_from(version).ok();
        EagerSnapshot::try_new(self.logs.as_ref(), version).await.map_err(|e| self.error(e))
    }

    pub fn error(&self, source: DeltaTableError) -> LakeError {
        LakeError::log(&self.name, source)
    }

    /// Reads the table's state: from the last checkpoint, or from the first entry, to the last entry.
    ///
    /// The library is asked for checkpoints alone: it replays a thousand entries in seconds (measured unoptimised:
    /// 16 s), and again for each transaction id.
    pub async fn state(&self) -> Result<State, LakeError> {
        let state = self.replayed(self.last_checkpoint().await?).await?;
        if state.version >= 0 {
            return Ok(state);
        }
        // No entry 0 and no hint: the hint is gone. Of what we do not see, the library finds the newest.
        let listed = self.store.list(&self.log).await?;
        let newest = listed.iter().filter_map(checkpoint::version_of).max();
        self.replayed(self.checkpointed(newest.unwrap_or(-1)).await?).await
    }

    /// A state with the entries after it.
    async fn replayed(&self, mut state: State) -> Result<State, LakeError> {
        let mut entries = Box::pin(self.entries_after(state.version));
        while let Some(commit) = entries.try_next().await? {
            state.apply(self.kind, &commit).map_err(|e| self.error(e))?;
        }
        drop(entries);
        Ok(state)
    }

    /// The state at the last checkpoint. Erasure puts a new one in its place, at any moment.
    async fn last_checkpoint(&self) -> Result<State, LakeError> {
        let mut hint = self.checkpoint().await?;
        loop {
            let Some(version) = hint else { return Ok(State::default()) };
            let error = match self.checkpointed(version).await {
                Ok(state) => return Ok(state),
                Err(error) => error,
            };
            let again = self.checkpoint().await?;
            if again == hint {
                return Err(error);
            }
            hint = again;
        }
    }

    /// The state at a checkpoint's version; -1: the newest.
    async fn checkpointed(&self, version: i64) -> Result<State, LakeError> {
        // First: a checkpoint that goes meanwhile is missed by the library, and not here.
        let mut tags = checkpoint::tags(self, version).await?;
        let snapshot = self.snapshot(version).await?;
        let mut files = BTreeMap::new();
        let mut views = snapshot.file_views(self.logs.as_ref(), None);
        while let Some(view) = views.try_next().await.map_err(|e| self.error(e))? {
            #[expect(deprecated, reason = "the only way to a file's tags")]
            let mut add = view.add_action();
            add.tags = tags.remove(&add.path).or(add.tags);
            let file = log::table_file(self.kind, &add).ok_or_else(|| self.error(log::no_day(&add)))?;
            files.insert(file.path.clone(), file);
        }
        let version = i64::try_from(snapshot.version()).unwrap_or(i64::MAX);
        let metadata = serde_json::to_value(snapshot.metadata()).ok();
        let writer_version = snapshot.protocol().min_writer_version();
        Ok(State { version, base: Some(version), writer_version, metadata, files, ..State::default() })
    }

    /// What a checkpoint knows of a transaction.
    pub async fn transaction_at(&self, version: i64, id: &str) -> Result<Option<i64>, LakeError> {
        let snapshot = self.snapshot(version).await?;
        snapshot.transaction_version(self.logs.as_ref(), id).await.map_err(|e| self.error(e))
    }
}
