//! Sealing of one workspace: which facts are new, whose sessions are due, and one round of replacing their rows.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use futures::StreamExt;

use super::again::Again;
use super::damage::Damage;
use super::expire::Expiring;
use super::folding::{Gathered, Outcome, Work, fold_all};
use super::gather::Gathering;
use super::index::{Added, FileIndex};
use super::live::{Now, Sessions, touches};
use super::rewrite::{RUNNING_PER_FILE, Rows, rewrite};
use super::upkeep::Upkeep;
use super::{Progress, Report, SealOptions};
use crate::model::{LakeKey, Status, Workspace};
use crate::sink::lake::forget::{Forgetter, Forgotten};
use crate::sink::lake::marks::{Mark, Marks};
use crate::sink::lake::{Fence, Lake, LakeError, Table, TableFile, TableKind};

/// The application transaction of `sessions` that says up to which `facts` version sealing has come.
pub const TRANSACTION: &str = "seal";

/// Fact files read at the same time: on S3 a read is mostly waiting.
const READS: usize = 16;

/// Scanning stops while that many sessions are due: what is known of them stays small, and the newest ends are not
/// kept waiting by a long backlog.
const BACKLOG: usize = 4096;
/// Files that are tried beside one that cannot be read.
const LOOK_AHEAD: usize = 64;

/// A workspace's tables with what sealing knows of them. Holds ids, times and file names, no content; lost without
/// harm, because [`WorkspaceSealer::open`] finds it again in the tables.
pub struct WorkspaceSealer {
    pub(super) lake: Lake,
    pub(super) workspace: Workspace,
    pub(super) fence: Fence,
    pub(super) marks: Marks,
    pub(super) facts: Table,
    pub(super) events: Table,
    pub(super) sessions: Table,
    pub(super) fact_files: FileIndex,
    pub(super) event_files: FileIndex,
    pub(super) session_files: FileIndex,
    /// Files whose sessions are not known yet, in order of version.
    pub(super) unscanned: VecDeque<Added>,
    /// The `facts` version up to which files were scanned.
    scanned: i64,
    /// The version that the stored transaction says.
    recorded: i64,
    pub(super) live: Sessions,
    pub(super) damage: Damage,
    pub(super) options: SealOptions,
    pub(super) expiring: Expiring,
    pub(super) again: Again,
    /// Sessions in the next round: halved when one took too much memory, doubled when one went well.
    limit: usize,
    pub(super) upkeep: Upkeep,
}

impl WorkspaceSealer {
    /// Opens the tables and picks up where sealing stopped: facts after the stored transaction are new, and sessions
    /// stored as running are due.
    pub async fn open(
        lake: &Lake,
        key: &LakeKey,
        workspace: &Workspace,
        fence: Fence,
        options: &SealOptions,
        now: Now,
    ) -> Result<WorkspaceSealer, LakeError> {
        let mut facts = lake.table(workspace, TableKind::Facts, key).await?;
        let mut events = lake.table(workspace, TableKind::Events, key).await?;
        let mut sessions = lake.table(workspace, TableKind::Sessions, key).await?;
        for table in [&mut facts, &mut events, &mut sessions] {
            table.raise(fence).await?;
        }
        let recorded = sessions.transaction_version(TRANSACTION).await?.unwrap_or(-1);
        // A version beyond the table's is another table's: `facts` was made anew.
        let known = if recorded > facts.version() { -1 } else { recorded };
        let mut sealer = WorkspaceSealer {
            lake: lake.clone(),
            workspace: workspace.clone(),
            fence,
            marks: Marks::new(lake, key, workspace),
            fact_files: FileIndex::load(&facts).await?,
            event_files: FileIndex::load(&events).await?,
            session_files: FileIndex::load(&sessions).await?,
            unscanned: FileIndex::at(known).advance(&facts).await?.into(),
            scanned: known,
            recorded,
            live: Sessions::new(options.timing),
            damage: Damage::default(),
            expiring: Expiring::default(),
            again: Again::default(),
            options: options.clone(),
            limit: options.round_sessions,
            upkeep: Upkeep::default(),
            facts,
            events,
            sessions,
        };
        sealer.resume(now).await?;
        Ok(sealer)
    }

