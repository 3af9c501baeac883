//! The tables from outside: what is written is there, once, for every handle.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::lease::Fence;
use super::samples::{self, CANARY, DAY};
use super::{Change, Lake, LakeError, LakeOptions, NewFile, Table, TableFile, TableKind, Tags};
use crate::clock::Clock;
use crate::model::{Fact, LakeKey, Workspace};

const KEY: [u8; 32] = [7; 32];

async fn open(options: &LakeOptions) -> (Lake, LakeKey) {
    let lake = Lake::open(options).await.unwrap();
    let key = lake.key(KEY).await.unwrap();
    (lake, key)
}

fn at(dir: &Path) -> LakeOptions {
    LakeOptions { url: dir.join("lake").to_str().unwrap().to_owned(), ..LakeOptions::default() }
}

async fn table(options: &LakeOptions, kind: TableKind) -> Table {
    let (lake, key) = open(options).await;
    lake.table(&Workspace::default(), kind, &key).await.unwrap()
}

fn added(add: Vec<NewFile>) -> Change {
    Change { add, ..Change::default() }
}

fn with_transaction(add: Vec<NewFile>, id: &str, version: i64) -> Change {
    Change { add, transaction: Some((id.to_owned(), version)), ..Change::default() }
}

fn replaced(remove: &[TableFile], add: Vec<NewFile>) -> Change {
    Change { add, remove: remove.to_vec(), ..Change::default() }
}

async fn append(table: &mut Table, facts: &[Fact]) -> i64 {
    let files = table.write_facts(facts).await.unwrap();
    table.commit(added(files)).await.unwrap()
}

async fn all_facts(table: &Table) -> Vec<Fact> {
    let mut facts = Vec::new();
    for file in table.files().await.unwrap() {
        facts.extend(table.read_facts(&file, None).await.unwrap());
    }
    facts.sort_by_key(|fact| fact.fact_id);
    facts
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// The same promises for every kind of store.
macro_rules! for_every_store {
    ($($name:ident)*) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(super::at(dir.path())).await;
            })*
        }
        mod s3 {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs SESSIONLAKE_TEST_S3_ENDPOINT, _BUCKET, _KEY and _SECRET"]
            async fn $name() {
                super::$name(super::bucket(stringify!($name))).await;
            })*
        }
    };
}

for_every_store! {
    every_column_comes_back_as_it_was
    events_and_sessions_come_back_as_they_were
    a_reopened_table_has_files_tags_and_transactions
    a_replacement_is_seen_whole
    the_same_transaction_lands_once
    racing_appends_all_land
    removing_what_is_gone_is_a_conflict
    a_later_fence_keeps_removers_out_and_appends_in
    only_asked_for_sessions_are_read
    the_lake_has_one_key
    workspaces_are_those_with_tables
}

/// A prefix of its own in the bucket that the environment names.
fn bucket(test: &str) -> LakeOptions {
    let env = |name: &str| std::env::var(format!("SESSIONLAKE_TEST_S3_{name}")).unwrap();
    let storage = [
        ("endpoint", env("ENDPOINT")),
        ("region", "us-east-1".to_owned()),
        ("access_key_id", env("KEY")),
        ("secret_access_key", env("SECRET")),
        ("allow_http", "true".to_owned()),
    ];
    LakeOptions {
        url: format!("s3://{}/{test}/{}", env("BUCKET"), uuid::Uuid::new_v4()),
        storage: storage.map(|(key, value)| (key.to_owned(), value)).into(),
        ..LakeOptions::default()
    }
}

async fn every_column_comes_back_as_it_was(options: LakeOptions) {
    let mut table = table(&options, TableKind::Facts).await;
    let facts = vec![samples::fact("s1", 1), samples::fact("s2", 2), samples::bare_fact(3)];
    append(&mut table, &facts).await;
    assert_eq!(all_facts(&table).await, facts);
}

async fn events_and_sessions_come_back_as_they_were(options: LakeOptions) {
    let events = vec![samples::event("s1", 0), samples::bare_event("s1", 1)];
    let mut other_day = samples::event("s2", 0);
    other_day.date = DAY + 1;
    let table_of_events = table(&options, TableKind::Events).await;
    let written =
        table_of_events.write_events(&[events[1].clone(), other_day.clone(), events[0].clone()]).await.unwrap();
    assert_eq!(written.len(), 2);
    assert_eq!(table_of_events.read_events(&written[0].file, None).await.unwrap(), events);
    assert_eq!(table_of_events.read_events(&written[1].file, None).await.unwrap(), [other_day]);

    let sessions = vec![samples::session("s1"), samples::bare_session("s2")];
    let table_of_sessions = table(&options, TableKind::Sessions).await;
    let written = table_of_sessions.write_sessions(&sessions).await.unwrap();
    assert_eq!(table_of_sessions.read_sessions(&written[0].file, None).await.unwrap(), sessions);
}

