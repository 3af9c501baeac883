//! The log does not grow for ever: entries and checkpoints that no reader needs any more are deleted.

use object_store::path::Path;

use super::purge::{entry_version, summary_version};
use crate::sink::lake::{LakeError, Table};

/// As the tables' property `delta.logRetentionDuration` says: a day, in microseconds, as long as files that were replaced
/// are there. An erasure reads all of the log: with a commit every few seconds, a week of it would take minutes.
const RETENTION: i64 = 86_400_000_000;

/// Deletes log entries older than the log's retention that the last checkpoint stands for, and older checkpoints. Returns
/// how many.
///
/// The oldest goes first: whoever follows the log and finds its place gone knows that it was cleaned, and reloads.
///
/// # Errors
/// The store cannot be read, or does not delete.
pub async fn clean_log(table: &Table) -> Result<usize, LakeError> {
    let place = &table.place;
    let Some(checkpoint) = place.checkpoint().await? else { return Ok(0) };
    let cutoff = table.clock.now().saturating_sub(RETENTION);
    let mut files: Vec<(i64, bool, Path)> = Vec::new();
    for object in place.store.objects(&place.log).await? {
        let version = entry_version(&object.location).or_else(|| summary_version(&object.location));
        let young = object.last_modified.timestamp_micros() >= cutoff;
        files.extend(version.filter(|version| *version < checkpoint).map(|version| (version, young, object.location)));
    }
    files.sort();
    let first_young = files.iter().find(|(_, young, _)| *young).map_or(checkpoint, |(version, ..)| *version);
    let old = files.into_iter().take_while(|(version, ..)| *version < first_young);
    let mut deleted = 0;
    for (_, _, path) in old {
        place.store.delete(&path).await?;
        deleted += 1;
    }
    Ok(deleted)
}
