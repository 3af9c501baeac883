//! Keeping the tables good: many small files become few, with the same rows; what nothing names any more goes.
//!
//! The long part of the work, writing new files, goes on beside sealing and follows no log. Only the commit takes its
//! turn among the other commits of the lease's holder; when one of the inputs is gone by then (a late fact has replaced
//! its rows), the new files are thrown away.

mod choose;
mod chore;
mod handle;
mod merge;
mod output;
mod sweep;
#[cfg(test)]
mod tests;

pub use choose::{Form, View};
#[cfg(test)]
pub use chore::Merged;
pub use chore::{Chore, Done};
pub use output::{Outputs, discard};
pub use sweep::{COMMITS, THOROUGH_COMMITS};
