//! A local directory as an object store whose writes survive power loss.
//!
//! `LocalFileSystem` never syncs: after a power loss a commit may be there by name with no bytes in it. Here a file's
//! bytes are on disk before its name exists, and the name is on disk before the call returns.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

const STORE: &str = "SyncedLocal";

/// Paths are absolute file system paths without the leading `/`.
#[derive(Debug)]
pub struct SyncedLocal(LocalFileSystem);

impl SyncedLocal {
    pub fn new() -> SyncedLocal {
        SyncedLocal(LocalFileSystem::new())
    }

    /// Makes the names in a file's directory durable.
    pub async fn sync_directory_of(&self, location: &Path) -> Result<()> {
        let file = self.0.path_to_filesystem(location)?;
        tokio::task::spawn_blocking(move || sync_parent(&file).map_err(|e| failed(&file, e))).await?
    }
}

impl fmt::Display for SyncedLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

#[async_trait]
impl ObjectStore for SyncedLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let file = self.0.path_to_filesystem(location)?;
        tokio::task::spawn_blocking(move || write_synced(&file, &payload, &options.mode)).await??;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let file = self.0.path_to_filesystem(location)?;
        let staged = staged(&file);
        let made = {
            let staged = staged.clone();
            tokio::task::spawn_blocking(move || make(&staged)).await?
        };
        let handle = Arc::new(made.map_err(|e| failed(&file, e))?);
        Ok(Box::new(Parts { file, staged, handle, size: 0, written: Arc::default() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.0.clone();
        let deleted = self.0.delete_stream(locations);
        let synced = deleted.then(move |deleted| {
            let file = deleted.and_then(|path| Ok((store.path_to_filesystem(&path)?, path)));
            async move {
                let (file, path) = file?;
                tokio::task::spawn_blocking(move || sync_parent(&file).map_err(|e| failed(&file, e))).await??;
                Ok(path)
            }
        });
        synced.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    /// Delta commits by put-if-absent, never by copying or renaming.
    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_implemented("copy"))
    }

    async fn rename_opts(&self, _: &Path, _: &Path, _: RenameOptions) -> Result<()> {
        Err(not_implemented("rename"))
    }
}

/// A multipart upload: each part is written to its place in a staged file, which gets its name when it completes.
#[derive(Debug)]
struct Parts {
    file: PathBuf,
    staged: PathBuf,
    handle: Arc<File>,
    /// Bytes of the parts begun.
    size: u64,
    /// Bytes of the parts written.
    written: Arc<AtomicU64>,
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (handle, written, file, at) = (self.handle.clone(), self.written.clone(), self.file.clone(), self.size);
        self.size += data.content_length() as u64;
        let write = move || {
            let mut at = at;
            data.iter().try_for_each(|bytes| {
                handle.write_all_at(bytes, at)?;
                at += bytes.len() as u64;
                written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(())
            })
        };
        Box::pin(async move { tokio::task::spawn_blocking(write).await?.map_err(|e| failed(&file, e)) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, staged, handle) = (self.file.clone(), self.staged.clone(), self.handle.clone());
        if self.written.load(Ordering::Relaxed) != self.size {
            return Err(failed(&file, io::Error::other("a part of the file was not written")));
        }
        let finish = move || {
            handle.sync_all().map_err(|e| failed(&file, e))?;
            std::fs::rename(&staged, &file).and_then(|()| sync_parent(&file)).map_err(|e| failed(&file, e))
        };
        tokio::task::spawn_blocking(finish).await??;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        match std::fs::remove_file(&self.staged) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed(&self.staged, e)),
            _ => Ok(()),
        }
    }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: STORE.to_owned() }
}

fn failed(file: &FsPath, source: io::Error) -> Error {
    let path = file.display().to_string();
    match source.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: source.into() },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path, source: source.into() },
        _ => Error::Generic { store: STORE, source: format!("{path}: {source}").into() },
    }
}

/// Writes beside the destination, syncs, then gives the bytes their name: by a hard link, which fails when the name
/// is taken, or by a rename, which replaces.
fn write_synced(file: &FsPath, payload: &PutPayload, mode: &PutMode) -> Result<()> {
    if matches!(mode, PutMode::Update(_)) {
        return Err(not_implemented("put with PutMode::Update"));
    }
    let staged = staged(file);
    let placed = stage(&staged, payload).and_then(|()| match mode {
        PutMode::Create => std::fs::hard_link(&staged, file),
        _ => std::fs::rename(&staged, file),
    });
    if !matches!((&placed, mode), (Ok(()), PutMode::Overwrite)) {
        // A staged file left behind is invisible to listings (`#` and digits) and costs only its space.
        let _ = std::fs::remove_file(&staged);
    }
    placed.and_then(|()| sync_parent(file)).map_err(|e| failed(file, e))
}

/// `LocalFileSystem` hides names that end in `#` and digits from its listings.
fn staged(file: &FsPath) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!("#{}", uuid::Uuid::new_v4().as_u128()));
    name.into()
}

fn is_staged(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// What [`remove_staged`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staged {
    pub removed: usize,
    /// When each that was left there was last written, UTC microseconds.
    pub left: Vec<i64>,
}

/// Removes staged files below a directory that were last written before a time, UTC microseconds.
pub fn remove_staged(directory: &FsPath, before: i64) -> io::Result<Staged> {
    let mut found = Staged::default();
    find_staged(directory, before, &mut found)?;
    Ok(found)
}

fn find_staged(directory: &FsPath, before: i64, found: &mut Staged) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        if metadata.is_dir() {
            find_staged(&entry.path(), before, found)?;
        } else if is_staged(&entry.file_name().to_string_lossy()) {
            let written = metadata.mtime().saturating_mul(1_000_000).saturating_add(metadata.mtime_nsec() / 1000);
            if written >= before {
                found.left.push(written);
                continue;
            }
            match std::fs::remove_file(entry.path()) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => found.removed += 1,
            }
        }
    }
    Ok(())
}

fn stage(staged: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = make(staged)?;
    payload.iter().try_for_each(|part| file.write_all(part))?;
    file.sync_all()
}

/// A new file, with the directories above it.
fn make(file: &FsPath) -> io::Result<File> {
    match create(file) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            file.parent().map_or(Ok(()), create_dirs)?;
            create(file)
        }
        other => other,
    }
}

fn create(file: &FsPath) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)
}

/// Creates a directory and what is missing above it, for the owner only, and syncs every directory that got an entry.
/// Directories that exist keep their mode.
pub fn create_dirs(dir: &FsPath) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    dir.parent().map_or(Ok(()), create_dirs)?;
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        // Even when another made it: our file must not be durable below a directory that is not yet.
        _ => sync_parent(dir),
    }
}

fn sync_parent(path: &FsPath) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
