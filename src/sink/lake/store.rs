//! Where a lake's bytes are: a directory, or a prefix of an S3 bucket.

use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
};
use url::Url;

use super::bucket::{Address, Bucket};
use super::error::LakeError;
use super::local::{Staged, SyncedLocal, create_dirs};

/// Where the lake is.
#[derive(Clone, Debug, Default)]
pub struct LakeOptions {
    /// A directory, `file:///...` or `s3://bucket/prefix`.
    pub url: String,
    /// What messages call it; `None`: the URL.
    pub name: Option<String>,
    /// For `s3://`: `endpoint`, `region`, `access_key_id`, `secret_access_key`, `session_token`,
    /// `virtual_hosted_style_request`, `allow_http`. What is not given comes from the usual AWS variables.
    pub storage: Vec<(String, String)>,
}

impl LakeOptions {
    /// Where the lake is, for logs and messages: without what environment variables hold.
    pub fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.url)
    }
}

/// How long the store's own retries go on before an error surfaces: the callers above retry for ever, with their own
/// back-off, and want to report and to look transactions up in between.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);

/// An object store and the lake's place in it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Store {
    /// Rooted at the bucket, or at `/`.
    pub root: Arc<dyn ObjectStore>,
    /// The same store, when it is a local one.
    local: Option<Arc<SyncedLocal>>,
    /// What else the bucket can do; `None` for a directory.
    pub bucket: Option<Arc<Bucket>>,
    /// The lake's prefix below the root.
    pub base: Path,
    /// The lake's URL, ending in `/`.
    pub url: Url,
}

impl Store {
    pub fn open(options: &LakeOptions) -> Result<Store, LakeError> {
        match Url::parse(&options.url) {
            Ok(url) if url.scheme() == "s3" => open_s3(options, url),
            Ok(url) if url.scheme() == "file" => {
                let dir = url.to_file_path().map_err(|()| location(options.name(), "not a local path"))?;
                open_dir(options.name(), dir)
            }
            Ok(url) if options.url.contains("://") => {
                Err(location(options.name(), &format!("scheme '{}' is not one of file, s3", url.scheme())))
            }
            _ if options.url.is_empty() => Err(location("", "empty")),
            _ => open_dir(options.name(), PathBuf::from(&options.url)),
        }
    }

    /// A path below the lake.
    pub fn path(&self, relative: &str) -> Path {
        relative.split('/').filter(|part| !part.is_empty()).fold(self.base.clone(), |path, part| path.join(part))
    }

    /// The bytes of a file, or `None` when there is no such file.
    pub async fn read(&self, path: &Path) -> Result<Option<Bytes>, LakeError> {
        let read = async { self.root.get(path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(LakeError::store(path, e)),
        }
    }

    pub async fn exists(&self, path: &Path) -> Result<bool, LakeError> {
        Ok(self.size(path).await?.is_some())
    }

    /// Bytes of a file; `None`: there is none.
    pub async fn size(&self, path: &Path) -> Result<Option<u64>, LakeError> {
        match self.root.head(path).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(LakeError::store(path, e)),
        }
    }

    /// Writes a file unless there is one already; says whether it did.
    ///
    /// After an error the file may be there all the same (a timed-out request that landed).
    pub async fn create(&self, path: &Path, bytes: Bytes) -> Result<bool, LakeError> {
        match self.root.put_opts(path, PutPayload::from(bytes), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(e) => Err(LakeError::store(path, e)),
        }
    }

    /// Writes a file under a name that nobody else uses: writing it twice does no harm.
    pub async fn put(&self, path: &Path, payload: PutPayload) -> Result<(), LakeError> {
        self.root.put(path, payload).await.map(|_| ()).map_err(|e| LakeError::store(path, e))
    }

