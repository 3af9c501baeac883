//! What the holder of the lease does for a workspace's files between rounds of sealing.

use std::collections::HashSet;
use std::sync::Arc;

use super::Report;
use super::live::Now;
use super::workspace::WorkspaceSealer;
#[cfg(test)]
use crate::sink::lake::maintain;
use crate::sink::lake::maintain::{COMMITS, Chore, Done, Form, THOROUGH_COMMITS, View};
use crate::sink::lake::row::day_of;
use crate::sink::lake::{LakeError, Table, TableFile, TableKind};

/// How often small files are looked for, microseconds.
const TIDY_EVERY: i64 = 10_000_000;
/// How long after a failure.
const TIDY_AGAIN: i64 = 300_000_000;
/// How often checkpoints are written and orphans looked for, of one table after the other.
const SWEEP_EVERY: i64 = 600_000_000;

/// How long no work is begun after some was abandoned.
const ABANDONED: i64 = 5_000_000;

/// Files of a table to put together, and what they become.
type Choice = (TableKind, Vec<Arc<TableFile>>, Form);

/// What is under way, and when to look again (mono).
pub struct Upkeep {
    chore: Option<Chore>,
    tidy_at: i64,
    sweep_at: i64,
    /// The table to sweep next.
    next: usize,
    /// As it was when it was last looked at; `None`: there is none.
    audit: Option<Table>,
}

impl Default for Upkeep {
    fn default() -> Upkeep {
        // A start has better things to do.
        Upkeep { chore: None, tidy_at: i64::MIN, sweep_at: 60_000_000, next: 0, audit: None }
    }
}

impl Upkeep {
    #[cfg(test)]
    pub fn is_busy(&self) -> bool {
        self.chore.is_some()
    }

    /// Ends what is under way without its result, because rows are about to be taken away: a file that is being made may
    /// hold them, and a checkpoint describe them.
    pub async fn abandon(&mut self, now: Now) {
        if let Some(chore) = self.chore.take() {
            chore.abandon().await;
        }
        self.tidy_at = self.tidy_at.max(now.mono.saturating_add(ABANDONED));
    }
}

impl WorkspaceSealer {
    /// Takes a look at the files: commits what was made since the last look, and begins what is to be done next. Nothing
    /// depends on it: what fails is logged, and tried later.
    ///
    /// # Errors
    /// `Fenced` alone: another process has taken over.
    pub async fn tidy(&mut self, now: Now) -> Result<(), LakeError> {
        if let Some(chore) = self.upkeep.chore.take_if(|chore| chore.is_finished()) {
            self.conclude(chore, now).await?;
        }
        // A file that was not scanned yet keeps its place in the order of versions.
        if self.upkeep.chore.is_some() || now.mono < self.upkeep.tidy_at || !self.unscanned.is_empty() {
            return Ok(());
        }
        self.upkeep.tidy_at = now.mono.saturating_add(TIDY_EVERY);
        self.upkeep.chore = match self.choose(now, false) {
            Some(choice) => self.merge(choice),
            None if now.mono >= self.upkeep.sweep_at => {
                let kind = TableKind::ALL[self.upkeep.next % TableKind::ALL.len()];
                self.upkeep.next += 1;
                self.upkeep.sweep_at = now.mono.saturating_add(SWEEP_EVERY / TableKind::ALL.len() as i64);
                if let Err(error) = self.look_at_audit().await {
                    tracing::debug!(workspace = %self.workspace, %error, "audit table not looked at");
                }
                self.sweep(kind, COMMITS)
            }
            None => None,
        };
        Ok(())
    }

    async fn conclude(&mut self, chore: Chore, now: Now) -> Result<(), LakeError> {
        match self.finish(chore).await {
            // There may be more of it.
            Ok(Done::Merged(merged)) => {
                self.upkeep.tidy_at = now.mono;
                tracing::debug!(workspace = %self.workspace, ?merged, "files put together");
            }
            Ok(Done::Swept(swept)) => tracing::debug!(workspace = %self.workspace, ?swept, "table swept"),
            Ok(Done::Nothing) => {}
            Err(error @ LakeError::Fenced { .. }) => return Err(error),
            Err(error) => {
                self.upkeep.tidy_at = now.mono.saturating_add(TIDY_AGAIN);
                tracing::warn!(workspace = %self.workspace, %error, "files not put together, trying again later");
            }
        }
        Ok(())
    }

    async fn finish(&mut self, chore: Chore) -> Result<Done, LakeError> {
        let (kind, fence) = (chore.kind(), self.fence);
        let table = match kind {
            TableKind::Facts => Some(&mut self.facts),
            TableKind::Events => Some(&mut self.events),
            TableKind::Sessions => Some(&mut self.sessions),
            TableKind::Audit => self.upkeep.audit.as_mut(),
        };
        let Some(table) = table else { return Ok(Done::Nothing) };
        let done = chore.finish(table, fence).await;
        match kind {
            TableKind::Facts => self.unscanned.extend(self.fact_files.advance(&self.facts).await?),
            TableKind::Events => drop(self.event_files.advance(&self.events).await?),
            TableKind::Sessions => drop(self.session_files.advance(&self.sessions).await?),
            TableKind::Audit => {}
        }
        done
    }

