//! The facts of a round's sessions, within bounds of memory.

use std::collections::HashMap;

use crate::model::{Fact, FactId, Kind};
use crate::sink::lake::weight;

/// A session's facts, complete up to a bound.
///
/// Of a session that is larger than the bound, the first facts by time are kept, as many as fit: the same ones
/// whatever the order in which they are read. The rest stays in `facts` alone. Its last end is kept beside them, so
/// that the session ends.
#[derive(Default)]
pub struct SessionFacts {
    pub facts: Vec<Fact>,
    pub bytes: usize,
    /// The latest receive time of all its facts, UTC microseconds.
    pub received_at: Option<i64>,
    /// The first fact that did not fit: none from here on is kept.
    cut: Option<Key>,
    end: Option<Fact>,
}

type Key = (i64, FactId);

fn key(fact: &Fact) -> Key {
    (fact.time, fact.fact_id)
}

impl SessionFacts {
    /// Takes a fact; holds at most about twice `bound` bytes.
    fn add(&mut self, fact: Fact, bound: usize) {
        self.received_at = self.received_at.max(Some(fact.received_at));
        if self.cut.is_some_and(|cut| key(&fact) >= cut) {
            return self.leave_out(fact);
        }
        self.bytes += weight::fact(&fact);
        self.facts.push(fact);
        if self.bytes > bound.saturating_mul(2) {
            self.trim(bound);
        }
    }

    fn trim(&mut self, bound: usize) {
        // Deliveries of the same fact count once: the first one.
        self.facts.sort_unstable_by_key(|fact| (fact.fact_id, fact.received_at));
        self.facts.dedup_by_key(|fact| fact.fact_id);
        self.facts.sort_unstable_by_key(key);
        self.bytes = 0;
        let mut fits = |fact: &Fact| {
            self.bytes += weight::fact(fact);
            self.bytes <= bound
        };
        let kept = self.facts.iter().take_while(|fact| fits(fact)).count();
        let rest = self.facts.split_off(kept.max(1));
        self.bytes = self.facts.iter().map(weight::fact).sum();
        if let Some(first) = rest.first() {
            self.cut = Some(key(first));
        }
        rest.into_iter().for_each(|fact| self.leave_out(fact));
    }

    fn leave_out(&mut self, fact: Fact) {
        if fact.kind == Kind::SessionEnd && self.end.as_ref().is_none_or(|end| key(end) < key(&fact)) {
            self.end = Some(fact);
        }
    }

    /// The facts that fit; and, where some did not, the time from which on they are left out, UTC microseconds.
    pub fn finish(mut self, bound: usize) -> (Vec<Fact>, Option<i64>) {
        if self.bytes > bound {
            self.trim(bound);
        }
        self.facts.extend(self.end.take());
        (self.facts, self.cut.map(|(time, _)| time))
    }
}

/// The facts of a round.
pub struct Gathering<'a> {
    /// The sessions whose facts are complete in it.
    pub sessions: &'a [String],
    pub facts: HashMap<String, SessionFacts>,
    pub bytes: usize,
    /// Bytes that the facts of one session may take.
    bound: usize,
}

impl<'a> Gathering<'a> {
    pub fn new(sessions: &'a [String], bound: usize) -> Gathering<'a> {
        let facts = sessions.iter().map(|session| (session.clone(), SessionFacts::default())).collect();
        Gathering { sessions, facts, bytes: 0, bound }
    }

    /// Facts of other sessions are dropped.
    pub fn add(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            let session = fact.session_id.as_deref().and_then(|session| self.facts.get_mut(session));
            if let Some(session) = session {
                let before = session.bytes;
                session.add(fact, self.bound);
                self.bytes = self.bytes + session.bytes - before;
            }
        }
    }

    /// Leaves the later half of the sessions for another round.
    pub fn halve(&mut self) {
        let (kept, left) = self.sessions.split_at(self.sessions.len() / 2);
        self.bytes -=
            left.iter().filter_map(|session| self.facts.remove(session)).map(|facts| facts.bytes).sum::<usize>();
        self.sessions = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::lake::testing::fact;

    const BOUND: usize = 64 << 10;

    fn gathered(facts: &[Fact]) -> (Vec<FactId>, Option<i64>) {
        let sessions = ["s".to_owned()];
        let mut gathering = Gathering::new(&sessions, BOUND);
        for fact in facts {
            gathering.add(vec![fact.clone()]);
            assert!(gathering.bytes <= 2 * BOUND + weight::fact(fact), "{} bytes", gathering.bytes);
        }
        let (facts, cut) = gathering.facts.remove("s").unwrap().finish(BOUND);
        let mut ids: Vec<FactId> = facts.iter().map(|fact| fact.fact_id).collect();
        ids.sort();
        (ids, cut)
    }

    /// Facts numbered 0 to `count`, in an order given by `step`, which shares no factor with `count`.
    fn mixed(count: u64, step: u64) -> Vec<Fact> {
        let kind = |n| if n + 3 == count { Kind::SessionEnd } else { Kind::Prompt };
        (0..count).map(|n| n * step % count).map(|n| fact("s", n, kind(n), n as i64)).collect()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let facts = mixed(30, 7);
        let (ids, cut) = gathered(&facts);
        assert_eq!((ids.len(), cut), (30, None));
    }

    /// The fold is a function of the set of facts: so must be what it is given of a session too large for it.
    #[test]
    fn of_a_session_too_large_the_first_facts_are_kept_whatever_the_order_and_the_repetitions() {
        let sorted = gathered(&mixed(1000, 1));
        let cut = sorted.1.unwrap();
        let first = BOUND / weight::fact(&mixed(1, 1)[0]);
        assert!((first - 2..=first + 1).contains(&sorted.0.len()), "{} facts of about {first}", sorted.0.len());
        for step in [3, 7, 501, 999] {
            assert_eq!(gathered(&mixed(1000, step)), sorted);
        }
        let twice: Vec<Fact> = mixed(1000, 7).into_iter().chain(mixed(1000, 3)).collect();
        assert_eq!(gathered(&twice), sorted);
        let ends: Vec<Fact> = mixed(1000, 1).into_iter().filter(|fact| fact.kind == Kind::SessionEnd).collect();
        assert!(ends[0].time > cut && sorted.0.contains(&ends[0].fact_id), "the end is kept");
    }
}
