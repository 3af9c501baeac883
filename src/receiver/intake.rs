//! From a request's bytes to their durability: permit, gate, redact, journal, acknowledge.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::budget::{Budget, Permit};
use super::claims;
use super::encoding::Held;
use super::gate::{Admitted, Gate, Notice, Passage, Passing};
use super::quota::{QuotaOptions, Quotas};
use super::refusal::Refusal;
use crate::auth::Caller;
use crate::clock::Clock;
use crate::journal::{AppendError, Journal};
use crate::model::Signal;
use crate::model::otlp::extent::Extent;
use crate::model::otlp::wire::WireError;
use crate::redaction::{Current, Cuts, Delivery, RecordLimits, RedactedBatch};
use crate::telemetry::metrics::Claim;
use crate::telemetry::{Metrics, Transport};

/// Takes requests in. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    redactor: Current,
    journal: Journal,
    clock: Clock,
    metrics: Metrics,
    quotas: Quotas,
    limits: IntakeLimits,
    workers: Workers,
    gate: Arc<dyn Gate>,
    passage: Passage,
}

/// What a request may hold, and a workspace may send.
#[derive(Clone, Copy, Debug, Default)]
pub struct IntakeLimits {
    pub record: RecordLimits,
    pub quota: QuotaOptions,
    /// A request that names another workspace than its token's is refused; `false`: it is counted.
    pub strict_workspaces: bool,
}

/// What was done with an accepted request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Records that are durable now.
    pub records: u64,
    /// What the client should be told beside "accepted".
    pub partial: Option<PartialSuccess>,
    /// What its user should be told.
    pub notice: Option<Notice>,
}

/// `partial_success` of an export reply: records that will never be taken, or, with none of them, a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialSuccess {
    pub rejected: u64,
    pub message: String,
}

impl Intake {
    /// `budget` is shared by all listeners; `passage` leads from the gate to the journal.
    #[expect(clippy::too_many_arguments, reason = "one place calls it, with what it has just made")]
    pub fn new(
        redactor: Current,
        journal: Journal,
        clock: Clock,
        metrics: Metrics,
        budget: Budget,
        limits: IntakeLimits,
        gate: Arc<dyn Gate>,
        passage: Passage,
    ) -> Intake {
        let quotas = Quotas::new(budget, limits.quota);
        Intake { redactor, journal, clock, metrics, quotas, limits, workers: Workers::new(), gate, passage }
    }

