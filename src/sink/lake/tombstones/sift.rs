//! Facts of sessions that nothing is kept of are left out, wherever they come from.

use std::collections::HashMap;

use serde_json::Value;

use super::{Buried, Tombstones};
use crate::enrich::normalise::normalise;
use crate::enrich::privacy::anonymous;
use crate::model::{Batch, Envelope, Fact, Signal, Source, Workspace};

/// Facts that may be kept.
#[derive(Debug, Default)]
pub struct Sifted {
    pub kept: Vec<Fact>,
    /// What the others cost, as facts of nobody.
    pub costs: Vec<Fact>,
    pub left_out: u64,
}

impl Tombstones {
    /// Takes the facts of buried sessions out, and lines that a fork copied from one.
    pub fn sift(&self, workspace: &Workspace, facts: Vec<Fact>) -> Sifted {
        if self.none_in(workspace) {
            return Sifted { kept: facts, ..Sifted::default() };
        }
        let mut known: HashMap<String, Option<Buried>> = HashMap::new();
        let mut find = |session: &str| match known.get(session) {
            Some(found) => *found,
            None => *known.entry(session.to_owned()).or_insert(self.find(workspace, session)),
        };
        let (mut sifted, mut counted) = (Sifted::default(), Vec::new());
        for fact in facts {
            let own = fact.session_id.as_deref().and_then(&mut find);
            match own.or_else(|| origin(&fact).and_then(|origin| find(&origin))) {
                None => sifted.kept.push(fact),
                Some(buried) => {
                    sifted.left_out += 1;
                    if buried.keeps_costs {
                        counted.push(fact);
                    }
                }
            }
        }
        sifted.costs = self.costs(workspace, &counted);
        sifted
    }

    /// What facts cost, as facts of a made-up session.
    pub fn costs(&self, workspace: &Workspace, facts: &[Fact]) -> Vec<Fact> {
        let (Some(first), Some(request)) = (facts.first(), anonymous(facts, self.key())) else { return Vec::new() };
        let envelope = Envelope {
            workspace: workspace.to_string(),
            principal: None,
            received_at: first.received_at,
            signal: Signal::Logs,
            policy: first.policy.clone(),
            hits: Vec::new(),
        };
        normalise(&Batch { envelope, payload: request.into() }, self.key(), &first.writer).unwrap_or_default()
    }
}

/// The session that a transcript's line was copied from, where it was.
fn origin(fact: &Fact) -> Option<String> {
    let attributes = fact.columns.attributes.as_deref().filter(|_| fact.source == Source::Transcript)?;
    if !attributes.contains("\"sessionId\"") {
        return None;
    }
    let attributes: Value = serde_json::from_str(attributes).ok()?;
    let named = [&attributes["sessionId"], &attributes["forkedFrom"]["sessionId"]];
    named.into_iter().find_map(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, LakeKey};
    use crate::sink::lake::testing::fact;
    use crate::sink::lake::tombstones::name;

    fn tombstones(keeps_costs: bool) -> Tombstones {
        let tombstones = Tombstones::new(LakeKey::new([7; 32]));
        let buried = name(tombstones.key(), "gone");
        tombstones.add(&Workspace::default(), [(buried, Buried { keeps_costs })]);
        tombstones
    }

    fn cost(session: &str, n: u64) -> Fact {
        let mut fact = Fact { source: Source::OtlpLog, ..fact(session, n, Kind::ModelCall, 1_000) };
        fact.columns.cost_usd = Some(5);
        fact
    }

    #[test]
    fn a_buried_session_leaves_its_costs_or_nothing() {
        let facts =
            || vec![fact("a", 1, Kind::Prompt, 0), fact("gone", 2, Kind::Prompt, 0), cost("gone", 3), cost("a", 4)];
        for keeps in [true, false] {
            let sifted = tombstones(keeps).sift(&Workspace::default(), facts());
            assert_eq!((sifted.kept.len(), sifted.left_out, sifted.costs.len()), (2, 2, usize::from(keeps)));
            assert!(sifted.kept.iter().all(|fact| fact.session_id.as_deref() == Some("a")));
            let of: Vec<_> = sifted.costs.iter().filter_map(|fact| fact.session_id.as_deref()).collect();
            assert!(of.iter().all(|session| *session == "private-2025-10-09"), "{of:?}");
        }
        let other = Workspace::parse("other").unwrap();
        assert_eq!(tombstones(true).sift(&other, facts()).kept.len(), 4);
    }

    #[test]
    fn lines_copied_from_a_buried_session_go_with_it() {
        let mut copied = Fact { source: Source::Transcript, ..fact("child", 1, Kind::Prompt, 0) };
        let own = copied.clone();
        copied.columns.attributes = Some(r#"{"sessionId":"gone"}"#.to_owned());
        let mut forked = copied.clone();
        forked.columns.attributes = Some(r#"{"forkedFrom":{"sessionId":"gone"}}"#.to_owned());
        let sifted = tombstones(true).sift(&Workspace::default(), vec![copied, forked, own.clone()]);
        assert_eq!(sifted.kept, [own]);
    }
}
