//! Writes a flush: one commit per workspace, repeated until it has landed.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::{FutureExt, StreamExt};

use super::parts::Share;
use super::pending::Flush;
use super::recent::{self, Recent};
use crate::journal::Position;
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
    /// Facts that were in the tables when this process first opened them.
    recent: HashMap<Workspace, Recent>,
}

/// A workspace's table, and how far this journal's records are in it.
struct Open {
    table: Table,
    epoch: u64,
    /// Last record of `epoch` whose rows are in the table.
    landed: Option<u64>,
}

/// What became of a flush.
#[derive(Default)]
pub struct Written {
    /// Versions of the tables `facts`.
    pub versions: Vec<(Workspace, i64)>,
    /// Records whose rows cannot be written, and why: for people, no content.
    pub poison: Vec<(Position, &'static str)>,
    /// What waits until those are set aside: once later records are in a table, nobody looks at them again.
    pub left: Option<Flush>,
}

impl Writer {
    pub fn new(lake: Lake, key: LakeKey, journal: String) -> Writer {
        Writer { lake, key, journal, collisions: 0, tables: HashMap::new(), recent: HashMap::new() }
    }

    /// Returns once every workspace's rows are committed, or as far as a record that cannot be. Errors of the lake are
    /// repeated for ever: the journal keeps what waits behind.
    pub async fn write(&mut self, flush: Flush) -> Written {
        let last = flush.last;
        let shares = flush.shares.into_iter();
        self.recent.values_mut().for_each(Recent::expire);
        let known: usize = self.recent.values().map(Recent::len).sum();
        let room = recent::MOST.saturating_sub(known) / shares.len().max(1);
        let jobs: Vec<Job> = shares.map(|share| self.job(share, last.epoch, room)).collect();
        let writer = &*self;
        let done: Vec<_> =
            futures::stream::iter(jobs).map(|job| job.run(writer)).buffer_unordered(CONCURRENT).collect().await;
        let (mut written, mut left) = (Written::default(), Vec::new());
        for (Job { share, recent, .. }, end) in done {
            if let Some(recent) = recent {
                self.recent.insert(share.workspace.clone(), recent);
            }
            match end {
                End::Landed(mut open, version) => {
                    self.collisions += std::mem::take(&mut open.table.collisions);
                    if share.rows.kind() == TableKind::Facts {
                        written.versions.push((share.workspace.clone(), version));
                    }
                    self.tables.insert(share.table(), *open);
                }
                End::Poison(seq, reason) => {
                    written.poison.push((Position { seq, ..last }, reason));
                    left.extend(share.end().is_some().then_some(share));
                }
            }
        }
        written.left = (!left.is_empty()).then_some(Flush { last, shares: left });
        written
    }

    fn job(&mut self, share: Share, epoch: u64, room: usize) -> Job {
        let open = self.tables.remove(&share.table());
        let recent = match share.rows.kind() {
            TableKind::Facts => self.recent.remove(&share.workspace),
            _ => None,
        };
        Job { open, recent, room, share, epoch, landed: None, upload: None }
    }
}

/// How a job ends.
enum End {
    /// All is in the table, which has this version.
    Landed(Box<Open>, i64),
    /// This record's rows cannot be written.
    Poison(u64, &'static str),
}

/// Why an attempt failed.
enum Fault {
    /// The lake is away, or not as it should be: no record is to blame.
    Lake(LakeError),
    /// These rows cannot be written, wherever the lake is.
    Rows(&'static str),
}

impl Fault {
    /// Of making files: the store's errors are the lake's, the others the rows'.
    fn of_files(error: LakeError) -> Fault {
        match error {
            LakeError::Arrow(_) | LakeError::Parquet { .. } => Fault::Rows("rows do not fit the schema"),
            LakeError::Task { panicked: true } => Fault::Rows("encoding panics"),
            error => Fault::Lake(error),
        }
    }

