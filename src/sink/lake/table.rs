//! Tables and what can be done with them.

use std::collections::HashSet;

use crate::model::{Event, Fact, LakeKey, Session, Workspace};

/// Where the lake is.
#[derive(Clone, Debug, Default)]
pub struct LakeOptions {
    /// A directory, `file:///...` or `s3://bucket/prefix`.
    pub url: String,
    /// For `s3://`: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `session_token`,
    /// `virtual_hosted_style_request`, `allow_http`. What is not given comes from the usual AWS variables.
    pub storage: Vec<(String, String)>,
}

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("{0}")]
    Todo(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableKind {
    Facts,
    Events,
    Sessions,
}

/// A lake. Cheap to clone.
#[derive(Clone)]
pub struct Lake {}

impl Lake {
    /// Opens (for a directory: creates) the lake.
    pub async fn open(options: &LakeOptions) -> Result<Lake, LakeError> {
        let _ = options;
        todo!()
    }

    /// The lake's key (`_sessionlake/keys/facts`); made from `fresh` by a put-if-absent when there is none.
    pub async fn key(&self, fresh: [u8; 32]) -> Result<LakeKey, LakeError> {
        let _ = fresh;
        todo!()
    }

    /// Workspaces that have tables.
    pub async fn workspaces(&self) -> Result<Vec<Workspace>, LakeError> {
        todo!()
    }

    /// Opens a table, and creates it when it is not there.
    pub async fn table(&self, workspace: &Workspace, kind: TableKind, key: &LakeKey) -> Result<Table, LakeError> {
        let _ = (workspace, kind, key);
        todo!()
    }

    /// Opens a table for reading; `None` when it does not exist.
    pub async fn existing(&self, workspace: &Workspace, kind: TableKind) -> Result<Option<Table>, LakeError> {
        let _ = (workspace, kind);
        todo!()
    }
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
}

/// One commit's worth of change.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub add: Vec<NewFile>,
    /// Files to remove; the commit fails with a conflict when one of them is gone already.
    pub remove: Vec<TableFile>,
    /// Application transactions (id, version) that this commit carries.
    pub transactions: Vec<(String, i64)>,
}

/// What one commit changed.
#[derive(Clone, Debug)]
pub struct CommitChanges {
    pub version: i64,
    pub added: Vec<TableFile>,
    pub removed: Vec<String>,
}

/// An open table at some version.
pub struct Table {}

impl Table {
    pub fn version(&self) -> i64 {
        todo!()
    }

    /// Moves to the newest version.
    pub async fn refresh(&mut self) -> Result<(), LakeError> {
        todo!()
    }

    /// The version last committed for an application transaction id, after a refresh.
    pub async fn transaction_version(&mut self, id: &str) -> Result<Option<i64>, LakeError> {
        let _ = id;
        todo!()
    }

    /// The files of this version, with their tags.
    pub async fn files(&self) -> Result<Vec<TableFile>, LakeError> {
        todo!()
    }

    /// What commits after `version` (exclusive) changed, up to this handle's version. `None` when the log no longer
    /// reaches back that far: start from `files`.
    pub async fn changes_since(&self, version: i64) -> Result<Option<Vec<CommitChanges>>, LakeError> {
        let _ = version;
        todo!()
    }

    /// Commits, retrying conflicts as far as the change allows. Before each attempt and after every error the
    /// transactions are looked up: if the first is there already at its version or later, the change has landed
    /// and the present version is returned. Locally, returns after the log entry and its directory are synced.
    pub async fn commit(&mut self, change: Change) -> Result<i64, LakeError> {
        let _ = change;
        todo!()
    }

    /// The keyed hash of a session id as used in file tags.
    pub fn session_tag(&self, session_id: &str) -> u64 {
        let _ = session_id;
        todo!()
    }

    /// Writes facts (any order; sorted and cut by partition inside) to new files.
    pub async fn write_facts(&self, facts: &[Fact]) -> Result<Vec<NewFile>, LakeError> {
        let _ = facts;
        todo!()
    }

    pub async fn write_events(&self, events: &[Event]) -> Result<Vec<NewFile>, LakeError> {
        let _ = events;
        todo!()
    }

    pub async fn write_sessions(&self, sessions: &[Session]) -> Result<Vec<NewFile>, LakeError> {
        let _ = sessions;
        todo!()
    }

    /// The facts of a file; with `sessions`, only theirs (row groups that cannot hold them are not decoded).
    pub async fn read_facts(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Fact>, LakeError> {
        let _ = (file, sessions);
        todo!()
    }

    pub async fn read_events(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Event>, LakeError> {
        let _ = (file, sessions);
        todo!()
    }

    pub async fn read_sessions(
        &self,
        file: &TableFile,
        sessions: Option<&HashSet<String>>,
    ) -> Result<Vec<Session>, LakeError> {
        let _ = (file, sessions);
        todo!()
    }
}
