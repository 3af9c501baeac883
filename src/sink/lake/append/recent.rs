//! The facts that the last commits stored: a process that begins knows nothing of what the one before it was sent, and
//! a client whose reply was cut off by that one's death sends again.

use std::collections::HashSet;
use std::time::Duration;

use arrow::array::BooleanArray;
use tokio::time::Instant;

use crate::model::FactId;
use crate::sink::lake::{Block, LakeError, Table, TableFile};

/// So many commits are looked at: half a minute's at least, since they keep a second's distance.
const COMMITS: i64 = 32;
/// And so many facts of all workspaces, about (8 MiB): the newest files first, none beyond that.
pub const MOST: usize = 200_000;
/// Files of more bytes were put together of old ones.
const FILE_BYTES: u64 = 32 << 20;
/// Clients retry within a minute or so; what is known is forgotten after that.
const LIFETIME: Duration = Duration::from_secs(300);

/// Ids of facts that are in a table.
pub struct Recent {
    ids: HashSet<FactId>,
    since: Instant,
}

impl Recent {
    /// Reads what the last commits added, until it knows `most`.
    ///
    /// # Errors
    /// The store is away. A file that is damaged, or was replaced meanwhile, is left out.
    pub async fn of(table: &Table, most: usize) -> Result<Recent, LakeError> {
        let mut recent = Recent { ids: HashSet::new(), since: Instant::now() };
        let since = (table.version() - COMMITS).max(-1);
        let commits = table.changes_since(since).await?.unwrap_or_default();
        let live: HashSet<String> = table.files().await?.into_iter().map(|file| file.path).collect();
        let added = commits.into_iter().rev().flat_map(|commit| commit.added);
        for file in added.filter(|file| file.size <= FILE_BYTES && live.contains(&file.path)) {
            if recent.ids.len() >= most {
                break;
            }
            recent.ids.extend(known(table, &file).await?);
        }
        Ok(recent)
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Forgets what is old.
    pub fn expire(&mut self) {
        if self.since.elapsed() > LIFETIME {
            self.ids = HashSet::new();
        }
    }

    /// The rows that are not in the table yet.
    pub fn leave_out(&self, blocks: Vec<Block>) -> Result<Vec<Block>, LakeError> {
        if self.ids.is_empty() {
            return Ok(blocks);
        }
        let mut left = Vec::with_capacity(blocks.len());
        for block in blocks {
            let is_new = |id: Option<&str>| id.and_then(FactId::parse).is_none_or(|id| !self.ids.contains(&id));
            let Some(ids) = block.texts("fact_id") else {
                left.push(block);
                continue;
            };
            let new: BooleanArray = ids.iter().map(|id| Some(is_new(id))).collect();
            match new.true_count() {
                0 => {}
                all if all == block.rows() => left.push(block),
                _ => left.push(block.only(&new)?),
            }
        }
        Ok(left)
    }
}

async fn known(table: &Table, file: &TableFile) -> Result<Vec<FactId>, LakeError> {
    match table.read_fact_ids(file).await {
        Err(error) if error.is_transient() => Err(error),
        read => Ok(read.unwrap_or_default()),
    }
}
