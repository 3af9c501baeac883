//! Keeping the tables good: many small files become few, with the same rows.

mod crowd;
mod merge;

use std::sync::Arc;

pub use crowd::crowd;

use super::{Change, Fence, LakeError, Table, TableFile};

/// Replaces files of one partition by one with the same rows. Whoever reads meanwhile sees the rows once, in the old
/// files or in the new one. After a crash before the commit the new file is one that nothing names.
///
/// # Errors
/// `Conflict`: one of the files is gone. Nothing is changed then.
pub async fn merge(table: &mut Table, fence: Fence, files: &[Arc<TableFile>]) -> Result<(), LakeError> {
    let add = vec![table.merge(files).await?];
    let remove = files.iter().map(|file| TableFile::clone(file)).collect();
    table.commit_rearranged(Change { add, remove, fence: Some(fence), ..Change::default() }).await.map(|_| ())
}
