//! Taking rows away, and putting others in their place: the one way in which stored rows change.
//!
//! ```text
//! retention  what is too old
//! anew       rows redacted again
//! clean      log entries that nobody needs
//! copy     one file -> new files, a batch at a time
//! slices   many files, some at a time
//! scrub    a log entry without what it says of files that are gone
//! purge    the files that are gone, everywhere: data, older versions, log entries, checkpoints
//! erase    sessions, out of all tables of a workspace
//! ```
//!
//! A rewriting commits removals and additions as one change of data, without any predicate in the log. What it removed is
//! still there by name until [`purge()`] deletes it.

mod anew;
mod clean;
mod copy;
mod erase;
mod purge;
mod retention;
#[cfg(test)]
mod retention_tests;
mod scrub;
mod slices;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

pub use self::anew::Anew;
pub(super) use self::anew::{Redacted, hide_pieces, purge_superseded, redact_anew};
pub(super) use self::clean::clean_log;
pub use self::erase::{Erased, Erasure, Keep, erase_sessions};
pub(super) use self::purge::{COMMIT_MARGIN, purge_versions};
pub use self::purge::{Gone, Purged, purge};
pub(super) use self::retention::{Expired, Tables, expire};
pub use self::retention::{Retention, Retentions};
pub(super) use self::slices::Checked;
use super::lease::Fence;
use super::maintain::discard;
use super::row::Row;
use super::{Change, LakeError, Table, TableFile};
use copy::Copied;

/// What becomes of a row.
#[derive(Debug)]
pub enum Verdict<R> {
    Keep,
    Drop,
    Replace(Box<R>),
}

/// Says what becomes of each row. Called on threads for heavy work.
pub type Judge<R> = Arc<dyn Fn(&R) -> Verdict<R> + Send + Sync>;

/// Which files may hold rows that change.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// Only files that may hold rows of these sessions.
    pub sessions: Option<&'a HashSet<String>>,
    /// Only these partitions: days since 1970-01-01.
    pub dates: RangeInclusive<i32>,
    /// Only these files.
    pub paths: Option<&'a HashSet<String>>,
}

impl Selection<'_> {
    /// Every file.
    pub const ALL: Selection<'static> = Selection { sessions: None, dates: i32::MIN..=i32::MAX, paths: None };

    fn of(&self, table: &Table) -> Vec<TableFile> {
        let tags = self.sessions.map(|sessions| table.session_tags(sessions));
        let files = table.state.files.values().filter(|file| self.dates.contains(&file.date));
        let files = files.filter(|file| self.paths.is_none_or(|paths| paths.contains(&file.path)));
        files.filter(|file| tags.as_ref().is_none_or(|tags| file.may_hold(tags))).cloned().collect()
    }
}

/// What a rewriting did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Files that were removed from the table; they are still there by name.
    pub removed: HashSet<String>,
    /// Files that took their place.
    pub added: usize,
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub rows_dropped: usize,
    pub rows_replaced: usize,
    /// Sessions that replaced rows moved to.
    pub moved_to: BTreeSet<String>,
    /// Rows dropped or replaced, by session, where certain sessions were selected.
    pub of_sessions: HashMap<String, usize>,
}

impl Rewritten {
    pub fn is_nothing(&self) -> bool {
        self.removed.is_empty()
    }

    /// Adds what another one did.
    pub fn and(&mut self, other: Rewritten) {
        self.removed.extend(other.removed);
        self.added += other.added;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
        self.rows_dropped += other.rows_dropped;
        self.rows_replaced += other.rows_replaced;
        self.moved_to.extend(other.moved_to);
        other.of_sessions.into_iter().for_each(|(session, rows)| *self.of_sessions.entry(session).or_default() += rows);
    }
}

/// Files and bytes that one commit replaces, about: bounds what is to be done anew after a conflict.
const COMMIT_FILES: usize = 64;
const COMMIT_BYTES: u64 = 256 << 20;

/// How often a rewriting begins again because files went under it. All who remove files do so under one lease: once is
/// the exception already.
const ATTEMPTS: usize = 8;

/// Shows every row of the selected files to `judge`, and commits what it says, some files at a time. Files of which every
/// row is kept stay as they are. Memory: one batch of rows and one part of a new file.
///
/// # Errors
/// `Fenced`: another process maintains the lake now. `Conflict`: files went under it again and again. Others: the store
/// or a file cannot be read or written; what was committed is committed, and the same call goes on from there.
pub(in crate::sink::lake) async fn rewrite<R: Row + 'static>(
    table: &mut Table,
    fence: Fence,
    selection: &Selection<'_>,
    judge: &Judge<R>,
) -> Result<Rewritten, LakeError> {
    let mut done = Rewritten::default();
    for attempt in 1.. {
        table.refresh().await?;
        match pass(table, fence, selection, judge, &mut done).await {
            Err(LakeError::Conflict { .. }) if attempt < ATTEMPTS => {}
            result => return result.map(|()| done),
        }
    }
    Ok(done)
}

async fn pass<R: Row + 'static>(
    table: &mut Table,
    fence: Fence,
    selection: &Selection<'_>,
    judge: &Judge<R>,
    done: &mut Rewritten,
) -> Result<(), LakeError> {
    let mut slice = Slice::default();
    for file in selection.of(table) {
        if let Some(copied) = copy::copy(table, &file, judge, selection.sessions.is_some()).await? {
            slice.add(file, copied);
        }
        if slice.change.remove.len() >= COMMIT_FILES || slice.done.bytes_before >= COMMIT_BYTES {
            done.and(std::mem::take(&mut slice).commit(table, fence).await?);
        }
    }
    done.and(slice.commit(table, fence).await?);
    Ok(())
}

/// One commit's worth.
#[derive(Default)]
struct Slice {
    change: Change,
    done: Rewritten,
}

impl Slice {
    fn add(&mut self, file: TableFile, copied: Copied) {
        self.done.bytes_before += file.size;
        self.done.bytes_after += copied.new.iter().map(|new| new.file.size).sum::<u64>();
        self.done.added += copied.new.len();
        self.done.rows_dropped += copied.dropped;
        self.done.rows_replaced += copied.replaced;
        self.done.moved_to.extend(copied.moved_to);
        for (session, rows) in copied.of_sessions {
            *self.done.of_sessions.entry(session).or_default() += rows;
        }
        self.done.removed.insert(file.path.clone());
        self.change.remove.push(file);
        self.change.add.extend(copied.new);
    }

    async fn commit(mut self, table: &mut Table, fence: Fence) -> Result<Rewritten, LakeError> {
        if self.change.remove.is_empty() {
            return Ok(self.done);
        }
        self.change.fence = Some(fence);
        let new = self.change.add.clone();
        match table.commit(self.change).await {
            Ok(_) => Ok(self.done),
            Err(error) => {
                if matches!(error, LakeError::Conflict { .. } | LakeError::Fenced { .. }) {
                    // It has certainly not landed: nobody will ever name these files.
                    discard(&table.place, &new).await;
                }
                Err(error)
            }
        }
    }
}

/// Removes files whole, without reading them.
///
/// # Errors
/// As [`rewrite()`].
pub async fn drop_files(table: &mut Table, fence: Fence, files: Vec<TableFile>) -> Result<Rewritten, LakeError> {
    let mut slice = Slice::default();
    let nothing = || Copied::default();
    files.into_iter().for_each(|file| slice.add(file, nothing()));
    slice.commit(table, fence).await
}
