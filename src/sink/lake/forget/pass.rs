//! One pass over the tables of a workspace, for all requests that are due in it together: what one of them costs, reading
//! files and cleaning the log, is the same for a hundred.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::super::audit;
use super::super::commit::APPEND_LIFETIME;
use super::super::error::LakeError;
use super::super::holds::Holds;
use super::super::lease::Fence;
use super::super::open::Lake;
use super::super::rewrite::{COMMIT_MARGIN, Erased, Erasure, Keep, erase_sessions};
use super::super::tombstones::{Tombstones, name};
use super::request::{Ack, Progress, Request, Requests};
use super::work::Forgotten;
use crate::clock::Clock;
use crate::model::{AuditEntry, Columns, Fact, Workspace, hex};

/// A process that did not say for that long that it lives is not waited for. It overwrites what its journal has when it
/// comes back, before anything else; until then the receipt names it.
const SILENT: TimeDelta = TimeDelta::seconds(60);
/// One that lives and does not acknowledge is named as well after that long, microseconds.
const GIVE_UP: i64 = 600_000_000;
/// Requests that are read or written at the same time.
const CONCURRENT: usize = 16;

/// When each process said last that it lives.
type Heard = BTreeMap<String, DateTime<Utc>>;

/// A request, and who has something of its sessions still.
struct Case {
    request: Request,
    acks: BTreeMap<String, Ack>,
    /// Journals that are waited for, and those that are not any more.
    waiting: Vec<String>,
    silent: Vec<String>,
    /// Since when no process will commit a file that it uploaded before it heard of the request, UTC microseconds.
    uploads_over_since: Option<i64>,
}

/// What a pass is made with.
#[derive(Clone)]
pub struct Pass {
    pub lake: Lake,
    pub requests: Requests,
    pub tombstones: Tombstones,
    pub clock: Clock,
    /// No process but this one maintains the lake, and this one has no journal.
    pub alone: bool,
    pub workspace: Workspace,
    pub fence: Fence,
}

