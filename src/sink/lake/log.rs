//! Commits as JSON, and a table's state by replaying them.
//!
//! The first state is read by the library, which knows checkpoints and the protocol; from there on each commit is one
//! small file that is applied as it comes, so that following a table costs what is new and not what is there.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use chrono::{Days, NaiveDate};
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::{Action, Add, CommitInfo, Remove, Transaction};
use deltalake_core::logstore::get_actions;
use object_store::path::Path;
use serde_json::{Value, json};
use uuid::Uuid;

use super::layout::{delta_schema, logged_columns};
use super::lease::Fence;
use super::table::{Change, CommitChanges, TableFile, TableKind};
use super::tags::Tags;

/// The tags of an `Add`.
pub(super) type LoggedTags = HashMap<String, Option<String>>;

/// The tag of an `Add` whose file was written to stay.
const LASTING: &str = "sessionlake.lasting";
/// The newest writer protocol that we write by.
pub(super) const WRITER_VERSION: i32 = 2;
/// Where commits carry their own random name, by which a writer recognises its own after a lost reply.
const OPERATION: &str = "operationId";

/// Days that a partition's name can hold: years 1 to 9999.
const DAYS: std::ops::RangeInclusive<i32> = -719_162..=2_932_896;

/// A partition's day, within what a name can hold.
pub(super) fn clamp_day(day: i32) -> i32 {
    day.clamp(*DAYS.start(), *DAYS.end())
}

/// `YYYY-MM-DD`.
pub(super) fn day_name(day: i32) -> String {
    let day = clamp_day(day) - DAYS.start();
    let first = NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
    let date = first.checked_add_days(Days::new(u64::from(day.unsigned_abs()))).unwrap_or(first);
    date.format("%Y-%m-%d").to_string()
}

/// A fresh name for a data file of a partition, relative to the table.
pub(super) fn new_path(kind: TableKind, day: i32) -> String {
    format!("{}={}/part-{}.zstd.parquet", kind.partition(), day_name(day), Uuid::new_v4())
}

/// The version that a file of the log is named by, with `suffix` after it; `None`: it has another name.
pub(super) fn version_before(path: &Path, suffix: &str) -> Option<i64> {
    let digits = path.filename()?.strip_suffix(suffix)?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

fn parse_day(name: &str) -> Option<i32> {
    let date = NaiveDate::parse_from_str(name, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// The first commit of a table: readers of version 1 and writers of version 2, which every Delta engine is.
pub(super) fn creation(kind: TableKind, id: &str, now_ms: i64) -> Bytes {
    let configuration = json!({
        // Content must get no statistics from whoever rewrites files.
        "delta.dataSkippingStatsColumns": logged_columns(kind),
        "delta.logRetentionDuration": "interval 1 days",
        "delta.deletedFileRetentionDuration": "interval 1 days",
        "delta.checkpoint.writeStatsAsJson": "true",
        // Cleaning and checkpoints belong to maintenance.
        "delta.enableExpiredLogCleanup": "false",
    });
    let metadata = json!({"metaData": {
        "id": id,
        "name": kind.name(),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": delta_schema(kind).to_string(),
        "partitionColumns": [kind.partition()],
        "configuration": configuration,
        "createdTime": now_ms,
    }});
    let info = json!({"commitInfo": {"timestamp": now_ms, "operation": "CREATE TABLE", "engineInfo": engine()}});
    let protocol = json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": WRITER_VERSION}});
    lines(&[info, protocol, metadata])
}

/// A commit that replaces the table's `metaData`.
pub(super) fn evolution(metadata: &Value, now_ms: i64) -> Bytes {
    let info = json!({"commitInfo": {"timestamp": now_ms, "operation": "ADD COLUMNS", "engineInfo": engine()}});
    lines(&[info, json!({"metaData": metadata})])
}

fn engine() -> &'static str {
    concat!("sessionlake/", env!("CARGO_PKG_VERSION"))
}

fn lines(actions: &[Value]) -> Bytes {
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    lines.join("\n").into()
}

/// A change as a commit's bytes. `operation` names the commit; `data_change`: rows differ, not only their files.
pub(super) fn commit(kind: TableKind, change: &Change, data_change: bool, operation: &str, now_ms: i64) -> Bytes {
    let mut actions = vec![Action::CommitInfo(info(change, data_change, operation, now_ms))];
    let fence = change.fence.as_ref().map(Fence::transaction);
    actions.extend(
        change
            .transaction
            .clone()
            .into_iter()
            .chain(change.also.iter().cloned())
            .chain(fence)
            .map(|(app_id, version)| Action::Txn(Transaction { app_id, version, last_updated: Some(now_ms) })),
    );
    actions.extend(change.remove.iter().map(|file| Action::Remove(remove(kind, file, data_change, now_ms))));
    actions.extend(change.add.iter().map(|new| {
        Action::Add(Add {
            path: new.file.path.clone(),
            partition_values: partition(kind, &new.file),
            size: i64::try_from(new.file.size).unwrap_or(i64::MAX),
            modification_time: now_ms,
            data_change,
            stats: Some(new.stats.clone()),
            tags: tags(&new.file),
            ..Add::default()
        })
    }));
    // Actions are structs with text keys: making JSON values of them does not fail.
    let values: Vec<Value> = actions.iter().filter_map(|action| serde_json::to_value(action).ok()).collect();
    lines(&values)
}

fn info(change: &Change, data_change: bool, operation: &str, now_ms: i64) -> CommitInfo {
    let name = match (change.remove.is_empty(), data_change) {
        (true, _) => "WRITE",
        (false, true) => "UPDATE",
        (false, false) => "OPTIMIZE",
    };
    CommitInfo {
        timestamp: Some(now_ms),
        operation: Some(name.to_owned()),
        is_blind_append: Some(change.remove.is_empty()),
        engine_info: Some(engine().to_owned()),
        info: HashMap::from([(OPERATION.to_owned(), json!(operation))]),
        ..CommitInfo::default()
    }
}

fn partition(kind: TableKind, file: &TableFile) -> HashMap<String, Option<String>> {
    HashMap::from([(kind.partition().to_owned(), Some(day_name(file.date)))])
}

fn remove(kind: TableKind, file: &TableFile, data_change: bool, now_ms: i64) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(now_ms),
        extended_file_metadata: Some(true),
        partition_values: Some(partition(kind, file)),
        size: i64::try_from(file.size).ok(),
        ..Remove::default()
    }
}

