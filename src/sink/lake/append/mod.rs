//! Journal to `facts`; what the server did itself goes to `audit`.
//!
//! Exactly once: a commit to a workspace's table carries the application transaction
//! `(<journal id>/<epoch>, seq of the flush's last record)`, and the journal's cursor moves only after every
//! workspace's commit. After a crash between the two, records come again; those up to a workspace's transaction are
//! left out there. A flush holds records of one epoch, because a commit carries one transaction.
//!
//! While the lake cannot be written, a flush is repeated and nothing more is read: the journal is the buffer.

mod decode;
mod flush;
mod parts;
mod pending;
mod recent;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use self::decode::{Content, Decoded, Poison, decode_some};
use self::flush::Writer;
use self::pending::{Flush, Pending};
use super::Lake;
use super::backoff::Backoff;
use super::heavy;
use crate::enrich::normalise::{NormaliseError, normalise};
use crate::journal::{Position, ReadError, Reader, Suspicion};
use crate::model::{Batch, Fact, LakeKey, Workspace};
use crate::sink::lake::tombstones::Tombstones;

/// Telemetry to facts: batch, lake key, journal id.
pub type Normalise = fn(&Batch, &LakeKey, &str) -> Result<Vec<Fact>, NormaliseError>;

/// Records are decoded in runs of at most that many bytes (and one record), so that a run costs one hop to a
/// blocking thread.
const RUN_BYTES: usize = 1 << 20;
/// And until their facts weigh that many bytes: facts are large until they are put into columns.
const RUN_FACTS: usize = 8 << 20;

/// When facts are flushed.
#[derive(Clone, Debug)]
pub struct AppendOptions {
    /// The longest that a fact waits. Default 5 s.
    pub flush_interval: Duration,
    /// Flush when that many bytes wait, about. Default 64 MiB.
    pub flush_bytes: usize,
    /// How long the end of a session waits for others. Default 200 ms.
    pub end_debounce: Duration,
    /// Least time from one flush's start to the next, unless `flush_bytes` wait: each commit is a log entry to
    /// write now and to read later. A flush that took longer than that moves the next one as well. Default 1 s.
    pub commit_gap: Duration,
    pub normalise: Normalise,
}

impl Default for AppendOptions {
    fn default() -> AppendOptions {
        AppendOptions {
            flush_interval: Duration::from_secs(5),
            flush_bytes: 64 << 20,
            end_debounce: Duration::from_millis(200),
            commit_gap: Duration::from_secs(1),
            normalise,
        }
    }
}

/// Where the appender stands: what others wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Everything up to here is in the lake.
    pub position: Option<Position>,
    /// Version of each workspace's `facts` after this process's last commit to it.
    pub versions: BTreeMap<Workspace, i64>,
}

/// What a flush did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendReport {
    pub records: u64,
    pub facts: u64,
    /// Facts that were delivered again shortly after, and left out.
    pub duplicates: u64,
    /// Records that could not be decoded or written, and were set aside.
    pub poison: u64,
    /// Times that another writer took the place in the log that a commit was made for.
    pub collisions: u64,
    pub took: Duration,
}

/// Durable records in order; the journal's reader.
pub trait Records: Send {
    /// Must lose nothing when the future is dropped.
    fn next(&mut self) -> impl Future<Output = Result<Option<(Position, Bytes)>, ReadError>> + Send;
    fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError>;
    fn commit(&mut self, position: Position) -> Result<(), ReadError>;
    /// What earlier processes died of decides how a record is treated.
    fn suspicion(&self, position: Position) -> Suspicion;
    /// Notes for the next process that this one works on records, and that it survived.
    fn begin(&mut self, first: Position, last: Position);
    fn end(&mut self);
    /// Keeps a record that cannot be processed where people find it.
    fn set_aside(&mut self, position: Position, record: &[u8], reason: &'static str);
    /// A record that was read and is not committed yet, once more; `None`: it is not there any more.
    fn again(&mut self, position: Position) -> Result<Option<Bytes>, ReadError>;
}

impl Records for Reader {
    fn next(&mut self) -> impl Future<Output = Result<Option<(Position, Bytes)>, ReadError>> + Send {
        Reader::next(self)
    }

    fn try_next(&mut self) -> Result<Option<(Position, Bytes)>, ReadError> {
        Reader::try_next(self)
    }

    fn commit(&mut self, position: Position) -> Result<(), ReadError> {
        Reader::commit(self, position)
    }

    fn suspicion(&self, position: Position) -> Suspicion {
        Reader::suspicion(self, position)
    }

    fn begin(&mut self, first: Position, last: Position) {
        Reader::begin(self, first, last);
    }

