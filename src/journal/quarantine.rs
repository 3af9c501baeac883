//! `quarantine/`: damaged segments, kept for people. Best effort: a failure here must not keep the journal from going
//! on, so it is only logged.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk};
use super::segment;

fn folder(dir: &Path) -> PathBuf {
    dir.join("quarantine")
}

/// Keeps a copy of a segment, unless there is one already.
pub(super) fn copy_segment(disk: &dyn Disk, dir: &Path, first_seq: u64) {
    log(first_seq, try_copy(disk, dir, &segment::file_name(first_seq)));
}

fn try_copy(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<()> {
    disk.create_dir(&folder(dir))?;
    if disk.names(&folder(dir))?.iter().any(|existing| existing == name) {
        return Ok(());
    }
    let file = disk.open(&dir.join(name))?;
    let (bytes, _) = disk::read_lossy(&*file, file.len()?);
    disk::write_atomic(disk, &folder(dir), name, &bytes)
}

/// Moves a segment away, under a name that is free.
pub(super) fn move_segment(disk: &dyn Disk, dir: &Path, first_seq: u64) {
    log(first_seq, try_move(disk, dir, &segment::file_name(first_seq)));
}

fn try_move(disk: &dyn Disk, dir: &Path, name: &str) -> io::Result<()> {
    let folder = folder(dir);
    disk.create_dir(&folder)?;
    let taken = disk.names(&folder)?;
    let mut free = name.to_owned();
    for n in 1..=taken.len() {
        if taken.contains(&free) {
            free = format!("{name}.{n}");
        }
    }
    disk.rename(&dir.join(name), &folder.join(free))?;
    disk.sync_dir(&folder)?;
    disk.sync_dir(dir)
}

fn log(segment: u64, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(segment, %error, "journal: quarantine failed");
    }
}
