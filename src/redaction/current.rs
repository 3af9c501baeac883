//! The redactor in force, which may be replaced while requests are served.

use std::sync::{Arc, PoisonError, RwLock};

use super::Redactor;

/// Whoever needs the redactor takes it here for one request or one session, and keeps it to the end of that: no record
/// is redacted by two sets of rules. Cheap to clone.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Redactor>>);

impl Current {
    pub fn new(redactor: Redactor) -> Current {
        Current(Arc::new(RwLock::new(redactor)))
    }

    pub fn get(&self) -> Redactor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next `get` on, this one is in force.
    pub fn put(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = redactor;
    }
}
