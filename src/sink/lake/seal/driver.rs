//! The sealing task: follows the appender's commits and the clock, over all workspaces.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::live::{Now, micros};
use super::workspace::WorkspaceSealer;
use super::{Observe, Progress, Report, SealOptions, Sealed};
use crate::clock::Clock;
use crate::model::{LakeKey, Workspace};
use crate::sink::lake::append::Appended;
use crate::sink::lake::backoff::Backoff;
use crate::sink::lake::{Fence, Lake, LakeError, Lease, Leases};

/// Workspaces sealed at the same time: a round is mostly waiting for the store, and holds memory.
const CONCURRENT: usize = 4;

/// How often the log is looked at for what other replicas append, and, by those who do not hold the lease, the lease:
/// one or two small requests each time.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// How often workspaces are looked for that other replicas made: one request each time.
const DISCOVER: i64 = 2_000_000;

/// Seals all workspaces of a lake. One task owns it.
pub struct Sealer {
    context: Context,
    slots: BTreeMap<Workspace, Slot>,
    sealed: watch::Sender<Sealed>,
    running: watch::Sender<usize>,
    /// Workspaces are looked for at that time again (mono).
    discover_at: i64,
    /// Another holder's fence was met: its epoch.
    fenced: Option<i64>,
}

/// Why a lease is given up.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Stopped,
    /// Another process has it.
    Lost,
}

/// What is the same for all workspaces.
struct Context {
    lake: Lake,
    key: LakeKey,
    clock: Clock,
    started: Instant,
    options: SealOptions,
    observe: Observe,
}

impl Context {
    fn now(&self) -> Now {
        Now { mono: micros(self.started.elapsed()), wall: self.clock.now() }
    }

    fn instant(&self, mono: i64) -> Instant {
        self.started + Duration::from_micros(u64::try_from(mono).unwrap_or(0))
    }
}

/// A workspace, and when to look at it.
#[derive(Default)]
struct Slot {
    sealer: Option<WorkspaceSealer>,
    /// The newest `facts` version that we were told of.
    told: i64,
    /// There is something that the tables were not asked for yet.
    stale: bool,
    backoff: Backoff,
    /// After a failure (mono).
    not_before: i64,
    /// When the log was looked at last (mono).
    looked: i64,
    /// Another holder's fence was met: its epoch.
    fenced: Option<i64>,
}

impl Sealer {
    /// `observe` is called after each round.
    pub fn new(lake: Lake, key: LakeKey, clock: Clock, options: SealOptions, observe: Observe) -> Sealer {
        let context = Context { lake, key, clock, started: Instant::now(), options, observe };
        Sealer {
            context,
            slots: BTreeMap::new(),
            sealed: watch::Sender::default(),
            running: watch::Sender::default(),
            discover_at: i64::MIN,
            fenced: None,
        }
    }

    /// Follows the progress: wait here for a `facts` version instead of for a time.
    pub fn sealed(&self) -> watch::Receiver<Sealed> {
        self.sealed.subscribe()
    }

    /// Follows how many sessions run, in all workspaces; 0 while another process seals.
    pub fn running(&self) -> watch::Receiver<usize> {
        self.running.subscribe()
    }

    /// Runs until `stop` turns true (or its sender is gone), and then, as the holder of the lease, until every end that
    /// `appended` told of is stored: stop the appender first. The caller bounds that by dropping the future, which is
    /// as safe as a crash. Without the lease it waits for it: another process does the work.
    pub async fn run(mut self, mut appended: watch::Receiver<Appended>, mut stop: watch::Receiver<bool>) {
        let mut leases = Leases::new(&self.context.lake, &self.context.options.holder);
        while let Some(lease) = acquire(&mut leases, &mut stop).await {
            tracing::info!(epoch = ?lease.fence(), "this process seals sessions and keeps the tables good");
            let outcome = self.hold(&lease, &mut appended, &mut stop).await;
            self.slots.clear();
            self.running.send_replace(0);
            if outcome == Outcome::Stopped {
                return lease.release().await;
            }
            tracing::warn!("another process has taken over sealing; waiting to take it back");
            leases.raise(self.fenced.take().unwrap_or(0));
        }
    }

