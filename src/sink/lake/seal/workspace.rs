//! Sealing of one workspace: which facts are new, whose sessions are due, and one round of replacing their rows.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::StreamExt;

use super::folding::{FoldedSession, Gathered, fold_all, group};
use super::index::{Added, FileIndex};
use super::live::{Due, Now, Sessions, touches};
use super::rewrite::{Rows, rewrite};
use super::{Progress, Report, SealOptions};
use crate::enrich::fold::Folded;
use crate::model::{Event, Fact, LakeKey, Session, Status, Workspace};
use crate::sink::lake::{Lake, LakeError, Table, TableKind, weight};

/// The application transaction of `sessions` that says up to which `facts` version sealing has come.
pub const TRANSACTION: &str = "seal";

/// Fact files read at the same time: on S3 a read is mostly waiting.
const READS: usize = 8;

/// Scanning stops while that many sessions are due: what is known of them stays small, and the newest ends are not
/// kept waiting by a long backlog.
const BACKLOG: usize = 4096;

/// A workspace's tables with what sealing knows of them. Holds ids, times and file names, no content; lost without
/// harm, because [`WorkspaceSealer::open`] finds it again in the tables.
pub struct WorkspaceSealer {
    facts: Table,
    events: Table,
    sessions: Table,
    fact_files: FileIndex,
    event_files: FileIndex,
    session_files: FileIndex,
    /// Files whose sessions are not known yet, in order of version.
    unscanned: VecDeque<Added>,
    /// The `facts` version up to which files were scanned.
    scanned: i64,
    /// The version that the stored transaction says.
    recorded: i64,
    live: Sessions,
    options: SealOptions,
    /// Sessions in the next round: halved when one took too much memory, doubled when one went well.
    limit: usize,
}

/// The facts of a round.
struct Gathering {
    facts: HashMap<String, Vec<Fact>>,
    /// The sessions whose facts are complete in it.
    sessions: HashSet<String>,
}

impl WorkspaceSealer {
    /// Opens the tables and picks up where sealing stopped: facts after the stored transaction are new, and sessions
    /// stored as running are due.
    pub async fn open(
        lake: &Lake,
        key: &LakeKey,
        workspace: &Workspace,
        options: &SealOptions,
        now: Now,
    ) -> Result<WorkspaceSealer, LakeError> {
        let facts = lake.table(workspace, TableKind::Facts, key).await?;
        let events = lake.table(workspace, TableKind::Events, key).await?;
        let mut sessions = lake.table(workspace, TableKind::Sessions, key).await?;
        let recorded = sessions.transaction_version(TRANSACTION).await?.unwrap_or(-1);
        // A version beyond the table's is another table's: `facts` was made anew.
        let known = if recorded > facts.version() { -1 } else { recorded };
        let mut sealer = WorkspaceSealer {
            fact_files: FileIndex::load(&facts).await?,
            event_files: FileIndex::load(&events).await?,
            session_files: FileIndex::load(&sessions).await?,
            unscanned: FileIndex::at(known).advance(&facts).await?.into(),
            scanned: known,
            recorded,
            live: Sessions::new(options.timing),
            options: options.clone(),
            limit: options.round_sessions,
            facts,
            events,
            sessions,
        };
        sealer.resume(now).await?;
        Ok(sealer)
    }

    async fn resume(&mut self, now: Now) -> Result<(), LakeError> {
        for file in self.session_files.files() {
            for session in self.sessions.read_sessions(file, None).await? {
                if session.status == Status::Running {
                    self.live.resume(session.session_id, self.recorded + 1, now);
                }
            }
        }
        Ok(())
    }

    /// Moves to the newest version of the tables.
    pub async fn catch_up(&mut self) -> Result<(), LakeError> {
        self.facts.refresh().await?;
        self.unscanned.extend(self.fact_files.advance(&self.facts).await?);
        self.events.refresh().await?;
        self.event_files.advance(&self.events).await?;
        self.sessions.refresh().await?;
        self.session_files.advance(&self.sessions).await?;
        Ok(())
    }

