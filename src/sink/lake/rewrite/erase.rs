//! Sessions, out of everything that a workspace has in the lake.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Gone, Judge, Purged, Rewritten, Selection, Verdict, purge, rewrite};
use crate::model::{Event, Fact, Session, Workspace};
use crate::sink::lake::holds::Holds;
use crate::sink::lake::lease::Fence;
use crate::sink::lake::marks::Marks;
use crate::sink::lake::row::Row;
use crate::sink::lake::{Lake, LakeError, TableKind};

/// What is kept of an erased session's fact, under another session's name: costs without what they were spent on.
pub type Keep = KeepOf<Fact>;

type KeepOf<R> = Arc<dyn Fn(&R) -> Option<R> + Send + Sync>;

/// Rows that were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub facts: usize,
    pub events: usize,
    pub sessions: usize,
}

impl Rows {
    fn count(&mut self, kind: TableKind, rows: usize) {
        match kind {
            TableKind::Facts => self.facts += rows,
            TableKind::Events => self.events += rows,
            TableKind::Sessions => self.sessions += rows,
            // Nothing in it is of a session.
            TableKind::Audit => {}
        }
    }
}

/// What an erasure did. Names objects and numbers alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Objects that held rows of the sessions, and objects that took their place.
    pub objects_before: usize,
    pub objects_after: usize,
    pub bytes_before: u64,
    pub bytes_after: u64,
    /// Rows of all sessions, and of each.
    pub rows: Rows,
    pub of_sessions: HashMap<String, Rows>,
    /// Sessions that kept facts were put under: they are to be sealed.
    pub kept_in: BTreeSet<String>,
    pub purged: Purged,
}

impl Erased {
    /// Whether nothing of the sessions is left, but for what [`Purged::remaining`] names.
    pub fn is_complete(&self) -> bool {
        self.purged.waiting == 0
    }

    fn count(&mut self, kind: TableKind, rewritten: Rewritten) {
        self.objects_before += rewritten.removed.len();
        self.objects_after += rewritten.added;
        self.bytes_before += rewritten.bytes_before;
        self.bytes_after += rewritten.bytes_after;
        self.rows.count(kind, rewritten.rows_dropped + rewritten.rows_replaced);
        for (session, rows) in rewritten.of_sessions {
            self.of_sessions.entry(session).or_default().count(kind, rows);
        }
        self.kept_in.extend(rewritten.moved_to);
    }
}

/// What is to be erased, and how.
#[derive(Clone)]
pub struct Erasure {
    pub sessions: HashSet<String>,
    pub keep: Option<Keep>,
    /// See [`Gone::uploads_over_since`].
    pub uploads_over_since: Option<i64>,
}

/// Passes over a workspace at most: a writer that brings facts of the sessions again and again has not heard of their
/// erasure, and the caller is to make it.
const PASSES: usize = 8;

/// Removes all rows of the sessions from `facts`, `events` and `sessions`, then every file, log entry, checkpoint and mark
/// that still holds or describes them, and looks again until versions that came meanwhile hold none. Whatever cuts it off,
/// the same call finishes it. Other sessions' rows stay as they are.
///
/// The caller has the lease, has told all writers to take no more facts of the sessions, and seals nothing of the workspace
/// meanwhile.
///
/// # Errors
/// `Held`: a legal hold forbids it. `Fenced`: another process maintains the lake now. `Contended`: facts of the sessions keep coming. Others: the store.
pub async fn erase_sessions(
    lake: &Lake,
    workspace: &Workspace,
    fence: Fence,
    erasure: &Erasure,
) -> Result<Erased, LakeError> {
    refuse_held(lake, workspace, &erasure.sessions).await?;
    let erasing: BoxFuture<'_, _> = erase(lake, workspace, fence, erasure).boxed();
    erasing.await
}

async fn erase(lake: &Lake, workspace: &Workspace, fence: Fence, erasure: &Erasure) -> Result<Erased, LakeError> {
    let (mut erased, sessions) = (Erased::default(), &erasure.sessions);
    for _ in 0..PASSES {
        // Facts first: events are made of them.
        let facts: Judge<Fact> = judge(sessions, erasure.keep.clone());
        erase_from::<Fact>(lake, workspace, fence, erasure, &facts, &mut erased).await?;
        erase_from::<Event>(lake, workspace, fence, erasure, &judge(sessions, None), &mut erased).await?;
        erase_from::<Session>(lake, workspace, fence, erasure, &judge(sessions, None), &mut erased).await?;
        if !any_left(lake, workspace, sessions).await? {
            if let Some(key) = lake.stored_key().await? {
                erased.purged.and(Marks::new(lake, &key, workspace).remove(sessions).await?);
            }
            return Ok(erased);
        }
    }
    Err(LakeError::Contended { table: format!("{workspace}/facts"), seconds: 0 })
}

async fn refuse_held(lake: &Lake, workspace: &Workspace, sessions: &HashSet<String>) -> Result<(), LakeError> {
    let Some(key) = lake.stored_key().await? else { return Ok(()) };
    let held = Holds::new(lake, &key, workspace).held(lake, workspace).await?;
    match held.sessions.intersection(sessions).count() {
        0 => Ok(()),
        sessions => Err(LakeError::Held { workspace: workspace.to_string(), sessions }),
    }
}

fn judge<R: Row + 'static>(sessions: &HashSet<String>, keep: Option<KeepOf<R>>) -> Judge<R> {
    let sessions = sessions.clone();
    Arc::new(move |row: &R| match row.session() {
        Some(session) if sessions.contains(session) => match keep.as_ref().and_then(|keep| keep(row)) {
            // What is kept under the same name is not erased.
            Some(kept) if kept.session() != row.session() => Verdict::Replace(Box::new(kept)),
            _ => Verdict::Drop,
        },
        _ => Verdict::Keep,
    })
}

async fn erase_from<R: Row + 'static>(
    lake: &Lake,
    workspace: &Workspace,
    fence: Fence,
    erasure: &Erasure,
    judge: &Judge<R>,
    erased: &mut Erased,
) -> Result<(), LakeError> {
    let Erasure { sessions, uploads_over_since, .. } = erasure;
    let Some(mut table) = lake.existing(workspace, R::KIND).await? else { return Ok(()) };
    let selection = Selection { sessions: Some(sessions), ..Selection::ALL };
    loop {
        let rewritten = rewrite(&mut table, fence, &selection, judge).await?;
        let nothing = rewritten.is_nothing();
        erased.count(R::KIND, rewritten);
        if nothing {
            break;
        }
    }
    let gone = Gone { sessions: Some(sessions), uploads_over_since: *uploads_over_since, ..Gone::default() };
    let purged = purge(&mut table, gone).await?;
    // Waiting files are those of the last look.
    erased.purged.waiting = if R::KIND == TableKind::Facts { 0 } else { erased.purged.waiting };
    erased.purged.and(purged);
    Ok(())
}

/// Whether a table got files of the sessions while others were worked on.
async fn any_left(lake: &Lake, workspace: &Workspace, sessions: &HashSet<String>) -> Result<bool, LakeError> {
    for kind in [TableKind::Facts, TableKind::Events, TableKind::Sessions] {
        let Some(table) = lake.existing(workspace, kind).await? else { continue };
        let tags = table.session_tags(sessions);
        // What is appended is listed. Of files that are not, every one was read that may hold them.
        if table.state.files.values().any(|file| file.listed().is_some() && file.may_hold(&tags)) {
            return Ok(true);
        }
    }
    Ok(false)
}
