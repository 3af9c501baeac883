//! The lake as a whole: its key, its workspaces, the way to its tables.

use std::sync::{Arc, OnceLock};

use deltalake_core::logstore::{StorageConfig, default_logstore};
use object_store::prefix::PrefixStore;
use uuid::Uuid;

use super::additions::Additions;
use super::error::LakeError;
use super::log;
use super::place::Place;
use super::store::{LakeOptions, Store};
use super::table::{Table, TableKind};
use crate::clock::Clock;
use crate::model::{LakeKey, Workspace, hex};

/// Control objects lie here, beside the workspaces.
const CONTROL: &str = "_sessionlake";
const KEY: &str = "_sessionlake/keys/facts";
/// A lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    pub(super) store: Store,
    clock: Clock,
    /// The key as stored, once read.
    key: Arc<OnceLock<LakeKey>>,
    additions: Additions,
}

impl Lake {
    /// Opens (for a directory: creates) the lake.
    pub async fn open(options: &LakeOptions) -> Result<Lake, LakeError> {
        Ok(Lake {
            store: Store::open(options)?,
            clock: Clock::system(),
            key: Arc::default(),
            additions: Additions::default(),
        })
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
        self.store.create(&self.store.path(KEY), hex(&fresh).into()).await?;
        // Whoever was first made the key of all.
        self.stored_key().await?.ok_or(LakeError::NoKey)
    }

    /// The lake's key, where there is one.
    ///
    /// # Errors
    /// `NoKey`: no collector has written to the lake yet.
    pub async fn existing_key(&self) -> Result<LakeKey, LakeError> {
        self.stored_key().await?.ok_or(LakeError::NoKey)
    }

    pub(super) async fn stored_key(&self) -> Result<Option<LakeKey>, LakeError> {
        if let Some(key) = self.key.get() {
            return Ok(Some(key.clone()));
        }
        let Some(bytes) = self.store.read(&self.store.path(KEY)).await? else { return Ok(None) };
        let key = LakeKey::new(parse_key(&bytes).ok_or(LakeError::BadKey)?);
        Ok(Some(self.key.get_or_init(|| key).clone()))
    }

    /// The store that holds the lake's files, for whoever scans them ([`Table::location`]).
    pub fn objects(&self) -> Arc<dyn object_store::ObjectStore> {
        self.store.root.clone()
    }

    /// Workspaces that have tables.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, LakeError> {
        self.workspaces_except(|_| false).await
    }

    /// As `workspaces`, without those that are known: one request when there is no other.
    pub async fn workspaces_except(&self, known: impl Fn(&Workspace) -> bool) -> Result<Vec<Workspace>, LakeError> {
        let mut workspaces = Vec::new();
        for name in self.store.prefixes(&self.store.base).await? {
            let Some(workspace) = Workspace::parse(&name).ok().filter(|found| name != CONTROL && !known(found)) else {
                continue;
            };
            let below = self.store.prefixes(&self.store.path(&name)).await?;
            if TableKind::OF_SESSIONS.iter().any(|kind| below.iter().any(|name| name == kind.name())) {
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
        let mut table = Table::load(place, self.clock.clone(), key.clone()).await?;
        table.evolve().await?;
        Ok(table)
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
        let (log, additions) = (root.clone().join("_delta_log"), self.additions.clone());
        Ok(Place { store: self.store.clone(), kind, log, root, name, logs, additions })
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
