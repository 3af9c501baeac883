//! Sessions that still run, folded for whoever asks: the same fold, and the same second pass of redaction, as stored rows.

use std::collections::HashMap;

use super::Recheck;
use super::folding::{Gathered, Work, fold_all};
use crate::enrich::fold::{Folded, fold};
use crate::model::{Fact, Workspace};

/// Folds the facts of each session. One that makes the fold panic is left out, and the log says so.
pub async fn running(facts: HashMap<String, Vec<Fact>>, workspace: Workspace, recheck: Option<Recheck>) -> Vec<Folded> {
    let gathered = facts.into_iter().map(|(session, facts)| Gathered { session, facts, left_out: None, idle: false });
    let work = Work { workspace, fold, recheck };
    fold_all(gathered.collect(), work).await.into_iter().filter_map(|session| session.folded).collect()
}
