//! The tables' lists of files, shared by all sessions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use object_store::path::Path;
use tokio::time::Instant;

use crate::model::Workspace;
use crate::sink::lake::tombstones::Tombstones;
use crate::sink::lake::{Lake, LakeError, Table, TableFile, TableKind, Tags};

/// A list of files is read anew when it is older.
const FRESH: Duration = Duration::from_millis(500);

/// A data file to scan.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// Below the store's root.
    pub location: Path,
    pub size: u64,
    /// The partition: days since 1970-01-01.
    pub date: i32,
    /// It may hold rows of a session that was erased.
    pub buried: bool,
}

/// The lists of all tables that somebody asked for.
pub struct Files {
    lake: Lake,
    tombstones: Option<Tombstones>,
    open: Mutex<HashMap<(Workspace, TableKind), Arc<Slot>>>,
}

type Slot = tokio::sync::Mutex<Option<Known>>;

struct Known {
    table: Table,
    at: Instant,
}

impl Files {
    /// What has a tombstone is not shown.
    pub fn new(lake: Lake, tombstones: Option<Tombstones>) -> Files {
        Files { lake, tombstones, open: Mutex::default() }
    }

    /// Those of a workspace that has some.
    pub fn tombstones(&self, workspace: &Workspace) -> Option<&Tombstones> {
        self.tombstones.as_ref().filter(|tombstones| !tombstones.none_in(workspace))
    }

    pub fn lake(&self) -> &Lake {
        &self.lake
    }

    /// The files that may hold rows of `sessions` (`None`: of any). None where the table does not exist yet.
    ///
    /// # Errors
    /// When the table's log cannot be read.
    pub async fn list(
        &self,
        workspace: &Workspace,
        kind: TableKind,
        sessions: Option<&[String]>,
    ) -> Result<Vec<DataFile>, LakeError> {
        // Access was checked: the map holds workspaces that have a token or a table, and no name that was guessed.
        let slot = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry((workspace.clone(), kind)).or_default())
        };
        let mut slot = slot.lock().await;
        match slot.as_mut() {
            Some(known) if known.at.elapsed() < FRESH => {}
            Some(known) => {
                known.table.refresh().await?;
                known.at = Instant::now();
            }
            None => {
                let at = Instant::now();
                *slot = self.lake.existing(workspace, kind).await?.map(|table| Known { table, at });
            }
        }
        let Some(Known { table, .. }) = slot.as_ref() else { return Ok(Vec::new()) };
        let tags = sessions.map(|ids| table.session_tags(ids));
        let may_hold = |file: &TableFile| tags.as_ref().is_none_or(|tags| file.may_hold(tags));
        let files = table.files().await?.into_iter().filter(may_hold);
        let tombstones = self.tombstones(workspace).filter(|_| kind != TableKind::Audit);
        let buried = |held: &Option<Tags>| {
            let may =
                |tombstones: &Tombstones| held.as_ref().is_none_or(|tags| tombstones.may_be_among(workspace, tags));
            tombstones.is_some_and(may)
        };
        let data_file = |file: TableFile| DataFile {
            location: table.location(&file),
            size: file.size,
            date: file.date,
            buried: buried(&file.sessions),
        };
        Ok(files.map(data_file).collect())
    }

    /// Looks at every table anew the next time: a file of the list was gone.
    pub async fn expire(&self, workspace: &Workspace) {
        let slots: Vec<Arc<Slot>> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().filter(|((of, _), _)| of == workspace).map(|(_, slot)| Arc::clone(slot)).collect()
        };
        for slot in slots {
            if let Some(known) = slot.lock().await.as_mut() {
                known.at -= 2 * FRESH;
            }
        }
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files(..)")
    }
}
