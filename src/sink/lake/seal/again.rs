//! Between rounds: what is to be redacted anew is.

use std::collections::HashSet;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::live::Now;
use super::workspace::WorkspaceSealer;
use crate::model::AuditEntry;
use crate::sink::lake::audit;
use crate::sink::lake::holds::Held;
use crate::sink::lake::rewrite::{
    Anew, Checked, Redacted, Rewritten, Tables, hide_pieces, purge_superseded, redact_anew,
};
use crate::sink::lake::{LakeError, Reredacted, Reredaction, Reredactions};

/// How often orders are looked for, microseconds: one request each time.
const LOOK: i64 = 10_000_000;

/// How long after a failure.
const AGAIN: i64 = 60_000_000;

/// What is being redacted anew.
pub struct Again {
    /// Not before (mono).
    at: i64,
    /// Sealing may have left marks: those of an earlier process, too.
    pub marked: bool,
    order: Option<Order>,
}

/// An order on its way.
struct Order {
    id: String,
    order: Reredaction,
    checked: Checked,
    done: Redacted,
}

impl Default for Again {
    fn default() -> Again {
        Again { at: i64::MIN, marked: true, order: None }
    }
}

impl WorkspaceSealer {
    /// Redacts anew what sealing marked and what was ordered, a slice at a time, when nothing waits to be sealed. What fails
    /// is logged, and tried later.
    ///
    /// # Errors
    /// `Fenced` alone: another process maintains the lake now.
    pub async fn redact_again(&mut self, now: Now) -> Result<(), LakeError> {
        if now.mono < self.again.at || !self.unscanned.is_empty() || self.live.due_count(now) > 0 {
            return Ok(());
        }
        let step: BoxFuture<'_, _> = self.redact_some(now).boxed();
        match step.await {
            Ok(more) => self.again.at = if more { now.mono } else { now.mono.saturating_add(LOOK) },
            Err(error @ LakeError::Fenced { .. }) => return Err(error),
            Err(error) => {
                self.again.at = now.mono.saturating_add(AGAIN);
                tracing::warn!(workspace = %self.workspace, %error, "not redacted anew yet, trying again");
            }
        }
        Ok(())
    }

    /// Does all of it, now.
    ///
    /// # Errors
    /// The store; what was done stays, and the rest is done by the next call.
    pub async fn redact_all(&mut self, now: Now) -> Result<(), LakeError> {
        while self.redact_some(now).await? {}
        Ok(())
    }

    async fn redact_some(&mut self, now: Now) -> Result<bool, LakeError> {
        let more = match self.again.marked {
            true => self.hide_marked().await,
            false => self.follow_orders(now).await,
        };
        self.note_changes().await?;
        more
    }

    async fn hide_marked(&mut self) -> Result<bool, LakeError> {
        let marks = self.marks.all().await?;
        if !marks.is_empty() {
            let sessions: HashSet<String> = marks.iter().map(|mark| mark.session_id.clone()).collect();
            let mut purged = hide_pieces(&mut self.facts, self.fence, &marks).await?;
            purged.and(self.marks.remove(&sessions).await?);
            for object in purged.remaining {
                tracing::warn!(workspace = %self.workspace, object, "shows a secret in pieces, and the store does not delete it");
            }
        }
        self.again.marked = false;
        Ok(true)
    }

    async fn follow_orders(&mut self, now: Now) -> Result<bool, LakeError> {
        let Some(anew) = self.options.anew.clone() else { return Ok(false) };
        let orders = Reredactions::new(&self.lake, &self.workspace);
        if self.again.order.is_none() {
            let next = orders.pending().await?.into_iter().next();
            let begin = |(id, order)| Order { id, order, checked: Checked::default(), done: Redacted::default() };
            self.again.order = next.map(begin);
        }
        if self.again.order.is_none() {
            return Ok(false);
        }
        let held = self.held().await?;
        let Some(mut order) = self.again.order.take() else { return Ok(false) };
        let more = self.redact_slice(&anew, &held, &mut order).await;
        match more {
            Ok(false) => {
                // Should its record not be taken, the order is looked at again as a whole, and nothing is left to hide.
                let record = order.record(now.wall);
                audit::record(&self.lake, &self.facts.key, &self.workspace, &[order.receipt(&record)]).await?;
                orders.finish(&order.id, &record).await?;
                tracing::info!(workspace = %self.workspace, id = order.id, "stored sessions are redacted by today's rules");
                Ok(true)
            }
            more => {
                self.again.order = Some(order);
                more
            }
        }
    }

    async fn redact_slice(&mut self, anew: &Anew, held: &Arc<Held>, order: &mut Order) -> Result<bool, LakeError> {
        let mut tables = Tables { facts: &mut self.facts, events: &mut self.events, sessions: &mut self.sessions };
        let scope = (&self.workspace, order.order.since);
        let more = redact_anew(&mut tables, self.fence, scope, held, anew, &mut order.checked, &mut order.done).await?;
        if !more {
            order.done.purged.and(purge_superseded(tables).await?);
        }
        Ok(more)
    }
}

impl Order {
    fn receipt(&self, record: &Reredacted) -> AuditEntry {
        let since = chrono::DateTime::from_timestamp_micros(self.order.since).unwrap_or_default();
        let Redacted { facts, events, sessions, .. } = &self.done;
        let sum = |of: fn(&Rewritten) -> u64| {
            i64::try_from([facts, events, sessions].into_iter().map(of).sum::<u64>()).unwrap_or(i64::MAX)
        };
        AuditEntry {
            request_id: self.id.clone(),
            action: "reredact".to_owned(),
            time: record.at,
            requested_at: self.order.at,
            who: Some(self.order.by.clone()),
            how: format!("since {}", since.format("%FT%TZ")),
            reason: Some(self.order.reason.clone()).filter(|reason| !reason.is_empty()),
            outcome: if record.remaining.is_empty() { "done" } else { "incomplete" }.to_owned(),
            fact_rows: record.facts as i64,
            event_rows: record.events as i64,
            session_rows: record.sessions as i64,
            objects_before: record.objects_before as i64,
            objects_after: record.objects_after as i64,
            bytes_before: sum(|done| done.bytes_before),
            bytes_after: sum(|done| done.bytes_after),
            remaining: record.remaining.clone(),
            ..AuditEntry::default()
        }
    }

    fn record(&self, at: i64) -> Reredacted {
        let Redacted { facts, events, sessions, purged } = &self.done;
        Reredacted {
            facts: facts.rows_replaced,
            events: events.rows_replaced,
            sessions: sessions.rows_replaced,
            objects_before: [facts, events, sessions].iter().map(|done| done.removed.len()).sum(),
            objects_after: [facts, events, sessions].iter().map(|done| done.added).sum(),
            remaining: purged.remaining.clone(),
            at,
        }
    }
}