    fn end(&mut self) {
        Reader::end(self);
    }

    fn set_aside(&mut self, position: Position, record: &[u8], reason: &'static str) {
        Reader::set_aside(self, position, record, reason);
    }

    fn again(&mut self, position: Position) -> Result<Option<Bytes>, ReadError> {
        Reader::again(self, position)
    }
}

/// Moves records from one journal to the lake. One task owns it.
pub struct Appender<R> {
    records: R,
    writer: Writer,
    tombstones: Tombstones,
    options: AppendOptions,
    pending: Pending,
    /// The next flush is not before.
    earliest: Instant,
    report: AppendReport,
    appended: watch::Sender<Appended>,
    observe: Arc<dyn Fn(AppendReport) + Send + Sync>,
}

/// What a run of records came to.
#[derive(Default)]
struct Run {
    /// Records that were decoded.
    records: u64,
    facts: u64,
    duplicates: u64,
    /// The others.
    poison: Vec<(Position, Poison)>,
}

impl Run {
    fn add(&mut self, decoded: Decoded, pending: &mut Pending, now: Instant) {
        let Decoded { position, content } = decoded;
        match content {
            Ok((workspace, Content::Audit(entry))) => {
                self.records += 1;
                pending.audit(position, workspace, *entry, now);
            }
            Ok((workspace, Content::Facts(facts))) => {
                self.records += 1;
                self.facts += facts.len() as u64;
                self.duplicates += pending.add(position, workspace, facts, now);
            }
            Err(poison) => {
                pending.skip(position, now);
                self.poison.push((position, poison));
            }
        }
    }
}

/// What to do next.
enum Turn {
    Read(Result<Option<(Position, Bytes)>, ReadError>),
    Flush,
    Stop,
}

impl<R: Records> Appender<R> {
    /// Facts of sessions in `tombstones` are left out. `journal` is the journal's id; `observe` is called after each flush.
    pub fn new(
        lake: Lake,
        tombstones: Tombstones,
        journal: String,
        records: R,
        options: AppendOptions,
        observe: Arc<dyn Fn(AppendReport) + Send + Sync>,
    ) -> Appender<R> {
        Appender {
            records,
            writer: Writer::new(lake, tombstones.key().clone(), journal),
            tombstones,
            options,
            pending: Pending::default(),
            earliest: Instant::now(),
            report: AppendReport::default(),
            appended: watch::Sender::default(),
            observe,
        }
    }

    /// Follows the appender; what the sealer waits for.
    pub fn appended(&self) -> watch::Receiver<Appended> {
        self.appended.subscribe()
    }

    /// Runs until the journal is closed or `stop` turns true (or its sender is gone), and then until everything that
    /// is durable is in the lake. The caller bounds that by dropping the future: what is missing then is still in
    /// the journal.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::default();
        loop {
            match self.turn(&mut stop).await {
                Turn::Read(Ok(Some(record))) => {
                    backoff.reset();
                    self.take(record).await;
                }
                Turn::Read(Err(error)) => {
                    let wait = backoff.fail();
                    tracing::error!(%error, ?wait, "journal not readable, trying again");
                    tokio::time::sleep(wait).await;
                }
                Turn::Flush => self.flush().await,
                Turn::Read(Ok(None)) | Turn::Stop => return self.drain().await,
            }
        }
    }

