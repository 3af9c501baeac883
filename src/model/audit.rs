//! What was done to what is stored, and by whom: rows that only ever come, and hold no content.

use serde::{Deserialize, Serialize};

/// One row of the `audit` table. As JSON it is what a batch of `Signal::Audit` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditEntry {
    /// Names the request: what a command printed, and a tombstone says.
    pub request_id: String,
    /// `erase`, `private`, `reredact` or `read`; others may come.
    pub action: String,
    /// When it was done, UTC microseconds.
    pub time: i64,
    /// When it was asked for, UTC microseconds.
    pub requested_at: i64,
    /// The token's name or the user of the operating system; `None`: nobody that we know.
    pub who: Option<String>,
    /// What chose the sessions, or the rows: `hook`, `otlp`, `rule`, or options of the command.
    pub how: String,
    /// As the command was told.
    pub reason: Option<String>,
    /// `done`, or `incomplete`: what `remaining` and `silent_writers` name may hold something still. Of a read: `begun`
    /// before its first row goes out, then a row of its own with `done` or `stopped`.
    pub outcome: String,
    /// Keyed hashes of the sessions' ids: who knows an id and has the lake can tell whether it is meant. At most
    /// [`AuditEntry::MOST_NAMES`].
    pub names: Vec<String>,
    pub session_count: i64,
    /// Rows that were removed, or in which something was hidden.
    pub fact_rows: i64,
    pub event_rows: i64,
    pub session_rows: i64,
    /// Records that were overwritten in journals.
    pub journal_records: i64,
    /// Data files that held the rows, and that took their place.
    pub objects_before: i64,
    pub objects_after: i64,
    pub bytes_before: i64,
    pub bytes_after: i64,
    /// Journals whose process did not say that it has overwritten its records.
    pub silent_writers: Vec<String>,
    /// Objects that the store would not give up.
    pub remaining: Vec<String>,
    /// The statement of a read, redacted.
    pub statement: Option<String>,
    /// Rows that a read was given; `None` as long as it is not over.
    pub result_rows: Option<i64>,
}

impl AuditEntry {
    /// The `action` of a statement that read content.
    pub const READ: &str = "read";
    /// Hashes in one row.
    pub const MOST_NAMES: usize = 10_000;
}
