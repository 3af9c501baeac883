//! What is to be forgotten, as the lake keeps it until it is done.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::error::LakeError;
use super::super::open::Lake;
use super::super::rewrite::purge_versions;
use super::super::store::Store;
use super::super::tombstones::{Buried, Tombstone, TombstoneStore, Tombstones, name};
use crate::model::Workspace;

const ERASURES: &str = "_sessionlake/erasures";
const WRITERS: &str = "_sessionlake/writers";

/// Requests read at the same time.
const CONCURRENT: usize = 16;

/// Why sessions are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Their users asked for it, or an administrator's rule did.
    Private,
    /// An administrator erased them.
    Erased,
}

impl RequestKind {
    pub fn as_str(self) -> &'static str {
        match self {
            RequestKind::Private => "private",
            RequestKind::Erased => "erased",
        }
    }

    /// As `audit` names it.
    pub fn action(self) -> &'static str {
        match self {
            RequestKind::Private => "private",
            RequestKind::Erased => "erase",
        }
    }
}

/// Sessions to forget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// 32 hex digits, at random.
    pub id: String,
    pub workspace: Workspace,
    pub kind: RequestKind,
    /// In the clear, because tables are searched for them; it goes with the request.
    pub sessions: Vec<String>,
    /// What they cost goes on to be counted, without their users.
    pub keeps_costs: bool,
    /// UTC microseconds.
    pub at: i64,
    /// The token's name or the user of the operating system.
    pub by: Option<String>,
    /// What said so: `hook`, `otlp`, `rule`, or the option of `erase` that chose the sessions.
    pub how: String,
    pub reason: Option<String>,
}

impl Request {
    /// Puts the sessions into a set of tombstones: from the return on this process takes nothing more of them.
    pub fn bury(&self, tombstones: &Tombstones) -> usize {
        tombstones.add(&self.workspace, self.names(tombstones))
    }

    fn names(&self, tombstones: &Tombstones) -> Vec<([u8; 16], Buried)> {
        let buried = Buried { keeps_costs: self.keeps_costs };
        self.sessions.iter().map(|session| (name(tombstones.key(), session), buried)).collect()
    }
}

/// What a process has done of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Records that were overwritten in its journal.
    pub records: u64,
    /// UTC microseconds.
    pub at: i64,
}

/// How far a request has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Passes over the tables.
    pub passes: u64,
    pub facts: u64,
    pub events: u64,
    pub sessions: u64,
    pub objects_before: u64,
    pub objects_after: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// What it waits for, in words.
    pub waits_for: Option<String>,
}

/// The requests of a lake.
#[derive(Clone)]
pub struct Requests {
    store: Store,
    stones: TombstoneStore,
}

impl Requests {
    pub fn new(lake: &Lake) -> Requests {
        Requests { store: lake.store.clone(), stones: TombstoneStore::new(lake) }
    }

    fn folder(&self, id: &str) -> Path {
        self.store.path(&format!("{ERASURES}/{id}"))
    }

    /// Stores a request, then its tombstones. Durable, and known to all within a second, when it returns. Doing it again
    /// does no harm.
    ///
    /// # Errors
    /// The store does not take it: do it again.
    pub async fn put(&self, request: &Request, tombstones: &Tombstones) -> Result<(), LakeError> {
        self.write(&self.folder(&request.id).join("request.json"), request).await?;
        let kind = request.kind.as_str().to_owned();
        let word = Tombstone { at: request.at, kind, request: request.id.clone() };
        self.stones.put(&request.workspace, &request.names(tombstones), &word).await
    }

    /// All that are not done.
    ///
    /// # Errors
    /// The store cannot be read. What is no request is passed over.
    pub async fn pending(&self) -> Result<Vec<Request>, LakeError> {
        self.pending_beside(Vec::new()).await
    }

