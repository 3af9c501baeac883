//! This process's part of forgetting: it hears of new tombstones, hands on what it heard first, overwrites what its
//! journal has, and says that it did.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::super::READER;
use super::spool::Spool;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::receiver::Passage;
use crate::sink::lake::forget::{Ack, Forgetter, Request, Requests, sweep, sweep_quarantine};
use crate::sink::lake::tombstones::{Follower, POLL, TombstoneStore, Tombstones};
use crate::sink::lake::{Lake, LakeError};

/// How long a start waits for the lake's tombstones: what comes in meanwhile is left out later, before it is in a table.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// How often this process says that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// How often the lake is asked for requests that no tombstone announced to us.
const LOOK: Duration = Duration::from_secs(30);
/// The lake may take that long to take records of a private session, so that what they cost is counted; after that they
/// are overwritten.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Follow {
    journal: Journal,
    tombstones: Tombstones,
    forgetter: Forgetter,
    requests: Requests,
    follower: Follower,
    spool: Spool,
    passage: Passage,
    clock: Clock,
    /// What `Tombstones::changes` said when the journal was last found clean.
    clean_at: u64,
    sweep: Option<Sweep>,
    beaten: Option<Instant>,
    looked: Option<Instant>,
    /// Records that were overwritten since the last acknowledgement.
    erased: u64,
    away: bool,
}

/// A sweep that goes on until nothing is left.
struct Sweep {
    changes: u64,
    since: Instant,
    /// The last record that may hold what came in before.
    last: u64,
}

impl Follow {
    pub fn new(
        lake: &Lake,
        journal: Journal,
        forgetter: Forgetter,
        spool: Spool,
        passage: Passage,
        clock: Clock,
    ) -> Follow {
        let tombstones = forgetter.tombstones().clone();
        Follow {
            journal,
            forgetter,
            requests: Requests::new(lake),
            follower: Follower::new(TombstoneStore::new(lake), tombstones.clone(), clock.clone()),
            tombstones,
            spool,
            passage,
            clock,
            clean_at: 0,
            sweep: None,
            beaten: None,
            looked: None,
            erased: 0,
            away: false,
        }
    }

    /// Learns of the lake's tombstones, if it answers in time.
    pub async fn first_look(&mut self) {
        match timeout(FIRST_LOOK, self.follower.poll()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "tombstones not read yet, trying again"),
            Err(_) => tracing::warn!("tombstones not read yet: the lake does not answer"),
        }
    }

    /// Runs until it is dropped. What is not handed on by then waits in the data directory for the next start.
    pub async fn run(mut self) {
        let mut news = self.spool.news();
        loop {
            self.turn().await;
            tokio::select! {
                _ = news.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn turn(&mut self) {
        let delivered = self.deliver().await;
        let polled = match delivered {
            Ok(()) => self.follower.poll().await.map(drop),
            Err(error) => Err(error),
        };
        self.sweep().await;
        let told = match polled {
            Ok(()) => self.tell().await,
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => self.away = false,
            Err(error) if !self.away => {
                self.away = true;
                tracing::warn!(%error, "private sessions not exchanged with the lake, trying again");
            }
            Err(_) => {}
        }
    }

    /// Hands the lake what this process heard first.
    async fn deliver(&mut self) -> Result<(), LakeError> {
        let requests = match self.spool.read() {
            Ok(requests) => requests,
            Err(error) => {
                tracing::error!(%error, "requests to forget sessions not handed on, trying again");
                return Ok(());
            }
        };
        for request in requests {
            self.requests.put(&request, &self.tombstones).await?;
            self.looked = None;
            self.forgetter.hurry().await;
            if let Err(error) = self.spool.remove(&request) {
                tracing::warn!(%error, request = request.id, "handed on, and not removed: it is handed on again");
            }
        }
        Ok(())
    }

    /// Overwrites what the journal has of buried sessions, once for each change of the set, until nothing is left.
    async fn sweep(&mut self) {
        let changes = self.tombstones.changes();
        if changes != self.clean_at && self.sweep.as_ref().is_none_or(|sweep| sweep.changes != changes) {
            let since = self.sweep.take().map_or_else(Instant::now, |sweep| sweep.since);
            self.passage.clear().await;
            self.sweep = Some(Sweep { changes, since, last: self.journal.stats().durable_seq });
        }
        let Some(Sweep { changes, since, last }) = self.sweep else { return };
        let (in_lake, hurry) = (self.in_lake(), since.elapsed() > PATIENCE);
        let (journal, tombstones) = (self.journal.clone(), self.tombstones.clone());
        let swept = spawn_blocking(move || sweep(&journal, &tombstones, in_lake, hurry)).await;
        match swept {
            Ok(Ok(swept)) => {
                self.erased += swept.erased;
                // A flush that began before may still be about to commit: it is over when the lake has all of that time.
                if swept.waiting == 0 && in_lake >= last {
                    (self.clean_at, self.sweep, self.looked) = (changes, None, None);
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "journal not cleared of private sessions, trying again"),
            Err(_) => {}
        }
    }

    /// The number of the last record that the lake is done with.
    fn in_lake(&self) -> u64 {
        let stats = self.journal.stats();
        let backlog =
            stats.readers.iter().find(|reader| reader.name == READER).map_or(0, |reader| reader.backlog_records);
        stats.durable_seq.saturating_sub(backlog)
    }

    /// Tells the others that this process lives, and what it is done with.
    async fn tell(&mut self) -> Result<(), LakeError> {
        if self.beaten.is_none_or(|at| at.elapsed() >= BEAT) {
            self.requests.beat(self.journal.id()).await?;
            self.beaten = Some(Instant::now());
        }
        if self.clean_at != self.tombstones.changes() || self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        for request in self.requests.pending().await? {
            self.acknowledge(&request).await?;
        }
        self.erased = 0;
        self.looked = Some(Instant::now());
        Ok(())
    }

    async fn acknowledge(&mut self, request: &Request) -> Result<(), LakeError> {
        // One that was not known here: its sessions' records are looked for first.
        if request.bury(&self.tombstones) > 0 || self.requests.acknowledged(&request.id, self.journal.id()).await? {
            return Ok(());
        }
        let (journal, sessions) = (self.journal.clone(), request.sessions.clone());
        match spawn_blocking(move || sweep_quarantine(&journal, &sessions)).await {
            Ok(Ok(files)) => self.erased += files,
            failed => {
                tracing::error!(?failed, "quarantine not cleared of private sessions, trying again");
                return Ok(());
            }
        }
        let ack = Ack { records: self.erased, at: self.clock.now() };
        self.requests.acknowledge(&request.id, self.journal.id(), &ack).await
    }
}
