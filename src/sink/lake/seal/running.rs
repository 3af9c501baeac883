//! Sessions that still run, folded for whoever asks: the same fold, and the same second pass of redaction, as stored rows.

use std::collections::HashMap;

use super::Recheck;
use super::folding::{Gathered, Work, fold_all};
use super::rewrite::Rows;
use crate::enrich::fold::fold;
use crate::model::{Fact, Workspace};
use crate::sink::lake::{Block, LakeError};

/// Rows that are shown and not stored, as their tables have them.
pub struct Running {
    pub events: Vec<Block>,
    pub sessions: Vec<Block>,
}

/// Folds the facts of each session. One that makes the fold panic is left out, and the log says so.
///
/// # Errors
/// When the rows cannot be put into columns: a fault of our own.
pub async fn running(
    facts: HashMap<String, Vec<Fact>>,
    workspace: Workspace,
    recheck: Option<Recheck>,
) -> Result<Running, LakeError> {
    let gathered = facts.into_iter().map(|(session, facts)| Gathered {
        session,
        facts,
        left_out: None,
        idle: false,
        stored: None,
    });
    let outcome = fold_all(gathered.collect(), Work { workspace, fold, recheck }).await?;
    Ok(Running { events: all(outcome.events), sessions: all(outcome.sessions) })
}

/// A session that ended and goes on is settled by its facts, and still told of.
fn all(rows: Rows) -> Vec<Block> {
    [rows.running, rows.settled].concat()
}
