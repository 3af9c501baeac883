//! Erasing: what is to go is gone from every byte of the lake, what is to stay is as it was, wherever it was cut off.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::model::{FactId, Kind};
use crate::sink::lake::maintain::Form;
use crate::sink::lake::marks::{Mark, Marks};
use crate::sink::lake::testing::{TestLake, fact, tiny_fold};
use crate::sink::lake::{Lake, TableKind};

const GONE: &str = "session-to-be-erased";
const DAY: i64 = 86_400_000_000;

/// A step in the life of a lake before the erasure.
#[derive(Clone, Debug)]
enum Step {
    /// Facts of these sessions, received on that day.
    Append(Vec<u8>, i64),
    /// The rows of these sessions, in one file.
    Seal(Vec<u8>),
    /// All files of a day of facts become one.
    Merge,
    Checkpoint,
    /// Written, and never committed.
    Orphan(u8),
}

fn name(session: u8) -> String {
    if session == 0 { GONE.to_owned() } else { format!("other-{session}") }
}

async fn play(lake: &TestLake, steps: &[Step]) {
    let mut number = 0;
    for step in steps {
        match step {
            Step::Append(sessions, day) => {
                let mut facts = Vec::new();
                for session in sessions {
                    number += 1;
                    facts.push(fact(&name(*session), number, Kind::Prompt, day * DAY));
                }
                lake.append(&facts).await;
            }
            Step::Seal(sessions) => {
                let sessions: HashSet<u8> = sessions.iter().copied().collect();
                let folded: Vec<_> = sessions
                    .iter()
                    .map(|session| tiny_fold(&name(*session), &[fact(&name(*session), 1, Kind::Prompt, 0)], true))
                    .collect();
                let mut events = lake.table(TableKind::Events).await;
                let rows: Vec<_> = folded.iter().flat_map(|folded| folded.events.clone()).collect();
                let add = events.write_events(&rows).await.unwrap();
                events.commit(Change { add, ..Change::default() }).await.unwrap();
                let mut table = lake.table(TableKind::Sessions).await;
                let rows: Vec<_> = folded.into_iter().map(|folded| folded.session).collect();
                let add = table.write_sessions(&rows).await.unwrap();
                table.commit(Change { add, ..Change::default() }).await.unwrap();
            }
            Step::Merge => lake.merge_days(Form::Hot).await,
            Step::Checkpoint => lake.table(TableKind::Facts).await.checkpoint().await.unwrap(),
            Step::Orphan(session) => {
                let table = lake.table(TableKind::Sessions).await;
                let folded = tiny_fold(&name(*session), &[fact(&name(*session), 1, Kind::Prompt, 0)], true);
                table.write_sessions(&[folded.session]).await.unwrap();
            }
        }
    }
    let marks = Marks::new(&lake.lake, &lake.key, &lake.workspace);
    for session in [GONE, "other-1"] {
        marks.put(&Mark { session_id: session.to_owned(), fact_ids: [FactId([7; 16])].into() }).await.unwrap();
    }
}

/// Hash of each session's rows, in every table.
async fn hashes(lake: &TestLake) -> BTreeMap<String, String> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for fact in lake.facts().await {
        let session = fact.session_id.clone().unwrap_or_default();
        rows.entry(session).or_default().push(format!("{fact:?}"));
    }
    for (session, seq, event) in lake.events().await {
        rows.entry(session.clone()).or_default().push(format!("{session} {seq} {event}"));
    }
    for session in lake.sessions().await {
        rows.entry(session.session_id.clone()).or_default().push(format!("{session:?}"));
    }
    let hash = |mut rows: Vec<String>| {
        rows.sort();
        blake3::hash(rows.join("\n").as_bytes()).to_hex().to_string()
    };
    rows.into_iter().map(|(session, rows)| (session, hash(rows))).collect()
}

fn all_files(dir: &FsPath, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all_files(&path, files) } else { files.push(path) }
    }
}

