//! Who may remove files: one process at a time, among all that serve a lake.
//!
//! Removing is not safe against itself: two writers that replace the same file by others would both win, and rows would
//! stand twice. So whoever removes holds the lease, and carries its number, the epoch, as a fence:
//! - the epoch grows with every holder, and a new holder commits it first in every table it removes from;
//! - every commit that removes carries it, and fails when the table has seen a later one.
//!
//! The lease makes a second remover unlikely; the fence makes it harmless. A process that was stopped for an hour and
//! goes on removes nothing, whatever it believes.

mod file;
mod objects;

use tokio::sync::watch;

use super::error::LakeError;
use super::open::Lake;

/// Where the lease is kept, below the lake.
const PLACE: &str = "_sessionlake/lease";

/// The transaction that removing commits carry.
const TRANSACTION: &str = "maintenance";

/// The number of a lease, as commits carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence {
    epoch: i64,
}

impl Fence {
    /// The lease's number: larger than that of every earlier holder.
    pub fn new(epoch: i64) -> Fence {
        Fence { epoch }
    }

    /// The application transaction of commits that remove files.
    pub fn transaction(&self) -> (String, i64) {
        (TRANSACTION.to_owned(), self.epoch)
    }
}

/// The right to remove files. Held until it is released or dropped, or the process dies, or another takes it over
/// because this one was not heard of for [`objects::LIFETIME`].
pub struct Lease {
    fence: Fence,
    held: Held,
}

enum Held {
    File(#[expect(dead_code, reason = "holds the lock")] file::Lock),
    Objects(objects::Renewed),
}

impl Lease {
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// Follows whether another has taken over; never on a local lake, whose lock goes with its process only.
    pub fn lost(&self) -> watch::Receiver<bool> {
        match &self.held {
            Held::File(_) => watch::channel(false).1,
            Held::Objects(renewed) => renewed.lost(),
        }
    }

    /// Lets others have it at once.
    pub async fn release(self) {
        if let Held::Objects(renewed) = self.held {
            renewed.release().await;
        }
    }
}

/// One process's way to the lease of a lake.
pub struct Leases {
    lake: Lake,
    /// No epoch up to this is taken.
    above: i64,
    objects: objects::Objects,
}

impl Leases {
    /// `holder` names this process. Only one process at a time may have the name: it takes back at once what its
    /// predecessor of the same name held.
    pub fn new(lake: &Lake, holder: &str) -> Leases {
        let objects = objects::Objects::new(lake.store.clone(), lake.store.path(PLACE), holder);
        Leases { lake: lake.clone(), above: 0, objects }
    }

    /// A table has seen this epoch: the next one is to be larger.
    pub fn raise(&mut self, seen: i64) {
        self.above = self.above.max(seen);
    }

    /// The lease, when nobody holds it. Ask again every second: on a store that is how it is noticed that its
    /// holder is gone.
    ///
    /// # Errors
    /// The lake cannot be read or written.
    pub async fn attempt(&mut self) -> Result<Option<Lease>, LakeError> {
        let taken = match self.lake.store.file(PLACE) {
            Some(file) => file::lock(file, self.above).await?.map(|(epoch, lock)| (epoch, Held::File(lock))),
            None => self.objects.attempt(self.above).await?.map(|(epoch, held)| (epoch, Held::Objects(held))),
        };
        Ok(taken.map(|(epoch, held)| Lease { fence: Fence { epoch }, held }))
    }
}

#[cfg(test)]
mod tests;