    async fn turn(&mut self, stop: &mut watch::Receiver<bool>) -> Turn {
        let due = self.pending.due(&self.options, self.earliest);
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Turn::Stop,
            () = tokio::time::sleep_until(due.unwrap_or(self.earliest)), if due.is_some() => Turn::Flush,
            read = self.records.next() => Turn::Read(read),
        }
    }

    /// Takes a record and what follows it at once.
    async fn take(&mut self, first: (Position, Bytes)) {
        let mut bytes = first.1.len();
        let mut records = VecDeque::from([first]);
        while bytes < RUN_BYTES {
            match self.records.try_next() {
                Ok(Some(record)) => {
                    bytes += record.1.len();
                    records.push_back(record);
                }
                // An error will be met again by the next read.
                Ok(None) | Err(_) => break,
            }
        }
        while let Some((next, _)) = records.front() {
            if self.pending.crosses(*next) {
                self.flush().await;
            }
            records = self.decode(records).await;
            // What is tried alone shares a flush all the same: a commit for each record would take hours.
            if !records.is_empty() && self.pending.room(&self.options) == 0 {
                self.flush().await;
            }
        }
    }

    /// Decodes as many records as one flush may hold; gives back what is left of them. A record that an earlier process
    /// may have died of is tried alone, one that they keep dying of not at all.
    async fn decode(&mut self, mut records: VecDeque<(Position, Bytes)>) -> VecDeque<(Position, Bytes)> {
        let Some((first, _)) = records.front() else { return records };
        let (epoch, suspicion) = (first.epoch, self.records.suspicion(*first));
        if suspicion == Suspicion::Condemned {
            if let Some((position, record)) = records.pop_front() {
                self.pending.skip(position, Instant::now());
                self.set_aside(position, &Poison::condemned(record));
            }
            return records;
        }
        let harmless = |(position, _): &(Position, Bytes)| {
            position.epoch == epoch && self.records.suspicion(*position) == Suspicion::None
        };
        let together = records.iter().take_while(|record| harmless(record)).count().max(1);
        let rest = records.split_off(together);
        let mut left = self.decode_together(records).await;
        left.extend(rest);
        left
    }

    /// Decodes, and takes the facts, away from this thread.
    async fn decode_together(&mut self, mut records: VecDeque<(Position, Bytes)>) -> VecDeque<(Position, Bytes)> {
        if let (Some((first, _)), Some((last, _))) = (records.front(), records.back()) {
            self.records.begin(*first, *last);
        }
        let (tombstones, journal, normalise) =
            (self.tombstones.clone(), self.writer.journal.clone(), self.options.normalise);
        let most = self.pending.room(&self.options).clamp(1, RUN_FACTS);
        let (mut pending, now) = (std::mem::take(&mut self.pending), Instant::now());
        let decoding = move || {
            let mut run = Run::default();
            for decoded in decode_some(&mut records, most, &tombstones, &journal, normalise) {
                run.add(decoded, &mut pending, now);
            }
            (run, pending, records)
        };
        match heavy::run(decoding).await {
            Ok((run, pending, records)) => {
                self.records.end();
                self.pending = pending;
                self.report.records += run.records;
                self.report.facts += run.facts;
                self.report.duplicates += run.duplicates;
                run.poison.iter().for_each(|(position, poison)| self.set_aside(*position, poison));
                records
            }
            // It cannot panic (each record and block is caught): the runtime is going down, and this task with it. To go on
            // would move the cursor past records that were never looked at.
            Err(_) => std::future::pending().await,
        }
    }

    fn set_aside(&mut self, position: Position, poison: &Poison) {
        self.report.records += 1;
        self.report.poison += 1;
        self.records.set_aside(position, &poison.record, poison.reason);
    }

    /// Sets a record aside that was decoded, and whose rows cannot be written. What is behind it waits until it is kept.
    async fn set_aside_again(&mut self, position: Position, reason: &'static str) {
        let mut backoff = Backoff::default();
        loop {
            match self.records.again(position) {
                Ok(Some(record)) => {
                    self.report.poison += 1;
                    return self.records.set_aside(position, &record, reason);
                }
                Ok(None) => {
                    return tracing::warn!(seq = position.seq, reason, "a record was erased that cannot be written");
                }
                Err(error) => {
                    let wait = backoff.fail();
                    tracing::error!(%error, ?wait, "journal not readable, trying again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn flush(&mut self) {
        let started = Instant::now();
        let mut waiting = self.pending.take();
        let Some(Flush { last, .. }) = waiting else { return };
        let mut versions = Vec::new();
        while let Some(flush) = waiting {
            let written = self.writer.write(flush).await;
            versions.extend(written.versions);
            for (position, reason) in written.poison {
                self.set_aside_again(position, reason).await;
            }
            waiting = written.left;
        }
        self.report.collisions = std::mem::take(&mut self.writer.collisions);
        if let Err(error) = self.records.commit(last) {
            // The next flush moves the cursor further; until then only the journal is larger than it need be.
            tracing::error!(%error, "journal cursor not moved");
        }
        self.appended.send_modify(|appended| {
            appended.position = Some(last);
            appended.versions.extend(versions);
        });
        let took = started.elapsed();
        self.earliest = (started + self.options.commit_gap).max(Instant::now() + took);
        (self.observe)(AppendReport { took, ..std::mem::take(&mut self.report) });
    }

    async fn drain(mut self) {
        loop {
            match self.records.try_next() {
                Ok(Some(record)) => self.take(record).await,
                Ok(None) => break,
                Err(error) => {
                    tracing::error!(%error, "journal not readable; what is left is read at the next start");
                    break;
                }
            }
            if self.pending.due(&self.options, self.earliest).is_some_and(|due| due <= Instant::now()) {
                self.flush().await;
            }
        }
        self.flush().await;
    }
}

#[cfg(test)]
mod tests;
