//! Folds the sessions of a round, off the async threads; a session that makes the fold panic stops no other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Fold;
use crate::enrich::fold::Folded;
use crate::model::Fact;
use crate::sink::lake::heavy;

/// A session's facts, and whether its time is over.
pub struct Gathered {
    pub session: String,
    pub facts: Vec<Fact>,
    pub idle: bool,
}

/// The result for one session; `None`: the fold panicked.
pub struct FoldedSession {
    pub session: String,
    pub folded: Option<Folded>,
}

/// Folds each session. A task that is cancelled with the runtime yields nothing.
pub async fn fold_all(sessions: Vec<Gathered>, fold: Fold) -> Vec<FoldedSession> {
    let folding = move || sessions.into_iter().map(|session| fold_one(session, fold)).collect();
    heavy::run(folding).await.unwrap_or_default()
}

fn fold_one(gathered: Gathered, fold: Fold) -> FoldedSession {
    let Gathered { session, facts, idle } = gathered;
    let folded = catch_unwind(AssertUnwindSafe(|| fold(&session, &facts, idle))).ok();
    if folded.is_none() {
        tracing::error!(session, facts = facts.len(), "session cannot be folded; it is tried again when facts come");
    }
    FoldedSession { session, folded }
}
