//! Between rounds: what is too old goes, and the log with it; and a session that goes on after its facts expired keeps its
//! rows.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::folding::Gathered;
use super::index::FileIndex;
use super::live::Now;
use super::workspace::WorkspaceSealer;
use crate::model::{Event, Session};
use crate::sink::lake::holds::{Held, Holds};
use crate::sink::lake::rewrite::{Checked, Expired, Tables, clean_log, expire};
use crate::sink::lake::{LakeError, TableFile};

/// How often it is looked for what is too old, microseconds: days are what retention counts.
const EVERY: i64 = 3_600_000_000;

/// How long after a failure.
const AGAIN: i64 = 60_000_000;

/// When to look for what is too old, and what need not be looked at again.
pub struct Expiring {
    /// Not before (mono).
    at: i64,
    held: Arc<Held>,
    checked: Checked,
}

impl Default for Expiring {
    fn default() -> Expiring {
        Expiring { at: i64::MIN, held: Arc::default(), checked: Checked::default() }
    }
}

impl WorkspaceSealer {
    /// Takes away what is too old, when it is time and nothing waits to be sealed. What fails is logged, and tried later.
    ///
    /// # Errors
    /// `Fenced` alone: another process maintains the lake now.
    pub async fn expire(&mut self, now: Now) -> Result<(), LakeError> {
        if now.mono < self.expiring.at || !self.unscanned.is_empty() || self.live.due_count(now) > 0 {
            return Ok(());
        }
        let expired: BoxFuture<'_, _> = self.take_expired().boxed();
        match expired.await {
            Ok(expired) => self.expiring.at = if expired.more { now.mono } else { now.mono.saturating_add(EVERY) },
            Err(error @ LakeError::Fenced { .. }) => return Err(error),
            Err(error) => {
                self.expiring.at = now.mono.saturating_add(AGAIN);
                tracing::warn!(workspace = %self.workspace, %error, "what is too old is not deleted yet, trying again");
            }
        }
        Ok(())
    }

    /// Takes away all of it, now; says how many files went.
    ///
    /// # Errors
    /// The store; what is gone is gone, and the rest goes by the next call.
    pub async fn expire_all(&mut self) -> Result<usize, LakeError> {
        let mut files = 0;
        loop {
            let expired = self.take_expired().await?;
            files += expired.purged.files;
            if !expired.more {
                return Ok(files);
            }
        }
    }

    /// What a legal hold keeps.
    pub(super) async fn held(&self) -> Result<Arc<Held>, LakeError> {
        let holds = Holds::open(&self.lake, &self.workspace).await?;
        Ok(Arc::new(holds.held(&self.lake, &self.workspace).await?))
    }

    async fn take_expired(&mut self) -> Result<Expired, LakeError> {
        let held = self.held().await?;
        if held != self.expiring.held {
            self.expiring.held = held.clone();
            self.expiring.checked = Checked::default();
        }
        let tables = Tables { facts: &mut self.facts, events: &mut self.events, sessions: &mut self.sessions };
        let retention = self.options.retention.of(&self.workspace);
        let expired = expire(tables, self.fence, retention, &held, &mut self.expiring.checked).await;
        self.note_changes().await?;
        let expired = expired?;
        if !expired.is_nothing() {
            let files = expired.facts.removed.len() + expired.events.removed.len() + expired.sessions.removed.len();
            tracing::info!(workspace = %self.workspace, files, purged = expired.purged.files, "what was too old is deleted");
        }
        for object in &expired.purged.remaining {
            tracing::warn!(workspace = %self.workspace, object, "too old, and the store does not delete it");
        }
        for table in [&self.facts, &self.events, &self.sessions] {
            clean_log(table).await?;
        }
        Ok(expired)
    }

    /// Of sessions whose first facts may be gone, what is stored is kept beside the facts that are left.
    pub(super) async fn go_on(&self, gathered: &mut [Gathered], now: Now) -> Result<(), LakeError> {
        let retention = self.options.retention.of(&self.workspace);
        let Some(first_day) = retention.first_fact_day(now.wall) else { return Ok(()) };
        for session in gathered {
            let received_at = session.facts.iter().map(|fact| fact.received_at).min().unwrap_or(i64::MIN);
            session.stored = self.stored_before(&session.session, first_day, received_at).await?;
        }
        Ok(())
    }

    /// A session's stored rows, where they were computed from facts received earlier than `received_at`, which may have
    /// been deleted since. Only partitions from before the first day of facts that are kept are looked at.
    async fn stored_before(
        &self,
        session: &str,
        first_day: i32,
        received_at: i64,
    ) -> Result<Option<(Session, Vec<Event>)>, LakeError> {
        let tag = self.sessions.session_tag(session);
        let only = HashSet::from([session.to_owned()]);
        let of_day = |index: &FileIndex, chosen: &dyn Fn(i32) -> bool| -> Vec<Arc<TableFile>> {
            index.holding([tag].into_iter()).into_iter().filter(|file| chosen(file.date)).collect()
        };
        for file in of_day(&self.session_files, &|day| day < first_day) {
            let rows = self.sessions.read_sessions(&file, Some(&only)).await?;
            let Some(row) = rows.into_iter().find(|row| row.received_at < received_at) else { continue };
            let mut events = Vec::new();
            for file in of_day(&self.event_files, &|day| day == row.date) {
                events.extend(self.events.read_events(&file, Some(&only)).await?);
            }
            return Ok(Some((row, events)));
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "expire_tests.rs"]
mod tests;
