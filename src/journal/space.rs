//! The disk's room: the journal refuses records before the disk is full, and keeps a little for its own way out.

use std::io;
use std::path::Path;

use super::JournalOptions;
use super::disk::{Disk, Space};

/// Given back to the disk when a cursor, which lets segments go, finds no room any more.
const RESERVE_FILE: &str = "reserve";
const RESERVE_BYTES: u64 = 64 << 20;
/// On a small disk the reserve, and a segment, are no more than that part of it.
const RESERVE_PART: u64 = 256;
const SEGMENT_PART: u64 = 32;

/// Options as this disk allows them: many segments must fit on it, for only whole ones are let go.
pub(super) fn fit(options: JournalOptions, disk: &dyn Disk, dir: &Path) -> JournalOptions {
    let total = disk.space(dir).map_or(u64::MAX, |space| space.total);
    JournalOptions { segment_bytes: options.segment_bytes.min(total / SEGMENT_PART), ..options }.clamped()
}

/// What must stay available on the disk: what is above `max_disk_percent`, but no more than the journal may ever
/// hold: beside that much, the journal is no danger to the disk.
fn margin(options: &JournalOptions, space: Space) -> u64 {
    let percent = u64::from(100 - options.max_disk_percent.min(100));
    (space.total / 100 * percent).min(options.max_bytes)
}

/// Bytes that the journal may still take from the disk; none when it is fuller than it may be. A disk that does not
/// say is taken to have room: writing to it will tell.
pub(super) fn spare(options: &JournalOptions, disk: &dyn Disk, dir: &Path) -> Result<u64, Space> {
    match disk.space(dir) {
        Ok(space) => space.available.checked_sub(margin(options, space)).ok_or(space),
        Err(_) => Ok(u64::MAX),
    }
}

fn reserve_bytes(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    Ok(RESERVE_BYTES.min(disk.space(dir)?.total / RESERVE_PART))
}

/// Sets the reserve aside if it is not there and the disk has room for it.
pub(super) fn keep_reserve(options: &JournalOptions, disk: &dyn Disk, dir: &Path) {
    let path = dir.join(RESERVE_FILE);
    let keep = || {
        let bytes = reserve_bytes(disk, dir)?;
        let there = disk.open(&path).and_then(|file| file.len()).is_ok_and(|length| length >= bytes);
        if !there && spare(options, disk, dir).is_ok_and(|spare| spare > 2 * bytes) {
            disk.create(&path)?.allocate(bytes)?;
        }
        Ok::<(), io::Error>(())
    };
    if let Err(error) = keep() {
        tracing::debug!(%error, "journal: no reserve could be set aside");
        // A part of it is no reserve.
        let _ = disk.remove(&path);
    }
}

/// Does what needs a little room. If the disk has none, the reserve is given back and it is tried once more.
pub(super) fn with_reserve<T>(disk: &dyn Disk, dir: &Path, act: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match act() {
        Err(error) if is_full(&error) && disk.remove(&dir.join(RESERVE_FILE)).is_ok() => {
            tracing::warn!("journal: the disk is full, the reserve is used");
            act()
        }
        done => done,
    }
}

pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_a_tenth_of_a_small_disk_and_the_journals_size_on_a_large_one() {
        let options = JournalOptions::default();
        let margin = |total| margin(&options, Space { total, available: 0 });
        assert_eq!(margin(16_000_000), 1_600_000);
        assert_eq!(margin(4 << 40), options.max_bytes);
    }
}