impl Pass {
    /// Takes the requests' sessions out of the tables; says which requests are done.
    ///
    /// Boxed, because the compiler cannot see through streams of borrows that it may move between threads.
    ///
    /// # Errors
    /// `Fenced`: another process maintains the lake now. Others: the store; nothing is lost, do it again.
    pub fn run(self, due: Vec<Request>, outcome: &mut Forgotten) -> BoxFuture<'_, Result<HashSet<String>, LakeError>> {
        async move {
            // No process takes anything of them any more, whoever stored a request without getting that far.
            for request in &due {
                request.bury(&self.tombstones);
            }
            let free = self.without_held(due).await?;
            let (over, waited): (Vec<Case>, Vec<Case>) =
                self.cases(free).await?.into_iter().partition(|case| case.uploads_over_since.is_some());
            let mut done = HashSet::new();
            for cases in [over, waited] {
                done.extend(self.group(cases, outcome).await?);
            }
            Ok(done)
        }
        .boxed()
    }

    /// The requests that no legal hold stops.
    async fn without_held(&self, due: Vec<Request>) -> Result<Vec<Request>, LakeError> {
        let holds = Holds::new(&self.lake, self.tombstones.key(), &self.workspace);
        let held = holds.held(&self.lake, &self.workspace).await?;
        let is_held = |request: &Request| request.sessions.iter().any(|id| held.holds(Some(id), &Columns::default()));
        let (stopped, free): (Vec<_>, Vec<_>) = due.into_iter().partition(is_held);
        for request in stopped {
            self.note(&request.id, None, Some("a legal hold to be removed".to_owned())).await?;
        }
        Ok(free)
    }

    async fn cases(&self, requests: Vec<Request>) -> Result<Vec<Case>, LakeError> {
        let heard = &self.requests.writers().await?;
        let case = |request: Request| async move {
            let acks = self.requests.acks(&request.id).await?;
            Ok::<_, LakeError>(self.case(request, acks, heard))
        };
        futures::stream::iter(requests).map(case).buffered(CONCURRENT).try_collect().await
    }

    fn case(&self, request: Request, acks: BTreeMap<String, Ack>, heard: &Heard) -> Case {
        // By the store's clock; where nobody writes to it, ours has to do.
        let ours = self.alone.then(|| DateTime::from_timestamp_micros(self.clock.now())).flatten();
        let newest = heard.values().copied().chain(ours).max();
        let silent_for = |at: &DateTime<Utc>| newest.map_or(TimeDelta::MAX, |newest| newest - *at);
        let given_up = self.clock.now().saturating_sub(request.at) > GIVE_UP;
        let missing = heard.iter().filter(|(journal, _)| !acks.contains_key(*journal));
        let (waiting, silent): (Vec<_>, Vec<_>) = missing.partition(|(_, at)| !given_up && silent_for(at) < SILENT);
        // One that was stopped and wakes finds its uploads too old to commit.
        let lifetime = TimeDelta::microseconds(APPEND_LIFETIME.saturating_add(COMMIT_MARGIN));
        let over = waiting.is_empty() && silent.iter().all(|(_, at)| silent_for(at) > lifetime);
        let last = acks.values().map(|ack| ack.at).max().unwrap_or(request.at);
        let uploads_over_since = over.then(|| last.max(request.at));
        let names = |list: Vec<(&String, _)>| list.into_iter().map(|(journal, _)| journal.clone()).collect();
        let (waiting, silent) = (names(waiting), names(silent));
        Case { request, acks, waiting, silent, uploads_over_since }
    }

    /// Erases the sessions of requests whose uploads are over, or are not, together.
    async fn group(&self, cases: Vec<Case>, outcome: &mut Forgotten) -> Result<Vec<String>, LakeError> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let erasure = Erasure {
            sessions: cases.iter().flat_map(|case| case.request.sessions.iter().cloned()).collect(),
            keep: Some(self.keep()),
            uploads_over_since: cases.iter().filter_map(|case| case.uploads_over_since).max(),
        };
        let erased = &erase_sessions(&self.lake, &self.workspace, self.fence, &erasure).await?;
        outcome.changed |= erased.objects_before > 0;
        outcome.kept_in.extend(erased.kept_in.iter().cloned());
        let concluded = futures::stream::iter(cases).map(|case| self.conclude(case, erased));
        let receipts: Vec<Option<AuditEntry>> = concluded.buffer_unordered(CONCURRENT).try_collect().await?;
        let receipts: Vec<AuditEntry> = receipts.into_iter().flatten().collect();
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        audit::record(&self.lake, self.tombstones.key(), &self.workspace, &receipts).await?;
        let done: Vec<String> = receipts.into_iter().map(|receipt| receipt.request_id).collect();
        let removed = futures::stream::iter(done.clone()).map(|id| self.remove(id)).buffer_unordered(CONCURRENT);
        removed.try_collect::<()>().await?;
        Ok(done)
    }

    /// What a fact of an erased session leaves: as its tombstone says.
    fn keep(&self) -> Keep {
        let (tombstones, workspace) = (self.tombstones.clone(), self.workspace.clone());
        Arc::new(move |fact: &Fact| {
            let buried = tombstones.find(&workspace, fact.session_id.as_deref()?)?;
            buried.keeps_costs.then(|| tombstones.costs(&workspace, std::slice::from_ref(fact)).pop()).flatten()
        })
    }

    async fn remove(&self, id: String) -> Result<(), LakeError> {
        self.requests.remove(&id).await?;
        tracing::info!(workspace = %self.workspace, request = id, "sessions are forgotten");
        Ok(())
    }

    /// Notes how far a request has come; its receipt, if it is done.
    async fn conclude(&self, case: Case, erased: &Erased) -> Result<Option<AuditEntry>, LakeError> {
        let waits_for = match (case.waiting.is_empty(), erased.purged.waiting) {
            (false, _) => Some(format!("journals of {}", case.waiting.join(", "))),
            (true, 0) => None,
            (true, files) => Some(format!("{files} files that were being written")),
        };
        let is_done = waits_for.is_none();
        let progress = self.note(&case.request.id, Some((&case.request, erased)), waits_for).await?;
        if !is_done {
            return Ok(None);
        }
        Ok(Some(self.receipt(&case, &progress, &erased.purged.remaining)))
    }

    /// Adds to what is stored of a request's progress, where it changes anything.
    async fn note(
        &self,
        id: &str,
        done: Option<(&Request, &Erased)>,
        waits_for: Option<String>,
    ) -> Result<Progress, LakeError> {
        let old = self.requests.progress(id).await?;
        let mut progress = Progress { waits_for, ..old.clone() };
        if let Some((request, erased)) = done {
            add(&mut progress, request, erased);
        }
        if progress != old {
            self.requests.set_progress(id, &progress).await?;
        }
        Ok(progress)
    }

    fn receipt(&self, case: &Case, progress: &Progress, remaining: &[String]) -> AuditEntry {
        let (request, key) = (&case.request, self.tombstones.key());
        let names = request.sessions.iter().take(AuditEntry::MOST_NAMES);
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let complete = case.silent.is_empty() && remaining.is_empty();
        AuditEntry {
            request_id: request.id.clone(),
            action: request.kind.action().to_owned(),
            time: self.clock.now(),
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
            journal_records: count(case.acks.values().map(|ack| ack.records).sum()),
            objects_before: count(progress.objects_before),
            objects_after: count(progress.objects_after),
            bytes_before: count(progress.bytes_before),
            bytes_after: count(progress.bytes_after),
            silent_writers: case.silent.clone(),
            remaining: remaining.to_vec(),
            ..AuditEntry::default()
        }
    }
}

fn add(progress: &mut Progress, request: &Request, erased: &Erased) {
    let rows = request.sessions.iter().filter_map(|session| erased.of_sessions.get(session));
    let before = (progress.facts, progress.events, progress.sessions);
    for rows in rows {
        progress.facts += rows.facts as u64;
        progress.events += rows.events as u64;
        progress.sessions += rows.sessions as u64;
    }
    if before == (progress.facts, progress.events, progress.sessions) {
        return;
    }
    progress.passes += 1;
    progress.objects_before += erased.objects_before as u64;
    progress.objects_after += erased.objects_after as u64;
    progress.bytes_before += erased.bytes_before;
    progress.bytes_after += erased.bytes_after;
}