    /// Removes a file; one that is gone already is no error.
    pub async fn delete(&self, path: &Path) -> Result<(), LakeError> {
        match self.root.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(LakeError::store(path, e)),
        }
    }

    /// A path below the lake as the system names it, where the lake is a directory.
    pub fn file(&self, relative: &str) -> Option<PathBuf> {
        self.local.as_ref()?;
        Some(self.url.to_file_path().ok()?.join(relative))
    }

    /// Makes the names in a file's directory durable, whoever gave them; stores other than directories do by themselves.
    pub async fn settle(&self, path: &Path) -> Result<(), LakeError> {
        let Some(local) = self.local.clone() else { return Ok(()) };
        local.sync_directory_of(path).await.map_err(|e| LakeError::store(path, e))
    }

    /// Whether any file lies below a path.
    pub async fn any(&self, path: &Path) -> Result<bool, LakeError> {
        let first = self.root.list(Some(path)).next().await;
        first.transpose().map(|found| found.is_some()).map_err(|e| LakeError::store(path, e))
    }

    /// The files below a path, by name.
    pub async fn list(&self, path: &Path) -> Result<Vec<Path>, LakeError> {
        let listed: Result<Vec<_>, _> = self.root.list(Some(path)).map_ok(|file| file.location).try_collect().await;
        let mut files = listed.map_err(|e| LakeError::store(path, e))?;
        files.sort();
        Ok(files)
    }

    /// The files below a path, with size and time.
    pub async fn objects(&self, path: &Path) -> Result<Vec<ObjectMeta>, LakeError> {
        self.root.list(Some(path)).try_collect().await.map_err(|e| LakeError::store(path, e))
    }

    /// Removes what a crash left of files that were being written before a time, where the lake is a directory: they are
    /// in no listing.
    pub async fn remove_staged(&self, below: &str, before: i64) -> Result<Staged, LakeError> {
        let Some(directory) = self.file(below) else { return Ok(Staged::default()) };
        let removed = tokio::task::spawn_blocking(move || super::local::remove_staged(&directory, before)).await?;
        removed.map_err(|e| LakeError::store(below, object_store::Error::Generic { store: "lake", source: e.into() }))
    }

    /// Removes a folder with whatever a crash left in it, where the lake is a directory: elsewhere there are no folders.
    pub async fn remove_folder(&self, below: &str) -> Result<(), LakeError> {
        let Some(directory) = self.file(below) else { return Ok(()) };
        match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await? {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(LakeError::store(below, object_store::Error::Generic { store: "lake", source: e.into() }))
            }
            _ => Ok(()),
        }
    }

    /// The names directly below a path that have something below them.
    pub async fn prefixes(&self, path: &Path) -> Result<Vec<String>, LakeError> {
        let listed = self.root.list_with_delimiter(Some(path)).await.map_err(|e| LakeError::store(path, e))?;
        Ok(listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_owned)).collect())
    }
}

fn location(url: &str, reason: &str) -> LakeError {
    LakeError::Location { url: url.to_owned(), reason: reason.to_owned() }
}

fn open_dir(given: &str, dir: PathBuf) -> Result<Store, LakeError> {
    let failed = |e: std::io::Error| location(given, &e.to_string());
    let dir = std::path::absolute(dir).map_err(failed)?;
    create_dirs(&dir).map_err(failed)?;
    let dir = FsPath::canonicalize(&dir).map_err(failed)?;
    let base = Path::from_absolute_path(&dir).map_err(|e| location(given, &e.to_string()))?;
    let url = Url::from_directory_path(&dir).map_err(|()| location(given, "not an absolute path"))?;
    let local = Arc::new(SyncedLocal::new());
    Ok(Store { root: local.clone(), local: Some(local), bucket: None, base, url })
}

fn open_s3(options: &LakeOptions, mut url: Url) -> Result<Store, LakeError> {
    let bucket = url.host_str().ok_or_else(|| location(options.name(), "no bucket"))?.to_owned();
    let base = Path::from_url_path(url.path()).map_err(|e| location(options.name(), &e.to_string()))?;
    url.set_path(&format!("/{base}/").replace("//", "/"));
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(&bucket).with_retry(retry());
    for (key, value) in CLIENT {
        builder = builder.with_config(AmazonS3ConfigKey::Client(*key), *value);
    }
    for (key, value) in &options.storage {
        let known = key.parse().map_err(|_| LakeError::Option { url: options.name().to_owned(), key: key.clone() })?;
        builder = builder.with_config(known, value);
    }
    let given = |key| builder.get_config_value(&key).is_some();
    if given(AmazonS3ConfigKey::Endpoint) && !hosted(options) {
        // Stores other than AWS's are reached by path: their host name has no wildcard for buckets.
        builder = builder.with_virtual_hosted_style_request(false);
    }
    let address = Address::of(&builder, &bucket);
    let store = builder.build().map_err(|e| location(options.name(), &e.to_string()))?;
    let bucket = Bucket::new(store.clone(), address).map_err(|e| location(options.name(), &e.to_string()))?;
    Ok(Store { root: Arc::new(store), local: None, bucket: Some(Arc::new(bucket)), base, url })
}

/// Whether the bucket is to be part of the host's name.
fn hosted(options: &LakeOptions) -> bool {
    let key = AmazonS3ConfigKey::VirtualHostedStyleRequest;
    let given = options.storage.iter().rev().find(|(name, _)| name.parse().is_ok_and(|known| key == known));
    let environment = || std::env::var("AWS_VIRTUAL_HOSTED_STYLE_REQUEST").ok();
    given.map(|(_, value)| value.clone()).or_else(environment).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// A put is one batch, at most about 64 MiB before compression.
const CLIENT: &[(ClientConfigKey, &str)] =
    &[(ClientConfigKey::ConnectTimeout, "5 seconds"), (ClientConfigKey::Timeout, "60 seconds")];

fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(5), base: 2.0 };
    RetryConfig { backoff, max_retries: 10, retry_timeout: RETRY_TIMEOUT }
}