    /// A permit for the bytes of a request that is about to be read.
    pub fn permit(&self, caller: &Caller) -> Result<Permit, Refusal> {
        self.quotas.permit(&caller.workspace, Instant::now())
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts a workspace that is not the token's; in strict mode nothing of such a request is taken.
    pub fn claimed(&self, claim: Claim, another: bool) -> Result<(), Refusal> {
        if !another {
            return Ok(());
        }
        self.metrics.claims(claim).add(1);
        if self.limits.strict_workspaces { Err(Refusal::Workspace) } else { Ok(()) }
    }

    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Takes an OTLP export request in protobuf. Durable when it returns `Ok`.
    pub async fn otlp(
        &self,
        caller: Caller,
        signal: Signal,
        transport: Transport,
        request: Held,
    ) -> Result<Accepted, Refusal> {
        let Held { bytes, mut permit } = request;
        self.claimed(Claim::Payload, claims::in_otlp(&bytes, &caller.workspace))?;
        let passing = Arc::new(self.passage.enter().await);
        let (gate, asking, held_bytes) = (self.gate.clone(), caller.clone(), permit.bytes());
        let judge = move || {
            permit.cover(Extent::of(signal, &bytes).memory(bytes.len()))?;
            Ok::<_, Refusal>((gate.otlp(&asking, signal, bytes)?, permit))
        };
        let (admitted, permit) = self.workers.run(held_bytes, judge).await??;
        let Admitted { kept, left_out, costs, notice } = admitted;
        self.metrics.private_records.add(left_out);
        let on_its_way = OnItsWay { permit: Arc::new(permit), passing };
        if let Some(costs) = costs {
            // Its own batch: the number of the request's records is the client's to know.
            self.redact_and_keep(&caller, Signal::Logs, transport, costs, &on_its_way).await?;
        }
        let mut accepted = self.redact_and_keep(&caller, signal, transport, kept, &on_its_way).await?;
        accepted.records += left_out;
        accepted.notice = notice;
        Ok(accepted)
    }

    async fn redact_and_keep(
        &self,
        caller: &Caller,
        signal: Signal,
        transport: Transport,
        bytes: Bytes,
        on_its_way: &OnItsWay,
    ) -> Result<Accepted, Refusal> {
        let (workspace, request_bytes) = (&caller.workspace, bytes.len() as u64);
        let (redactor, delivery, limits) = (self.redactor.get(), self.delivery(caller.clone()), self.limits.record);
        let job = move || {
            let mut redacted = redactor.redact_otlp(delivery, signal, bytes)?;
            let (batch, cuts) = redacted.batch.take().map(|batch| batch.within(&limits)).unzip();
            redacted.batch = batch;
            Ok::<_, Refusal>((redacted, cuts.unwrap_or_default()))
        };
        let (redacted, cuts) = self.workers.run(on_its_way.permit.bytes(), job).await??;
        self.count(&redacted.hits, &redacted.reported, redacted.dropped);
        let (rejected, fault) = redacted.rejected.unzip();
        let rejected = rejected.unwrap_or(0);
        self.metrics.records(signal, transport).refused.add(rejected);
        self.quotas.spend(workspace, request_bytes, redacted.records + rejected, Instant::now());
        match (redacted.batch, fault) {
            (Some(batch), _) => self.keep(transport, redacted.records, batch, on_its_way.clone()).await?,
            (None, Some(fault)) => return Err(Refusal::Rejected { count: rejected, fault }),
            (None, None) => {}
        }
        Ok(Accepted { records: redacted.records, partial: partial(rejected, fault, cuts), notice: None })
    }

    /// Takes hook envelopes. Durable when it returns `Ok`. `refused` lines of the same request are counted beside them.
    pub async fn hooks(
        &self,
        caller: Caller,
        envelopes: Vec<Value>,
        refused: u64,
        permit: Permit,
    ) -> Result<Accepted, Refusal> {
        self.metrics.records(Signal::Hooks, Transport::Http).refused.add(refused);
        if envelopes.is_empty() {
            return Ok(Accepted::default());
        }
        self.claimed(Claim::Payload, claims::in_envelopes(&envelopes, &caller.workspace))?;
        let records = envelopes.len() as u64;
        self.quotas.spend(&caller.workspace, permit.bytes() as u64, records, Instant::now());
        let passing = Arc::new(self.passage.enter().await);
        let (redactor, delivery, gate) = (self.redactor.get(), self.delivery(caller.clone()), self.gate.clone());
        let job = move || {
            let Admitted { kept, left_out, notice, .. } = gate.hooks(&caller, envelopes)?;
            let redacted = (!kept.is_empty()).then(|| redactor.redact_hooks(delivery, kept));
            Ok::<_, Refusal>((redacted, left_out, notice))
        };
        let (redacted, left_out, notice) = self.workers.run(permit.bytes(), job).await??;
        self.metrics.private_records.add(left_out);
        let nothing_kept = Accepted { records: left_out, partial: None, notice };
        let Some(redacted) = redacted else { return Ok(nothing_kept) };
        self.count(&redacted.hits, &redacted.reported, redacted.dropped);
        let Some(batch) = redacted.batch else { return Ok(nothing_kept) };
        let (batch, cuts) = batch.within(&self.limits.record);
        let on_its_way = OnItsWay { permit: Arc::new(permit), passing };
        self.keep(Transport::Http, redacted.records, batch, on_its_way).await?;
        Ok(Accepted { records: redacted.records + left_out, partial: partial(0, None, cuts), notice })
    }

    fn count(&self, hits: &[(String, u64)], reported: &[(String, u64)], dropped: u64) {
        hits.iter().for_each(|(rule, hits)| self.metrics.redactions.add(rule, *hits));
        reported.iter().for_each(|(rule, hits)| self.metrics.redactions_reported.add(rule, *hits));
        self.metrics.redaction_dropped_records.add(dropped);
    }

    fn delivery(&self, caller: Caller) -> Delivery {
        Delivery { workspace: caller.workspace, principal: caller.principal, received_at: self.clock.now() }
    }

    async fn keep(
        &self,
        transport: Transport,
        records: u64,
        batch: RedactedBatch,
        on_its_way: OnItsWay,
    ) -> Result<(), Refusal> {
        let signal = batch.batch().envelope.signal;
        let appended = self.append(batch, on_its_way).await;
        let outcomes = self.metrics.records(signal, transport);
        match &appended {
            Ok(()) => outcomes.accepted.add(records),
            Err(Refusal::Journal(AppendError::Failed(_))) | Err(Refusal::Panicked) => outcomes.failed.add(records),
            Err(_) => outcomes.refused.add(records),
        }
        self.metrics.journal_bytes.set(self.journal.bytes());
        appended
    }

    /// The journal holds the batch until it is written even when the client goes away meanwhile, so a task of its own
    /// keeps the permit, and its place on the way, until then.
    async fn append(&self, batch: RedactedBatch, on_its_way: OnItsWay) -> Result<(), Refusal> {
        let journal = self.journal.clone();
        let appending = tokio::spawn(async move {
            let appended = journal.append(batch).await;
            drop(on_its_way);
            appended
        });
        appending.await.map_err(|_| Refusal::Panicked)??;
        Ok(())
    }
}

/// What a request holds until it is in the journal.
#[derive(Clone)]
struct OnItsWay {
    permit: Arc<Permit>,
    #[expect(dead_code, reason = "held until it is dropped")]
    passing: Arc<Passing>,
}

/// What the client is told beside "accepted"; `None`: everything was taken as it is.
fn partial(rejected: u64, fault: Option<WireError>, cuts: Cuts) -> Option<PartialSuccess> {
    let mut said = Vec::new();
    if let Some(fault) = fault {
        said.push(format!("{rejected} records were rejected, the first because: {fault}"));
    }
    if cuts.values > 0 {
        said.push(format!("{} values were cut: they or their records were too long", cuts.values));
    }
    if cuts.attributes > 0 {
        said.push(format!("{} attributes were left out: too many, or their keys were too long", cuts.attributes));
    }
    (!said.is_empty()).then(|| PartialSuccess { rejected, message: said.join("; ") })
}

/// Does CPU work: a little where it stands, much on threads of its own, so that small requests never wait for large
/// ones. A panic stays within its request.
#[derive(Clone)]
pub struct Workers {
    free: Arc<Semaphore>,
}

impl Workers {
    /// Work on more bytes than that (about a millisecond's) leaves the async threads.
    const INLINE_BYTES: usize = 256 << 10;

    /// As many large jobs at once as the machine has cores.
    pub fn new() -> Workers {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        Workers { free: Arc::new(Semaphore::new(cores)) }
    }

    /// Runs a job on about `bytes` bytes.
    pub async fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if bytes <= Self::INLINE_BYTES {
            // The job owns what it works on: nothing is seen again after a panic.
            return catch_unwind(AssertUnwindSafe(job)).map_err(|_| Refusal::Panicked);
        }
        let slot = Arc::clone(&self.free).acquire_owned().await.map_err(|_| Refusal::Panicked)?;
        let running = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            job()
        });
        running.await.map_err(|_| Refusal::Panicked)
    }
}

impl Default for Workers {
    fn default() -> Workers {
        Workers::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_workers_stay_usable() {
        let workers = Workers::new();
        for bytes in [0, Workers::INLINE_BYTES + 1] {
            for _ in 0..64 {
                let job = move || assert_eq!(bytes, usize::MAX, "on purpose");
                assert!(matches!(workers.run(bytes, job).await, Err(Refusal::Panicked)));
            }
            assert_eq!(workers.run(bytes, || 7).await.unwrap(), 7);
        }
    }
}