    /// Learns which sessions new files speak of.
    pub async fn scan(&mut self, now: Now) -> Result<(), LakeError> {
        while let Some(Added { version, file }) = self.unscanned.front() {
            if self.live.due_count(now) >= BACKLOG {
                return Ok(());
            }
            let facts = self.facts.read_facts(file, None).await?;
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

    /// When something is to be done here (mono); `None`: not before new facts come.
    pub fn next_due(&self) -> Option<i64> {
        if self.unscanned.is_empty() { self.live.next_due() } else { Some(i64::MIN) }
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
        let due = self.live.due(now, self.limit);
        if due.is_empty() {
            return Ok(None);
        }
        let Gathering { mut facts, sessions } = self.gather(&due).await?;
        let mut gathered = Vec::with_capacity(sessions.len());
        for session in &sessions {
            match facts.remove(session) {
                Some(facts) => gathered.push(self.gathered(session, facts, now)),
                // Expired or erased since: its rows, if there are any, are not ours to take away.
                None => self.live.forget(session),
            }
        }
        let folded = fold_all(gathered, self.options.fold).await;
        let report = self.store(folded, now).await?;
        self.limit = (self.limit * 2).min(self.options.round_sessions);
        Ok(Some(report))
    }

    fn gathered(&mut self, session: &str, facts: Vec<Fact>, now: Now) -> Gathered {
        let received_at = facts.iter().map(|fact| fact.received_at).max().unwrap_or(now.wall);
        Gathered { idle: self.live.is_idle(session, received_at, now), session: session.to_owned(), facts }
    }

    /// Reads the facts of `due`. Where they take too much memory, the later half of the sessions is left for another
    /// round, as often as it takes.
    async fn gather(&mut self, due: &[Due]) -> Result<Gathering, LakeError> {
        let all: HashSet<String> = due.iter().map(|due| due.session.clone()).collect();
        let files = self.fact_files.holding(due.iter().map(|due| self.facts.session_tag(&due.session)));
        let (table, wanted) = (&self.facts, &all);
        let mut reads = futures::stream::iter(files)
            .map(|file| async move { table.read_facts(&file, Some(wanted)).await })
            .buffer_unordered(READS);
        let mut gathering = Gathering { facts: HashMap::new(), sessions: all.clone() };
        let mut kept = due;
        let mut bytes = 0;
        while let Some(facts) = reads.next().await {
            group(facts?, &mut gathering.facts);
            gathering.facts.retain(|session, _| gathering.sessions.contains(session));
            bytes = weigh(&gathering.facts);
            while bytes > self.options.round_bytes && kept.len() > 1 {
                kept = &kept[..kept.len() / 2];
                gathering.sessions = kept.iter().map(|due| due.session.clone()).collect();
                gathering.facts.retain(|session, _| gathering.sessions.contains(session));
                bytes = weigh(&gathering.facts);
            }
        }
        drop(reads);
        if kept.len() < due.len() {
            tracing::debug!(sessions = kept.len(), bytes, "round cut: its facts are large");
            self.limit = kept.len().div_ceil(2);
        }
        Ok(gathering)
    }

    /// Replaces the rows: `events` first, so that a row in `sessions` never lacks its events.
    async fn store(&mut self, folded: Vec<FoldedSession>, now: Now) -> Result<Report, LakeError> {
        let outcome = Outcome::from(folded);
        let names: HashSet<String> = outcome.sealed.iter().map(|(session, _)| session.clone()).collect();
        if !names.is_empty() {
            self.replace_events(&names, outcome.events).await?;
            self.replace_sessions(&names, outcome.sessions).await?;
        }
        outcome.poisoned.iter().for_each(|session| self.live.forget(session));
        Ok(self.settle(&outcome.sealed, outcome.poisoned.len(), now))
    }

    async fn replace_events(&mut self, names: &HashSet<String>, rows: Rows<Event>) -> Result<(), LakeError> {
        let is_running = |session: &str| self.live.is_stored_running(session);
        let change = rewrite(&self.events, &self.event_files, names, rows, &is_running).await?;
        self.events.commit(change).await?;
        self.event_files.advance(&self.events).await?;
        Ok(())
    }

    async fn replace_sessions(&mut self, names: &HashSet<String>, rows: Rows<Session>) -> Result<(), LakeError> {
        let is_running = |session: &str| self.live.is_stored_running(session);
        let mut change = rewrite(&self.sessions, &self.session_files, names, rows, &is_running).await?;
        let through = self.live.durable_through(self.scanned, names);
        // The transaction is left out when it says nothing new: a commit whose transaction is there counts as landed.
        if through > self.recorded {
            change.transactions.push((TRANSACTION.to_owned(), through));
        }
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

/// What a round's folds came to.
#[derive(Default)]
struct Outcome {
    sealed: Vec<(String, Status)>,
    poisoned: Vec<String>,
    events: Rows<Event>,
    sessions: Rows<Session>,
}

impl From<Vec<FoldedSession>> for Outcome {
    fn from(folded: Vec<FoldedSession>) -> Outcome {
        let mut outcome = Outcome::default();
        for FoldedSession { session, folded } in folded {
            match folded {
                Some(folded) => outcome.add(session, folded),
                None => outcome.poisoned.push(session),
            }
        }
        outcome
    }
}

impl Outcome {
    fn add(&mut self, session: String, folded: Folded) {
        let status = folded.session.status;
        self.sealed.push((session, status));
        let (events, sessions) = match status {
            Status::Running => (&mut self.events.running, &mut self.sessions.running),
            Status::Ended => (&mut self.events.settled, &mut self.sessions.settled),
        };
        events.extend(folded.events);
        sessions.push(folded.session);
    }
}

fn weigh(facts: &HashMap<String, Vec<Fact>>) -> usize {
    facts.values().flatten().map(weight::fact).sum()
}

#[cfg(test)]
#[path = "workspace_tests.rs"]
mod tests;
