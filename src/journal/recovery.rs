//! Opens what an earlier process left, however it ended.
//!
//! - A tail that was being written is cut off: nothing in it was acknowledged.
//! - Damage anywhere else has destroyed records that may have been acknowledged: the segment is copied to
//!   `quarantine/`, the journal goes on with all frames that are whole, and is degraded.
//! - A segment without a readable header, or of another journal, is moved to `quarantine/`.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{self, Disk};
use super::frame::FRAME_HEADER;
use super::scan::{Scan, scan};
use super::segment::{self, DATA_START, FORMAT, HeaderError, ID_DIGITS, SegmentHeader};
use super::state::Segment;
use super::{OpenError, quarantine};

const ID_FILE: &str = "id";

/// What was found.
#[derive(Default)]
pub(super) struct Recovered {
    pub id: String,
    /// Segments with records, by first seq.
    pub segments: BTreeMap<u64, Segment>,
    /// First seqs of segments without any; they go when a new segment carries their number on.
    pub empty: Vec<u64>,
    pub cursors: BTreeMap<String, u64>,
    /// The last valid record's seq; 0 if there is none.
    pub last_seq: u64,
    /// Behind every seq that was ever given out.
    pub next_seq: u64,
    /// Something was destroyed.
    pub damaged: bool,
    /// Records known to be missing.
    pub lost: u64,
}

/// A segment file whose header could be read.
struct Found {
    header: SegmentHeader,
    scan: Scan,
    /// Bytes of the file.
    length: u64,
    /// Both headers and every block could be read.
    whole: bool,
}

/// Recovers the journal in `dir`. `epoch` makes the id of a new one.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, epoch: u64) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery { disk, dir, result: Recovered { next_seq: 1, ..Recovered::default() } };
    let mut names = disk.names(dir).map_err(OpenError::at(dir))?;
    names.sort();
    recovery.remove_leftovers(&names);
    recovery.load_cursors(&names);
    let mut found = Vec::new();
    for first_seq in names.iter().filter_map(|name| segment::parse_name(name)) {
        found.extend(recovery.load(first_seq)?);
    }
    recovery.settle_id(&found, epoch)?;
    recovery.set_aside_foreign(&mut found);
    recovery.judge(&found);
    recovery.cut_tail(found.last())?;
    Ok(recovery.finish(found))
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    result: Recovered,
}

