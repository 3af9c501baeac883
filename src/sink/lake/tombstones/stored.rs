//! The tombstones in the lake.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::GetOptions;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::error::LakeError;
use super::super::open::Lake;
use super::super::store::Store;
use super::{Buried, Name, parse};
use crate::model::{Workspace, hex};

const FOLDER: &str = "_sessionlake/tombstones";
const RECENT: &str = "_sessionlake/tombstones-recent";
const LATEST: &str = "_sessionlake/tombstones-latest";
/// How the name of a tombstone ends whose session's costs are kept.
const COSTS: &str = "-costs";

/// What a tombstone's object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// UTC microseconds.
    pub at: i64,
    /// `private` or `erased`.
    pub kind: String,
    /// The request that it came with.
    pub request: String,
}

/// Reads and writes the tombstones of a lake.
#[derive(Clone)]
pub struct TombstoneStore {
    store: Store,
}

/// Tombstones by workspace.
pub type Found = BTreeMap<Workspace, Vec<(Name, Buried)>>;

impl TombstoneStore {
    pub fn new(lake: &Lake) -> TombstoneStore {
        TombstoneStore { store: lake.store.clone() }
    }

    /// Writes tombstones; durable when it returns, and announced. Those that are there already stay.
    ///
    /// # Errors
    /// The store does not take one: write all of them again.
    pub async fn put(
        &self,
        workspace: &Workspace,
        names: &[(Name, Buried)],
        word: &Tombstone,
    ) -> Result<(), LakeError> {
        let bytes = Bytes::from(serde_json::to_vec(word).expect("a tombstone is made of strings and numbers"));
        let folder = self.store.path(&format!("{FOLDER}/{workspace}"));
        for (name, buried) in names {
            let object = format!("{}{}", hex(name), if buried.keeps_costs { COSTS } else { "" });
            self.store.create(&folder.clone().join(object), bytes.clone()).await?;
        }
        self.announce(workspace, names, word.at).await
    }

    /// One entry for all of them: `<workspace>` and a tombstone a line.
    async fn announce(&self, workspace: &Workspace, names: &[(Name, Buried)], at: i64) -> Result<(), LakeError> {
        let lines: Vec<String> = names
            .iter()
            .map(|(name, buried)| format!("{workspace} {}{}", hex(name), if buried.keeps_costs { COSTS } else { "" }))
            .collect();
        let entry = self.store.path(RECENT).join(format!("{:020}-{}", at.max(0), Uuid::new_v4()));
        self.store.put(&entry, lines.join("\n").into()).await?;
        self.store.put(&self.store.path(LATEST), Uuid::new_v4().to_string().into()).await
    }

    /// What changes whenever a tombstone is announced; `None`: it is still what `known` says.
    pub(super) async fn latest(&self, known: Option<&str>) -> Result<Option<String>, LakeError> {
        let path = self.store.path(LATEST);
        let options = GetOptions { if_none_match: known.map(str::to_owned), ..GetOptions::default() };
        match self.store.root.get_opts(&path, options).await {
            Ok(found) => Ok(Some(found.meta.e_tag.unwrap_or_default()).filter(|tag| known != Some(tag.as_str()))),
            Err(object_store::Error::NotModified { .. } | object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::store(path, error)),
        }
    }

    /// What was announced since, UTC microseconds by the clocks of those who did.
    pub(super) async fn recent(&self, since: i64) -> Result<Found, LakeError> {
        let from = self.store.path(RECENT).join(format!("{:020}", since.max(0)));
        let mut found = Found::new();
        for path in self.store.list(&self.store.path(RECENT)).await?.into_iter().filter(|path| *path >= from) {
            let Some(bytes) = self.store.read(&path).await? else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for (workspace, name) in text.lines().filter_map(|line| line.split_once(' ')) {
                add(&mut found, workspace, name);
            }
        }
        Ok(found)
    }

    /// Removes announcements older than that. The tombstones stay.
    pub(super) async fn forget_recent(&self, before: i64) -> Result<(), LakeError> {
        let until = self.store.path(RECENT).join(format!("{:020}", before.max(0)));
        for path in self.store.list(&self.store.path(RECENT)).await?.into_iter().filter(|path| *path < until) {
            self.store.delete(&path).await?;
        }
        Ok(())
    }

    /// All of them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn all(&self) -> Result<Found, LakeError> {
        let mut found = Found::new();
        for path in self.store.list(&self.store.path(FOLDER)).await? {
            if let Some((workspace, name)) = workspace_and_name(&path) {
                add(&mut found, &workspace, &name);
            }
        }
        Ok(found)
    }
}

fn workspace_and_name(path: &Path) -> Option<(String, String)> {
    let parts: Vec<_> = path.parts().map(|part| part.as_ref().to_owned()).collect();
    let [.., workspace, name] = parts.as_slice() else { return None };
    Some((workspace.clone(), name.clone()))
}

/// What is no tombstone is passed over.
fn add(found: &mut Found, workspace: &str, name: &str) {
    let (hex, keeps_costs) = name.strip_suffix(COSTS).map_or((name, false), |hex| (hex, true));
    if let (Ok(workspace), Some(name)) = (Workspace::parse(workspace), parse(hex)) {
        found.entry(workspace).or_default().push((name, Buried { keeps_costs }));
    }
}
