//! Erases records in place: their bytes on the disk are overwritten, their frames become tombstones.
//!
//! 1. What will be erased is made durable in `erase.pending`: segments, offsets, numbers.
//! 2. Each frame is overwritten by a tombstone and zeros, and synced; so is its copy in quarantine. (A copy whose
//!    segment is gone from the journal went as a whole before that.)
//! 3. `erase.pending` goes.
//!
//! After a crash at any point the next open does 2 and 3 again before it reads anything, so a frame that was half
//! overwritten is never met. Blocks that a file system or an SSD has moved elsewhere are out of reach.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Release;

use super::core::Core;
use super::disk::{self, Disk, DiskFile};
use super::frame::{self, FRAME_HEADER, Stamp};
use super::segment::{self, DATA_START, SegmentHeader};
use super::walk::{OpenSegment, Step};
use super::{EraseError, OpenError, Position, locked, quarantine, space};

const PENDING_FILE: &str = "erase.pending";
const MAGIC: [u8; 8] = *b"SLERASE1";
/// Bytes of a target in the file.
const TARGET_BYTES: usize = 40;
/// Records in one round, which is one `erase.pending`.
const ROUND: usize = 10_000;

/// A frame that is to be erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    stamp: Stamp,
    seq: u64,
    /// Of the frame in its file.
    offset: u64,
    /// Of the payload.
    length: u32,
}

