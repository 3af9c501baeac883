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
use crate::sink::lake::{Lake, LakeError};

/// Workspaces sealed at the same time: a round is mostly waiting for the store, and holds memory.
const CONCURRENT: usize = 4;

/// Seals all workspaces of a lake. One task owns it.
pub struct Sealer {
    context: Context,
    slots: BTreeMap<Workspace, Slot>,
    sealed: watch::Sender<Sealed>,
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
}

impl Sealer {
    /// `observe` is called after each round.
    pub fn new(lake: Lake, key: LakeKey, clock: Clock, options: SealOptions, observe: Observe) -> Sealer {
        let context = Context { lake, key, clock, started: Instant::now(), options, observe };
        Sealer { context, slots: BTreeMap::new(), sealed: watch::Sender::default() }
    }

    /// Follows the progress: wait here for a `facts` version instead of for a time.
    pub fn sealed(&self) -> watch::Receiver<Sealed> {
        self.sealed.subscribe()
    }

    /// Runs until `stop` turns true (or its sender is gone), and then until every end that `appended` told of is
    /// stored: stop the appender first. The caller bounds that by dropping the future, which is as safe as a crash.
    pub async fn run(mut self, mut appended: watch::Receiver<Appended>, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.discover() => {}
        }
        loop {
            self.listen(&mut appended);
            self.step().await;
            if *stop.borrow() || stop.has_changed().is_err() {
                break;
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => {}
                () = changed(&mut appended) => {}
                () = tokio::time::sleep_until(wake.unwrap_or(self.context.started)), if wake.is_some() => {}
            }
        }
        self.drain(&mut appended).await;
    }

    /// Finds the workspaces that were there before this process.
    async fn discover(&mut self) {
        let mut backoff = Backoff::default();
        loop {
            match self.context.lake.workspaces().await {
                Ok(workspaces) => {
                    let slot = || Slot { stale: true, ..Slot::default() };
                    return self.slots.extend(workspaces.into_iter().map(|workspace| (workspace, slot())));
                }
                Err(error) => {
                    let wait = backoff.fail();
                    tracing::warn!(%error, ?wait, "lake not readable, trying again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    fn listen(&mut self, appended: &mut watch::Receiver<Appended>) {
        for (workspace, version) in &appended.borrow_and_update().versions {
            let slot = self.slots.entry(workspace.clone()).or_default();
            slot.stale |= *version > slot.told || slot.sealer.is_none();
            slot.told = slot.told.max(*version);
        }
    }

    /// One round in every workspace that has something due.
    async fn step(&mut self) {
        let context = &self.context;
        futures::stream::iter(self.slots.iter_mut())
            .for_each_concurrent(CONCURRENT, |(workspace, slot)| slot.step(workspace, context))
            .await;
        let progress: Sealed =
            self.slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.progress()?))).collect();
        self.sealed.send_if_modified(|sealed| {
            let news = *sealed != progress;
            *sealed = progress;
            news
        });
    }

    /// When the next step is due, but for new facts.
    fn wake(&self) -> Option<Instant> {
        let due = self.slots.values().filter_map(Slot::due_at).min()?;
        Some(self.context.instant(due))
    }

    async fn drain(&mut self, appended: &mut watch::Receiver<Appended>) {
        self.listen(appended);
        while self.slots.values().any(Slot::has_ends) {
            self.step().await;
            let due = self.slots.values().filter(|slot| slot.has_ends()).filter_map(Slot::due_at).min();
            tokio::time::sleep_until(self.context.instant(due.unwrap_or(0))).await;
        }
    }
}

/// Waits for news; for ever when there will be none.
async fn changed(appended: &mut watch::Receiver<Appended>) {
    if appended.changed().await.is_err() {
        std::future::pending().await
    }
}

impl Slot {
    async fn step(&mut self, workspace: &Workspace, context: &Context) {
        let now = context.now();
        if self.due_at().is_none_or(|due| due > now.mono) {
            return;
        }
        match self.attempt(workspace, context).await {
            Ok(report) => {
                self.backoff.reset();
                report.iter().for_each(|report| (context.observe)(report));
            }
            Err(error) => {
                let wait = self.backoff.fail();
                tracing::warn!(%workspace, %error, ?wait, "sessions not sealed, trying again");
                self.stale = true;
                self.not_before = context.now().mono.saturating_add(micros(wait));
                (context.observe)(&Report { failed: true, ..Report::default() });
            }
        }
    }

    async fn attempt(&mut self, workspace: &Workspace, context: &Context) -> Result<Option<Report>, LakeError> {
        let Context { lake, key, options, .. } = context;
        let sealer = match &mut self.sealer {
            Some(sealer) => sealer,
            none => none.insert(WorkspaceSealer::open(lake, key, workspace, options, context.now()).await?),
        };
        if self.stale {
            sealer.catch_up().await?;
            self.stale = false;
        }
        sealer.scan(context.now()).await?;
        let started = context.now();
        let report = sealer.round(started).await?;
        let visible = context.now();
        sealer.tidy(visible).await;
        let Some(mut report) = report else { return Ok(None) };
        sealer.rest(&report, started, visible);
        report.end_to_visible.iter_mut().for_each(|at| *at = visible.wall.saturating_sub(*at).max(0));
        Ok(Some(report))
    }

    fn due_at(&self) -> Option<i64> {
        let due = if self.stale { Some(i64::MIN) } else { self.sealer.as_ref()?.next_due() };
        due.map(|due| due.max(self.not_before))
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
