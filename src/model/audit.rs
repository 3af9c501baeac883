//! What was done to what is stored, and by whom: rows that only ever come, and hold no content.

/// One row of the `audit` table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// Names the request: what a command printed, and a tombstone says.
    pub request_id: String,
    /// `erase`, `private` or `reredact`; others may come.
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
    /// `done`, or `incomplete`: what `remaining` and `silent_writers` name may hold something still.
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
}

impl AuditEntry {
    /// Hashes in one row.
    pub const MOST_NAMES: usize = 10_000;
}
