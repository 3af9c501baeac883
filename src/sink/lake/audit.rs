//! The table `audit`: a receipt for each thing that was done to the other tables.

use super::error::LakeError;
use super::open::Lake;
use super::table::{Change, TableKind};
use crate::model::{AuditEntry, LakeKey, Workspace};

/// Writes receipts in one commit, once for each request, whatever is repeated.
///
/// # Errors
/// The store does not take them, or leaves open whether it did: do it again.
pub async fn record(
    lake: &Lake,
    key: &LakeKey,
    workspace: &Workspace,
    entries: &[AuditEntry],
) -> Result<(), LakeError> {
    let mut table = lake.table(workspace, TableKind::Audit, key).await?;
    let (mut new, mut transactions) = (Vec::new(), Vec::new());
    for entry in entries {
        let transaction = format!("request/{}", entry.request_id);
        if table.known_transaction(&transaction).await?.is_none() {
            new.push(entry.clone());
            transactions.push((transaction, 1));
        }
    }
    let Some(transaction) = transactions.pop() else { return Ok(()) };
    let add = table.write_audit(&new).await?;
    table
        .commit(Change { add, transaction: Some(transaction), also: transactions, ..Change::default() })
        .await
        .map(drop)
}

/// A workspace's receipts, the newest first.
///
/// # Errors
/// The lake cannot be read.
pub async fn receipts(lake: &Lake, workspace: &Workspace) -> Result<Vec<AuditEntry>, LakeError> {
    let Some(table) = lake.existing(workspace, TableKind::Audit).await? else { return Ok(Vec::new()) };
    let mut entries = Vec::new();
    for file in table.files().await? {
        entries.extend(table.read_audit(&file).await?.into_iter().filter(|entry| entry.action != AuditEntry::READ));
    }
    entries.sort_by(|a, b| (b.time, &b.request_id).cmp(&(a.time, &a.request_id)));
    Ok(entries)
}
