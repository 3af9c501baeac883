//! Folds the sessions of a round, off the async threads; a session that makes the fold panic stops no other.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::rewrite::Rows;
use super::{Fold, Recheck};
use crate::enrich::fold::Folded;
use crate::model::{Event, Fact, FactId, Gap, Session, Status, Workspace};
use crate::sink::lake::{Blocks, LakeError, heavy};

/// A session's facts, and whether its time is over.
pub struct Gathered {
    pub session: String,
    pub facts: Vec<Fact>,
    /// The time of the first facts that are missing, UTC microseconds: the session is too large.
    pub left_out: Option<i64>,
    pub idle: bool,
    /// What is stored of it, where its facts may be fewer by now.
    pub stored: Option<(Session, Vec<Event>)>,
}

/// What a round's folds came to.
#[derive(Default)]
pub struct Outcome {
    pub sealed: Vec<(String, Status)>,
    /// Sessions of which the fold, or the redaction of their events, panicked.
    pub poisoned: Vec<String>,
    /// Facts whose pieces are hidden in the events and still stand in `facts`, by session.
    pub exposed: Vec<(String, BTreeSet<FactId>)>,
    pub events: Rows,
    pub sessions: Rows,
}

/// What is done with each session's facts.
#[derive(Clone)]
pub struct Work {
    pub workspace: Workspace,
    pub fold: Fold,
    pub recheck: Option<Recheck>,
}

/// Folds each session.
pub async fn fold_all(sessions: Vec<Gathered>, work: Work) -> Result<Outcome, LakeError> {
    heavy::run(move || {
        let mut folding = Folding::default();
        // One after the other: facts go, and of a session's events only columns stay.
        sessions.into_iter().try_for_each(|session| folding.add(session, &work))?;
        folding.finish()
    })
    .await?
}

/// The rows of sessions that run, or do not.
#[derive(Default)]
struct Folds {
    events: Blocks<Event>,
    sessions: Blocks<Session>,
}

#[derive(Default)]
struct Folding {
    outcome: Outcome,
    settled: Folds,
    running: Folds,
}

impl Folding {
    fn add(&mut self, gathered: Gathered, work: &Work) -> Result<(), LakeError> {
        let session = gathered.session.clone();
        let Some((folded, exposed)) = fold_one(gathered, work) else {
            self.outcome.poisoned.push(session);
            return Ok(());
        };
        if !exposed.is_empty() {
            self.outcome.exposed.push((session.clone(), exposed));
        }
        let status = folded.session.status;
        self.outcome.sealed.push((session, status));
        let rows = match status {
            Status::Running => &mut self.running,
            Status::Ended => &mut self.settled,
        };
        folded.events.into_iter().try_for_each(|event| rows.events.add(event))?;
        rows.sessions.add(folded.session)
    }

    fn finish(self) -> Result<Outcome, LakeError> {
        let Folding { mut outcome, settled, running } = self;
        outcome.events = Rows { settled: settled.events.finish()?, running: running.events.finish()? };
        outcome.sessions = Rows { settled: settled.sessions.finish()?, running: running.sessions.finish()? };
        Ok(outcome)
    }
}

fn fold_one(gathered: Gathered, work: &Work) -> Option<(Folded, BTreeSet<FactId>)> {
    let Gathered { session, facts, left_out, idle, stored } = gathered;
    let fold = || {
        let mut folded = (work.fold)(&session, &facts, idle);
        let exposed = work.recheck.as_ref().map(|recheck| recheck.apply(&work.workspace, &facts, &mut folded));
        if let Some((row, events)) = stored {
            folded = folded.after(row, events);
        }
        folded.session.gaps.extend(left_out.map(too_large));
        (folded, exposed.unwrap_or_default())
    };
    let folded = catch_unwind(AssertUnwindSafe(fold)).ok();
    if folded.is_none() {
        tracing::error!(session, facts = facts.len(), "session cannot be folded; it is tried again when facts come");
    }
    folded
}

fn too_large(time: i64) -> Gap {
    let from = chrono::DateTime::from_timestamp_micros(time).unwrap_or_default().format("%FT%TZ");
    let detail = format!("the session is too large to be joined whole: what it did from {from} on is in facts alone");
    Gap { kind: "too_large".to_owned(), detail }
}