    async fn hold(
        &mut self,
        lease: &Lease,
        appended: &mut watch::Receiver<Appended>,
        stop: &mut watch::Receiver<bool>,
    ) -> Outcome {
        let mut lost = lease.lost();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = taken(&mut lost) => return Outcome::Lost,
            () = self.first_discovery() => {}
        }
        loop {
            self.listen(appended);
            self.step(lease.fence()).await;
            if self.fenced.is_some() {
                return Outcome::Lost;
            }
            if *stop.borrow() || stop.has_changed().is_err() {
                break;
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = taken(&mut lost) => return Outcome::Lost,
                () = changed(appended) => {}
                () = tokio::time::sleep_until(wake) => {}
            }
            if let Err(error) = self.discover().await {
                tracing::debug!(%error, "workspaces of other replicas not looked for");
            }
        }
        self.drain(lease.fence(), appended).await
    }

    /// Finds the workspaces that were there before this process.
    async fn first_discovery(&mut self) {
        let mut backoff = Backoff::default();
        self.discover_at = i64::MIN;
        while let Err(error) = self.discover().await {
            let wait = backoff.fail();
            self.discover_at = i64::MIN;
            tracing::warn!(%error, ?wait, "lake not readable, trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Finds workspaces that are not known yet, when it is time to look.
    async fn discover(&mut self) -> Result<(), LakeError> {
        let now = self.context.now().mono;
        if now < self.discover_at {
            return Ok(());
        }
        self.discover_at = now.saturating_add(DISCOVER);
        let slots = &self.slots;
        let found = self.context.lake.workspaces_except(|name| slots.contains_key(name)).await?;
        let slot = || Slot { stale: true, ..Slot::default() };
        self.slots.extend(found.into_iter().map(|workspace| (workspace, slot())));
        if let Some(forgetter) = &self.context.options.forgetter {
            // A workspace may have nothing but a session that is to be forgotten.
            forgetter.look().await?;
            for workspace in forgetter.workspaces().await {
                self.slots.entry(workspace).or_insert_with(slot);
            }
        }
        Ok(())
    }

    fn listen(&mut self, appended: &mut watch::Receiver<Appended>) {
        for (workspace, version) in &appended.borrow_and_update().versions {
            let slot = self.slots.entry(workspace.clone()).or_default();
            slot.stale |= *version > slot.told || slot.sealer.is_none();
            slot.told = slot.told.max(*version);
        }
    }

    /// One round in every workspace that has something due.
    async fn step(&mut self, fence: Fence) {
        let context = &self.context;
        futures::stream::iter(self.slots.iter_mut())
            .for_each_concurrent(CONCURRENT, |(workspace, slot)| slot.step(workspace, fence, context))
            .await;
        self.fenced = self.slots.values().filter_map(|slot| slot.fenced).max();
        let progress: Sealed =
            self.slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.progress()?))).collect();
        self.sealed.send_if_modified(|sealed| {
            let news = *sealed != progress;
            *sealed = progress;
            news
        });
        let running = self.slots.values().filter_map(|slot| slot.sealer.as_ref()).map(WorkspaceSealer::running).sum();
        self.running.send_if_modified(|known| std::mem::replace(known, running) != running);
    }

    /// When the next step is due, but for new facts that this process knows of.
    fn wake(&self) -> Instant {
        let look = Instant::now() + LOOK;
        let due = self.slots.values().filter_map(Slot::due_at).min();
        due.map_or(look, |due| self.context.instant(due).min(look))
    }

    async fn drain(&mut self, fence: Fence, appended: &mut watch::Receiver<Appended>) -> Outcome {
        self.listen(appended);
        while self.slots.values().any(Slot::has_ends) {
            self.step(fence).await;
            if self.fenced.is_some() {
                return Outcome::Lost;
            }
            let due = self.slots.values().filter(|slot| slot.has_ends()).filter_map(Slot::due_at).min();
            tokio::time::sleep_until(self.context.instant(due.unwrap_or(0))).await;
        }
        Outcome::Stopped
    }
}

