//! Synthetic facts and records for this stage's tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::maintain::{Chore, Form};
use super::{Change, Fence, Lake, LakeError, LakeOptions, Table, TableFile, TableKind};
use crate::enrich::fold::Folded;
use crate::journal::Position;
use crate::model::{
    Batch, Columns, Envelope, Event, Fact, FactId, Joined, Kind, LakeKey, Session, Signal, Source, Status, Workspace,
};

/// Sessions whose facts cannot be written: what happens, by their first word.
pub fn meet_poison(facts: &[Fact]) -> Result<(), LakeError> {
    let first = |fact: &Fact| fact.session_id.as_deref().and_then(|id| id.split('-').next().map(str::to_owned));
    for word in facts.iter().filter_map(first) {
        match word.as_str() {
            "panics" => panic!("secret words"),
            "fails" => return Err(arrow::error::ArrowError::SchemaError("on purpose".to_owned()).into()),
            _ => {}
        }
    }
    Ok(())
}

/// The day of facts whose commit panics.
pub const UNCOMMITTABLE: i32 = 4242;

pub fn commit_poison(change: &Change) {
    assert!(change.add.iter().all(|new| new.file.date != UNCOMMITTABLE), "on purpose");
}

/// A fact of `session`; `number` is its identity and its event time. Received at `received_at`, UTC microseconds.
pub fn fact(session: &str, number: u64, kind: Kind, received_at: i64) -> Fact {
    let mut id = [0; 16];
    id[..8].copy_from_slice(blake3::hash(session.as_bytes()).as_bytes().first_chunk::<8>().unwrap());
    id[8..].copy_from_slice(&number.to_be_bytes());
    Fact {
        fact_id: FactId(id),
        session_id: Some(session.to_owned()),
        source: Source::Hook,
        kind,
        name: kind.as_str().to_owned(),
        sequence: Some(number as i64),
        time: 1_760_000_000_000_000 + number as i64,
        end_time: None,
        received_at,
        writer: "w".to_owned(),
        policy: "p".to_owned(),
        columns: Columns { content: Some(format!("content {number}")), ..Columns::default() },
    }
}

/// A journal record of epoch 1.
pub fn record(workspace: &str, seq: u64, payload: &[u8]) -> (Position, Bytes) {
    record_at(workspace, seq, payload.to_vec(), 0)
}

/// A journal record of epoch 1, received at `received_at`, UTC microseconds.
pub fn record_at(workspace: &str, seq: u64, payload: Vec<u8>, received_at: i64) -> (Position, Bytes) {
    let envelope = Envelope {
        workspace: workspace.to_owned(),
        principal: None,
        received_at,
        signal: Signal::Hooks,
        policy: "p".to_owned(),
        hits: Vec::new(),
    };
    let mut out = Vec::new();
    Batch { envelope, payload: Bytes::from(payload) }.encode(&mut out);
    (Position { seq, epoch: 1 }, Bytes::from(out))
}

/// A fold for tests: an event per distinct fact; ended when idle or when the last fact is an end.
pub fn tiny_fold(session_id: &str, facts: &[Fact], idle: bool) -> Folded {
    let mut facts: Vec<&Fact> = facts.iter().collect();
    facts.sort_by_key(|fact| (fact.time, fact.fact_id));
    facts.dedup_by_key(|fact| fact.fact_id);
    let date = (facts[0].time / 86_400_000_000) as i32;
    let ended = facts[facts.len() - 1].kind == Kind::SessionEnd;
    let events: Vec<Event> = facts.iter().zip(0..).map(|(fact, seq)| event(session_id, seq, date, fact)).collect();
    let status = if ended || idle { Status::Ended } else { Status::Running };
    let mut session = session(session_id, date, status);
    session.received_at = facts.iter().map(|fact| fact.received_at).min().unwrap_or(0);
    session.events = events.len() as i64;
    session.end_reason = (status == Status::Ended).then(|| if ended { "hook" } else { "idle" }.to_owned());
    Folded { events, session }
}

