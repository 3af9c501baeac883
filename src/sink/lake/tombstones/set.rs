//! The tombstones in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::{Name, name};
use crate::model::{LakeKey, Workspace};
use crate::sink::lake::Tags;
use crate::sink::lake::table::tag_of;

/// Newer tombstones are put among the sorted ones when there are that many.
const UNSORTED: usize = 4096;

/// What a tombstone says of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buried {
    /// What it costs goes on to be counted, without its user.
    pub keeps_costs: bool,
}

/// The tombstones of a lake, as far as this process knows them. Cheap to clone; all clones are one set.
///
/// 17 bytes each: a million of them take 17 MB.
#[derive(Clone)]
pub struct Tombstones(Arc<Inner>);

struct Inner {
    key: LakeKey,
    sets: RwLock<HashMap<Workspace, Set>>,
    changes: AtomicU64,
}

#[derive(Default)]
struct Set {
    /// Ascending by name.
    names: Vec<Name>,
    /// Beside `names`.
    costs: Vec<bool>,
    newer: HashMap<Name, bool>,
}

impl Tombstones {
    pub fn new(key: LakeKey) -> Tombstones {
        Tombstones(Arc::new(Inner { key, sets: RwLock::default(), changes: AtomicU64::new(0) }))
    }

    pub fn key(&self) -> &LakeKey {
        &self.0.key
    }

    /// Whether nothing of this session may be kept, and what its tombstone says.
    pub fn find(&self, workspace: &Workspace, session_id: &str) -> Option<Buried> {
        let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        let set = sets.get(workspace)?;
        set.find(&name(&self.0.key, session_id)).map(|keeps_costs| Buried { keeps_costs })
    }

    /// See [`Tombstones::find`].
    pub fn contains(&self, workspace: &Workspace, session_id: &str) -> bool {
        self.find(workspace, session_id).is_some()
    }

    /// Whether a workspace has none, so that nothing need be asked for.
    pub fn none_in(&self, workspace: &Workspace) -> bool {
        let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(workspace).is_none_or(|set| set.names.is_empty() && set.newer.is_empty())
    }

    /// Whether a file with these tags may hold rows of a buried session.
    pub fn may_be_among(&self, workspace: &Workspace, tags: &Tags) -> bool {
        let sets = self.0.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.get(workspace).is_some_and(|set| set.has_one_of(tags))
    }

    /// Changes when a tombstone comes that was not known.
    pub fn changes(&self) -> u64 {
        self.0.changes.load(Ordering::Acquire)
    }

    /// Adds tombstones; says how many were not known. From the return on no gate of this process lets their sessions in.
    pub fn add(&self, workspace: &Workspace, names: impl IntoIterator<Item = (Name, Buried)>) -> usize {
        let mut sets = self.0.sets.write().unwrap_or_else(PoisonError::into_inner);
        let set = sets.entry(workspace.clone()).or_default();
        let added = names.into_iter().filter(|(name, buried)| set.add(*name, buried.keeps_costs)).count();
        if added > 0 {
            self.0.changes.fetch_add(1, Ordering::AcqRel);
        }
        added
    }
}

impl Set {
    fn find(&self, name: &Name) -> Option<bool> {
        let sorted = || self.names.binary_search(name).ok().map(|at| self.costs[at]);
        self.newer.get(name).copied().or_else(sorted)
    }

    /// The fewer are looked up among the more.
    fn has_one_of(&self, tags: &Tags) -> bool {
        let may_have = |name: &Name| tags.may_have_one_of(&[tag_of(name)]);
        let sorted = match tags.exact() {
            Some(list) if list.len() < self.names.len() => list.iter().any(|tag| self.has_named(*tag)),
            _ => self.names.iter().any(may_have),
        };
        sorted || self.newer.keys().any(may_have)
    }

    fn has_named(&self, wanted: u64) -> bool {
        let at = self.names.partition_point(|name| name[..8] < wanted.to_le_bytes()[..]);
        self.names.get(at).is_some_and(|name| tag_of(name) == wanted)
    }

    /// A second tombstone of a session changes nothing: what was promised first holds.
    fn add(&mut self, name: Name, costs: bool) -> bool {
        if self.find(&name).is_some() {
            return false;
        }
        self.newer.insert(name, costs);
        if self.newer.len() >= UNSORTED.max(self.names.len() / 8) {
            self.sort();
        }
        true
    }

    fn sort(&mut self) {
        let old = std::mem::take(&mut self.names).into_iter().zip(std::mem::take(&mut self.costs));
        let mut all: Vec<(Name, bool)> = old.chain(self.newer.drain()).collect();
        all.sort_unstable();
        (self.names, self.costs) = all.into_iter().unzip();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::lake::table::session_tag;

    #[test]
    fn what_is_buried_is_found_in_its_workspace_alone_and_keeps_its_first_word() {
        let tombstones = Tombstones::new(LakeKey::new([1; 32]));
        let (a, b) = (Workspace::parse("a").unwrap(), Workspace::parse("b").unwrap());
        let count = UNSORTED as u32 * 3;
        let named = |n: u32| (name(tombstones.key(), &n.to_string()), Buried { keeps_costs: n.is_multiple_of(2) });
        assert_eq!(tombstones.add(&a, (0..count).map(named)), count as usize);
        let changes = tombstones.changes();
        assert_eq!(tombstones.add(&a, [(named(4).0, Buried { keeps_costs: false })]), 0);
        assert_eq!(tombstones.changes(), changes);
        for n in 0..count {
            assert_eq!(tombstones.find(&a, &n.to_string()), Some(named(n).1));
        }
        let tag = |n: &str| session_tag(tombstones.key(), n);
        for n in [0, 1, count - 1].map(|n| n.to_string()) {
            let tags = Tags::list(vec![tag(&n)]).unwrap();
            assert!(tombstones.may_be_among(&a, &tags) && !tombstones.may_be_among(&b, &tags), "{n}");
        }
        assert!(!tombstones.may_be_among(&a, &Tags::list(vec![tag("x")]).unwrap()));
        let many = |from: u32| {
            let mut tags: Vec<u64> = (from..from + 2000).map(|n| tag(&n.to_string())).collect();
            tags.sort_unstable();
            Tags::lasting(tags).unwrap()
        };
        assert!(tombstones.may_be_among(&a, &many(count - 1)) && !tombstones.may_be_among(&b, &many(count - 1)));
        assert!(!tombstones.contains(&a, "x") && !tombstones.contains(&b, "4") && tombstones.none_in(&b));
    }
}