async fn a_reopened_table_has_files_tags_and_transactions(options: LakeOptions) {
    let mut first = table(&options, TableKind::Facts).await;
    let files = first.write_facts(&[samples::fact("s1", 1), samples::bare_fact(2)]).await.unwrap();
    first.commit(with_transaction(files, "journal-1", 5)).await.unwrap();

    let mut second = table(&options, TableKind::Facts).await;
    assert_eq!(second.version(), 1);
    assert_eq!(second.files().await.unwrap(), first.files().await.unwrap());
    assert_eq!(second.files().await.unwrap()[0].sessions, Tags::list(vec![second.session_tag("s1")]));
    assert_eq!(second.transaction_version("journal-1").await.unwrap(), Some(5));
    assert_eq!(second.transaction_version("journal-2").await.unwrap(), None);
}

async fn a_replacement_is_seen_whole(options: LakeOptions) {
    let mut writer = table(&options, TableKind::Facts).await;
    append(&mut writer, &[samples::fact("s1", 1)]).await;
    append(&mut writer, &[samples::fact("s1", 2)]).await;
    let mut reader = table(&options, TableKind::Facts).await;
    let old = writer.files().await.unwrap();
    let merged = writer.write_facts(&[samples::fact("s1", 1), samples::fact("s1", 2)]).await.unwrap();
    let version = writer.commit_rearranged(replaced(&old, merged.clone())).await.unwrap();

    assert_eq!(all_facts(&reader).await.len(), 2, "the version that it is at");
    reader.refresh().await.unwrap();
    assert_eq!(reader.files().await.unwrap(), [merged[0].file.clone()]);
    let changes = reader.changes_since(version - 1).await.unwrap().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].added, [merged[0].file.clone()]);
    assert_eq!(changes[0].removed.iter().collect::<HashSet<_>>(), old.iter().map(|f| &f.path).collect());
    assert!(!changes[0].data_change);
    assert_eq!(reader.changes_since(version).await.unwrap().unwrap().len(), 0);
    assert_eq!(reader.changes_since(0).await.unwrap().unwrap().iter().filter(|c| c.data_change).count(), 2);
}

async fn the_same_transaction_lands_once(options: LakeOptions) {
    let mut first = table(&options, TableKind::Facts).await;
    let mut second = table(&options, TableKind::Facts).await;
    let facts = [samples::fact("s1", 1)];
    let (one, two) = (first.write_facts(&facts).await.unwrap(), second.write_facts(&facts).await.unwrap());
    let (first_version, second_version) = tokio::join!(
        first.commit(with_transaction(one, "journal-1", 5)),
        second.commit(with_transaction(two.clone(), "journal-1", 5)),
    );
    assert_eq!((first_version.unwrap(), second_version.unwrap()), (1, 1));
    assert_eq!(second.commit(with_transaction(two, "journal-1", 4)).await.unwrap(), 1, "an older one has landed, too");
    first.refresh().await.unwrap();
    assert_eq!(all_facts(&first).await.len(), 1);
}

async fn racing_appends_all_land(options: LakeOptions) {
    let writers = (0..4u8).map(|writer| {
        let options = options.clone();
        tokio::spawn(async move {
            let mut table = table(&options, TableKind::Facts).await;
            for n in 0..5 {
                append(&mut table, &[samples::fact("s1", writer * 5 + n)]).await;
            }
        })
    });
    futures::future::try_join_all(writers).await.unwrap();
    let table = table(&options, TableKind::Facts).await;
    assert_eq!(table.version(), 20);
    let ids: Vec<u8> = all_facts(&table).await.iter().map(|fact| fact.fact_id.0[0]).collect();
    assert_eq!(ids, (0..20).collect::<Vec<u8>>());
}

async fn removing_what_is_gone_is_a_conflict(options: LakeOptions) {
    let mut first = table(&options, TableKind::Facts).await;
    append(&mut first, &[samples::fact("s1", 1)]).await;
    let mut second = table(&options, TableKind::Facts).await;
    let files = first.files().await.unwrap();
    first.commit(replaced(&files, Vec::new())).await.unwrap();
    let new = second.write_facts(&[samples::fact("s1", 2)]).await.unwrap();
    let error = second.commit(replaced(&files, new)).await.unwrap_err();
    assert!(matches!(&error, LakeError::Conflict { path, .. } if *path == files[0].path), "{error}");
    assert!(!error.is_transient());
    // An append of the same handle goes through: it depends on nothing.
    append(&mut second, &[samples::fact("s1", 3)]).await;
}