/// The lease, once it is free; `None` when told to stop and another holds it.
pub(super) async fn acquire(leases: &mut Leases, stop: &mut watch::Receiver<bool>) -> Option<Lease> {
    let mut backoff = Backoff::default();
    loop {
        let wait = match leases.attempt().await {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => LOOK,
            Err(error) => {
                let wait = backoff.fail();
                tracing::warn!(%error, ?wait, "lease not readable, trying again");
                wait
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return None,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Waits until another process takes the lease; for ever when none can.
async fn taken(lost: &mut watch::Receiver<bool>) {
    if lost.wait_for(|lost| *lost).await.is_err() {
        std::future::pending().await
    }
}

/// Waits for news; for ever when there will be none.
async fn changed(appended: &mut watch::Receiver<Appended>) {
    if appended.changed().await.is_err() {
        std::future::pending().await
    }
}

impl Slot {
    async fn step(&mut self, workspace: &Workspace, fence: Fence, context: &Context) {
        let now = context.now();
        if self.due_at().is_none_or(|due| due > now.mono) {
            return;
        }
        match self.attempt(workspace, fence, context).await {
            Ok(report) => {
                let healed = self.backoff.reset();
                let report = report.or_else(|| healed.then(Report::default));
                report.iter().for_each(|report| (context.observe)(report));
            }
            Err(LakeError::Fenced { present, .. }) => self.fenced = Some(present),
            Err(error) => {
                let wait = self.backoff.fail();
                tracing::warn!(%workspace, %error, ?wait, "sessions not sealed, trying again");
                self.stale = true;
                self.not_before = context.now().mono.saturating_add(micros(wait));
                (context.observe)(&Report { failed: true, ..Report::default() });
            }
        }
    }

    async fn attempt(
        &mut self,
        workspace: &Workspace,
        fence: Fence,
        context: &Context,
    ) -> Result<Option<Report>, LakeError> {
        let Context { lake, key, options, .. } = context;
        let look_at = self.look_at();
        let sealer = match &mut self.sealer {
            Some(sealer) => sealer,
            none => none.insert(WorkspaceSealer::open(lake, key, workspace, fence, options, context.now()).await?),
        };
        if self.stale {
            sealer.catch_up().await?;
            self.stale = false;
        } else if context.now().mono >= look_at {
            sealer.follow().await?;
        }
        self.looked = context.now().mono;
        sealer.forget(context.now()).await?;
        sealer.scan(context.now()).await?;
        let started = context.now();
        let report = sealer.round(started).await?;
        let visible = context.now();
        sealer.tidy(visible).await?;
        sealer.redact_again(context.now()).await?;
        sealer.expire(context.now()).await?;
        let Some(mut report) = report else { return Ok(None) };
        sealer.rest(&report, started, visible);
        report.end_to_visible.iter_mut().for_each(|at| *at = visible.wall.saturating_sub(*at).max(0));
        Ok(Some(report))
    }

    fn due_at(&self) -> Option<i64> {
        let due = match &self.sealer {
            _ if self.stale => i64::MIN,
            Some(sealer) => sealer.next_due().map_or(self.look_at(), |due| due.min(self.look_at())),
            None => return None,
        };
        Some(due.max(self.not_before))
    }

    fn look_at(&self) -> i64 {
        self.looked.saturating_add(micros(LOOK))
    }

    fn has_ends(&self) -> bool {
        self.stale || self.sealer.as_ref().is_some_and(WorkspaceSealer::has_ends)
    }

    fn progress(&self) -> Option<Progress> {
        self.sealer.as_ref().map(WorkspaceSealer::progress)
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
