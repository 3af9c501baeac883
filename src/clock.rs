//! Time as an argument: the one place that reads the system clock.

use std::sync::Arc;

/// A source of wall-clock time. Cheap to clone; tests pass their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock::from_fn(|| chrono::Utc::now().timestamp_micros())
    }

    pub fn from_fn(now: impl Fn() -> i64 + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(now))
    }

    /// UTC microseconds since 1970-01-01.
    pub fn now(&self) -> i64 {
        (self.0)()
    }
}