/// Where any byte of the lake still tells of the session: names of files.
async fn traces(lake: &TestLake) -> Vec<String> {
    let table = lake.table(TableKind::Facts).await;
    let tag = table.session_tag(GONE);
    let mut files = Vec::new();
    all_files(&lake.dir.path().join("lake"), &mut files);
    let mut traces = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        let plain = bytes.windows(GONE.len()).any(|window| window == GONE.as_bytes());
        let encoded = path.extension().is_some_and(|extension| extension == "parquet") && in_rows(bytes.clone());
        let text = String::from_utf8_lossy(&bytes);
        let tagged = text.contains("sessionlake.sessions")
            && super::super::log::commit_tags(&bytes).iter().any(|tags| tags.may_have_one_of(&[tag]));
        if plain || encoded || tagged {
            traces.push(path.display().to_string());
        }
    }
    traces
}

/// Whether any value of any row of a Parquet file (data or checkpoint) tells of the session.
fn in_rows(bytes: Vec<u8>) -> bool {
    let Ok(reader) = SerializedFileReader::new(bytes::Bytes::from(bytes)) else { return false };
    reader.get_row_iter(None).unwrap().any(|row| row.unwrap().to_string().contains(GONE))
}

fn erasure(keep: Option<Keep>) -> Erasure {
    Erasure { sessions: [GONE.to_owned()].into(), keep, uploads_over_since: None }
}

async fn erase(lake: &Lake, workspace: &crate::model::Workspace) -> std::result::Result<Erased, LakeError> {
    erase_sessions(lake, workspace, Fence::new(1), &erasure(None)).await
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sessions = || proptest::collection::vec(0..5u8, 1..5);
    let step = prop_oneof![
        4 => (sessions(), 0..3i64).prop_map(|(sessions, day)| Step::Append(sessions, day)),
        2 => sessions().prop_map(Step::Seal),
        1 => Just(Step::Merge),
        1 => Just(Step::Checkpoint),
        1 => (0..3u8).prop_map(Step::Orphan),
    ];
    let first = Step::Append(vec![0, 1, 2], 0);
    proptest::collection::vec(step, 0..10).prop_map(move |steps| [vec![first.clone()], steps].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn erasing_one_session_leaves_no_trace_of_it_and_changes_no_other(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = TestLake::new().await;
            let (early, late) = steps.split_at(steps.len() / 2);
            play(&lake, early).await;
            // What is remembered of the log is of a time when the session's files were still the table's.
            let other = Erasure { sessions: ["nobody".to_owned()].into(), ..erasure(None) };
            erase_sessions(&lake.lake, &lake.workspace, Fence::new(1), &other).await.unwrap();
            play(&lake, late).await;
            let mut before = hashes(&lake).await;
            before.remove(GONE);
            let erased = erase(&lake.lake, &lake.workspace).await.unwrap();
            assert_eq!(traces(&lake).await, [""; 0], "after {erased:?}");
            assert_eq!(hashes(&lake).await, before);
            assert!(erased.is_complete() && erased.rows.facts > 0);
            let again = erase(&lake.lake, &lake.workspace).await.unwrap();
            assert_eq!((again.rows.facts, again.objects_before, again.purged.files), (0, 0, 0), "nothing is left to do");
        });
    }
}

/// Of files that stay the log tells roughly which sessions they have.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_erased_from_among_many_in_a_file_that_stays() {
    let lake = TestLake::new().await;
    let others = (0..2000).map(|n| fact(&format!("other-{n}"), n, Kind::Prompt, 0));
    lake.append(&others.chain([fact(GONE, 0, Kind::Prompt, 0)]).collect::<Vec<_>>()).await;
    lake.append(&[fact(GONE, 1, Kind::Prompt, DAY), fact("other-1", 1, Kind::Prompt, DAY)]).await;
    lake.merge_days(Form::Final).await;
    let listed = async || -> Vec<bool> {
        let files = lake.table(TableKind::Facts).await.files().await.unwrap();
        files.iter().map(|file| file.listed().is_some()).collect()
    };
    assert_eq!(listed().await, [false, true]);
    let mut before = hashes(&lake).await;
    before.remove(GONE);
    let erased = erase(&lake.lake, &lake.workspace).await.unwrap();
    assert_eq!((traces(&lake).await, erased.rows.facts), (Vec::new(), 2));
    assert_eq!(hashes(&lake).await, before);
    assert_eq!(listed().await, [false, true]);
}

/// A store that dies after so many writes: the last of them lands, or does not.
#[derive(Debug)]
struct Dies {
    inner: Arc<dyn ObjectStore>,
    left: AtomicUsize,
    lands: bool,
}

