//! The bytes that all requests together may hold in memory, from the first byte read until they are durable.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// A bound on bytes in flight, counted in KiB. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    free: Arc<Semaphore>,
    total_kib: u32,
}

/// A share of the budget; travels with the bytes it stands for, and goes back when dropped.
pub struct Permit {
    budget: Budget,
    held: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// At most `bytes` (below 4 TiB) in flight.
    pub fn new(bytes: usize) -> Budget {
        let total_kib = kib(bytes);
        Budget { free: Arc::new(Semaphore::new(total_kib as usize)), total_kib }
    }

    /// A permit for nothing yet.
    pub fn permit(&self) -> Permit {
        Permit { budget: self.clone(), held: None }
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
        if wanted > self.budget.total_kib {
            return Err(Refusal::TooLarge { limit: (self.budget.total_kib as usize) << 10 });
        }
        let held = self.held.as_ref().map_or(0, |permit| permit.num_permits() as u32);
        if wanted <= held {
            return Ok(());
        }
        let more = Arc::clone(&self.budget.free).try_acquire_many_owned(wanted - held).map_err(|_| Refusal::Busy)?;
        match &mut self.held {
            Some(permit) => permit.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    /// What it covers, bytes.
    pub fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |permit| permit.num_permits()) << 10
    }

    /// A permit for nothing yet, of the same budget.
    pub fn another(&self) -> Permit {
        self.budget.permit()
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
}
