//! One piece of work on one table, on a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::choose::Form;
use super::handle::Handle;
use super::merge::Merger;
use super::output::discard;
use super::sweep::{Swept, sweep};
use crate::sink::lake::place::Place;
use crate::sink::lake::{Change, Fence, LakeError, NewFile, Table, TableFile, TableKind};

/// What was put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    pub kind: TableKind,
    pub files_before: usize,
    pub files_after: usize,
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub rows: usize,
    pub took: Duration,
}

/// What a chore came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Merged(Merged),
    Swept(Swept),
    /// Its inputs had changed, or it was told to stop: nothing is changed.
    Nothing,
}

enum Work {
    Merge { inputs: Vec<Arc<TableFile>>, task: JoinHandle<Result<Option<Vec<NewFile>>, LakeError>> },
    Sweep(JoinHandle<Result<Swept, LakeError>>),
}

/// A piece of work under way. One that is dropped ends soon, and leaves nothing that is named.
pub struct Chore {
    place: Place,
    started: Instant,
    handle: Handle,
    work: Work,
    _turn: OwnedSemaphorePermit,
}

impl Chore {
    /// Puts files of one partition together; `None` when it is not this workspace's turn.
    pub fn merge(table: &Table, inputs: Vec<Arc<TableFile>>, form: Form, turns: &Arc<Semaphore>) -> Option<Chore> {
        let turn = turns.clone().try_acquire_owned().ok()?;
        let (merger, handle) = (Merger::of(table), Handle::default());
        let (files, ours) = (inputs.clone(), handle.clone());
        let task = tokio::spawn(async move { merger.merge(&files, form, ours).await });
        let work = Work::Merge { inputs, task };
        Some(Chore { place: table.place.clone(), started: Instant::now(), handle, work, _turn: turn })
    }

    /// Writes a checkpoint after `commits`, and removes files that nothing names; `None` when it is not this workspace's
    /// turn.
    pub fn sweep(table: &Table, commits: i64, turns: &Arc<Semaphore>) -> Option<Chore> {
        let turn = turns.clone().try_acquire_owned().ok()?;
        let (reopened, handle) = (table.reopened(), Handle::default());
        let ours = handle.clone();
        let work = Work::Sweep(tokio::spawn(async move { sweep(reopened.await?, commits, &ours).await }));
        Some(Chore { place: table.place.clone(), started: Instant::now(), handle, work, _turn: turn })
    }

    pub fn kind(&self) -> TableKind {
        self.place.kind
    }

    pub fn is_finished(&self) -> bool {
        match &self.work {
            Work::Merge { task, .. } => task.is_finished(),
            Work::Sweep(task) => task.is_finished(),
        }
    }

    /// Waits for the work, and commits what it made to its table. Whoever reads meanwhile sees the rows once, in the
    /// old files or in the new ones. After a crash before the commit the new files are ones that nothing names.
    ///
    /// # Errors
    /// Nothing is changed, unless the store leaves open whether the commit landed.
    pub async fn finish(mut self, table: &mut Table, fence: Fence) -> Result<Done, LakeError> {
        let made = match &mut self.work {
            Work::Merge { task, .. } => task.await??,
            Work::Sweep(task) => return Ok(Done::Swept(task.await??)),
        };
        match (made, &self.work) {
            (Some(add), Work::Merge { inputs, .. }) => self.commit(table, fence, inputs, add).await,
            _ => Ok(Done::Nothing),
        }
    }

    /// Ends the work without its result: when this returns, nothing of it is left, nor will come.
    pub async fn abandon(mut self) {
        self.handle.stop();
        let made = match &mut self.work {
            Work::Merge { task, .. } => task.await,
            Work::Sweep(task) => return drop(task.await),
        };
        if let Ok(Ok(Some(made))) = made {
            discard(&self.place, &made).await;
        }
    }

    async fn commit(
        &self,
        table: &mut Table,
        fence: Fence,
        inputs: &[Arc<TableFile>],
        add: Vec<NewFile>,
    ) -> Result<Done, LakeError> {
        let merged = Merged {
            kind: self.place.kind,
            files_before: inputs.len(),
            files_after: add.len(),
            bytes_before: inputs.iter().map(|file| file.size).sum(),
            bytes_after: add.iter().map(|new| new.file.size).sum(),
            rows: add.iter().map(|new| new.rows).sum(),
            took: self.started.elapsed(),
        };
        let remove = inputs.iter().map(|file| TableFile::clone(file)).collect();
        let change = Change { add: add.clone(), remove, fence: Some(fence), ..Change::default() };
        match table.commit_rearranged(change).await {
            Ok(_) => Ok(Done::Merged(merged)),
            Err(error @ (LakeError::Conflict { .. } | LakeError::Fenced { .. } | LakeError::Stale { .. })) => {
                discard(&table.place, &add).await;
                match error {
                    LakeError::Fenced { .. } => Err(error),
                    _ => Ok(Done::Nothing),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for Chore {
    fn drop(&mut self) {
        self.handle.stop();
    }
}