/// A file's tags as the log has them; `None`: it has none.
pub(super) fn tags(file: &TableFile) -> Option<LoggedTags> {
    let lasting = file.lasting.then(|| (LASTING.to_owned(), Some(true.to_string())));
    let tags: LoggedTags = file.sessions.iter().flat_map(Tags::logged).chain(lasting).collect();
    (!tags.is_empty()).then_some(tags)
}

/// The tags of every file that an entry adds.
#[cfg(test)]
pub(super) fn commit_tags(bytes: &[u8]) -> Vec<Tags> {
    let lines = std::str::from_utf8(bytes).unwrap_or_default().lines();
    let adds = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()?.get("add").cloned());
    adds.filter_map(|add| Tags::of_logged(&serde_json::from_value(add.get("tags")?.clone()).ok()?)).collect()
}

/// An `Add` as we keep it; `None` when its partition is no day.
pub(super) fn table_file(kind: TableKind, add: &Add) -> Option<TableFile> {
    let day = add.partition_values.get(kind.partition())?.as_deref()?;
    Some(TableFile {
        path: add.path.clone(),
        size: u64::try_from(add.size).ok()?,
        date: parse_day(day)?,
        sessions: add.tags.as_ref().and_then(Tags::of_logged),
        lasting: add.tags.as_ref().is_some_and(|tags| tags.contains_key(LASTING)),
    })
}

/// A parsed commit.
pub(super) struct Commit {
    actions: Vec<Action>,
    version: i64,
}

impl Commit {
    pub fn parse(version: i64, bytes: &Bytes) -> Result<Commit, DeltaTableError> {
        Ok(Commit { actions: get_actions(version.unsigned_abs(), bytes)?, version })
    }

    /// Whether this is the commit that was written under this name.
    pub fn is(&self, operation: &str) -> bool {
        self.actions.iter().any(|action| match action {
            Action::CommitInfo(info) => info.info.get(OPERATION).and_then(Value::as_str) == Some(operation),
            _ => false,
        })
    }

    pub fn changes(&self, kind: TableKind) -> Result<CommitChanges, DeltaTableError> {
        let mut changes =
            CommitChanges { version: self.version, added: Vec::new(), removed: Vec::new(), data_change: false };
        for action in &self.actions {
            match action {
                Action::Add(add) => {
                    changes.data_change |= add.data_change;
                    changes.added.push(table_file(kind, add).ok_or_else(|| no_day(add))?);
                }
                Action::Remove(remove) => {
                    changes.data_change |= remove.data_change;
                    changes.removed.push(remove.path.clone());
                }
                _ => {}
            }
        }
        Ok(changes)
    }
}

