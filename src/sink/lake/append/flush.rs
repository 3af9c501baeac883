//! Writes a flush: one commit per workspace, repeated until it has landed.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;

use super::pending::{Flush, Group};
use crate::model::{LakeKey, Workspace};
use crate::sink::lake::backoff::Backoff;
use crate::sink::lake::{Block, Change, Lake, LakeError, NewFile, Table, TableKind};

/// Workspaces written at the same time: a commit is mostly waiting for the store.
const CONCURRENT: usize = 4;

/// Writes flushes of one journal. One handle per workspace stays open.
pub struct Writer {
    pub lake: Lake,
    pub key: LakeKey,
    /// The journal's id.
    pub journal: String,
    /// Since they were last taken.
    pub collisions: u64,
    tables: HashMap<Workspace, Open>,
}

/// A workspace's `facts`, and how far this journal's records are in it.
struct Open {
    table: Table,
    epoch: u64,
    /// Last record of `epoch` whose facts are in the table.
    landed: Option<u64>,
}

impl Writer {
    pub fn new(lake: Lake, key: LakeKey, journal: String) -> Writer {
        Writer { lake, key, journal, collisions: 0, tables: HashMap::new() }
    }

    /// Returns once every workspace's facts are committed, with the tables' versions. Errors are repeated for ever:
    /// the journal keeps what waits behind.
    pub async fn write(&mut self, flush: Flush) -> Vec<(Workspace, i64)> {
        let (epoch, last) = (flush.last.epoch, flush.last.seq);
        let jobs: Vec<Job> = flush
            .groups
            .into_iter()
            .map(|(workspace, group)| Job {
                open: self.tables.remove(&workspace),
                workspace,
                group,
                epoch,
                last,
                upload: None,
            })
            .collect();
        let writer = &*self;
        let done: Vec<_> =
            futures::stream::iter(jobs).map(|job| job.run(writer)).buffer_unordered(CONCURRENT).collect().await;
        let mut versions = Vec::new();
        for (workspace, mut open, version) in done {
            self.collisions += std::mem::take(&mut open.table.collisions);
            versions.push((workspace.clone(), version));
            self.tables.insert(workspace, open);
        }
        versions
    }
}

/// One workspace's part of a flush.
struct Job {
    open: Option<Open>,
    workspace: Workspace,
    group: Group,
    epoch: u64,
    last: u64,
    /// Files that are written and not committed.
    upload: Option<Vec<NewFile>>,
}

impl Job {
    async fn run(mut self, writer: &Writer) -> (Workspace, Open, i64) {
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(writer).await {
                Ok((open, version)) => return (self.workspace, open, version),
                Err(error) => {
                    let wait = backoff.fail();
                    self.complain(&error, wait);
                    if !error.is_transient() {
                        // The uploaded files may be the reason: too old, or gone.
                        self.upload = None;
                    }
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn complain(&self, error: &LakeError, wait: Duration) {
        let (workspace, facts) = (&self.workspace, self.group.rows());
        if error.is_transient() {
            tracing::warn!(%workspace, facts, %error, ?wait, "facts not appended, trying again");
        } else {
            tracing::error!(%workspace, facts, %error, ?wait, "facts not appended, trying again");
        }
    }

    /// On an error the handle is dropped, so that the next attempt sees the newest log, in which this attempt's
    /// commit may stand after all.
    async fn attempt(&mut self, writer: &Writer) -> Result<(Open, i64), LakeError> {
        let id = format!("{}/{:016x}", writer.journal, self.epoch);
        let mut open = match self.open.take() {
            Some(open) if open.epoch == self.epoch => open,
            _ => Open::load(writer, &self.workspace, self.epoch, &id).await?,
        };
        let blocks = self.group.after(open.landed)?;
        if blocks.is_empty() {
            let version = open.table.version();
            return Ok((open, version));
        }
        let add = self.upload(&open.table, blocks).await?;
        let transaction = Some((id, i64::try_from(self.last).unwrap_or(i64::MAX)));
        let version = open.table.commit(Change { add, transaction, ..Change::default() }).await?;
        open.landed = Some(self.last);
        Ok((open, version))
    }

    async fn upload(&mut self, table: &Table, blocks: Vec<Block>) -> Result<Vec<NewFile>, LakeError> {
        if let Some(files) = &self.upload {
            return Ok(files.clone());
        }
        let files = table.write_blocks(blocks, None).await?;
        Ok(self.upload.insert(files).clone())
    }
}

impl Open {
    async fn load(writer: &Writer, workspace: &Workspace, epoch: u64, id: &str) -> Result<Open, LakeError> {
        let mut table = writer.lake.table(workspace, TableKind::Facts, &writer.key).await?;
        let landed = table.transaction_version(id).await?.and_then(|version| u64::try_from(version).ok());
        Ok(Open { table, epoch, landed })
    }
}
