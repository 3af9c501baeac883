//! How long to wait before the lake is tried again.

use std::time::Duration;

/// The first wait: about one commit on S3.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait: short enough that a healed store is used again within seconds, long enough that a dead one
/// costs a few requests a minute.
const LONGEST: Duration = Duration::from_secs(10);

/// Doubling waits, capped. Starts over with [`Backoff::reset`].
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub fn fail(&mut self) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Says whether there were failures.
    pub fn reset(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..8).map(|_| backoff.fail().as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.fail(), FIRST);
    }
}
