//! Takes sessions out of the tables: the part of the lease's holder.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::audit;
use super::super::commit::APPEND_LIFETIME;
use super::super::error::LakeError;
use super::super::holds::Holds;
use super::super::lease::Fence;
use super::super::open::Lake;
use super::super::rewrite::{COMMIT_MARGIN, Erased, Erasure, Keep, erase_sessions};
use super::super::tombstones::{Tombstones, hex, name};
use super::request::{Progress, Request, Requests};
use crate::clock::Clock;
use crate::model::{AuditEntry, Columns, Fact, Workspace};

/// How often requests are looked for while there are none that anybody told of.
const LOOK: Duration = Duration::from_secs(30);
/// How often they are looked for, and the tables gone through, while there are some.
const AGAIN: Duration = Duration::from_secs(1);
/// A process that did not say for that long that it lives is not waited for. It overwrites what its journal has when it
/// comes back, before anything else; until then the receipt names it.
const SILENT: TimeDelta = TimeDelta::seconds(60);
/// One that lives and does not acknowledge is named as well after that long, microseconds.
const GIVE_UP: i64 = 600_000_000;
/// Requests worked on before sealing goes on.
const AT_ONCE: usize = 4;

/// What a turn of work came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Rows went: the tables are other than before.
    pub changed: bool,
    /// Sessions that got facts: they are to be sealed.
    pub kept_in: BTreeSet<String>,
    /// Requests that are done.
    pub done: usize,
}

/// The processes that may have something of a request's sessions.
struct Writers {
    waiting: Vec<String>,
    silent: Vec<String>,
    /// None of them will commit a file that it uploaded before it heard of the request.
    uploads_are_over: bool,
}

/// Works requests off. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Forgetter(Arc<Inner>);

struct Inner {
    lake: Lake,
    requests: Requests,
    tombstones: Tombstones,
    clock: Clock,
    /// No process but this one maintains the lake, and this one has no journal.
    alone: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pending: Vec<Request>,
    looked: Option<Instant>,
    /// What `Tombstones::changes` said then.
    changes: u64,
    /// When each was worked on last.
    turns: HashMap<String, Instant>,
}

impl std::fmt::Debug for Forgetter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forgetter(..)")
    }
}

impl Forgetter {
    /// For a process that serves the lake, and says so all the time.
    pub fn new(lake: &Lake, tombstones: Tombstones, clock: Clock) -> Forgetter {
        Forgetter::make(lake, tombstones, clock, false)
    }

    /// For a command, which may be the only process there is.
    pub fn alone(lake: &Lake, tombstones: Tombstones, clock: Clock) -> Forgetter {
        Forgetter::make(lake, tombstones, clock, true)
    }

    fn make(lake: &Lake, tombstones: Tombstones, clock: Clock, alone: bool) -> Forgetter {
        let requests = Requests::new(lake);
        Forgetter(Arc::new(Inner { lake: lake.clone(), requests, tombstones, clock, alone, state: Mutex::default() }))
    }

    /// Sessions that nothing is kept of.
    pub fn tombstones(&self) -> &Tombstones {
        &self.0.tombstones
    }

