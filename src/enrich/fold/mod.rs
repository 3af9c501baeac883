//! A session's events: a pure function of the set of its facts.
//!
//! The steps, each in a file of its own: [`item`] makes the set (one of each fact) and reads what facts say beside
//! their columns; [`group`] brings facts together by natural key; [`errors`] makes one of what several
//! sources tell of one failed request; [`shown`] puts together and [`replies`] places what has no key by the context of
//! the session; [`runs`] cuts the client's counter into runs; [`links`] finds parents; [`merge`] chooses each column's
//! value; [`order`] gives every event its place; [`resumed`] goes on from events whose facts are no longer kept; [`binding`] finds whom the session belongs to, [`session`] sums up,
//! [`gaps`] says what is missing.
//!
//! No step may look at the order in which facts are given, at receive times of facts that have a clock (but [`binding`],
//! because other times can be forged), or at anything but the facts.

mod binding;
mod errors;
mod gaps;
mod group;
mod item;
mod links;
mod merge;
mod nearest;
mod order;
mod pairs;
mod replies;
mod resumed;
mod runs;
mod session;
mod shown;

#[cfg(test)]
mod tests;

use crate::model::{Event, Fact, Kind, Session};
use binding::Binding;
use group::Draft;
use item::Item;

/// Grows whenever the fold's result for the same facts changes.
pub const FOLD_VERSION: i32 = 3;

/// What the fold computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// In order of `seq`.
    pub events: Vec<Event>,
    pub session: Session,
}

impl Folded {
    /// Shows each event to `change`, which says whether it changed the event's texts; what is counted and quoted of them
    /// follows.
    pub fn amend(&mut self, mut change: impl FnMut(&mut Event) -> bool) {
        let mut any = false;
        for event in &mut self.events {
            if change(event) {
                event.columns.redactions = merge::redactions(&event.columns);
                any = true;
            }
        }
        if any {
            session::quote(&mut self.session, &self.events);
        }
    }
}

/// Folds the facts of one session. Order, duplicates (same `fact_id`) and origin of duplicates change nothing.
/// `idle` says that the session's time is over although no end was seen: it has no effect once an end was seen.
///
/// # Panics
/// When `facts` is empty, or a fact names another session than `session_id`.
pub fn fold(session_id: &str, facts: &[Fact], idle: bool) -> Folded {
    assert!(!facts.is_empty(), "a session without facts has no events");
    assert!(facts.iter().all(|f| f.session_id.as_deref() == Some(session_id)), "a fact of another session");
    let items = item::items(facts);
    let mut drafts = group::by_key(&items);
    links::resolve(&items, &mut drafts);
    errors::unite(&items, &mut drafts);
    replies::place(&items, &mut drafts);
    links::parents(&items, &mut drafts);
    let runs = runs::runs(&items);
    let events = order::events(session_id, &items, drafts, &runs);
    let session = session::summary(session_id, &items, &events, &runs, &Binding::of(facts), idle);
    Folded { events, session }
}

/// The kinds whose facts meet by `request_id`.
fn is_call(kind: Kind) -> bool {
    matches!(kind, Kind::ModelCall | Kind::Error)
}

/// The items of a draft.
fn of<'d, 'a>(items: &'d [Item<'a>], draft: &'d Draft) -> impl Iterator<Item = &'d Item<'a>> {
    draft.items.iter().map(|i| &items[*i])
}