    /// Follows the sessions stored as running. Only small files can hold them, see [`RUNNING_PER_FILE`].
    async fn resume(&mut self, now: Now) -> Result<(), LakeError> {
        let small = |file: &&Arc<TableFile>| file.listed().is_some_and(|tags| tags.len() <= RUNNING_PER_FILE);
        let files: Vec<_> = self.session_files.files().filter(small).cloned().collect();
        let table = &self.sessions;
        let mut reads = futures::stream::iter(files)
            .map(|file| async move { table.read_sessions(&file, None).await })
            .buffer_unordered(READS);
        while let Some(sessions) = reads.next().await {
            for session in sessions?.into_iter().filter(|session| session.status == Status::Running) {
                self.live.resume(session.session_id, self.recorded + 1, now);
            }
        }
        Ok(())
    }

    /// Moves to the newest version of the tables.
    pub async fn catch_up(&mut self) -> Result<(), LakeError> {
        self.follow().await?;
        self.events.refresh().await?;
        self.event_files.advance(&self.events).await?;
        // After a failed commit nobody knows whether it landed, and with it the transaction.
        self.recorded = self.sessions.transaction_version(TRANSACTION).await?.unwrap_or(-1);
        self.session_files.advance(&self.sessions).await?;
        Ok(())
    }

    /// Moves to the newest version of `facts`: the other tables change by our own commits alone.
    pub async fn follow(&mut self) -> Result<(), LakeError> {
        self.facts.refresh().await?;
        let unread: HashSet<String> = self.unscanned.iter().map(|added| added.file.path.clone()).collect();
        let new = self.fact_files.advance_past(&self.facts, &unread).await?;
        self.unscanned.retain(|added| self.fact_files.has(&added.file.path));
        self.unscanned.extend(new);
        Ok(())
    }

    /// Takes note of what was committed through the tables of this sealer, by whatever it did with them last.
    pub(super) async fn note_changes(&mut self) -> Result<(), LakeError> {
        self.unscanned.extend(self.fact_files.advance(&self.facts).await?);
        self.event_files.advance(&self.events).await?;
        self.session_files.advance(&self.sessions).await?;
        Ok(())
    }

