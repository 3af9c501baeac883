//! The second pass of redaction: what shows only when facts are put together is hidden in the events before they are
//! stored, and the facts that still show its pieces are remembered.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::enrich::fold::Folded;
use crate::model::{Event, Fact, FactId, Workspace};

/// Redacts an event that was put together of the given facts; says whether it hid anything in it.
pub type Redact = dyn Fn(&Workspace, &mut Event, &[&Fact]) -> bool + Send + Sync;

/// How events are redacted before they are stored. Cheap to clone.
#[derive(Clone)]
pub struct Recheck(Arc<Redact>);

impl Recheck {
    pub fn new(redact: impl Fn(&Workspace, &mut Event, &[&Fact]) -> bool + Send + Sync + 'static) -> Recheck {
        Recheck(Arc::new(redact))
    }

    /// Redacts the events of a session; returns the facts of those in which something was hidden.
    pub fn apply(&self, workspace: &Workspace, facts: &[Fact], folded: &mut Folded) -> BTreeSet<FactId> {
        let by_id: HashMap<FactId, &Fact> = facts.iter().map(|fact| (fact.fact_id, fact)).collect();
        let mut exposed = BTreeSet::new();
        folded.amend(|event| {
            let own: Vec<&Fact> = event.fact_ids.iter().filter_map(|id| by_id.get(id).copied()).collect();
            let hid = self.0(workspace, event, &own);
            if hid {
                exposed.extend(&event.fact_ids);
            }
            hid
        });
        exposed
    }
}

impl fmt::Debug for Recheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recheck(..)")
    }
}
