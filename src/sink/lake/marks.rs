//! Marks of sessions whose `facts` show in pieces what redaction hid in their events: whoever rewrites facts begins with
//! them, and removes them when it is done.
//!
//! A mark is one object, `_sessionlake/rewrite/<workspace>/<session>-<facts>.json`, where both names are keyed hashes. It
//! names the session and the facts, and holds nothing of what was found. It is written before the events are stored, so a
//! crash leaves a mark too many, never one too few; the same mark written twice is one object.

use std::collections::{BTreeSet, HashSet};

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::open::Lake;
use super::rewrite::{self, Purged};
use super::store::Store;
use crate::model::{FactId, LakeKey, Workspace, hex};

const FOLDER: &str = "_sessionlake/rewrite";

/// Facts of a session that are to be redacted anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub session_id: String,
    pub fact_ids: BTreeSet<FactId>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    session_id: String,
    fact_ids: Vec<String>,
}

/// The marks of one workspace.
pub struct Marks {
    store: Store,
    key: LakeKey,
    folder: Path,
}

impl Marks {
    pub fn new(lake: &Lake, key: &LakeKey, workspace: &Workspace) -> Marks {
        let folder = lake.store.path(&format!("{FOLDER}/{workspace}"));
        Marks { store: lake.store.clone(), key: key.clone(), folder }
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn put(&self, mark: &Mark) -> Result<(), LakeError> {
        let fact_ids: Vec<String> = mark.fact_ids.iter().map(FactId::to_string).collect();
        let object = format!("{}-{}.json", self.name(&mark.session_id), self.name(&fact_ids.concat()));
        let stored = Stored { session_id: mark.session_id.clone(), fact_ids };
        let bytes = serde_json::to_vec(&stored).expect("a mark is made of strings");
        self.store.create(&self.folder.clone().join(object), bytes.into()).await.map(|_| ())
    }

    /// Removes all marks of sessions, with a versioned bucket's older versions of them.
    ///
    /// # Errors
    /// The store cannot be read, or does not delete.
    pub async fn remove(&self, sessions: &HashSet<String>) -> Result<Purged, LakeError> {
        let names: HashSet<String> = sessions.iter().map(|session| self.name(session)).collect();
        let is_theirs = |path: &str| {
            let name = path.rsplit('/').next().and_then(|name| name.split('-').next());
            name.is_some_and(|name| names.contains(name))
        };
        let mut purged = Purged::default();
        for path in self.store.list(&self.folder).await?.into_iter().filter(|path| is_theirs(path.as_ref())) {
            self.store.delete(&path).await?;
            purged.files += 1;
        }
        purged.and(rewrite::purge_versions(&self.store, &self.folder, is_theirs).await);
        Ok(purged)
    }

    fn name(&self, part: &str) -> String {
        hex(&self.key.name("rewrite-mark", &[part.as_bytes()])[..8])
    }

    /// All marks, several of one session as one.
    ///
    /// # Errors
    /// The store cannot be read. What is no mark is passed over.
    pub async fn all(&self) -> Result<Vec<Mark>, LakeError> {
        let mut marks: Vec<Mark> = Vec::new();
        for path in self.store.list(&self.folder).await? {
            let Some(bytes) = self.store.read(&path).await? else { continue };
            let Ok(stored) = serde_json::from_slice::<Stored>(&bytes) else { continue };
            let fact_ids = stored.fact_ids.iter().filter_map(|id| FactId::parse(id));
            match marks.iter_mut().find(|mark| mark.session_id == stored.session_id) {
                Some(mark) => mark.fact_ids.extend(fact_ids),
                None => marks.push(Mark { session_id: stored.session_id, fact_ids: fact_ids.collect() }),
            }
        }
        Ok(marks)
    }
}