    /// Works on requests of one workspace. The caller holds the lease, and does nothing else in the workspace meanwhile.
    ///
    /// # Errors
    /// `Fenced`: another process maintains the lake now. Others: the store; nothing is lost, call again.
    pub fn work<'a>(
        &self,
        due: Vec<Request>,
        fence: Fence,
        outcome: &'a mut Forgotten,
    ) -> BoxFuture<'a, Result<(), LakeError>> {
        // Boxed, because the compiler cannot see through streams of borrows that it may move between threads.
        let this = self.clone();
        let work = async move {
            for request in due {
                this.advance(&request, fence, outcome).await?;
            }
            Ok(())
        };
        work.boxed()
    }

    /// A request was stored: looks for it at the next turn.
    pub async fn hurry(&self) {
        self.0.state.lock().await.looked = None;
    }

    /// Workspaces that something is to be done in, also those that have no table.
    pub async fn workspaces(&self) -> BTreeSet<Workspace> {
        let state = self.0.state.lock().await;
        state.pending.iter().map(|request| request.workspace.clone()).collect()
    }

    /// Looks for requests, if it is time to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn look(&self) -> BoxFuture<'static, Result<(), LakeError>> {
        let this = self.clone();
        async move { this.look_with(&mut *this.0.state.lock().await).await }.boxed()
    }

    /// A workspace's requests that are to be worked on now.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn due(&self, workspace: &Workspace) -> Result<Vec<Request>, LakeError> {
        let mut state = self.0.state.lock().await;
        self.look_with(&mut state).await?;
        let rested = |id: &str| state.turns.get(id).is_none_or(|turn| turn.elapsed() >= AGAIN);
        let due = state.pending.iter().filter(|request| request.workspace == *workspace && rested(&request.id));
        Ok(due.take(AT_ONCE).cloned().collect())
    }

    async fn look_with(&self, state: &mut State) -> Result<(), LakeError> {
        let changes = self.0.tombstones.changes();
        let every = if state.pending.is_empty() { LOOK } else { AGAIN };
        if state.changes != changes || state.looked.is_none_or(|at| at.elapsed() >= every) {
            state.pending = self.0.requests.pending().await?;
            (state.looked, state.changes) = (Some(Instant::now()), changes);
            let known: HashSet<String> = state.pending.iter().map(|request| request.id.clone()).collect();
            state.turns.retain(|id, _| known.contains(id));
        }
        Ok(())
    }

    async fn advance(&self, request: &Request, fence: Fence, outcome: &mut Forgotten) -> Result<(), LakeError> {
        let Inner { lake, requests, tombstones, .. } = &*self.0;
        // No process takes anything of them any more, whoever stored the request without getting that far.
        request.bury(tombstones);
        if self.is_held(request).await? {
            let progress = requests.progress(&request.id).await?;
            let waits_for = Some("a legal hold to be removed".to_owned());
            requests.set_progress(&request.id, &Progress { waits_for, ..progress }).await?;
            self.0.state.lock().await.turns.insert(request.id.clone(), Instant::now());
            return Ok(());
        }
        let Writers { waiting, silent, uploads_are_over } = self.writers(request).await?;
        let acknowledged = waiting.is_empty();
        let erasure = Erasure {
            sessions: request.sessions.iter().cloned().collect(),
            keep: request.keeps_costs.then(|| self.keep(&request.workspace)),
            uploads_are_over,
        };
        let erased = erase(lake.clone(), request.workspace.clone(), fence, erasure).await?;
        outcome.changed |= erased.objects_before > 0;
        outcome.kept_in.extend(erased.kept_in.iter().cloned());
        let mut progress = requests.progress(&request.id).await?;
        add(&mut progress, &erased);
        let complete = erased.is_complete();
        progress.waits_for = match (acknowledged, complete) {
            (false, _) => Some(format!("journals of {}", waiting.join(", "))),
            (true, false) => Some(format!("{} files that their writer may still commit", erased.purged.waiting)),
            (true, true) => None,
        };
        requests.set_progress(&request.id, &progress).await?;
        if acknowledged && complete {
            let entry = self.receipt(request, &progress, silent, erased.purged.remaining).await?;
            audit::record(lake, tombstones.key(), &request.workspace, &entry).await?;
            requests.remove(&request.id).await?;
            outcome.done += 1;
            tracing::info!(workspace = %request.workspace, request = request.id, "sessions are forgotten");
        }
        let mut state = self.0.state.lock().await;
        match acknowledged && complete {
            true => state.pending.retain(|pending| pending.id != request.id),
            false => drop(state.turns.insert(request.id.clone(), Instant::now())),
        }
        Ok(())
    }

    /// Whether a legal hold stops the erasure.
    async fn is_held(&self, request: &Request) -> Result<bool, LakeError> {
        let Inner { lake, tombstones, .. } = &*self.0;
        let holds = Holds::new(lake, tombstones.key(), &request.workspace);
        let held = holds.held(lake, &request.workspace).await?;
        Ok(request.sessions.iter().any(|session| held.holds(Some(session), &Columns::default())))
    }

    /// Processes that are waited for, and those that are not any more.
    async fn writers(&self, request: &Request) -> Result<Writers, LakeError> {
        let writers = self.0.requests.writers().await?;
        let acks = self.0.requests.acks(&request.id).await?;
        // By the store's clock; where nobody writes to it, ours has to do.
        let ours = self.0.alone.then(|| DateTime::from_timestamp_micros(self.0.clock.now())).flatten();
        let newest = writers.values().copied().chain(ours).max();
        let given_up = self.0.clock.now().saturating_sub(request.at) > GIVE_UP;
        let missing = writers.into_iter().filter(|(journal, _)| !acks.contains_key(journal));
        let (waiting, silent): (Vec<_>, Vec<_>) =
            missing.partition(|(_, heard)| !given_up && newest.is_some_and(|newest| newest - *heard < SILENT));
        // One that was stopped and wakes finds its uploads too old to commit.
        let lifetime = TimeDelta::microseconds(APPEND_LIFETIME.saturating_add(COMMIT_MARGIN));
        let is_over = |heard: &DateTime<_>| newest.is_some_and(|newest| newest - *heard > lifetime);
        let uploads_are_over = waiting.is_empty() && silent.iter().all(|(_, heard)| is_over(heard));
        let names = |list: Vec<(String, _)>| list.into_iter().map(|(journal, _)| journal).collect();
        Ok(Writers { waiting: names(waiting), silent: names(silent), uploads_are_over })
    }

    /// What a fact of an erased session leaves.
    fn keep(&self, workspace: &Workspace) -> Keep {
        let (tombstones, workspace) = (self.0.tombstones.clone(), workspace.clone());
        Arc::new(move |fact: &Fact| tombstones.costs(&workspace, std::slice::from_ref(fact)).pop())
    }

    async fn receipt(
        &self,
        request: &Request,
        progress: &Progress,
        silent_writers: Vec<String>,
        remaining: Vec<String>,
    ) -> Result<AuditEntry, LakeError> {
        let acks = self.0.requests.acks(&request.id).await?;
        let key = self.0.tombstones.key();
        let names = request.sessions.iter().take(AuditEntry::MOST_NAMES);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let complete = silent_writers.is_empty() && remaining.is_empty();
        Ok(AuditEntry {
            request_id: request.id.clone(),
            action: request.kind.action().to_owned(),
            time: self.0.clock.now(),
            requested_at: request.at,
            who: request.by.clone(),
            how: request.how.clone(),
            reason: request.reason.clone(),
            outcome: if complete { "done" } else { "incomplete" }.to_owned(),
            names: names.map(|session| hex(&name(key, session))).collect(),
            session_count: request.sessions.len() as i64,
            fact_rows: count(progress.facts),
            event_rows: count(progress.events),
            session_rows: count(progress.sessions),
            journal_records: count(acks.values().map(|ack| ack.records).sum()),
            objects_before: count(progress.objects_before),
            objects_after: count(progress.objects_after),
            bytes_before: count(progress.bytes_before),
            bytes_after: count(progress.bytes_after),
            silent_writers,
            remaining,
        })
    }
}

/// Boxed, because the compiler cannot see through streams of borrows that it may move between threads.
fn erase(
    lake: Lake,
    workspace: Workspace,
    fence: Fence,
    erasure: Erasure,
) -> BoxFuture<'static, Result<Erased, LakeError>> {
    async move { erase_sessions(&lake, &workspace, fence, &erasure).await }.boxed()
}

fn add(progress: &mut Progress, erased: &Erased) {
    progress.passes += 1;
    progress.facts += erased.facts as u64;
    progress.events += erased.events as u64;
    progress.sessions += erased.sessions as u64;
    progress.objects_before += erased.objects_before as u64;
    progress.objects_after += erased.objects_after as u64;
    progress.bytes_before += erased.bytes_before;
    progress.bytes_after += erased.bytes_after;
}