impl Dies {
    /// Whether the next write is made, and whether it is answered.
    fn next(&self) -> (bool, bool) {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        (left.is_ok_and(|left| left > 1 || self.lands), left.is_ok_and(|left| left > 1))
    }

    fn dead() -> Error {
        Error::NotImplemented { operation: "anything".to_owned(), implementer: "a dead process".to_owned() }
    }
}

impl fmt::Display for Dies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dies")
    }
}

#[async_trait]
impl ObjectStore for Dies {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (made, answered) = self.next();
        let result = if made { self.inner.put_opts(location, payload, options).await } else { Err(Dies::dead()) };
        if answered { result } else { Err(Dies::dead()) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // The file counts as one write, at its beginning: what is left of one that is cut off has no name.
        match self.next() {
            (true, true) => self.inner.put_multipart_opts(location, options).await,
            _ => Err(Dies::dead()),
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (made, answered) = self.next();
        match (made, answered) {
            (true, true) => self.inner.delete_stream(locations),
            (true, false) => self.inner.delete_stream(locations).map(|_| Err(Dies::dead())).boxed(),
            _ => locations.map(|_| Err(Dies::dead())).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Cut off after every write in turn, the next run finishes what was begun. `lands`: the last write was made, and not
/// answered.
async fn cut_off(lands: bool) {
    let steps = [
        Step::Append(vec![0, 1, 2], 0),
        Step::Append(vec![0, 3], 1),
        Step::Append(vec![0], 0),
        Step::Merge,
        Step::Seal(vec![0, 1]),
        Step::Checkpoint,
        Step::Append(vec![0, 2], 0),
        Step::Orphan(0),
    ];
    for writes in 1.. {
        let lake = TestLake::new().await;
        play(&lake, &steps).await;
        let mut before = hashes(&lake).await;
        before.remove(GONE);
        let mut dying = lake.lake.clone();
        let left = AtomicUsize::new(writes);
        dying.store.root = Arc::new(Dies { inner: dying.store.root.clone(), left, lands });
        let finished = erase(&dying, &lake.workspace).await.is_ok();
        assert!(writes > 12 || !finished, "too few writes to be an erasure");
        let erased = erase(&lake.lake, &lake.workspace).await.unwrap();
        assert_eq!(traces(&lake).await, [""; 0], "cut off at write {writes}, then {erased:?}");
        assert_eq!(hashes(&lake).await, before, "cut off at write {writes}");
        if finished {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_cut_off_before_any_step_is_finished_by_the_next() {
    cut_off(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_cut_off_behind_any_step_is_finished_by_the_next() {
    cut_off(true).await;
}

/// Appends go on meanwhile: none of them is lost, and those of the session that were under way go too.
#[tokio::test(flavor = "multi_thread")]
async fn facts_that_are_appended_meanwhile_stay_and_those_of_the_session_go() {
    let lake = TestLake::new().await;
    play(&lake, &[Step::Append(vec![0, 1], 0), Step::Append(vec![0, 1, 2], 0)]).await;
    let appending = async {
        for number in 100..140 {
            lake.append(&[fact("other-9", number, Kind::Prompt, 0)]).await;
            if number < 110 {
                lake.append(&[fact(GONE, number, Kind::Prompt, 0), fact("other-1", number, Kind::Prompt, 0)]).await;
            }
        }
    };
    let erasing = async {
        for _ in 0..4 {
            // Facts that keep coming are the caller's to stop.
            let _ = erase(&lake.lake, &lake.workspace).await;
        }
    };
    tokio::join!(appending, erasing);
    erase(&lake.lake, &lake.workspace).await.unwrap();
    assert_eq!(traces(&lake).await, [""; 0]);
    let facts = lake.facts().await;
    let of = |session: &str| facts.iter().filter(|fact| fact.session_id.as_deref() == Some(session)).count();
    assert_eq!((of("other-9"), of("other-1"), of("other-2")), (40, 12, 1));
}

/// An upload of facts whose writer may be alive is not deleted under it; once it can be committed no more, it goes.
#[tokio::test(flavor = "multi_thread")]
async fn facts_that_no_commit_names_yet_are_waited_for() {
    let lake = TestLake::new().await;
    play(&lake, &[Step::Append(vec![1], 0)]).await;
    let table = lake.table(TableKind::Facts).await;
    table.write_facts(&[fact(GONE, 1, Kind::Prompt, 0), fact("other-1", 5, Kind::Prompt, 0)]).await.unwrap();
    table.write_facts(&[fact("other-1", 6, Kind::Prompt, 0)]).await.unwrap();
    let now = Clock::system().now();
    let erased = erase(&lake.lake, &lake.workspace).await.unwrap();
    assert!(!erased.is_complete() && erased.purged.waiting == 1, "{erased:?}");
    assert!(!traces(&lake).await.is_empty());
    let later = lake.lake.clone().with_clock(Clock::from_fn(move || now + 600_000_000));
    let erased = erase(&later, &lake.workspace).await.unwrap();
    assert!(erased.is_complete() && erased.purged.files == 1, "{erased:?}");
    assert_eq!(traces(&lake).await, [""; 0]);
    table.write_facts(&[fact(GONE, 1, Kind::Prompt, 0)]).await.unwrap();
    let all_said_so = Erasure { uploads_over_since: Some(0), ..erasure(None) };
    let erased = erase_sessions(&lake.lake, &lake.workspace, Fence::new(1), &all_said_so).await.unwrap();
    assert!(erased.is_complete() && erased.purged.files == 1, "no writer is left that would commit it: {erased:?}");
    assert_eq!(traces(&lake).await, [""; 0]);
}

/// A kill cuts off what was being written, and what that holds nobody can say: no longer than such a file is there, an
/// erasure is not complete. What others have begun to write since does not keep it waiting.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_a_kill_cut_off_is_waited_for_and_goes() {
    let lake = TestLake::new().await;
    play(&lake, &[Step::Append(vec![0, 1], 0)]).await;
    let cut_off = lake.dir.path().join("lake/default/facts/received_date=1970-01-01/part-1.zstd.parquet#17");
    std::fs::write(&cut_off, "PAR1").unwrap();
    let now = Clock::system().now();
    let workspace = &lake.workspace;
    let erase = async |lake: &Lake, since| {
        let erasure = Erasure { uploads_over_since: Some(since), ..erasure(None) };
        erase_sessions(lake, workspace, Fence::new(1), &erasure).await.unwrap()
    };
    let erased = erase(&lake.lake, now - 60_000_000).await;
    assert!(erased.is_complete(), "it was begun after all had heard: {erased:?}");
    let erased = erase(&lake.lake, now + 60_000_000).await;
    assert!(!erased.is_complete() && erased.purged.waiting == 1, "{erased:?}");
    assert!(cut_off.exists(), "its writer may live");
    let later = lake.lake.clone().with_clock(Clock::from_fn(move || now + 60_000_000));
    let erased = erase(&later, now + 60_000_000).await;
    assert!(erased.is_complete(), "{erased:?}");
    assert!(!cut_off.exists());
}

/// What is kept of a session stands under another name, and is told, so that it is sealed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_of_a_session_moves_to_another() {
    let lake = TestLake::new().await;
    play(&lake, &[Step::Append(vec![0, 1, 0], 0)]).await;
    let keep: Keep = Arc::new(|row: &crate::model::Fact| {
        let mut kept = fact("private-2026-01-01", 1, row.kind, row.received_at);
        kept.columns = crate::model::Columns { cost_usd: Some(5), ..Default::default() };
        Some(kept)
    });
    let erased = erase_sessions(&lake.lake, &lake.workspace, Fence::new(1), &erasure(Some(keep))).await.unwrap();
    assert_eq!(erased.kept_in.iter().collect::<Vec<_>>(), ["private-2026-01-01"]);
    assert_eq!((erased.rows.facts, traces(&lake).await.len()), (2, 0));
    let kept: Vec<_> = lake.facts().await.into_iter().filter(|f| f.columns.cost_usd == Some(5)).collect();
    assert_eq!(kept.len(), 2);
}

/// Who lost the lease takes nothing away.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_holder_of_the_lease_erases_nothing() {
    let lake = TestLake::new().await;
    play(&lake, &[Step::Append(vec![0, 1], 0)]).await;
    lake.table(TableKind::Facts).await.raise(Fence::new(2)).await.unwrap();
    let before = hashes(&lake).await;
    let error = erase(&lake.lake, &lake.workspace).await.unwrap_err();
    assert!(matches!(error, LakeError::Fenced { .. }), "{error}");
    assert_eq!(hashes(&lake).await, before);
}