async fn a_later_fence_keeps_removers_out_and_appends_in(options: LakeOptions) {
    let mut table = table(&options, TableKind::Facts).await;
    let commit = |id: &str, epoch| Change {
        transaction: Some((id.to_owned(), 1)),
        fence: Some(Fence::new(epoch)),
        ..Change::default()
    };
    table.commit(commit("a", 2)).await.unwrap();
    table.commit(commit("b", 2)).await.unwrap();
    let error = table.commit(commit("c", 1)).await.unwrap_err();
    assert!(matches!(error, LakeError::Fenced { present: 2, ours: 1, .. }), "{error}");
    assert!(matches!(table.raise(Fence::new(1)).await.unwrap_err(), LakeError::Fenced { present: 2, .. }));
    let before = table.version();
    table.raise(Fence::new(2)).await.unwrap();
    assert_eq!(table.version(), before, "it is there already");
    table.raise(Fence::new(3)).await.unwrap();
    assert!(matches!(table.commit(commit("d", 2)).await.unwrap_err(), LakeError::Fenced { .. }));
    append(&mut table, &[samples::fact("s1", 1)]).await;
}

async fn only_asked_for_sessions_are_read(options: LakeOptions) {
    let table = table(&options, TableKind::Events).await;
    // Three row groups.
    let events: Vec<_> = (0..40_000).map(|n| samples::bare_event(&format!("s{:03}", n / 100), n % 100)).collect();
    let written = table.write_events(&events).await.unwrap();
    let wanted: HashSet<String> = ["s000", "s399", "unknown"].map(str::to_owned).into();
    let read = table.read_events(&written[0].file, Some(&wanted)).await.unwrap();
    let expected: Vec<_> = events.iter().filter(|event| wanted.contains(&event.session_id)).cloned().collect();
    assert_eq!(read, expected);
    assert_eq!(written[0].file.sessions.as_ref().map(Tags::count), Some(400));
}

#[tokio::test]
async fn content_is_in_data_pages_only() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::serialized_reader::ReadOptionsBuilder;
    let dir = tempfile::tempdir().unwrap();
    let options = at(dir.path());
    let mut facts = table(&options, TableKind::Facts).await;
    append(&mut facts, &[samples::fact("s1", 1), samples::fact("s2", 2)]).await;
    let mut events = table(&options, TableKind::Events).await;
    let new = events.write_events(&[samples::event("s1", 0)]).await.unwrap();
    events.commit(added(new)).await.unwrap();
    let mut sessions = table(&options, TableKind::Sessions).await;
    let new = sessions.write_sessions(&[samples::session("s1")]).await.unwrap();
    sessions.commit(added(new)).await.unwrap();

    let (mut content, mut other) = (0, 0);
    for path in files_below(dir.path()) {
        let bytes = std::fs::read(&path).unwrap();
        if path.extension().is_none_or(|e| e != "parquet") {
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{path:?}");
            continue;
        }
        let kind = *TableKind::ALL.iter().find(|kind| path.to_str().unwrap().contains(kind.name())).unwrap();
        let read = ReadOptionsBuilder::new().with_page_index().build();
        let reader = SerializedFileReader::new_with_options(bytes::Bytes::from(bytes.clone()), read).unwrap();
        let group = reader.metadata().row_group(0);
        let pages_end = group.columns().iter().map(|c| c.byte_range().0 + c.byte_range().1).max().unwrap() as usize;
        let footer = String::from_utf8_lossy(&bytes[pages_end..]).into_owned();
        assert!(!footer.contains("canary"), "{path:?}");
        for chunk in group.columns() {
            let root = &chunk.column_path().parts()[0];
            let is_content = kind.columns().find(|c| c.name == root).unwrap().is_content();
            assert_eq!(chunk.statistics().is_none(), is_content, "{}", chunk.column_path());
            assert!(chunk.column_index_length().is_none(), "{}", chunk.column_path());
            assert!(chunk.bloom_filter_offset().is_none(), "small files have no bloom filters");
            if is_content { content += 1 } else { other += 1 }
        }
    }
    assert_eq!((content, other > 50), (7 + 7 + 2, true));
}

async fn the_lake_has_one_key(options: LakeOptions) {
    let (first, second) = (Lake::open(&options).await.unwrap(), Lake::open(&options).await.unwrap());
    let (one, two) = tokio::join!(first.key([1; 32]), second.key([2; 32]));
    assert_eq!(one.unwrap().bytes(), two.unwrap().bytes());
}

