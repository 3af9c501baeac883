//! A session that goes on after its first facts expired: what was joined of them stays, what is new stands behind it.

use std::collections::BTreeSet;

use super::{Folded, session};
use crate::model::{Event, FactId, Gap, Session};

impl Folded {
    /// Puts what was folded of the facts that are left behind what is `stored` (the session's row and its events).
    ///
    /// A stored event stays when any of its facts is no longer kept: no fold could make it again. Of the fold's events those
    /// stay that share no fact with such a one. Counts are of all events; who and when, of both rows; the session stays in
    /// its partition. The result is the same however often it is done.
    pub fn after(self, stored: Session, stored_events: Vec<Event>) -> Folded {
        let present: BTreeSet<FactId> = self.events.iter().flat_map(|event| &event.fact_ids).copied().collect();
        let lost = |event: &Event| event.fact_ids.iter().any(|id| !present.contains(id));
        let mut events: Vec<Event> = stored_events.into_iter().filter(lost).collect();
        if events.is_empty() {
            return self;
        }
        events.sort_by_key(|event| event.seq);
        let told: BTreeSet<FactId> = events.iter().flat_map(|event| &event.fact_ids).copied().collect();
        let from = self.session.received_at;
        let new = self.events.into_iter().filter(|event| !event.fact_ids.iter().any(|id| told.contains(id)));
        events.extend(new);
        for (seq, event) in (0..).zip(&mut events) {
            (event.seq, event.date) = (seq, stored.date);
        }
        let session = united(stored, self.session, from, &events);
        Folded { events, session }
    }
}

fn united(stored: Session, new: Session, from: i64, events: &[Event]) -> Session {
    let mut gaps: BTreeSet<Gap> = stored.gaps.into_iter().filter(|gap| gap.kind != EXPIRED).chain(new.gaps).collect();
    gaps.insert(expired(from));
    let skills: BTreeSet<_> = stored.skills.into_iter().chain(new.skills).collect();
    let sources: BTreeSet<_> = stored.sources.into_iter().chain(new.sources).collect();
    Session {
        session_id: new.session_id,
        date: stored.date,
        user_email: stored.user_email.or(new.user_email),
        user_id: stored.user_id.or(new.user_id),
        user_account_id: stored.user_account_id.or(new.user_account_id),
        organization_id: stored.organization_id.or(new.organization_id),
        principal: stored.principal.or(new.principal),
        agent: stored.agent.or(new.agent),
        agent_version: new.agent_version.or(stored.agent_version),
        project: stored.project.or(new.project),
        git_branch: stored.git_branch.or(new.git_branch),
        start_time: stored.start_time.min(new.start_time),
        end_time: stored.end_time.max(new.end_time),
        received_at: stored.received_at.min(new.received_at),
        status: new.status,
        end_reason: new.end_reason,
        skills: skills.into_iter().collect(),
        sources: sources.into_iter().collect(),
        gaps: gaps.into_iter().collect(),
        parent_session_id: stored.parent_session_id.or(new.parent_session_id),
        parent_relation: stored.parent_relation.or(new.parent_relation),
        fold_version: new.fold_version,
        ..session::counted(events)
    }
}

const EXPIRED: &str = "facts_expired";

fn expired(from: i64) -> Gap {
    let from = chrono::DateTime::from_timestamp_micros(from).unwrap_or_default().format("%FT%TZ");
    Gap {
        kind: EXPIRED.to_owned(),
        detail: format!("facts received before {from} are no longer kept: what was joined of them stays as it was"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::fold::fold;
    use crate::model::{Columns, Fact, Kind, Source, Status};

    fn fact(number: u8, kind: Kind, received_at: i64) -> Fact {
        let columns = Columns {
            prompt_id: Some(format!("p{number}")),
            content: Some(format!("prompt {number}")),
            ..Columns::default()
        };
        Fact {
            fact_id: FactId([number; 16]),
            session_id: Some("s".to_owned()),
            source: Source::Hook,
            kind,
            name: "UserPromptSubmit".to_owned(),
            sequence: None,
            time: received_at,
            end_time: None,
            received_at,
            writer: "w".to_owned(),
            policy: "p".to_owned(),
            columns,
        }
    }

    /// Rows whose facts are gone are not replaced by a fold over the rest, however often it is folded anew.
    #[test]
    fn what_was_joined_of_facts_that_are_gone_stays_and_what_is_new_comes_behind_it() {
        let day = 86_400_000_000;
        let old: Vec<Fact> = (0..3).map(|n| fact(n, Kind::Prompt, i64::from(n))).collect();
        let stored = fold("s", &old, true);
        let mut new: Vec<Fact> = (10..12).map(|n| fact(n, Kind::Prompt, 40 * day + i64::from(n))).collect();
        let first = fold("s", &new, true).after(stored.session.clone(), stored.events.clone());
        assert_eq!(first.events.len(), 5);
        assert_eq!(
            first.events[..3].iter().map(|e| &e.fact_ids).collect::<Vec<_>>(),
            stored.events.iter().map(|e| &e.fact_ids).collect::<Vec<_>>()
        );
        assert_eq!((first.session.prompt_count, first.session.prompts.len(), first.session.events), (5, 5, 5));
        assert_eq!((first.session.date, first.session.start_time), (stored.session.date, stored.session.start_time));
        assert!(first.events.iter().all(|event| event.date == stored.session.date));
        assert_eq!(first.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(first.session.gaps.iter().filter(|gap| gap.kind == EXPIRED).count(), 1);
        assert_eq!(first.session.status, Status::Ended);

        let again = fold("s", &new, true).after(first.session.clone(), first.events.clone());
        assert_eq!(again, first, "the same facts, the same rows");
        new.push(fact(12, Kind::Prompt, 40 * day + 12));
        let later = fold("s", &new, true).after(first.session, first.events);
        assert_eq!((later.events.len(), later.session.prompt_count), (6, 6));
    }

    #[test]
    fn a_fold_over_all_facts_replaces_everything() {
        let facts: Vec<Fact> = (0..3).map(|n| fact(n, Kind::Prompt, i64::from(n))).collect();
        let stored = fold("s", &facts[..2], true);
        let folded = fold("s", &facts, true);
        assert_eq!(folded.clone().after(stored.session, stored.events), folded);
    }
}
