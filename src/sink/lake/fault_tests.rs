//! The log when things go wrong: lost replies, a cleaned log, a store that is away.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::samples;
use super::{Change, Lake, LakeOptions, Table, TableKind};
use crate::model::Workspace;

/// A store that loses the replies to some puts of log entries.
#[derive(Debug)]
struct LosesReplies {
    inner: Arc<dyn ObjectStore>,
    /// How many replies are still to be lost.
    lose: Arc<AtomicUsize>,
}

impl fmt::Display for LosesReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LosesReplies")
    }
}

#[async_trait]
impl ObjectStore for LosesReplies {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, options).await;
        let lost = self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if location.as_ref().contains("_delta_log") && lost.is_ok() {
            return Err(Error::Generic { store: "test", source: "reply lost".into() });
        }
        result
    }

    async fn put_multipart_opts(&self, at: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
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

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { dir: tempfile::tempdir().unwrap() }
    }

    async fn lake(&self) -> Lake {
        let url = self.dir.path().to_str().unwrap().to_owned();
        Lake::open(&LakeOptions { url, ..LakeOptions::default() }).await.unwrap()
    }

    async fn table(&self) -> Table {
        table(&self.lake().await).await
    }

    fn log(&self, name: &str) -> PathBuf {
        self.dir.path().join("default/facts/_delta_log").join(name)
    }
}

async fn table(lake: &Lake) -> Table {
    let key = lake.key([1; 32]).await.unwrap();
    lake.table(&Workspace::default(), TableKind::Facts, &key).await.unwrap()
}

async fn append(table: &mut Table, id: u8, transaction: Option<(&str, i64)>) -> i64 {
    let add = table.write_facts(&[samples::fact("s1", id)]).await.unwrap();
    let transaction = transaction.map(|(id, version)| (id.to_owned(), version));
    table.commit(Change { add, transaction, ..Change::default() }).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_is_lost_lands_once() {
    let scene = Scene::new();
    let mut lake = scene.lake().await;
    let lose = Arc::new(AtomicUsize::new(0));
    lake.store.root = Arc::new(LosesReplies { inner: lake.store.root.clone(), lose: lose.clone() });
    let mut table = table(&lake).await;

    for (version, transaction) in [(1, None), (2, Some(("journal", 1)))] {
        let add = table.write_facts(&[samples::fact("s1", 1)]).await.unwrap();
        let transaction = transaction.map(|(id, version)| (id.to_owned(), version));
        lose.store(1, Ordering::SeqCst);
        assert_eq!(table.commit(Change { add, transaction, ..Change::default() }).await.unwrap(), version);
        assert_eq!(lose.load(Ordering::SeqCst), 0, "a reply was lost");
    }
    assert_eq!(scene.table().await.files().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_keeps_files_tags_and_transactions() {
    let scene = Scene::new();
    let mut writer = scene.table().await;
    for n in 0..5 {
        append(&mut writer, n, Some(("journal", i64::from(n)))).await;
    }
    writer.checkpoint().await.unwrap();
    append(&mut writer, 5, Some(("other", 7))).await;

    let mut reopened = scene.table().await;
    assert_eq!(reopened.version(), 6);
    assert_eq!(reopened.files().await.unwrap(), writer.files().await.unwrap());
    assert!(reopened.files().await.unwrap().iter().all(|file| file.sessions.is_some()));
    assert_eq!(reopened.transaction_version("journal").await.unwrap(), Some(4));
    assert_eq!(reopened.transaction_version("other").await.unwrap(), Some(7));
    assert_eq!(reopened.transaction_version("none").await.unwrap(), None);
    assert_eq!(append(&mut reopened, 9, Some(("journal", 4))).await, 6, "landed before the checkpoint");
}

/// A handle that slept while the log was cleaned must not put its commit where the cleaned entries were: a version
/// that no reader looks at any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_handle_behind_a_cleaned_log_reloads() {
    let scene = Scene::new();
    let mut sleeper = scene.table().await;
    append(&mut sleeper, 0, None).await;
    let mut writer = scene.table().await;
    for n in 1..4 {
        append(&mut writer, n, None).await;
    }
    writer.checkpoint().await.unwrap();
    for version in 0..4 {
        std::fs::remove_file(scene.log(&format!("{version:020}.json"))).unwrap();
    }

    assert_eq!(append(&mut sleeper, 4, None).await, 5);
    assert_eq!(sleeper.files().await.unwrap().len(), 5);
    assert!(sleeper.changes_since(1).await.unwrap().is_none(), "the log does not reach back");
    assert_eq!(sleeper.changes_since(4).await.unwrap().unwrap().len(), 1);
    let reopened = scene.table().await;
    assert_eq!((reopened.version(), reopened.files().await.unwrap().len()), (5, 5));
    std::fs::remove_file(scene.log("_last_checkpoint")).unwrap();
    let reopened = scene.table().await;
    assert_eq!((reopened.version(), reopened.files().await.unwrap().len()), (5, 5), "without the hint");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_writer_protocols_are_left_alone() {
    let scene = Scene::new();
    let mut table = scene.table().await;
    let upgrade = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}"#;
    std::fs::write(scene.log("00000000000000000001.json"), upgrade).unwrap();
    let add = table.write_facts(&[samples::fact("s1", 1)]).await.unwrap();
    let error = table.commit(Change { add, ..Change::default() }).await.unwrap_err();
    assert!(matches!(error, super::LakeError::Protocol { version: 4, .. }), "{error}");
    assert!(!scene.log("00000000000000000002.json").exists());
}

#[tokio::test]
async fn locations_that_cannot_be_are_refused() {
    for url in ["", "gs://bucket/x", "s3:///x", "file://host/x"] {
        let error = Lake::open(&LakeOptions { url: url.to_owned(), ..LakeOptions::default() }).await.err().unwrap();
        assert!(!error.is_transient(), "{error}");
    }
    let storage = vec![("acess_key_id".to_owned(), "secret".to_owned())];
    let error = Lake::open(&LakeOptions { url: "s3://bucket/x".to_owned(), storage, ..LakeOptions::default() })
        .await
        .err()
        .unwrap();
    assert!(error.to_string().contains("acess_key_id") && !error.to_string().contains("secret"), "{error}");
}