impl Target {
    fn encode(&self) -> [u8; TARGET_BYTES] {
        let words = [self.stamp.first_seq, self.stamp.epoch, self.seq, self.offset, u64::from(self.length)];
        let mut bytes = [0; TARGET_BYTES];
        bytes.chunks_mut(8).zip(words).for_each(|(chunk, word)| chunk.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    fn decode(bytes: &[u8; TARGET_BYTES]) -> Option<Target> {
        let (words, _) = bytes.as_chunks::<8>();
        let [first_seq, epoch, seq, offset, length] = <[[u8; 8]; 5]>::try_from(words).ok()?.map(u64::from_le_bytes);
        let stamp = Stamp { first_seq, epoch };
        Some(Target { stamp, seq, offset, length: u32::try_from(length).ok()? })
    }

    /// Overwrites the frame. The bytes around it stay.
    fn overwrite(&self, file: &dyn DiskFile) -> io::Result<()> {
        file.write_all_at(&frame::tombstone(self.stamp, self.seq, self.length), self.offset)?;
        let payload = self.offset + FRAME_HEADER as u64;
        disk::overwrite(file, payload, payload + u64::from(self.length))
    }

    fn position(&self) -> Position {
        Position { seq: self.seq, epoch: self.stamp.epoch }
    }
}

fn encode(targets: &[Target]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    targets.iter().for_each(|target| bytes.extend_from_slice(&target.encode()));
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// `None` if the file is not whole.
fn decode(bytes: &[u8]) -> Option<Vec<Target>> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let targets = content.strip_prefix(&MAGIC)?;
    let (targets, rest) = targets.as_chunks::<TARGET_BYTES>();
    let whole = crc32c::crc32c(content) == u32::from_le_bytes(*checksum) && rest.is_empty();
    if whole { targets.iter().map(Target::decode).collect() } else { None }
}

/// Finishes what an earlier process began to erase. `names`: what is in `dir`.
pub(super) fn redo(disk: &dyn Disk, dir: &Path, names: &[String]) -> Result<(), OpenError> {
    if !names.iter().any(|name| name == PENDING_FILE) {
        return Ok(());
    }
    let path = dir.join(PENDING_FILE);
    let again = || {
        let file = disk.open(&path)?;
        let length = file.len()?.min((MAGIC.len() + ROUND * TARGET_BYTES + 4) as u64);
        let (bytes, _) = disk::read_lossy(&*file, length);
        match decode(&bytes) {
            Some(targets) => apply(disk, dir, &targets)?,
            None => tracing::error!("journal: {PENDING_FILE} is damaged: erase again what was to be erased"),
        }
        finish(disk, dir)
    };
    again().map_err(OpenError::at(&path))
}

/// Overwrites frames, in their segments and in what quarantine has of them. A segment that is gone has nothing left.
fn apply(disk: &dyn Disk, dir: &Path, targets: &[Target]) -> io::Result<()> {
    let mut by_segment = BTreeMap::<u64, Vec<&Target>>::new();
    targets.iter().for_each(|target| by_segment.entry(target.stamp.first_seq).or_default().push(target));
    let quarantine = quarantine::folder(dir);
    for (first_seq, targets) in &by_segment {
        let name = segment::file_name(*first_seq);
        overwrite_in(disk, &dir.join(&name), targets)?;
        overwrite_in(disk, &quarantine.join(&name), targets)?;
    }
    let mut removed = false;
    for target in targets {
        for name in quarantine::record_names(target.position()) {
            removed |= found(disk.remove(&quarantine.join(name)))?.is_some();
        }
    }
    if removed { disk.sync_dir(&quarantine) } else { Ok(()) }
}

fn overwrite_in(disk: &dyn Disk, path: &Path, targets: &[&Target]) -> io::Result<()> {
    let Some(file) = found(disk.open(path))? else { return Ok(()) };
    let (header, _) = disk::read_lossy(&*file, file.len()?.min(DATA_START));
    let stamp = SegmentHeader::read(&header).ok().map(|(header, _)| header.stamp);
    let length = file.len()?;
    for target in targets.iter().filter(|target| stamp.is_none_or(|stamp| stamp == target.stamp)) {
        if target.offset >= DATA_START && target.offset + FRAME_HEADER as u64 + u64::from(target.length) <= length {
            target.overwrite(&*file)?;
        }
    }
    file.sync_data()
}

fn finish(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    absent(disk.remove(&dir.join(PENDING_FILE)))?;
    disk.sync_dir(dir)
}

/// What is not there need not be removed.
fn absent(removed: io::Result<()>) -> io::Result<()> {
    found(removed).map(drop)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Core {
    /// See [`super::Journal::erase`].
    pub(super) fn erase(&self, positions: &[Position]) -> Result<u64, EraseError> {
        let _one_at_a_time = locked(&self.erasing);
        let failed = EraseError::at(&self.dir);
        let names = self.disk.names(&self.dir).map_err(&failed)?;
        // An earlier erasure may have failed half-way.
        self.overwriting(|| redo(&*self.disk, &self.dir, &names)).map_err(EraseError::Unfinished)?;
        let mut sorted = positions.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut erased = 0;
        self.overwriting(|| self.drop_copies(&sorted)).map_err(&failed)?;
        for round in sorted.chunks(ROUND) {
            let targets = self.targets(round).map_err(&failed)?;
            if targets.is_empty() {
                // A segment may have been removed, and its directory's sync have failed: it would come back.
                self.disk.sync_dir(&self.dir).map_err(&failed)?;
                continue;
            }
            let pending = encode(&targets);
            let (disk, dir) = (&*self.disk, &self.dir);
            space::with_reserve(disk, dir, || disk::write_atomic(disk, dir, PENDING_FILE, &pending))
                .map_err(&failed)?;
            self.overwriting(|| apply(disk, dir, &targets)).map_err(&failed)?;
            finish(disk, dir).map_err(&failed)?;
            erased += targets.len() as u64;
        }
        Ok(erased)
    }

    /// See [`super::Journal::erase_quarantined`].
    pub(super) fn erase_quarantined(&self, texts: &[&str]) -> Result<u64, EraseError> {
        let _one_at_a_time = locked(&self.erasing);
        self.drop_holding(texts).map_err(EraseError::at(&self.dir))
    }

    /// Nobody reads frames meanwhile, nor believes blocks that were read before.
    fn overwriting<T>(&self, overwrite: impl FnOnce() -> T) -> T {
        let _nobody_reads = self.frames.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.erasures.fetch_add(1, Release);
        overwrite()
    }

    /// Where the records stand: those that are there, of `positions` in ascending order.
    fn targets(&self, positions: &[Position]) -> io::Result<Vec<Target>> {
        let mut targets = Vec::new();
        let mut rest = positions.iter().peekable();
        while let Some(position) = rest.peek() {
            let Some(segment) = locked(&self.state).locate(position.seq).cloned() else { break };
            let (stamp, last_seq) = (segment.stamp, segment.last_seq);
            let mut wanted = Vec::new();
            while let Some(position) = rest.next_if(|position| position.seq <= last_seq) {
                wanted.push(*position);
            }
            wanted.retain(|position| position.epoch == stamp.epoch && position.seq >= stamp.first_seq);
            let path = self.dir.join(segment::file_name(stamp.first_seq));
            let Some(file) = found(self.disk.open(&path))? else { continue };
            let mut open = OpenSegment::new(file, segment);
            self.find(&mut open, &wanted, &mut targets)?;
        }
        Ok(targets)
    }

    fn find(&self, open: &mut OpenSegment, wanted: &[Position], targets: &mut Vec<Target>) -> io::Result<()> {
        let Some(last) = wanted.last() else { return Ok(()) };
        let mut examined = false;
        loop {
            match open.step(self)? {
                Step::Record { seq, payload, offset } => {
                    if wanted.binary_search_by_key(&seq, |position| position.seq).is_ok() {
                        let length = payload.len() as u32;
                        targets.push(Target { stamp: open.segment.stamp, seq, offset, length });
                    }
                    if seq >= last.seq {
                        return Ok(());
                    }
                }
                Step::Skipped(seq) if seq >= last.seq => return Ok(()),
                Step::Skipped(_) => {}
                Step::Damaged if !examined => {
                    examined = true;
                    self.examine(open)?;
                }
                Step::Damaged | Step::End => return Ok(()),
            }
        }
    }
}