async fn workspaces_are_those_with_tables(options: LakeOptions) {
    let (lake, key) = open(&options).await;
    assert!(lake.workspaces().await.unwrap().is_empty());
    let acme = Workspace::parse("acme").unwrap();
    lake.table(&acme, TableKind::Events, &key).await.unwrap();
    assert_eq!(lake.workspaces().await.unwrap(), std::slice::from_ref(&acme));
    assert!(lake.existing(&acme, TableKind::Events).await.unwrap().is_some());
    assert!(lake.existing(&acme, TableKind::Facts).await.unwrap().is_none());
}

#[tokio::test]
async fn a_new_lake_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mut facts = table(&at(dir.path()), TableKind::Facts).await;
    append(&mut facts, &[samples::fact("s1", 1)]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let files = files_below(&dir.path().join("lake"));
    assert_eq!(files.len(), 4, "key, two log entries, one data file, nothing staged: {files:?}");
    for file in files {
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700), "{file:?}");
    }
}

#[tokio::test]
async fn old_uploads_are_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, key) = open(&at(dir.path())).await;
    let now = Arc::new(AtomicI64::new(samples::TIME));
    let shared = now.clone();
    let lake = lake.with_clock(Clock::from_fn(move || shared.load(Ordering::Relaxed)));
    let mut facts = lake.table(&Workspace::default(), TableKind::Facts, &key).await.unwrap();
    let files = facts.write_facts(&[samples::fact("s1", 1)]).await.unwrap();
    now.fetch_add(3_601_000_000, Ordering::Relaxed);
    assert!(matches!(facts.commit(added(files)).await.unwrap_err(), LakeError::Stale { .. }));
}

/// Writes all three tables to `SESSIONLAKE_TEST_LAKE` (or to the bucket, when that is set), to be read by other engines.
#[tokio::test]
#[ignore = "needs SESSIONLAKE_TEST_LAKE or the bucket of the S3 tests"]
async fn a_lake_for_other_engines() {
    let options = match std::env::var("SESSIONLAKE_TEST_LAKE") {
        Ok(url) => LakeOptions { url, ..LakeOptions::default() },
        Err(_) => bucket("engines"),
    };
    println!("lake: {}", options.url);
    let mut facts = table(&options, TableKind::Facts).await;
    append(&mut facts, &[samples::fact("s1", 1), samples::bare_fact(2)]).await;
    append(&mut facts, &[samples::fact("s2", 3)]).await;
    let mut events = table(&options, TableKind::Events).await;
    let many: Vec<_> = (0..30_000).map(|n| samples::bare_event(&format!("s{:03}", n / 100), n % 100)).collect();
    let new = events.write_events(&many).await.unwrap();
    events.commit(added(new)).await.unwrap();
    let new = events.write_events(&[samples::event("t1", 0)]).await.unwrap();
    events.commit(added(new)).await.unwrap();
    let mut sessions = table(&options, TableKind::Sessions).await;
    let new = sessions.write_sessions(&[samples::session("s1"), samples::bare_session("s2")]).await.unwrap();
    sessions.commit(added(new)).await.unwrap();
    let old = sessions.files().await.unwrap();
    let new = sessions.write_sessions(&[samples::session("s1"), samples::bare_session("s3")]).await.unwrap();
    sessions.commit(replaced(&old, new)).await.unwrap();
}

/// Prints how long a commit takes when a thousand came before it.
#[tokio::test]
#[ignore = "a measurement"]
async fn the_thousandth_commit() {
    let dir = tempfile::tempdir().unwrap();
    let mut facts = table(&at(dir.path()), TableKind::Facts).await;
    let files = facts.write_facts(&[samples::fact("s1", 1)]).await.unwrap();
    for round in 0..=10 {
        let start = std::time::Instant::now();
        for n in 0..100 {
            let mut new = files.clone();
            new[0].file.path = format!("{}-{round}-{n}", files[0].file.path);
            facts.commit(with_transaction(new, "journal", round * 100 + n)).await.unwrap();
        }
        println!("commits {}..: {:?} each", round * 100, start.elapsed() / 100);
    }
    let start = std::time::Instant::now();
    let mut again = table(&at(dir.path()), TableKind::Facts).await;
    println!("opening at {}: {:?}", again.version(), start.elapsed());
    let start = std::time::Instant::now();
    again.transaction_version("journal").await.unwrap();
    println!("looking a transaction up: {:?}", start.elapsed());
}