    fn table(&self, kind: TableKind) -> Option<&Table> {
        match kind {
            TableKind::Facts => Some(&self.facts),
            TableKind::Events => Some(&self.events),
            TableKind::Sessions => Some(&self.sessions),
            TableKind::Audit => self.upkeep.audit.as_ref(),
        }
    }

    /// The table's rows come from elsewhere, and seldom.
    async fn look_at_audit(&mut self) -> Result<(), LakeError> {
        match &mut self.upkeep.audit {
            Some(audit) => audit.refresh().await?,
            none => *none = self.lake.existing(&self.workspace, TableKind::Audit).await?,
        }
        Ok(())
    }

    fn sweep(&self, kind: TableKind, commits: i64) -> Option<Chore> {
        Chore::sweep(self.table(kind)?, commits, &self.options.turns)
    }

    fn merge(&self, (kind, files, form): Choice) -> Option<Chore> {
        Chore::merge(self.table(kind)?, files, form, &self.options.turns)
    }

    fn choose(&self, now: Now, thorough: bool) -> Option<Choice> {
        let running = self.running_tags();
        TableKind::ALL.into_iter().find_map(|kind| {
            let view = self.view(kind, now, thorough);
            let files = view.choose(&self.may_merge(kind, &running))?;
            let form = view.form(&files);
            Some((kind, files, form))
        })
    }

    /// Bytes of the files that [`WorkspaceSealer::tidy_all`] still has before it.
    fn untidy(&self, now: Now) -> u64 {
        let running = self.running_tags();
        let left = |kind| self.view(kind, now, true).left(&self.may_merge(kind, &running));
        TableKind::ALL.into_iter().map(left).sum()
    }

    fn view(&self, kind: TableKind, now: Now, thorough: bool) -> View {
        // Whoever asks for everything does nothing else.
        let held_bytes = if thorough { 32 } else { 3 } * self.options.round_bytes as u64;
        View { kind, today: day_of(now.wall), held_bytes, thorough }
    }

    fn running_tags(&self) -> HashSet<u64> {
        self.live.stored_running().map(|id| self.events.session_tag(id)).collect()
    }

    /// Files that may be put together. Those with rows of running sessions are left alone: they are replaced soon.
    fn may_merge(&self, kind: TableKind, running: &HashSet<u64>) -> Vec<Arc<TableFile>> {
        let settled =
            |file: &&Arc<TableFile>| !file.listed().unwrap_or_default().iter().any(|tag| running.contains(tag));
        let whole = |file: &&Arc<TableFile>| !self.damage.is_given_up(&file.path);
        match kind {
            TableKind::Facts => self.fact_files.files().filter(whole).cloned().collect(),
            TableKind::Events => self.event_files.files().filter(settled).cloned().collect(),
            TableKind::Sessions => self.session_files.files().filter(settled).cloned().collect(),
            TableKind::Audit => {
                let audit = self.upkeep.audit.iter().flat_map(|audit| audit.state.files.values());
                audit.cloned().map(Arc::new).collect()
            }
        }
    }

    /// Everything that there is to do, now. `told` hears of each step, and how many bytes are still to be put together.
    ///
    /// # Errors
    /// What cannot be done; what was done until then stays.
    pub async fn tidy_all(&mut self, now: Now, told: &(dyn Fn(Done, u64) + Sync)) -> Result<(), LakeError> {
        self.look_at_audit().await?;
        told(Done::Nothing, self.untidy(now));
        while let Some(choice) = self.choose(now, true) {
            let Some(chore) = self.merge(choice) else { return Ok(()) };
            match self.finish(chore).await? {
                Done::Nothing => return Ok(()),
                done => told(done, self.untidy(now)),
            }
        }
        for kind in TableKind::ALL {
            let Some(chore) = self.sweep(kind, THOROUGH_COMMITS) else { continue };
            told(self.finish(chore).await?, 0);
        }
        Ok(())
    }

    /// Seals everything that is due.
    ///
    /// # Errors
    /// What was sealed until then stays; what is left is still due.
    pub async fn seal_all(&mut self, now: Now, observe: &(dyn Fn(&Report) + Send + Sync)) -> Result<(), LakeError> {
        loop {
            self.scan(now).await?;
            match self.round(now).await? {
                Some(report) => observe(&report),
                None if self.unscanned.is_empty() => return Ok(()),
                None => {}
            }
        }
    }

    #[cfg(test)]
    pub async fn tidied(&mut self, now: Now) -> Option<maintain::Merged> {
        self.upkeep.tidy_at = i64::MIN;
        self.tidy(now).await.unwrap();
        let chore = self.upkeep.chore.take()?;
        match self.finish(chore).await.unwrap() {
            Done::Merged(merged) => Some(merged),
            _ => None,
        }
    }
}
