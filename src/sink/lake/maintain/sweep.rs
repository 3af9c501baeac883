//! A table's checkpoint, and the files that nothing names any more: left by a crash before a commit, or replaced.

use std::collections::HashSet;

use deltalake_core::DeltaTable;
use futures::TryStreamExt;

use super::handle::Handle;
use crate::sink::lake::{LakeError, Table};

/// A file is kept that long after it was written or replaced, microseconds: a commit that names it may be on its way
/// (writers give up after an hour), and readers finish what they began.
const KEEP: i64 = 24 * 3_600_000_000;

/// A checkpoint is written after so many commits.
pub const COMMITS: i64 = 100;
/// And after as many by whoever does everything that there is to do: Delta's own default (`delta.checkpointInterval`).
/// Readers read what came after the last one entry by entry.
pub const THOROUGH_COMMITS: i64 = 10;

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub checkpoint: bool,
    pub files: usize,
    pub bytes: u64,
}

/// Sweeps one table, with a checkpoint after `commits`; what is left when it is told to stop is left for the next time.
pub async fn sweep(mut table: Table, commits: i64, handle: &Handle) -> Result<Swept, LakeError> {
    let checkpoint = table.since_checkpoint() >= commits;
    if checkpoint && !handle.is_stopped() {
        table.checkpoint().await?;
    }
    let before = table.clock.now().saturating_sub(KEEP);
    let objects = table.place.store.objects(&table.place.root).await?;
    let old = objects.into_iter().filter(|object| object.last_modified.timestamp_micros() < before);
    let recent = recently_removed(&table).await?;
    table.refresh().await?;
    let mut swept = Swept { checkpoint, ..Swept::default() };
    for object in old {
        let Some(name) = table.place.relative(&object.location) else { continue };
        if handle.is_stopped() {
            return Ok(swept);
        }
        let named = table.state.files.contains_key(&name) || recent.contains(&name);
        if named || name.starts_with("_delta_log/") || !name.ends_with(".parquet") {
            continue;
        }
        table.place.store.delete(&object.location).await?;
        swept.files += 1;
        swept.bytes += object.size;
    }
    swept.files += abort_uploads(&table, before).await;
    let staged = table.place.store.remove_staged(&table.place.name, before).await?;
    Ok(Swept { files: swept.files + staged.removed, ..swept })
}

/// Uploads in parts that a crash cut off.
async fn abort_uploads(table: &Table, before: i64) -> usize {
    let place = &table.place;
    let Some(bucket) = &place.store.bucket else { return 0 };
    bucket.abort_uploads(&place.root, before).await.unwrap_or_else(|error| {
        tracing::debug!(table = place.name, %error, "unfinished uploads are not looked for");
        0
    })
}

/// Files that the log still describes as removed: readers of an older version may want them.
async fn recently_removed(table: &Table) -> Result<HashSet<String>, LakeError> {
    let place = &table.place;
    let failed = |error| place.error(error);
    let mut loaded = DeltaTable::new(place.logs.clone());
    loaded.load_version(table.version().unsigned_abs()).await.map_err(failed)?;
    let state = loaded.snapshot().map_err(failed)?;
    let removed = state.all_tombstones(place.logs.as_ref());
    removed.map_ok(|removed| removed.path().into_owned()).try_collect().await.map_err(failed)
}
