//! The lease of a lake in a directory: a lock on a file, which the system lets go of when the process dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sink::lake::LakeError;
use crate::sink::lake::local::create_dirs;

/// Holds the lock until it is dropped.
pub struct Lock(#[expect(dead_code, reason = "closing it lets go of the lock")] File);

/// Takes the lock when it is free, with an epoch larger than the file's and than `above`.
pub async fn lock(path: PathBuf, above: i64) -> Result<Option<(i64, Lock)>, LakeError> {
    let name = path.display().to_string();
    let failed =
        |e: io::Error| LakeError::store(name, object_store::Error::Generic { store: "lease", source: Box::new(e) });
    tokio::task::spawn_blocking(move || take(&path, above)).await?.map_err(failed)
}

fn take(path: &Path, above: i64) -> io::Result<Option<(i64, Lock)>> {
    path.parent().map_or(Ok(()), create_dirs)?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Somebody may have put another file in its place meanwhile: a lock on this one keeps nobody out.
    if std::fs::metadata(path)?.ino() != file.metadata()?.ino() {
        return Ok(None);
    }
    let mut text = String::new();
    (&file).take(64).read_to_string(&mut text)?;
    // What is no number was being written when the power went: the tables know the last epoch.
    let epoch = text.trim().parse().unwrap_or(0).max(above).saturating_add(1);
    let number = format!("{epoch:020}\n");
    io::Seek::rewind(&mut file)?;
    file.write_all(number.as_bytes())?;
    file.set_len(number.len() as u64)?;
    file.sync_all()?;
    Ok(Some((epoch, Lock(file))))
}
