//! About how much memory a row takes: for bounds, not for accounts.

use crate::model::{AuditEntry, Columns, Fact};

/// What a row takes beside its texts: the struct itself and its allocations' overhead, bytes.
const ROW: usize = 1024;

fn text(value: &Option<String>) -> usize {
    value.as_ref().map_or(0, String::len)
}

fn columns(c: &Columns) -> usize {
    let texts = [
        &c.content,
        &c.thinking,
        &c.tool_input,
        &c.tool_output,
        &c.error,
        &c.attributes,
        &c.resource,
        &c.tool_name,
        &c.skill,
        &c.project,
    ];
    texts.into_iter().map(text).sum()
}

/// Bytes of a row of `audit` that the server writes of itself.
pub fn audit(entry: &AuditEntry) -> usize {
    ROW + text(&entry.statement)
}

/// Bytes of a fact.
pub fn fact(fact: &Fact) -> usize {
    ROW + columns(&fact.columns)
}
