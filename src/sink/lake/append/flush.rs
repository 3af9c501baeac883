//! Writes a flush: one commit per workspace, repeated until it has landed.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;

use super::pending::{Flush, Rows};
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
    tables: HashMap<(Workspace, TableKind), Open>,
}

/// A workspace's table, and how far this journal's records are in it.
struct Open {
    table: Table,
    epoch: u64,
    /// Last record of `epoch` whose rows are in the table.
    landed: Option<u64>,
}

impl Writer {
    pub fn new(lake: Lake, key: LakeKey, journal: String) -> Writer {
        Writer { lake, key, journal, collisions: 0, tables: HashMap::new() }
    }

    /// Returns once every workspace's rows are committed, with the versions of the tables `facts`. Errors are repeated for ever:
    /// the journal keeps what waits behind.
    pub async fn write(&mut self, flush: Flush) -> Vec<(Workspace, i64)> {
        let (epoch, last) = (flush.last.epoch, flush.last.seq);
        let jobs: Vec<Job> = flush
            .rows
            .into_iter()
            .map(|(workspace, rows)| Job {
                open: self.tables.remove(&(workspace.clone(), rows.kind())),
                workspace,
                rows,
                epoch,
                last,
                upload: None,
            })
            .collect();
        let writer = &*self;
        let done: Vec<_> =
            futures::stream::iter(jobs).map(|job| job.run(writer)).buffer_unordered(CONCURRENT).collect().await;
        let mut versions = Vec::new();
        for (workspace, kind, mut open, version) in done {
            self.collisions += std::mem::take(&mut open.table.collisions);
            if kind == TableKind::Facts {
                versions.push((workspace.clone(), version));
            }
            self.tables.insert((workspace, kind), open);
        }
        versions
    }
}

/// One table's part of a flush.
struct Job {
    open: Option<Open>,
    workspace: Workspace,
    rows: Rows,
    epoch: u64,
    last: u64,
    /// Files that are written and not committed.
    upload: Option<Vec<NewFile>>,
}

impl Job {
    async fn run(mut self, writer: &Writer) -> (Workspace, TableKind, Open, i64) {
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(writer).await {
                Ok((open, version)) => return (self.workspace, self.rows.kind(), open, version),
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
        let (workspace, table, rows) = (&self.workspace, self.rows.kind().name(), self.rows.count());
        if error.is_transient() {
            tracing::warn!(%workspace, table, rows, %error, ?wait, "rows not appended, trying again");
        } else {
            tracing::error!(%workspace, table, rows, %error, ?wait, "rows not appended, trying again");
        }
    }

    /// On an error the handle is dropped, so that the next attempt sees the newest log, in which this attempt's
    /// commit may stand after all.
    async fn attempt(&mut self, writer: &Writer) -> Result<(Open, i64), LakeError> {
        let id = format!("{}/{:016x}", writer.journal, self.epoch);
        let mut open = match self.open.take() {
            Some(open) if open.epoch == self.epoch => open,
            _ => Open::load(writer, (&self.workspace, self.rows.kind()), self.epoch, &id).await?,
        };
        let blocks = self.rows.after(open.landed)?;
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
    async fn load(
        writer: &Writer,
        (workspace, kind): (&Workspace, TableKind),
        epoch: u64,
        id: &str,
    ) -> Result<Open, LakeError> {
        let mut table = writer.lake.table(workspace, kind, &writer.key).await?;
        let landed = table.transaction_version(id).await?.and_then(|version| u64::try_from(version).ok());
        Ok(Open { table, epoch, landed })
    }
}