    fn of_commit(error: LakeError) -> Fault {
        match error {
            LakeError::Entry { .. } => Fault::Rows("the log entry cannot be made"),
            error => Fault::Lake(error),
        }
    }
}

/// One table's part of a flush, being written.
struct Job {
    open: Option<Open>,
    recent: Option<Recent>,
    /// So many facts may be known of this table.
    room: usize,
    share: Share,
    epoch: u64,
    /// So far the table was at the last attempt.
    landed: Option<u64>,
    /// Files that are written and not committed.
    upload: Option<Vec<NewFile>>,
}

impl Job {
    async fn run(mut self, writer: &Writer) -> (Job, End) {
        let mut backoff = Backoff::default();
        loop {
            match self.attempt(writer).await {
                Ok((open, version)) => {
                    backoff.reset();
                    self.share.landed();
                    self.upload = None;
                    if self.share.end().is_none() {
                        return (self, End::Landed(Box::new(open), version));
                    }
                    self.open = Some(open);
                }
                Err(Fault::Lake(error)) => {
                    let wait = backoff.fail();
                    self.complain(&error, wait);
                    if !error.is_transient() {
                        // The uploaded files may be the reason: too old, or gone.
                        self.upload = None;
                    }
                    tokio::time::sleep(wait).await;
                }
                Err(Fault::Rows(reason)) => {
                    self.upload = None;
                    let (workspace, table) = (&self.share.workspace, self.share.rows.kind().name());
                    tracing::error!(%workspace, table, reason, "rows cannot be written, looking for the record");
                    if let Some(seq) = self.share.failed(self.landed) {
                        return (self, End::Poison(seq, reason));
                    }
                }
            }
        }
    }

    fn complain(&self, error: &LakeError, wait: Duration) {
        let (workspace, table, rows) = (&self.share.workspace, self.share.rows.kind().name(), self.share.rows.count());
        if error.is_transient() {
            tracing::warn!(%workspace, table, rows, %error, ?wait, "rows not appended, trying again");
        } else {
            tracing::error!(%workspace, table, rows, %error, ?wait, "rows not appended, trying again");
        }
    }

    /// On an error the handle is dropped, so that the next attempt sees the newest log, in which this attempt's
    /// commit may stand after all.
    async fn attempt(&mut self, writer: &Writer) -> Result<(Open, i64), Fault> {
        let id = format!("{}/{:016x}", writer.journal, self.epoch);
        let open = match self.open.take() {
            Some(open) if open.epoch == self.epoch => open,
            _ => Open::load(writer, self.share.table(), self.epoch, &id).await.map_err(Fault::Lake)?,
        };
        self.landed = open.landed;
        if self.recent.is_none() && self.share.rows.kind() == TableKind::Facts {
            self.recent = Some(Recent::of(&open.table, self.room).await.map_err(Fault::Lake)?);
        }
        // The table could be read just now: what panics from here on does so over the rows. Nothing is seen again of what
        // it leaves, the handle goes with it.
        let appending = AssertUnwindSafe(self.append(open, id)).catch_unwind();
        appending.await.unwrap_or(Err(Fault::Rows("writing panics")))
    }

    async fn append(&mut self, mut open: Open, id: String) -> Result<(Open, i64), Fault> {
        let Some(end) = self.share.end() else {
            let version = open.table.version();
            return Ok((open, version));
        };
        let blocks = self.share.rows.between(self.share.after(open.landed), end).map_err(Fault::of_files)?;
        let blocks = match &self.recent {
            Some(recent) => recent.leave_out(blocks).map_err(Fault::of_files)?,
            None => blocks,
        };
        if blocks.is_empty() {
            let version = open.table.version();
            return Ok((open, version));
        }
        let add = self.upload(&open.table, blocks).await.map_err(Fault::of_files)?;
        let transaction = Some((id, i64::try_from(end).unwrap_or(i64::MAX)));
        let change = Change { add, transaction, ..Change::default() };
        let version = open.table.commit(change).await.map_err(Fault::of_commit)?;
        open.landed = Some(end);
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
        (workspace, kind): (Workspace, TableKind),
        epoch: u64,
        id: &str,
    ) -> Result<Open, LakeError> {
        let mut table = writer.lake.table(&workspace, kind, &writer.key).await?;
        let landed = table.transaction_version(id).await?.and_then(|version| u64::try_from(version).ok());
        Ok(Open { table, epoch, landed })
    }
}
