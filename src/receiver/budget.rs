//! The bytes that requests may hold in memory, from the first byte read until they are durable: all together, and those
//! of one workspace.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// A bound on bytes in flight, counted in KiB. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total_kib: u32,
}

/// A share of one or two budgets; travels with the bytes it stands for, and goes back when dropped.
pub struct Permit {
    all: Part,
    workspace: Option<Part>,
}

/// What a permit holds of one budget.
struct Part {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// At most `bytes` (below 4 TiB) in flight.
    pub fn new(bytes: usize) -> Budget {
        let total_kib = kib(bytes);
        Budget { free: Arc::new(Semaphore::new(total_kib as usize)), total_kib }
    }

    /// A budget of that many hundredths of this one, for a workspace.
    #[must_use]
    pub fn share(&self, percent: u32) -> Budget {
        let total_kib = (u64::from(self.total_kib) * u64::from(percent) / 100) as u32;
        Budget { free: Arc::new(Semaphore::new(total_kib as usize)), total_kib }
    }

    /// A permit for nothing yet.
    pub fn permit(&self) -> Permit {
        Permit { all: Part { budget: self.clone(), held: None }, workspace: None }
    }

    /// A permit for nothing yet, of this budget and of a workspace's.
    pub fn permit_within(&self, workspace: &Budget) -> Permit {
        let workspace = Some(Part { budget: workspace.clone(), held: None });
        Permit { workspace, ..self.permit() }
    }

    /// What is free now, bytes.
    pub fn free_bytes(&self) -> usize {
        self.free.available_permits() << 10
    }
}

impl Permit {
    /// Grows the permit until it covers `bytes`. Never waits: requests that each hold a part and wait for more would
    /// block each other, and the client knows how to come back.
    pub fn cover(&mut self, bytes: usize) -> Result<(), Refusal> {
        let wanted = kib(bytes);
        let parts = || std::iter::once(&self.all).chain(&self.workspace);
        if let Some(limit) = parts().map(|part| part.budget.total_kib).min().filter(|most| wanted > *most) {
            return Err(Refusal::TooLarge { limit: (limit as usize) << 10 });
        }
        if !self.all.grow(wanted) {
            return Err(Refusal::Busy);
        }
        let has_room = self.workspace.as_mut().is_none_or(|workspace| workspace.grow(wanted));
        if has_room { Ok(()) } else { Err(Refusal::Quota { after: RETRY }) }
    }

    /// What it covers, bytes.
    pub fn bytes(&self) -> usize {
        self.all.held.as_ref().map_or(0, |permit| permit.num_permits()) << 10
    }

    /// A permit for nothing yet, of the same budgets.
    pub fn another(&self) -> Permit {
        let nothing = |part: &Part| Part { budget: part.budget.clone(), held: None };
        Permit { all: nothing(&self.all), workspace: self.workspace.as_ref().map(nothing) }
    }
}

/// Bytes in flight are durable, and so free again, within milliseconds; the least that a client can be told is a second.
const RETRY: Duration = Duration::from_secs(1);

impl Part {
    /// Whether it holds that many KiB now.
    fn grow(&mut self, wanted: u32) -> bool {
        let held = self.held.as_ref().map_or(0, |permit| permit.num_permits() as u32);
        if wanted <= held {
            return true;
        }
        let Ok(more) = Arc::clone(&self.budget.free).try_acquire_many_owned(wanted - held) else { return false };
        match &mut self.held {
            Some(permit) => permit.merge(more),
            None => self.held = Some(more),
        }
        true
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_grows_until_the_budget_is_spent_and_returns_all_of_it() {
        let budget = Budget::new(10 << 10);
        let mut permit = budget.permit();
        permit.cover(1).unwrap();
        permit.cover(6 << 10).unwrap();
        permit.cover(100).unwrap();
        assert_eq!(budget.free_bytes(), 4 << 10);
        let mut other = permit.another();
        assert!(matches!(other.cover(5 << 10), Err(Refusal::Busy)));
        drop(permit);
        other.cover(10 << 10).unwrap();
        assert_eq!(budget.free_bytes(), 0);
    }

    #[test]
    fn what_can_never_fit_is_too_large_and_not_busy() {
        let budget = Budget::new(10 << 10);
        assert!(matches!(budget.permit().cover((10 << 10) + 1), Err(Refusal::TooLarge { limit: 10_240 })));
    }

    #[test]
    fn a_workspace_has_a_share_and_leaves_the_rest_to_others() {
        let budget = Budget::new(10 << 10);
        let (one, two) = (budget.share(60), budget.share(60));
        let mut first = budget.permit_within(&one);
        first.cover(6 << 10).unwrap();
        assert!(matches!(first.another().cover(1 << 10), Err(Refusal::Quota { .. })));
        let mut second = budget.permit_within(&two);
        second.cover(4 << 10).unwrap();
        assert!(matches!(second.another().cover(1 << 10), Err(Refusal::Busy)));
        assert!(matches!(second.another().cover(7 << 10), Err(Refusal::TooLarge { limit: 6144 })));
        drop(first);
        second.cover(6 << 10).unwrap();
        drop(second);
        assert_eq!((budget.free_bytes(), one.free_bytes(), two.free_bytes()), (10 << 10, 6 << 10, 6 << 10));
    }
}
