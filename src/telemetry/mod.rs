//! What the process says about itself: counters, logs, health. Never content, never a user's string as a label.

mod exposition;
pub mod health;
mod instruments;
pub mod logs;
pub mod metrics;
mod process;

pub use health::{Health, State};
pub use metrics::{Metrics, Transport};