    /// Takes sessions out of the tables that are to be forgotten; between rounds, because a round would put back what it
    /// has read.
    pub async fn forget(&mut self, now: Now) -> Result<(), LakeError> {
        let Some(forgetter) = self.options.forgetter.clone() else { return Ok(()) };
        let mut outcome = Forgotten::default();
        let worked = self.take_out(&forgetter, &mut outcome, now).await;
        // What failed may have changed the tables all the same.
        if outcome.changed || worked.is_err() {
            self.catch_up().await?;
        }
        for session in outcome.kept_in {
            self.live.resume(session, self.recorded + 1, now);
        }
        match worked {
            Err(error @ LakeError::Fenced { .. }) => Err(error),
            Err(error) => {
                tracing::warn!(workspace = %self.workspace, %error, "sessions not forgotten yet, trying again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn take_out(&mut self, forgetter: &Forgetter, outcome: &mut Forgotten, now: Now) -> Result<(), LakeError> {
        let due = forgetter.due(&self.workspace).await?;
        if due.is_empty() {
            return Ok(());
        }
        self.upkeep.abandon(now).await;
        forgetter.work(&self.workspace, due, self.fence, outcome).await
    }

    /// Whether nothing of a session may be stored.
    fn is_buried(&self, session: &str) -> bool {
        let forgetter = self.options.forgetter.as_ref();
        forgetter.is_some_and(|forgetter| forgetter.tombstones().contains(&self.workspace, session))
    }

    /// Learns which sessions new files speak of.
    pub async fn scan(&mut self, now: Now) -> Result<(), LakeError> {
        while let Some(Added { version, file }) = self.unscanned.front() {
            if self.live.due_count(now) >= BACKLOG {
                return Ok(());
            }
            let facts = match self.facts.read_seen(file).await {
                Ok(facts) => facts,
                Err(error) => match self.damage.note(&file.path, error) {
                    Ok(()) => Vec::new(),
                    Err(error) => {
                        if !error.is_transient() {
                            self.look_ahead().await;
                        }
                        return Err(error);
                    }
                },
            };
            for (session, touch) in touches(&facts) {
                self.live.touch(session, *version, touch, now);
            }
            self.scanned = self.scanned.max(*version - 1);
            self.unscanned.pop_front();
        }
        self.scanned = self.scanned.max(self.fact_files.version());
        self.live.prune(now);
        Ok(())
    }

    /// A file could not be read: tries those behind it as well, so that many damaged ones are given up together, not one
    /// after the other.
    async fn look_ahead(&mut self) {
        let next: Vec<_> = self.unscanned.iter().skip(1).take(LOOK_AHEAD).map(|added| added.file.clone()).collect();
        for file in next.iter().filter(|file| !self.damage.is_given_up(&file.path)).collect::<Vec<_>>() {
            if let Err(error) = self.facts.read_seen(file).await {
                // Where the store is away, nothing is said about the file.
                let _ = self.damage.note(&file.path, error);
            }
        }
    }

    /// When something is to be done here (mono); `None`: not before new facts come.
    pub fn next_due(&self) -> Option<i64> {
        if self.unscanned.is_empty() { self.live.next_due() } else { Some(i64::MIN) }
    }

    /// Sessions whose end was not seen and that did not fall silent.
    pub fn running(&self) -> usize {
        self.live.running()
    }

    /// `true` while the end of a session waits to be stored.
    pub fn has_ends(&self) -> bool {
        !self.unscanned.is_empty() || self.live.sealed_through(self.scanned).0 < self.scanned
    }

    pub fn progress(&self) -> Progress {
        let (ends, all) = self.live.sealed_through(self.scanned);
        Progress { ends, all }
    }

    /// Seals sessions that are due, as many as one round takes; `None` when there are none. After an error nothing
    /// is lost: they are still due.
    pub async fn round(&mut self, now: Now) -> Result<Option<Report>, LakeError> {
        let (buried, due): (Vec<_>, Vec<_>) =
            self.live.due(now, self.limit).into_iter().partition(|session| self.is_buried(session));
        buried.iter().for_each(|session| self.live.forget(session));
        if due.is_empty() {
            return Ok(None);
        }
        let gathering = self.gather(&due).await?;
        if gathering.sessions.len() == due.len() && gathering.bytes <= self.options.round_bytes / 2 {
            self.limit = (self.limit * 2).min(self.options.round_sessions);
        }
        let mut gathered = Vec::with_capacity(due.len());
        for (session, facts) in gathering.facts {
            match facts.received_at {
                Some(received_at) => {
                    let idle = self.live.is_idle(&session, received_at, now);
                    let (facts, left_out) = facts.finish(self.options.session_bytes);
                    gathered.push(Gathered { session, facts, left_out, idle, stored: None });
                }
                // Expired or erased since: its rows, if there are any, are not ours to take away.
                None => self.live.forget(&session),
            }
        }
        let SealOptions { fold, recheck, .. } = self.options.clone();
        self.go_on(&mut gathered, now).await?;
        let folded = fold_all(gathered, Work { workspace: self.workspace.clone(), fold, recheck }).await?;
        self.store(folded, now).await.map(Some)
    }

    /// After a round: `started` is when it began.
    pub fn rest(&mut self, report: &Report, started: Now, now: Now) {
        if report.provisional > 0 {
            self.live.rest(started, now);
        }
    }

    /// Reads the facts of `due`. Where they take too much memory, the later half of the sessions is left for another
    /// round, as often as it takes.
    async fn gather<'a>(&mut self, due: &'a [String]) -> Result<Gathering<'a>, LakeError> {
        let mut gathering = Gathering::new(due, self.options.session_bytes);
        let wanted = gathering.facts.keys().cloned().collect::<HashSet<String>>();
        let mut files = self.fact_files.holding(wanted.iter().map(|session| self.facts.session_tag(session)));
        files.retain(|file| !self.damage.is_given_up(&file.path));
        let (table, wanted) = (&self.facts, &wanted);
        let mut reads = futures::stream::iter(files)
            .map(|file| async move { (table.read_facts(&file, Some(wanted)).await, file) })
            .buffer_unordered(READS);
        // All files are read, so that many damaged ones are given up together.
        let mut failed = None;
        while let Some((facts, file)) = reads.next().await {
            match facts {
                Ok(facts) if failed.is_none() => gathering.add(facts),
                Ok(_) => {}
                Err(error) => failed = self.damage.note(&file.path, error).err().or(failed),
            }
            while gathering.bytes > self.options.round_bytes && gathering.sessions.len() > 1 {
                gathering.halve();
            }
        }
        drop(reads);
        if let Some(error) = failed {
            return Err(error);
        }
        let kept = gathering.sessions.len();
        if kept < due.len() {
            self.limit = kept.div_ceil(2);
        }
        Ok(gathering)
    }

    /// Replaces the rows: `events` first, so that a row in `sessions` never lacks its events.
    async fn store(&mut self, outcome: Outcome, now: Now) -> Result<Report, LakeError> {
        for (session, facts) in &outcome.exposed {
            self.marks.put(&Mark { session_id: session.clone(), fact_ids: facts.clone() }).await?;
        }
        self.again.marked |= !outcome.exposed.is_empty();
        let names: HashSet<String> = outcome.sealed.iter().map(|(session, _)| session.clone()).collect();
        let names = Arc::new(names);
        if !names.is_empty() {
            self.replace_events(&names, outcome.events).await?;
            self.replace_sessions(&names, outcome.sessions).await?;
        }
        outcome.poisoned.iter().for_each(|session| self.live.forget(session));
        let report = self.settle(&outcome.sealed, outcome.poisoned.len(), now);
        Ok(Report { exposed: outcome.exposed.len(), ..report })
    }

    async fn replace_events(&mut self, names: &Arc<HashSet<String>>, rows: Rows) -> Result<(), LakeError> {
        let is_running = |session: &str| self.live.is_stored_running(session);
        let mut change = rewrite(&self.events, &self.event_files, names, rows, &is_running).await?;
        if !change.add.is_empty() || !change.remove.is_empty() {
            change.fence = Some(self.fence);
            self.events.commit(change).await?;
        }
        self.event_files.advance(&self.events).await?;
        Ok(())
    }

    async fn replace_sessions(&mut self, names: &Arc<HashSet<String>>, rows: Rows) -> Result<(), LakeError> {
        let is_running = |session: &str| self.live.is_stored_running(session);
        let mut change = rewrite(&self.sessions, &self.session_files, names, rows, &is_running).await?;
        let through = self.live.durable_through(self.scanned, names);
        // The transaction is left out when it says nothing new: a commit whose transaction is there counts as landed.
        if through > self.recorded {
            change.transaction = Some((TRANSACTION.to_owned(), through));
        }
        change.fence = Some(self.fence);
        self.sessions.commit(change).await?;
        self.recorded = self.recorded.max(through);
        self.session_files.advance(&self.sessions).await?;
        Ok(())
    }

    fn settle(&mut self, sealed: &[(String, Status)], poisoned: usize, now: Now) -> Report {
        let mut report = Report { poisoned, ..Report::default() };
        for (session, status) in sealed {
            match status {
                Status::Running => report.provisional += 1,
                Status::Ended => report.ended += 1,
            }
            report.end_to_visible.extend(self.live.stored(session, *status, now));
        }
        report
    }
}

#[cfg(test)]
#[path = "workspace_tests.rs"]
mod tests;
