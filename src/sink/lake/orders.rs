//! Orders to redact stored sessions anew, and what became of them: `_sessionlake/reredact/<workspace>/<id>.json` beside
//! `<id>.done.json`. The process that holds the lease works them off; both stay, as the record of who did what and why.

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::open::Lake;
use super::store::Store;
use crate::model::Workspace;

const FOLDER: &str = "_sessionlake/reredact";
const DONE: &str = ".done.json";

/// What is to be redacted anew, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reredaction {
    /// Rows since then, UTC microseconds.
    pub since: i64,
    pub reason: String,
    pub by: String,
    /// When it was ordered, UTC microseconds.
    pub at: i64,
}

/// What was done. Names no content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reredacted {
    /// Rows in which something was hidden.
    pub facts: usize,
    pub events: usize,
    pub sessions: usize,
    pub objects_before: usize,
    pub objects_after: usize,
    /// Objects that still hold what was hidden, with the reason.
    pub remaining: Vec<String>,
    /// UTC microseconds.
    pub at: i64,
}

/// The orders of one workspace.
pub struct Reredactions {
    store: Store,
    folder: Path,
}

impl Reredactions {
    pub fn new(lake: &Lake, workspace: &Workspace) -> Reredactions {
        let folder = lake.store.path(&format!("{FOLDER}/{workspace}"));
        Reredactions { store: lake.store.clone(), folder }
    }

    /// Orders it, under a fresh id.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn order(&self, id: &str, order: &Reredaction) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(order).expect("an order is made of strings and numbers");
        self.store.create(&self.folder.clone().join(format!("{id}.json")), bytes.into()).await.map(|_| ())
    }

    /// Orders that are not done, by id. What is no order is passed over.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn pending(&self) -> Result<Vec<(String, Reredaction)>, LakeError> {
        let listed = self.store.list(&self.folder).await?;
        let names: Vec<&str> = listed.iter().filter_map(Path::filename).collect();
        let done: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(DONE)).collect();
        let mut pending = Vec::new();
        for id in names.iter().filter(|name| !name.ends_with(DONE)).filter_map(|name| name.strip_suffix(".json")) {
            if done.contains(&id) {
                continue;
            }
            let bytes = self.store.read(&self.folder.clone().join(format!("{id}.json"))).await?;
            let order = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            pending.extend(order.map(|order| (id.to_owned(), order)));
        }
        Ok(pending)
    }

    /// What became of an order; `None`: it is not done.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn done(&self, id: &str) -> Result<Option<Reredacted>, LakeError> {
        let bytes = self.store.read(&self.folder.clone().join(format!("{id}{DONE}"))).await?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// # Errors
    /// The store does not take it.
    pub async fn finish(&self, id: &str, done: &Reredacted) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(done).expect("a record is made of strings and numbers");
        self.store.create(&self.folder.clone().join(format!("{id}{DONE}")), bytes.into()).await.map(|_| ())
    }
}
