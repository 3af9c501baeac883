//! Ending work early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The way to end a piece of work early: it ends at its next step, and leaves nothing half done.
#[derive(Clone, Default)]
pub struct Handle(Arc<AtomicBool>);

impl Handle {
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
