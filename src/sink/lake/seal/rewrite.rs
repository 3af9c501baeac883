//! Replaces the rows of sessions: what to add to and to remove from `events` and `sessions`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::not;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::index::FileIndex;
use crate::model::Status;
use crate::sink::lake::{Block, Change, LakeError, Table, TableFile};

/// Rows of that many running sessions share a file: few enough that an ending session makes us copy little, many
/// enough that the table has few files. Whoever compacts leaves files with running sessions alone: no file with more
/// sessions than this holds a running one, which is how a restart finds them without reading the whole table.
pub const RUNNING_PER_FILE: usize = 16;

/// Settled rows are written when about that many bytes are gathered: bounds memory while files are rewritten.
const WRITE_BYTES: usize = 8 << 20;

/// Files up to that size are read [`CONCURRENT`] at a time, larger ones one by one: compacted files are large, and a
/// late fact must not bring many of them into memory.
const SMALL_BYTES: u64 = 4 << 20;

/// Small files read at the same time: on S3 that is mostly waiting.
const CONCURRENT: usize = 8;

/// New rows of the sessions of a round. Running sessions' rows are kept in files of their own, because they will be
/// replaced soon.
#[derive(Default)]
pub struct Rows {
    pub settled: Vec<Block>,
    pub running: Vec<Block>,
}

/// Writes `rows`, and with them what else stood in the files that hold older rows of `sessions`; those files are to
/// be removed. `is_running` tells where a kept row belongs that does not say it.
pub async fn rewrite(
    table: &Table,
    index: &FileIndex,
    sessions: &Arc<HashSet<String>>,
    rows: Rows,
    is_running: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Change, LakeError> {
    let tags: HashSet<u64> = sessions.iter().map(|session| table.session_tag(session)).collect();
    // A file with no other session is replaced unread. That two of its few sessions share a 64-bit keyed hash is less
    // likely than that the disk errs.
    let (whole, mixed): (Vec<_>, Vec<_>) = index
        .holding(tags.iter().copied())
        .into_iter()
        .partition(|file| file.listed().is_some_and(|inside| inside.iter().all(|tag| tags.contains(tag))));
    let (small, large): (Vec<_>, Vec<_>) = mixed.into_iter().partition(|file| file.size <= SMALL_BYTES);
    let read = |file: Arc<TableFile>| async move {
        Ok::<_, LakeError>((table.rows_beside(&file, sessions.clone()).await?, file))
    };
    let old = stream::iter(small).map(read).buffered(CONCURRENT).chain(stream::iter(large).then(read));
    let mut old = std::pin::pin!(old);

    let mut rewriting = Rewriting::new(table, rows);
    rewriting.change.remove.extend(whole.iter().map(|file| TableFile::clone(file)));
    while let Some((beside, file)) = old.try_next().await? {
        // A file that has only others stays as it is.
        if let Some(beside) = beside {
            rewriting.replace(&file, beside, is_running).await?;
        }
    }
    rewriting.finish().await
}

/// Rows on their way to new files.
struct Rewriting<'a> {
    table: &'a Table,
    rows: Rows,
    /// Bytes of the settled rows.
    bytes: usize,
    change: Change,
}

impl<'a> Rewriting<'a> {
    fn new(table: &'a Table, rows: Rows) -> Rewriting<'a> {
        Rewriting { table, bytes: rows.settled.iter().map(Block::bytes).sum(), rows, change: Change::default() }
    }

    /// Replaces a file, of whose rows those in `beside` are kept.
    async fn replace(
        &mut self,
        file: &TableFile,
        beside: Vec<Block>,
        is_running: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<(), LakeError> {
        self.change.remove.push(file.clone());
        for block in beside {
            let runs = runs(&block, is_running);
            match runs.true_count() {
                0 => self.settle(block),
                all if all == block.rows() => self.rows.running.push(block),
                _ => {
                    self.rows.running.push(block.only(&runs)?);
                    self.settle(block.only(&not(&runs)?)?);
                }
            }
        }
        if self.bytes > WRITE_BYTES { self.write_settled().await } else { Ok(()) }
    }

    fn settle(&mut self, block: Block) {
        self.bytes += block.bytes();
        self.rows.settled.push(block);
    }

    async fn write_settled(&mut self) -> Result<(), LakeError> {
        let blocks = std::mem::take(&mut self.rows.settled);
        self.bytes = 0;
        if !blocks.is_empty() {
            self.change.add.append(&mut self.table.write_blocks(blocks, None).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Change, LakeError> {
        self.write_settled().await?;
        if !self.rows.running.is_empty() {
            let files = self.table.write_blocks(self.rows.running, Some(RUNNING_PER_FILE)).await?;
            self.change.add.extend(files);
        }
        Ok(self.change)
    }
}

/// Which rows are those of running sessions: by their status, where they have one.
fn runs(block: &Block, is_running: &dyn Fn(&str) -> bool) -> BooleanArray {
    let runs = |text: Option<&str>, runs: &dyn Fn(&str) -> bool| Some(text.is_some_and(runs));
    match (block.texts("status"), block.texts("session_id")) {
        (Some(status), _) => status.iter().map(|status| runs(status, &|s| s == Status::Running.as_str())).collect(),
        (None, Some(ids)) => ids.iter().map(|id| runs(id, is_running)).collect(),
        (None, None) => BooleanArray::from(vec![false; block.rows()]),
    }
}
