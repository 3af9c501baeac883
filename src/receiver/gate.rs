//! What of a request may be kept at all. Asked before anything else is done with it: what a private session says is in no
//! record of the journal.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::auth::Caller;
use crate::model::Signal;

/// Decides what may be kept.
pub trait Gate: Send + Sync {
    /// Leaves out the envelopes of private sessions. A session that one of them asks to be private is private, durably,
    /// when this returns.
    ///
    /// # Errors
    /// That could not be written down: nothing of the request may be taken.
    fn hooks(&self, caller: &Caller, envelopes: Vec<Value>) -> Result<Admitted<Vec<Value>>, NotNoted>;

    /// The same for the records of an OTLP request. Bytes that are no request pass as they are: they are refused behind.
    ///
    /// # Errors
    /// As for hooks.
    fn otlp(&self, caller: &Caller, signal: Signal, request: Bytes) -> Result<Admitted<Bytes>, NotNoted>;
}

/// It could not be written down that a session is private.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it cannot be written down that the session is private: the data directory cannot be written")]
pub struct NotNoted;

/// What may be kept of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted<T> {
    pub kept: T,
    /// Records that are not in it.
    pub left_out: u64,
    /// What the records that are left out cost, without their user: an `ExportLogsServiceRequest`.
    pub costs: Option<Bytes>,
    pub notice: Option<Notice>,
}

impl<T> Admitted<T> {
    /// All of it.
    pub fn all(kept: T) -> Admitted<T> {
        Admitted { kept, left_out: 0, costs: None, notice: None }
    }
}

/// What the user is told who asked for a private session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    Private,
    /// An administrator forbids private sessions in this project.
    Forbidden,
}

impl Notice {
    /// One sentence for the user.
    pub fn sentence(self) -> &'static str {
        match self {
            Notice::Private => {
                "This session is private now: nothing more of it is recorded, and what was recorded is deleted."
            }
            Notice::Forbidden => {
                "Private sessions are not allowed in this project: this session is recorded as before."
            }
        }
    }
}

/// Keeps everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn hooks(&self, _: &Caller, envelopes: Vec<Value>) -> Result<Admitted<Vec<Value>>, NotNoted> {
        Ok(Admitted::all(envelopes))
    }

    fn otlp(&self, _: &Caller, _: Signal, request: Bytes) -> Result<Admitted<Bytes>, NotNoted> {
        Ok(Admitted::all(request))
    }
}

/// The way from the gate to the journal: who waits for it to be clear knows that whatever passed the gate before is in
/// the journal, or was refused.
#[derive(Clone, Debug, Default)]
pub struct Passage(Arc<RwLock<()>>);

/// A request on its way.
pub type Passing = OwnedRwLockReadGuard<()>;

impl Passage {
    /// Enters before the gate is asked.
    pub async fn enter(&self) -> Passing {
        self.0.clone().read_owned().await
    }

    /// Waits until everything has left that is on its way now.
    pub async fn clear(&self) {
        drop(self.0.write().await);
    }
}
