//! What a table's log entries added, kept in memory: an erasure looks through the whole log, and again until its work is
//! done, and each entry is a request to the store. An entry never changes, but that erasures take away what it says of
//! files that are gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::TryStreamExt;

use super::error::LakeError;
use super::place::Place;
use super::table::TableFile;
use super::tags::Tags;

/// Bytes that are kept of all tables together, about. What does not fit is read anew each time.
const MOST: usize = 16 << 20;

/// An addition in the log.
#[derive(Clone, Debug)]
pub(super) struct Addition {
    pub version: i64,
    /// Its place among the entry's additions.
    pub at: usize,
    pub file: TableFile,
}

impl Addition {
    fn bytes(&self) -> usize {
        size_of::<Addition>() + self.file.path.len() + self.file.sessions.as_ref().map_or(0, Tags::bytes)
    }
}

/// The additions of all tables of a lake. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub(super) struct Additions(Arc<Mutex<HashMap<String, Known>>>);

/// The additions of one table.
#[derive(Default)]
struct Known {
    /// Every addition of the entries below is known that were there when they were read.
    below: i64,
    additions: Vec<Addition>,
}

impl Known {
    fn bytes(&self) -> usize {
        self.additions.iter().map(Addition::bytes).sum()
    }
}

impl Additions {
    /// Shows every addition of these entries, which ascend, to `see`.
    ///
    /// # Errors
    /// An entry cannot be read.
    pub async fn each(&self, place: &Place, entries: &[i64], mut see: impl FnMut(&Addition)) -> Result<(), LakeError> {
        let (mut known, room) = self.take(&place.name);
        let (first, last) = (entries.first().copied().unwrap_or(i64::MAX), entries.last().copied().unwrap_or(-1));
        if known.below > last + 1 {
            // Another table has its name.
            known = Known::default();
        }
        known.additions.retain(|addition| addition.version >= first);
        known.additions.iter().for_each(&mut see);
        let result = known.read(place, entries, room, see).await;
        self.lock().insert(place.name.clone(), known);
        result
    }

    /// What is known of a table, and bytes that it may have.
    fn take(&self, table: &str) -> (Known, usize) {
        let mut tables = self.lock();
        let known = tables.remove(table).unwrap_or_default();
        (known, MOST.saturating_sub(tables.values().map(Known::bytes).sum()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    async fn read(
        &mut self,
        place: &Place,
        entries: &[i64],
        room: usize,
        mut see: impl FnMut(&Addition),
    ) -> Result<(), LakeError> {
        let mut bytes = self.bytes();
        let unknown: Vec<i64> = entries.iter().copied().filter(|version| *version >= self.below).collect();
        let mut commits = std::pin::pin!(place.entries(unknown));
        while let Some(commit) = commits.try_next().await? {
            let Some(commit) = commit else { continue };
            let changes = commit.changes(place.kind).map_err(|e| place.error(e))?;
            let version = changes.version;
            let additions = changes.added.into_iter().enumerate().map(|(at, file)| Addition { version, at, file });
            let additions: Vec<Addition> = additions.collect();
            additions.iter().for_each(&mut see);
            bytes += additions.iter().map(Addition::bytes).sum::<usize>();
            if bytes <= room {
                self.additions.extend(additions);
                self.below = version + 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::sink::lake::TableKind;
    use crate::sink::lake::testing::{TestLake, fact};

    async fn seen(place: &Place, entries: &[i64]) -> Vec<(i64, usize)> {
        let mut seen = Vec::new();
        place.additions.each(place, entries, |addition| seen.push((addition.version, addition.at))).await.unwrap();
        seen
    }

    #[tokio::test]
    async fn an_entry_is_read_once_and_forgotten_when_the_log_is_cleaned() {
        let lake = TestLake::new().await;
        for n in 0..4 {
            // Two days: two files.
            lake.append(&[fact("a", n, Kind::Prompt, 0), fact("b", n, Kind::Prompt, 86_400_000_000)]).await;
        }
        let place = lake.table(TableKind::Facts).await.place;
        let both = |versions: &[i64]| versions.iter().flat_map(|v| [(*v, 0), (*v, 1)]).collect::<Vec<_>>();
        assert_eq!(seen(&place, &[0, 1, 2]).await, both(&[1, 2]));
        for version in [1, 2] {
            place.store.delete(&place.entry(version)).await.unwrap();
        }
        assert_eq!(seen(&place, &[0, 1, 2, 3]).await, both(&[1, 2, 3]), "the new one alone is read");
        assert_eq!(seen(&place, &[2, 3, 4]).await, both(&[2, 3, 4]));
        assert_eq!(seen(&place, &[3, 4]).await, both(&[3, 4]));
        assert_eq!(seen(&place, &[0, 1]).await, [(0, 0); 0], "a new table of that name: what is known is of another");
    }
}