pub(super) fn no_day(add: &Add) -> DeltaTableError {
    DeltaTableError::Generic(format!("the partition of {} is no day", add.path))
}

/// A table at a version.
#[derive(Debug)]
pub(super) struct State {
    /// -1: no commit yet.
    pub version: i64,
    /// The checkpoint that this state began with.
    pub base: Option<i64>,
    pub writer_version: i32,
    /// The table's `metaData` action.
    pub metadata: Option<Value>,
    pub files: BTreeMap<String, TableFile>,
    /// Application transactions seen after the checkpoint, and those looked up in it (`None`: not there).
    pub transactions: HashMap<String, Option<i64>>,
}

impl Default for State {
    fn default() -> State {
        State {
            version: -1,
            base: None,
            writer_version: 0,
            metadata: None,
            files: BTreeMap::new(),
            transactions: HashMap::new(),
        }
    }
}

impl State {
    /// Moves on by one commit.
    pub fn apply(&mut self, kind: TableKind, commit: &Commit) -> Result<(), DeltaTableError> {
        let changes = commit.changes(kind)?;
        for path in &changes.removed {
            self.files.remove(path);
        }
        self.files.extend(changes.added.into_iter().map(|file| (file.path.clone(), file)));
        for action in &commit.actions {
            match action {
                Action::Txn(txn) => {
                    self.transactions.insert(txn.app_id.clone(), Some(txn.version));
                }
                Action::Metadata(metadata) => self.metadata = serde_json::to_value(metadata).ok(),
                Action::Protocol(protocol) => self.writer_version = protocol.min_writer_version(),
                _ => {}
            }
        }
        self.version = commit.version;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_names_and_come_back() {
        for (day, name) in [(0, "1970-01-01"), (-1, "1969-12-31"), (20_455, "2026-01-02"), (11_016, "2000-02-29")] {
            assert_eq!((day_name(day).as_str(), parse_day(name)), (name, Some(day)));
        }
        assert_eq!((day_name(i32::MIN).as_str(), day_name(i32::MAX).as_str()), ("0001-01-01", "9999-12-31"));
        assert_eq!(parse_day(&day_name(i32::MAX)), Some(clamp_day(i32::MAX)));
        assert_eq!(parse_day(&day_name(i32::MIN)), Some(clamp_day(i32::MIN)));
        assert_eq!(parse_day("__HIVE_DEFAULT_PARTITION__"), None);
    }

    /// Other engines read these lines: pinned as text.
    #[test]
    fn a_commit_as_it_stands_in_the_log() {
        let file = TableFile {
            path: "received_date=2026-01-02/p.parquet".into(),
            size: 9,
            date: 20_455,
            sessions: None,
            lasting: false,
        };
        let new = super::super::table::NewFile {
            file: TableFile {
                path: "received_date=2026-01-02/q.parquet".into(),
                sessions: Tags::list(vec![1]),
                lasting: true,
                ..file.clone()
            },
            rows: 1,
            stats: "{}".into(),
            written: 0,
        };
        let transaction = Some(("journal".into(), 3));
        let change =
            Change { add: vec![new], remove: vec![file], transaction, fence: Some(Fence::new(7)), ..Change::default() };
        let text = String::from_utf8(commit(TableKind::Facts, &change, false, "op", 5).to_vec()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[0]["commitInfo"]["operation"], "OPTIMIZE");
        assert_eq!(lines[1]["txn"], json!({"appId": "journal", "version": 3, "lastUpdated": 5}));
        assert_eq!(lines[2]["txn"], json!({"appId": "maintenance", "version": 7, "lastUpdated": 5}));
        assert_eq!(lines[3]["remove"]["path"], "received_date=2026-01-02/p.parquet");
        assert_eq!(lines[3]["remove"]["dataChange"], false);
        let add = &lines[4]["add"];
        assert_eq!(add["partitionValues"], json!({"received_date": "2026-01-02"}));
        assert_eq!(add["tags"], json!({"sessionlake.sessions": "AQAAAAAAAAA=", "sessionlake.lasting": "true"}));
        assert_eq!((&add["size"], &add["dataChange"], &add["stats"]), (&json!(9), &json!(false), &json!("{}")));
        let parsed = Commit::parse(4, &text.into()).unwrap();
        assert!(parsed.is("op") && !parsed.is("other"));
        assert_eq!(parsed.changes(TableKind::Facts).unwrap().added, [change.add[0].file.clone()]);
    }
}
