//! Folds the sessions of a round, off the async threads; a session that makes the fold panic stops no other.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{Fold, Recheck};
use crate::enrich::fold::Folded;
use crate::model::{Fact, FactId, Gap, Workspace};
use crate::sink::lake::heavy;

/// A session's facts, and whether its time is over.
pub struct Gathered {
    pub session: String,
    pub facts: Vec<Fact>,
    /// The time of the first facts that are missing, UTC microseconds: the session is too large.
    pub left_out: Option<i64>,
    pub idle: bool,
}

/// The result for one session.
pub struct FoldedSession {
    pub session: String,
    /// `None`: the fold, or the redaction of its events, panicked.
    pub folded: Option<Folded>,
    /// Facts whose pieces are hidden in the events and still stand in `facts`.
    pub exposed: BTreeSet<FactId>,
}

/// What is done with each session's facts.
#[derive(Clone)]
pub struct Work {
    pub workspace: Workspace,
    pub fold: Fold,
    pub recheck: Option<Recheck>,
}

/// Folds each session. A task that is cancelled with the runtime yields nothing.
pub async fn fold_all(sessions: Vec<Gathered>, work: Work) -> Vec<FoldedSession> {
    let folding = move || sessions.into_iter().map(|session| fold_one(session, &work)).collect();
    heavy::run(folding).await.unwrap_or_default()
}

fn fold_one(gathered: Gathered, work: &Work) -> FoldedSession {
    let Gathered { session, facts, left_out, idle } = gathered;
    let fold = || {
        let mut folded = (work.fold)(&session, &facts, idle);
        let exposed = work.recheck.as_ref().map(|recheck| recheck.apply(&work.workspace, &facts, &mut folded));
        folded.session.gaps.extend(left_out.map(too_large));
        (folded, exposed.unwrap_or_default())
    };
    match catch_unwind(AssertUnwindSafe(fold)) {
        Ok((folded, exposed)) => FoldedSession { session, folded: Some(folded), exposed },
        Err(_) => {
            tracing::error!(
                session,
                facts = facts.len(),
                "session cannot be folded; it is tried again when facts come"
            );
            FoldedSession { session, folded: None, exposed: BTreeSet::new() }
        }
    }
}

fn too_large(time: i64) -> Gap {
    let from = chrono::DateTime::from_timestamp_micros(time).unwrap_or_default().format("%FT%TZ");
    let detail = format!("the session is too large to be joined whole: what it did from {from} on is in facts alone");
    Gap { kind: "too_large".to_owned(), detail }
}