    /// The same, where some are known: a request does not change.
    pub(super) async fn pending_beside(&self, mut known: Vec<Request>) -> Result<Vec<Request>, LakeError> {
        let ids = self.store.prefixes(&self.store.path(ERASURES)).await?;
        let listed: HashSet<&String> = ids.iter().collect();
        known.retain(|request| listed.contains(&request.id));
        let unknown: Vec<String> = {
            let known: HashSet<&String> = known.iter().map(|request| &request.id).collect();
            ids.iter().filter(|id| !known.contains(id)).cloned().collect()
        };
        let read = |id: String| {
            let this = self.clone();
            async move { this.get(&id).await }
        };
        let reads = futures::stream::iter(unknown).map(read).buffer_unordered(CONCURRENT);
        let read: Vec<Option<Request>> = reads.try_collect().await?;
        let mut requests = known;
        requests.extend(read.into_iter().flatten());
        requests.sort_by(|a: &Request, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(requests)
    }

    /// A request that is not done.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn get(&self, id: &str) -> Result<Option<Request>, LakeError> {
        self.read(&self.folder(id).join("request.json")).await
    }

    /// How far it has come.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn progress(&self, id: &str) -> Result<Progress, LakeError> {
        Ok(self.read(&self.folder(id).join("progress.json")).await?.unwrap_or_default())
    }

    /// Notes how far it has come.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn set_progress(&self, id: &str, progress: &Progress) -> Result<(), LakeError> {
        self.write(&self.folder(id).join("progress.json"), progress).await
    }

    /// Says that a process, by its journal's id, keeps nothing more of a request's sessions.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn acknowledge(&self, id: &str, journal: &str, ack: &Ack) -> Result<(), LakeError> {
        self.write(&self.folder(id).join("acks").join(journal), ack).await
    }

    /// Whether a process has said so.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn acknowledged(&self, id: &str, journal: &str) -> Result<bool, LakeError> {
        self.store.exists(&self.folder(id).join("acks").join(journal)).await
    }

    /// Every process's word.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn acks(&self, id: &str) -> Result<BTreeMap<String, Ack>, LakeError> {
        let mut acks = BTreeMap::new();
        for path in self.store.list(&self.folder(id).join("acks")).await? {
            if let (Some(journal), Some(ack)) = (path.filename().map(str::to_owned), self.read(&path).await?) {
                acks.insert(journal, ack);
            }
        }
        Ok(acks)
    }

    /// Removes a request that is done, and all that belongs to it.
    ///
    /// # Errors
    /// The store does not remove it: do it again.
    pub async fn remove(&self, id: &str) -> Result<(), LakeError> {
        let mut paths = self.store.list(&self.folder(id)).await?;
        // Last what makes it a request.
        paths.sort_by_key(|path| path.filename() == Some("request.json"));
        for path in paths {
            self.store.delete(&path).await?;
        }
        // It names the sessions in the clear: so may what a crash left of it.
        self.store.remove_folder(&format!("{ERASURES}/{id}")).await?;
        let purged = purge_versions(&self.store, &self.folder(id), |_| true).await;
        for object in purged.remaining {
            tracing::warn!(object, "names sessions that are forgotten, and the store does not delete it");
        }
        Ok(())
    }

    /// Says that a process lives.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn beat(&self, journal: &str) -> Result<(), LakeError> {
        self.store.put(&self.store.path(WRITERS).join(journal), Bytes::from_static(b"{}").into()).await
    }

    /// When each process last said that it lives, by the store's clock.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn writers(&self) -> Result<BTreeMap<String, DateTime<Utc>>, LakeError> {
        let folder = self.store.path(WRITERS);
        let mut found = self.store.root.list(Some(&folder));
        let mut writers = BTreeMap::new();
        while let Some(meta) = found.try_next().await.map_err(|e| LakeError::store(&folder, e))? {
            if let Some(journal) = meta.location.filename() {
                writers.insert(journal.to_owned(), meta.last_modified);
            }
        }
        Ok(writers)
    }

    async fn write(&self, path: &Path, value: &impl Serialize) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(value).expect("made of strings and numbers");
        self.store.put(path, bytes.into()).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, LakeError> {
        let bytes = self.store.read(path).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}
