//! Facts to `events` and `sessions`.
//!
//! One task computes the rows of sessions that ended, fell idle, or run, and replaces what stood there.
//! Among the processes that serve a lake, the holder of the lease runs it (`lease`): it is the only writer of `events` and
//! `sessions`, and the only one that removes files, one commit after the other in each workspace.
//!
//! A round commits `events`, then `sessions`; the latter carries the transaction `("seal", facts version)`, which says
//! that every session touched up to that version is stored, or stored as running. So a restart scans the facts after
//! it, folds what is stored as running once more, and repeats at most one round, with the same result.
//!
//! What redaction finds in an event that its facts still show in pieces is hidden in the event, and the facts are marked
//! (`marks`) before the event is stored.

mod again;
mod damage;
mod driver;
mod expire;
mod folding;
mod gather;
mod index;
mod live;
mod once;
mod recheck;
mod rewrite;
mod running;
mod upkeep;
mod workspace;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

pub use self::driver::Sealer;
pub use self::live::Timing;
pub use self::once::{Once, Step, Told};
pub use self::recheck::Recheck;
pub use self::running::running;
pub use self::workspace::TRANSACTION;
use crate::enrich::fold::{Folded, fold};
use crate::model::{Fact, Workspace};
use crate::sink::lake::forget::Forgetter;
use crate::sink::lake::{Anew, Retention, Retentions};

/// The facts of a session to its rows: session id, facts, whether its time is over.
pub type Fold = fn(&str, &[Fact], bool) -> Folded;

/// Called after each round.
pub type Observe = Arc<dyn Fn(&Report) + Send + Sync>;

/// How sessions are sealed.
#[derive(Clone, Debug)]
pub struct SealOptions {
    pub timing: Timing,
    /// Sessions in one round at most. Default 2048.
    pub round_sessions: usize,
    /// Memory that a round's facts may take, bytes, about; one session may take more. Default 64 MiB.
    pub round_bytes: usize,
    /// Memory that one session's facts may take, bytes, about. Of a larger one the first facts by time are joined; the
    /// others are in `facts` alone, and its row says so. Default 64 MiB.
    pub session_bytes: usize,
    pub fold: Fold,
    /// The second pass of redaction. Default none.
    pub recheck: Option<Recheck>,
    /// Redacts stored rows by the rules in force, where that is ordered. Default none.
    pub anew: Option<Anew>,
    /// How long data is kept. Default for ever.
    pub retention: Retentions,
    /// Sessions that are to be forgotten, and the work on them. Default none.
    pub forgetter: Option<Forgetter>,
    /// Names this process among those that want the lake's lease: one that starts under the name takes back at once
    /// what its predecessor held. Default a name that nobody else has.
    pub holder: String,
    /// Whose turn it is to put files together: one workspace at a time, as a rule.
    pub turns: Arc<Semaphore>,
}

impl Default for SealOptions {
    fn default() -> SealOptions {
        SealOptions {
            timing: Timing::default(),
            round_sessions: 2048,
            round_bytes: 64 << 20,
            session_bytes: 64 << 20,
            fold,
            recheck: None,
            turns: Arc::new(Semaphore::new(1)),
            anew: None,
            retention: Retentions { default: Retention::FOR_EVER, ..Retentions::default() },
            forgetter: None,
            holder: uuid::Uuid::new_v4().to_string(),
        }
    }
}

/// What a round did, or that it failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions stored as ended.
    pub ended: usize,
    /// Sessions stored as running.
    pub provisional: usize,
    /// Sessions that the fold panicked on.
    pub poisoned: usize,
    /// Sessions whose events had to be redacted beyond what their facts were.
    pub exposed: usize,
    /// The lake could not be read or written; everything is tried again.
    pub failed: bool,
    /// From the receipt of each session's end until its row could be read, microseconds.
    pub end_to_visible: Vec<i64>,
}

/// Versions of a workspace's `facts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The ends of sessions up to this version are stored, with late facts.
    pub ends: i64,
    /// Everything up to this version is stored.
    pub all: i64,
}

/// How far each workspace is sealed.
pub type Sealed = BTreeMap<Workspace, Progress>;
