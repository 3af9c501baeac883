//! Learns of tombstones that other processes add.

use std::time::Duration;

use super::super::error::LakeError;
use super::stored::Found;
use super::{TombstoneStore, Tombstones};
use crate::clock::Clock;

/// How often the lake is asked for new tombstones: one small conditional read.
pub const POLL: Duration = Duration::from_millis(500);

/// All tombstones are listed again after that long, microseconds: what was announced by a clock that is far off is found
/// by then.
const LIST_EVERY: i64 = 600_000_000;

/// How much older than now an announcement may be, microseconds, by what clocks differ and a process may have slept.
const OVERLAP: i64 = 900_000_000;

/// Announcements are kept that long, microseconds.
const KEEP_RECENT: i64 = 3_600_000_000;

/// Keeps a set up to date with the lake.
pub struct Follower {
    store: TombstoneStore,
    tombstones: Tombstones,
    clock: Clock,
    latest: Option<String>,
    /// When all were listed, UTC microseconds.
    listed: Option<i64>,
}

impl Follower {
    pub fn new(store: TombstoneStore, tombstones: Tombstones, clock: Clock) -> Follower {
        Follower { store, tombstones, clock, latest: None, listed: None }
    }

    /// Takes what is new; says how many tombstones that were.
    ///
    /// # Errors
    /// The store cannot be read: ask again.
    pub async fn poll(&mut self) -> Result<usize, LakeError> {
        let now = self.clock.now();
        let latest = self.store.latest(self.latest.as_deref()).await?;
        let due = self.listed.is_none_or(|at| now.saturating_sub(at) >= LIST_EVERY || now < at);
        let mut added = 0;
        if due {
            added += self.take(self.store.all().await?);
            self.store.forget_recent(now.saturating_sub(KEEP_RECENT)).await?;
            self.listed = Some(now);
        } else if latest.is_some() {
            added += self.take(self.store.recent(now.saturating_sub(OVERLAP)).await?);
        }
        // Not before what it stands for was taken.
        self.latest = latest.or(self.latest.take());
        Ok(added)
    }

    fn take(&self, found: Found) -> usize {
        found.into_iter().map(|(workspace, names)| self.tombstones.add(&workspace, names)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Buried, Tombstone, name};
    use super::*;
    use crate::model::{LakeKey, Workspace};
    use crate::sink::lake::{Lake, LakeOptions};

    #[tokio::test]
    async fn a_tombstone_is_seen_by_others_at_their_next_look_and_by_those_who_come_later() {
        let dir = tempfile::tempdir().unwrap();
        let options = LakeOptions { url: dir.path().display().to_string(), ..LakeOptions::default() };
        let lake = Lake::open(&options).await.unwrap();
        let (key, store, workspace) = (LakeKey::new([1; 32]), TombstoneStore::new(&lake), Workspace::default());
        let follower = || {
            let tombstones = Tombstones::new(key.clone());
            (tombstones.clone(), Follower::new(store.clone(), tombstones, Clock::system()))
        };
        let (set, mut early) = follower();
        assert_eq!(early.poll().await.unwrap(), 0);
        for (n, keeps_costs) in [("a", true), ("b", false)] {
            let word = Tombstone { at: Clock::system().now(), kind: "private".into(), request: "r".into() };
            store.put(&workspace, &[(name(&key, n), Buried { keeps_costs })], &word).await.unwrap();
            assert_eq!(early.poll().await.unwrap(), 1);
            assert_eq!(early.poll().await.unwrap(), 0);
        }
        let (late, mut follower) = follower();
        assert_eq!(follower.poll().await.unwrap(), 2);
        for set in [set, late] {
            assert_eq!(set.find(&workspace, "a"), Some(Buried { keeps_costs: true }));
            assert_eq!(set.find(&workspace, "b"), Some(Buried { keeps_costs: false }));
            assert!(!set.contains(&workspace, "c"));
        }
    }
}
