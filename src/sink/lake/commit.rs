//! Committing.
//!
//! # Exactly once
//! A commit is one put-if-absent of the next log entry. Its reply can be lost, and a retry then finds the name taken:
//! by another writer, or by ourselves. So before every attempt, and after every error, the log is read to its end, and
//! the change has landed when its first transaction is there (also when another process, or an earlier run of this
//! one, committed it) or when an entry carries this attempt's own name.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::LakeError;
use super::lease::Fence;
use super::log::{self, Commit, WRITER_VERSION};
use super::table::{Change, Table, TableKind};

/// After this long a commit gives up: callers retry for ever, and want to say that they do.
const COMMIT_DEADLINE: Duration = Duration::from_secs(30);
/// Uploads older than this (in microseconds) may be vacuumed as unknown files before a commit that names them lands.
const UPLOAD_LIFETIME: i64 = 3_600_000_000;
/// The same for facts that are appended, which is done within a minute. Shorter, because an upload whose writer died may
/// hold a session that is to be erased, and nobody can tell it from one whose writer is slow.
pub(super) const APPEND_LIFETIME: i64 = 300_000_000;

impl Table {
    /// Commits, retrying conflicts as far as the change allows. Before each attempt and after every error the
    /// transaction is looked up: if it is there already at its version or later, the change has landed
    /// and the present version is returned. Locally, returns after the log entry and its directory are synced.
    ///
    /// # Errors
    /// `Conflict`: a file to be removed is gone. `Fenced`: the table has seen a later fence. `Stale`: a
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
        #[cfg(test)]
        super::testing::commit_poison(&change);
        let bytes = log::commit(self.place.kind, &change, data_change, &operation, self.clock.now() / 1000);
        let deadline = Instant::now() + COMMIT_DEADLINE;
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.attempt(&change, &operation, bytes.clone()).await {
                Ok(Some(version)) => return Ok(version),
                // Another writer took the version: go on at once, from where it left the table.
                Ok(None) => {
                    self.collisions += 1;
                    None
                }
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
        let appends = self.place.kind == TableKind::Facts && change.remove.is_empty();
        let lifetime = if appends { APPEND_LIFETIME } else { UPLOAD_LIFETIME };
        let oldest = self.clock.now().saturating_sub(lifetime);
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
        let none = |source| LakeError::Entry { table: self.place.name.clone(), source: Box::new(source) };
        let commit = Commit::parse(version, &bytes).map_err(none)?;
        if !self.place.store.create(&self.place.entry(version), bytes).await? {
            return Ok(None);
        }
        self.state.apply(self.place.kind, &commit).map_err(|e| self.place.error(e))?;
        Ok(Some(version))
    }

    async fn has_landed(&mut self, change: &Change) -> Result<bool, LakeError> {
        let Some((id, ours)) = &change.transaction else { return Ok(false) };
        Ok(self.known_transaction(id).await?.is_some_and(|present| present >= *ours))
    }

    /// Whether the change still applies to this version.
    async fn check(&mut self, change: &Change) -> Result<(), LakeError> {
        let table = || self.place.name.clone();
        if self.state.writer_version > WRITER_VERSION {
            return Err(LakeError::Protocol { table: table(), version: self.state.writer_version });
        }
        self.check_schema()?;
        if let Some(gone) = change.remove.iter().find(|file| !self.state.files.contains_key(&file.path)) {
            return Err(LakeError::Conflict { table: table(), path: gone.path.clone() });
        }
        let Some((id, ours)) = change.fence.as_ref().map(Fence::transaction) else { return Ok(()) };
        match self.known_transaction(&id).await? {
            Some(present) if present > ours => {
                Err(LakeError::Fenced { table: self.place.name.clone(), id, ours, present })
            }
            _ => Ok(()),
        }
    }

    /// Puts a fence into the table, so that no earlier holder's commit gets through: the first thing that a new holder
    /// does. What this handle knows afterwards is what earlier holders left.
    ///
    /// # Errors
    /// `Fenced`: the table has seen a later one.
    pub async fn raise(&mut self, fence: Fence) -> Result<(), LakeError> {
        let (id, ours) = fence.transaction();
        if self.transaction_version(&id).await? == Some(ours) {
            return Ok(());
        }
        self.commit_rearranged(Change { fence: Some(fence), ..Change::default() }).await.map(|_| ())
    }
}
