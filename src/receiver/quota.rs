//! What one workspace may send, so that a noisy one cannot take the others' place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::budget::{Budget, Permit};
use super::refusal::Refusal;
use crate::model::Workspace;

/// Bounds for each workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaOptions {
    /// The most of all bytes in flight that one workspace may hold, hundredths (1 to 100).
    pub in_flight_percent: u32,
    /// Request bytes after decompression, per second; `None`: no bound.
    pub bytes_per_second: Option<u64>,
    /// Log records, spans, data points and hook envelopes, per second; `None`: no bound.
    pub records_per_second: Option<u64>,
}

impl Default for QuotaOptions {
    /// A fifth of the memory is always there for the others.
    fn default() -> QuotaOptions {
        QuotaOptions { in_flight_percent: 80, bytes_per_second: None, records_per_second: None }
    }
}

/// The quotas of all workspaces. Cheap to clone. Workspaces come from the tokens that were given out, so their number is
/// bounded by those.
#[derive(Clone)]
pub struct Quotas {
    options: QuotaOptions,
    budget: Budget,
    used: Arc<Mutex<HashMap<String, Used>>>,
}

struct Used {
    in_flight: Budget,
    bytes: Rate,
    records: Rate,
}

impl Quotas {
    /// `budget` is what all workspaces share.
    pub fn new(budget: Budget, options: QuotaOptions) -> Quotas {
        Quotas { options, budget, used: Arc::default() }
    }

    /// A permit for nothing yet. Refused while the workspace has sent more than its rates allow.
    pub fn permit(&self, workspace: &Workspace, now: Instant) -> Result<Permit, Refusal> {
        self.of(workspace, |used| {
            let wait = used.bytes.wait(now).max(used.records.wait(now));
            match wait.is_zero() {
                true => Ok(self.budget.permit_within(&used.in_flight)),
                false => Err(Refusal::Quota { after: wait }),
            }
        })
    }

    /// Counts what a workspace has sent. A request is never refused for its own size, only those after it wait longer:
    /// one that is larger than a second's worth could never be taken otherwise.
    pub fn spend(&self, workspace: &Workspace, bytes: u64, records: u64, now: Instant) {
        self.of(workspace, |used| {
            used.bytes.spend(bytes, now);
            used.records.spend(records, now);
        });
    }

    fn of<T>(&self, workspace: &Workspace, then: impl FnOnce(&mut Used) -> T) -> T {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(workspace.as_str()) {
            return then(used);
        }
        let used = Used {
            in_flight: self.budget.share(self.options.in_flight_percent),
            bytes: Rate::new(self.options.bytes_per_second),
            records: Rate::new(self.options.records_per_second),
        };
        then(all.entry(workspace.as_str().to_owned()).or_insert(used))
    }
}

/// A bucket that holds a second's worth and may be overdrawn.
struct Rate {
    per_second: Option<f64>,
    left: f64,
    seen: Option<Instant>,
}

impl Rate {
    fn new(per_second: Option<u64>) -> Rate {
        let per_second = per_second.map(|n| n.max(1) as f64);
        Rate { per_second, left: per_second.unwrap_or_default(), seen: None }
    }

    fn fill(&mut self, now: Instant) -> Option<f64> {
        let per_second = self.per_second?;
        let passed = self.seen.map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen));
        self.seen = Some(now);
        self.left = (self.left + passed.as_secs_f64() * per_second).min(per_second);
        Some(per_second)
    }

    fn spend(&mut self, count: u64, now: Instant) {
        if self.fill(now).is_some() {
            self.left -= count as f64;
        }
    }

    /// How long until something may be sent again, in whole seconds; zero: now. At most an hour is asked for.
    fn wait(&mut self, now: Instant) -> Duration {
        match self.fill(now) {
            Some(per_second) if self.left <= 0.0 => {
                Duration::from_secs((-self.left / per_second).ceil().clamp(1.0, 3600.0) as u64)
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(options: QuotaOptions) -> Quotas {
        Quotas::new(Budget::new(1 << 20), options)
    }

    fn refused(quotas: &Quotas, workspace: &Workspace, now: Instant) -> Option<Duration> {
        match quotas.permit(workspace, now) {
            Ok(_) => None,
            Err(Refusal::Quota { after }) => Some(after),
            Err(other) => panic!("{other}"),
        }
    }

    #[tokio::test]
    async fn who_has_overdrawn_waits_until_it_is_paid_back_and_others_do_not() {
        let quotas = quotas(QuotaOptions { records_per_second: Some(100), ..QuotaOptions::default() });
        let (loud, quiet) = (Workspace::parse("loud").unwrap(), Workspace::parse("quiet").unwrap());
        let now = Instant::now();
        quotas.spend(&loud, 0, 99, now);
        assert_eq!(refused(&quotas, &loud, now), None);
        quotas.spend(&loud, 0, 301, now);
        assert_eq!(refused(&quotas, &loud, now), Some(Duration::from_secs(3)));
        assert_eq!(refused(&quotas, &quiet, now), None);
        assert_eq!(refused(&quotas, &loud, now + Duration::from_secs(4)), None);
    }

    #[tokio::test]
    async fn without_a_rate_nobody_waits() {
        let quotas = quotas(QuotaOptions::default());
        let now = Instant::now();
        quotas.spend(&Workspace::default(), u64::MAX, u64::MAX, now);
        assert_eq!(refused(&quotas, &Workspace::default(), now), None);
    }
}