fn event(session_id: &str, seq: i64, date: i32, fact: &Fact) -> Event {
    Event {
        session_id: session_id.to_owned(),
        event_id: fact.fact_id.to_string(),
        seq,
        kind: fact.kind,
        date,
        time: fact.time,
        end_time: None,
        received_at: fact.received_at,
        sources: vec![fact.source],
        fact_ids: vec![fact.fact_id],
        joined: Joined::OneSided,
        parent_event_id: None,
        synthetic: false,
        inherited: false,
        columns: fact.columns.clone(),
    }
}

fn session(session_id: &str, date: i32, status: Status) -> Session {
    Session { session_id: session_id.to_owned(), status, fold_version: 1, ..Session::empty(date) }
}

/// A lake in a directory of its own, with one workspace.
pub struct TestLake {
    pub dir: tempfile::TempDir,
    pub lake: Lake,
    pub key: LakeKey,
    pub workspace: Workspace,
}

impl TestLake {
    pub async fn new() -> TestLake {
        let dir = tempfile::tempdir().unwrap();
        let (lake, key) = open(dir.path()).await;
        TestLake { dir, lake, key, workspace: Workspace::default() }
    }

    /// New handles on the same directory, as after a restart.
    pub async fn reopen(&mut self) {
        (self.lake, self.key) = open(self.dir.path()).await;
    }

    pub async fn table(&self, kind: TableKind) -> Table {
        self.lake.table(&self.workspace, kind, &self.key).await.unwrap()
    }

    /// Two actions: the table's log goes away (a file stands in its place), and comes back.
    pub fn break_table(&self, table: &str) -> (impl Fn() + use<>, impl Fn() + use<>) {
        let log = self.dir.path().join("lake").join(self.workspace.as_str()).join(table).join("_delta_log");
        let (aside, place) = (log.with_extension("aside"), log.clone());
        let away = move || {
            std::fs::rename(&log, log.with_extension("aside")).unwrap();
            std::fs::write(&log, "").unwrap();
        };
        let back = move || {
            std::fs::remove_file(&place).unwrap();
            std::fs::rename(&aside, &place).unwrap();
        };
        (away, back)
    }

    /// Commits facts; returns the version.
    pub async fn append(&self, facts: &[Fact]) -> i64 {
        let mut table = self.table(TableKind::Facts).await;
        let add = table.write_facts(facts).await.unwrap();
        table.commit(Change { add, ..Change::default() }).await.unwrap()
    }

    /// All files of a day of facts become one.
    pub async fn merge_days(&self, form: Form) {
        let mut table = self.table(TableKind::Facts).await;
        let mut days: BTreeMap<i32, Vec<Arc<TableFile>>> = BTreeMap::new();
        for file in table.files().await.unwrap() {
            days.entry(file.date).or_default().push(Arc::new(file));
        }
        for files in days.into_values() {
            let chore = Chore::merge(&table, files, form, &Arc::new(Semaphore::new(1))).unwrap();
            chore.finish(&mut table, Fence::new(1)).await.unwrap();
        }
    }

    pub async fn facts(&self) -> Vec<Fact> {
        let table = self.table(TableKind::Facts).await;
        let mut rows = Vec::new();
        for file in table.files().await.unwrap() {
            rows.extend(table.read_facts(&file, None).await.unwrap());
        }
        rows
    }

    /// All rows of `events` as (session, seq, event id), sorted.
    pub async fn events(&self) -> Vec<(String, i64, String)> {
        let table = self.table(TableKind::Events).await;
        let mut rows = Vec::new();
        for file in table.files().await.unwrap() {
            let events = table.read_events(&file, None).await.unwrap();
            rows.extend(events.into_iter().map(|event| (event.session_id, event.seq, event.event_id)));
        }
        rows.sort();
        rows
    }

    /// All rows of `sessions`, by id.
    pub async fn sessions(&self) -> Vec<Session> {
        let table = self.table(TableKind::Sessions).await;
        let mut rows = Vec::new();
        for file in table.files().await.unwrap() {
            rows.extend(table.read_sessions(&file, None).await.unwrap());
        }
        rows.sort_by(|a, b| a.session_id.cmp(&b.session_id));
        rows
    }
}

async fn open(dir: &std::path::Path) -> (Lake, LakeKey) {
    let url = dir.join("lake").display().to_string();
    let lake = Lake::open(&LakeOptions { url, ..LakeOptions::default() }).await.unwrap();
    let key = lake.key([7; 32]).await.unwrap();
    (lake, key)
}