impl Recovery<'_> {
    /// Files that were not finished before they got their name.
    fn remove_leftovers(&self, names: &[String]) {
        for name in names.iter().filter(|name| name.ends_with(".tmp")) {
            if let Err(error) = self.disk.remove(&self.dir.join(name)) {
                tracing::warn!(file = name, %error, "journal: an unfinished file could not be removed");
            }
        }
    }

    fn load_cursors(&mut self, names: &[String]) {
        for name in names.iter().filter_map(|name| super::cursor::parse_name(name)) {
            let seq = super::cursor::read(self.disk, self.dir, &name).unwrap_or_else(|| {
                tracing::error!(
                    reader = name,
                    "journal: cursor is damaged, the reader starts again at the first record"
                );
                self.result.damaged = true;
                0
            });
            self.result.next_seq = self.result.next_seq.max(seq.saturating_add(1));
            self.result.cursors.insert(name, seq);
        }
    }

    fn load(&mut self, first_seq: u64) -> Result<Option<Found>, OpenError> {
        let path = self.dir.join(segment::file_name(first_seq));
        let file = self.disk.open(&path).map_err(OpenError::at(&path))?;
        let length = file.len().map_err(OpenError::at(&path))?;
        let (bytes, readable) = disk::read_lossy(&*file, length);
        match SegmentHeader::read(&bytes) {
            Ok((header, whole)) if header.stamp.first_seq == first_seq && first_seq > 0 => {
                let scan = scan(&bytes, header.stamp);
                Ok(Some(Found { header, scan, length, whole: whole && readable }))
            }
            Err(HeaderError::Newer(found)) => {
                Err(OpenError::Format { path: path.display().to_string(), found, known: FORMAT })
            }
            _ => {
                self.set_aside(first_seq, length, "has no readable header");
                Ok(None)
            }
        }
    }

    /// Moves a segment out of the way of which nothing can be used, and skips the numbers it may have held.
    fn set_aside(&mut self, first_seq: u64, length: u64, reason: &str) {
        tracing::error!(segment = first_seq, reason, "journal: segment is moved to quarantine");
        self.result.damaged = true;
        let numbers = length / FRAME_HEADER as u64 + 1;
        self.result.next_seq = self.result.next_seq.max(first_seq.saturating_add(numbers));
        quarantine::move_segment(self.disk, self.dir, first_seq);
    }

    /// The journal's id: from its file, else from its segments, else a new one.
    fn settle_id(&mut self, found: &[Found], epoch: u64) -> Result<(), OpenError> {
        let path = self.dir.join(ID_FILE);
        if let Some(id) = self.read_id(&path) {
            self.result.id = id;
            return Ok(());
        }
        self.result.id = match found.first() {
            Some(found) => {
                tracing::error!("journal: the id file was lost, the id is restored from a segment");
                self.result.damaged = true;
                found.header.journal.clone()
            }
            None => blake3::hash(&epoch.to_le_bytes()).to_hex()[..ID_DIGITS].to_owned(),
        };
        let line = format!("{}\n", self.result.id);
        disk::write_atomic(self.disk, self.dir, ID_FILE, line.as_bytes()).map_err(OpenError::at(&path))
    }

    fn read_id(&self, path: &Path) -> Option<String> {
        let file = self.disk.open(path).ok()?;
        let mut line = [0; ID_DIGITS + 1];
        disk::read_exact_at(&*file, &mut line, 0).ok()?;
        let id = std::str::from_utf8(&line).ok()?.strip_suffix('\n')?;
        let hex = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        hex.then(|| id.to_owned())
    }

    fn set_aside_foreign(&mut self, found: &mut Vec<Found>) {
        let id = self.result.id.clone();
        for foreign in found.extract_if(.., |found| found.header.journal != id) {
            self.set_aside(foreign.header.stamp.first_seq, 0, "belongs to another journal");
        }
    }

    /// Decides what of the missing is damage: a record that was never acknowledged is none.
    fn judge(&mut self, found: &[Found]) {
        let floor = self.result.cursors.values().min().copied().unwrap_or(0);
        if let Some(first) = found.first()
            && !self.result.cursors.is_empty()
        {
            self.note_lost(first.header.after.saturating_sub(floor), "a segment is missing", None);
        }
        for (index, segment) in found.iter().enumerate() {
            let first_seq = Some(segment.header.stamp.first_seq);
            // What follows says what was acknowledged by then. Behind the last segment nothing does.
            let acknowledged = found.get(index + 1).map_or(u64::MAX, |next| next.header.after);
            if let Some((_, count)) = segment.scan.missing.filter(|(seq, _)| *seq <= acknowledged) {
                self.note_lost(count, "records are damaged", first_seq);
            }
            if index + 1 < found.len() {
                let lost = acknowledged.saturating_sub(segment.scan.last_seq.max(floor));
                self.note_lost(lost, "records at the end are gone", first_seq);
            }
            if !segment.whole {
                self.note_damage("a block is damaged", first_seq);
            }
        }
    }

    fn note_lost(&mut self, records: u64, what: &str, segment: Option<u64>) {
        if records > 0 {
            self.result.lost += records;
            self.note_damage(what, segment);
        }
    }

    fn note_damage(&mut self, what: &str, segment: Option<u64>) {
        tracing::error!(segment, "journal: {what}; a copy goes to quarantine, the rest is kept");
        self.result.damaged = true;
        if let Some(first_seq) = segment {
            quarantine::copy_segment(self.disk, self.dir, first_seq);
        }
    }

    /// Cuts the last segment behind its last valid frame, and makes durable what was found in it: its last write may
    /// never have been synced, and readers are about to act on it.
    fn cut_tail(&mut self, last: Option<&Found>) -> Result<(), OpenError> {
        let Some(last) = last else { return Ok(()) };
        let path = self.dir.join(segment::file_name(last.header.stamp.first_seq));
        let file = self.disk.open(&path).map_err(OpenError::at(&path))?;
        let end = last.scan.end().max(DATA_START);
        let cut = if end < last.length { file.set_len(end) } else { Ok(()) };
        if let Err(error) = cut.and_then(|()| file.sync_all()) {
            // What is on a failing disk can still be read, and that is all this segment is for from now on.
            tracing::error!(%error, "journal: the last segment could not be synced");
            self.result.damaged = true;
        }
        Ok(())
    }

    fn finish(mut self, found: Vec<Found>) -> Recovered {
        let result = &mut self.result;
        for Found { header: SegmentHeader { stamp, after, .. }, scan, .. } in found {
            let last_seq = scan.last_seq;
            result.next_seq = result.next_seq.max(last_seq + 1).max(after.saturating_add(1));
            if scan.extents.is_empty() {
                result.empty.push(stamp.first_seq);
            } else {
                result.last_seq = last_seq;
                result.segments.insert(stamp.first_seq, Segment { stamp, last_seq, extents: scan.extents });
            }
        }
        self.result
    }
}
