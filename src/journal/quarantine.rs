//! `quarantine/`: what was found damaged, and records that could not be processed, for people to look at. As long as
//! anything is in it, the journal says so. Best effort: a failure here must not keep the journal from going on, so it
//! is only logged, and remembered until the process ends.

use std::io;
use std::path::{Path, PathBuf};

use memchr::memmem;

use super::core::Core;
use super::disk::{self, Disk, DiskFile};
use super::segment::{self, DATA_START, SegmentHeader};
use super::{Position, locked, space};

/// Nothing is added beyond that many files, or when they have that many bytes: they are evidence, not a second journal.
const MOST_FILES: usize = 1000;
const MOST_BYTES: u64 = 1 << 30;

/// Where it is.
pub(super) fn folder(dir: &Path) -> PathBuf {
    dir.join("quarantine")
}

/// The names of what is in it.
pub(super) fn names(disk: &dyn Disk, dir: &Path) -> Vec<String> {
    // Mostly there is no such directory.
    disk.names(&folder(dir)).unwrap_or_default()
}

/// Keeps a copy of a segment, unless there is one already. Says whether it is there.
pub(super) fn copy_segment(disk: &dyn Disk, dir: &Path, first_seq: u64) -> bool {
    let name = segment::file_name(first_seq);
    let copy = || {
        if names(disk, dir).contains(&name) {
            return Ok(());
        }
        let file = disk.open(&dir.join(&name))?;
        let length = file.len()?;
        make_room(disk, dir, length)?;
        let (bytes, _) = disk::read_lossy(&*file, length);
        disk::write_atomic(disk, &folder(dir), &name, &bytes)
    };
    done(&name, copy())
}

/// Moves a segment away, under a name that is free. Says whether it could.
pub(super) fn move_segment(disk: &dyn Disk, dir: &Path, first_seq: u64) -> bool {
    let name = segment::file_name(first_seq);
    let away = || {
        let folder = folder(dir);
        disk.create_dir(&folder)?;
        let taken = disk.names(&folder)?;
        let mut free = name.clone();
        for n in 1..=taken.len() {
            if taken.contains(&free) {
                free = format!("{name}.{n}");
            }
        }
        disk.rename(&dir.join(&name), &folder.join(free))?;
        disk.sync_dir(&folder)?;
        disk.sync_dir(dir)
    };
    done(&name, away())
}

/// Leaves a note about damage of which there is nothing to copy. Says whether it could.
pub(super) fn note(disk: &dyn Disk, dir: &Path, name: &str, text: &str) -> bool {
    let write = || {
        make_room(disk, dir, text.len() as u64)?;
        disk::write_atomic(disk, &folder(dir), name, text.as_bytes())
    };
    done(name, write())
}

/// The names of the files of a record that was set aside: what is known about it, and itself.
pub(super) fn record_names(position: Position) -> [String; 2] {
    [".json", ".batch"].map(|end| format!("record-{:020}-{:016x}{end}", position.seq, position.epoch))
}

impl Core {
    /// Sets a record aside that could not be processed: as it stands in the journal (redacted), with its hash.
    pub(super) fn set_aside(&self, position: Position, payload: &[u8], reason: &str) {
        tracing::error!(
            seq = position.seq,
            epoch = position.epoch,
            bytes = payload.len(),
            reason,
            "journal: record set aside"
        );
        let (disk, dir) = (&*self.disk, &self.dir);
        let [about, record] = record_names(position);
        let hash = blake3::hash(payload).to_hex();
        let text = format!(
            "{{\"seq\":{},\"epoch\":\"{:016x}\",\"bytes\":{},\"blake3\":\"{hash}\",\"reason\":\"{reason}\"}}\n",
            position.seq,
            position.epoch,
            payload.len(),
        );
        let keep = || {
            make_room(disk, dir, (text.len() + payload.len()) as u64)?;
            disk::write_atomic(disk, &folder(dir), &record, payload)?;
            disk::write_atomic(disk, &folder(dir), &about, text.as_bytes())
        };
        if !done(&about, space::with_reserve(disk, dir, keep)) {
            self.note_damage();
        }
    }
}

impl Core {
    /// Erases copies of segments that the journal has no more, when one of the records may be in them: what is behind
    /// damage cannot be told apart there, so such a copy goes as a whole. So does one that was never finished.
    pub(super) fn drop_copies(&self, positions: &[Position]) -> io::Result<()> {
        let (disk, folder) = (&*self.disk, folder(&self.dir));
        let mut dropped = false;
        for name in names(disk, &self.dir) {
            let Some(first_seq) = name.get(..24).and_then(segment::parse_name) else { continue };
            let path = folder.join(&name);
            let file = disk.open(&path)?;
            let unfinished = name.ends_with(".tmp");
            let orphan = !locked(&self.state).segments.contains_key(&first_seq) && {
                let (header, _) = disk::read_lossy(&*file, file.len()?.min(DATA_START));
                let stamp = SegmentHeader::read(&header).ok().map(|(header, _)| header.stamp);
                let may_hold = |position: &Position| {
                    position.seq >= first_seq && stamp.is_none_or(|stamp| stamp.epoch == position.epoch)
                };
                positions.iter().any(may_hold)
            };
            if unfinished || orphan {
                erase(disk, &path, &*file)?;
                dropped = true;
            }
        }
        if dropped { disk.sync_dir(&folder) } else { Ok(()) }
    }
}

impl Core {
    /// Erases files that hold one of these texts, as a whole: what is damaged, or could not be processed, cannot be told
    /// apart. Says how many.
    pub(super) fn drop_holding(&self, texts: &[&str]) -> io::Result<u64> {
        let (disk, folder) = (&*self.disk, folder(&self.dir));
        let finders: Vec<_> = texts.iter().filter(|text| !text.is_empty()).map(memmem::Finder::new).collect();
        let mut dropped = 0;
        for name in names(disk, &self.dir) {
            let path = folder.join(&name);
            let file = disk.open(&path)?;
            let (bytes, _) = disk::read_lossy(&*file, file.len()?);
            if finders.iter().any(|finder| finder.find(&bytes).is_some()) {
                erase(disk, &path, &*file)?;
                dropped += 1;
            }
        }
        if dropped > 0 {
            disk.sync_dir(&folder)?;
        }
        Ok(dropped)
    }
}

/// Overwrites a file and removes it.
fn erase(disk: &dyn Disk, path: &Path, file: &dyn DiskFile) -> io::Result<()> {
    disk::overwrite(file, 0, file.len()?)?;
    file.sync_data()?;
    disk.remove(path)
}

/// Fails when `bytes` more would be too much.
fn make_room(disk: &dyn Disk, dir: &Path, bytes: u64) -> io::Result<()> {
    disk.create_dir(&folder(dir))?;
    let names = names(disk, dir);
    let length = |name: &String| disk.open(&folder(dir).join(name)).and_then(|file| file.len()).unwrap_or(0);
    let held: u64 = names.iter().map(length).sum();
    match names.len() >= MOST_FILES || held + bytes > MOST_BYTES {
        true => Err(io::Error::other("quarantine is full: look at what is there and delete it")),
        false => Ok(()),
    }
}

fn done(file: &str, result: io::Result<()>) -> bool {
    if let Err(error) = &result {
        tracing::error!(file, %error, "journal: nothing could be put into quarantine");
    }
    result.is_ok()
}
