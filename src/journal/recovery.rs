//! Opens what an earlier process left, however it ended.
//!
//! - An erasure that was begun is finished first.
//! - Only the last segment is read: of every other one the next one's header says how far it was acknowledged, and
//!   whoever reads it checks its frames.
//! - A tail that was being written is cut off: nothing in it was acknowledged.
//! - Damage anywhere else has destroyed records that may have been acknowledged: the segment is copied to
//!   `quarantine/`, the journal goes on with all frames that are whole, and is degraded.
//! - A segment without a readable header, or of another journal, is moved to `quarantine/`.

use std::collections::BTreeMap;
use std::path::Path;

use super::cursor::{self, Cursor};
use super::disk::{self, Disk};
use super::frame::FRAME_HEADER;
use super::scan::{Scan, scan};
use super::segment::{self, DATA_START, FORMAT, HeaderError, ID_DIGITS, SegmentHeader};
use super::state::Segment;
use super::{OpenError, erase, quarantine};

const ID_FILE: &str = "id";

/// What was found.
#[derive(Default)]
pub(super) struct Recovered {
    pub id: String,
    /// Segments with records, by first seq.
    pub segments: BTreeMap<u64, Segment>,
    /// Segments without any; they go when a new segment carries their number on.
    pub empty: Vec<Segment>,
    pub cursors: BTreeMap<String, Cursor>,
    /// The last valid record's seq; 0 if there is none.
    pub last_seq: u64,
    /// Behind every seq that was ever given out.
    pub next_seq: u64,
    /// Something was destroyed, and quarantine could not be told.
    pub unnoted: bool,
    /// Records known to be missing.
    pub lost: u64,
}

/// A segment file whose header could be read.
struct Found {
    header: SegmentHeader,
    /// Bytes of the file.
    length: u64,
    /// Both headers, and every block that was read.
    whole: bool,
    content: Content,
}

enum Content {
    /// Not looked at: the next segment says that the records up to this one were durable.
    Until(u64),
    Scanned(Scan),
}

impl Found {
    fn first_seq(&self) -> u64 {
        self.header.stamp.first_seq
    }

    /// `true` if the segment may hold the records up to `seq`.
    fn may_reach(&self, seq: u64) -> bool {
        seq < self.first_seq() || seq - self.first_seq() < self.length / FRAME_HEADER as u64
    }

    fn last_seq(&self) -> u64 {
        match &self.content {
            Content::Until(seq) => (*seq).max(self.first_seq() - 1),
            Content::Scanned(scan) => scan.last_seq,
        }
    }

    fn into_segment(self) -> Segment {
        let (stamp, last_seq) = (self.header.stamp, self.last_seq());
        match self.content {
            Content::Until(seq) if seq < stamp.first_seq => Segment::new(stamp),
            Content::Until(_) => {
                // Not empty, however short the file is: whoever reads it finds out what is lost.
                let extents = std::iter::once(DATA_START..self.length.max(DATA_START + 1)).collect();
                Segment { last_seq, extents, ..Segment::new(stamp) }
            }
            Content::Scanned(scan) => Segment { stamp, last_seq, extents: scan.extents, examined: last_seq },
        }
    }
}

/// Recovers the journal in `dir`. `epoch` makes the id of a new one.
pub(super) fn recover(disk: &dyn Disk, dir: &Path, epoch: u64) -> Result<Recovered, OpenError> {
    let mut recovery = Recovery { disk, dir, epoch, result: Recovered { next_seq: 1, ..Recovered::default() } };
    let mut names = disk.names(dir).map_err(OpenError::at(dir))?;
    names.sort();
    erase::redo(disk, dir, &names)?;
    recovery.remove_leftovers(&names);
    recovery.load_cursors(&names);
    let mut found = Vec::new();
    for first_seq in names.iter().filter_map(|name| segment::parse_name(name)) {
        found.extend(recovery.load(first_seq)?);
    }
    recovery.settle_id(&found, epoch)?;
    recovery.set_aside_foreign(&mut found);
    recovery.look_into(&mut found)?;
    recovery.judge(&found);
    recovery.cut_tail(found.last())?;
    Ok(recovery.finish(found))
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    epoch: u64,
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
        for name in names.iter().filter_map(|name| cursor::parse_name(name)) {
            let cursor = cursor::read(self.disk, self.dir, &name).unwrap_or_else(|| {
                let file = cursor::file_name(&name);
                self.note(&file, &format!("{file} is damaged: its reader starts again at the first record"));
                Cursor::default()
            });
            self.result.next_seq = self.result.next_seq.max(cursor.seq.saturating_add(1));
            self.result.cursors.insert(name, cursor);
        }
    }

    fn load(&mut self, first_seq: u64) -> Result<Option<Found>, OpenError> {
        let path = self.dir.join(segment::file_name(first_seq));
        let file = self.disk.open(&path).map_err(OpenError::at(&path))?;
        let length = file.len().map_err(OpenError::at(&path))?;
        let (bytes, _) = disk::read_lossy(&*file, length.min(DATA_START));
        match SegmentHeader::read(&bytes) {
            Ok((header, whole)) if header.stamp.first_seq == first_seq && first_seq > 0 => {
                Ok(Some(Found { header, length, whole, content: Content::Until(0) }))
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

    /// Settles what every segment holds. One that the next one's header cannot speak for is read, and so is the last.
    fn look_into(&self, found: &mut [Found]) -> Result<(), OpenError> {
        let next: Vec<_> = found.iter().skip(1).map(|next| (next.header.after, next.first_seq())).collect();
        for (index, segment) in found.iter_mut().enumerate() {
            let said = next.get(index).filter(|(after, first)| after < first && segment.may_reach(*after));
            segment.content = match said {
                Some((after, _)) => Content::Until(*after),
                None => self.scan(segment)?,
            };
        }
        Ok(())
    }

    fn scan(&self, segment: &mut Found) -> Result<Content, OpenError> {
        let path = self.dir.join(segment::file_name(segment.first_seq()));
        let file = self.disk.open(&path).map_err(OpenError::at(&path))?;
        let (bytes, readable) = disk::read_lossy(&*file, segment.length);
        segment.whole &= readable;
        Ok(Content::Scanned(scan(&bytes, segment.header.stamp)))
    }

    /// Moves a segment out of the way of which nothing can be used, and skips the numbers it may have held.
    fn set_aside(&mut self, first_seq: u64, length: u64, reason: &str) {
        tracing::error!(segment = first_seq, reason, "journal: segment is moved to quarantine");
        let numbers = length / FRAME_HEADER as u64 + 1;
        self.result.next_seq = self.result.next_seq.max(first_seq.saturating_add(numbers));
        self.result.unnoted |= !quarantine::move_segment(self.disk, self.dir, first_seq);
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
                self.note(ID_FILE, "the id file was lost: the id is restored from a segment");
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

    /// Decides what of the missing is damage: a record that was never acknowledged is none. Behind the last segment's
    /// last frame nothing tells.
    fn judge(&mut self, found: &[Found]) {
        let floor = self.result.cursors.values().map(|cursor| cursor.seq).min();
        if let (Some(first), Some(floor)) = (found.first(), floor) {
            self.note_lost(first.header.after.saturating_sub(floor), "a segment is missing", None);
        }
        // The last segment is never removed before there is a next one.
        if found.is_empty() && floor.is_some_and(|floor| floor > 0) {
            self.note_damage("all segments are missing, what they held is lost", None);
        }
        let floor = floor.unwrap_or(0);
        for (index, segment) in found.iter().enumerate() {
            let first_seq = Some(segment.first_seq());
            if let Content::Scanned(scan) = &segment.content {
                let acknowledged = found.get(index + 1).map_or(scan.last_seq, |next| next.header.after);
                let lost = scan.lost(floor, acknowledged);
                self.note_lost(lost, "records are damaged or gone", first_seq);
                if lost == 0 && scan.has_holes() {
                    self.note_damage("what is not needed any more is damaged", first_seq);
                }
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
        match segment {
            Some(first_seq) => {
                tracing::error!(segment, "journal: {what}; a copy goes to quarantine, the rest is kept");
                self.result.unnoted |= !quarantine::copy_segment(self.disk, self.dir, first_seq);
            }
            None => self.note("segment", what),
        }
    }

    /// Notes damage of which there is nothing to copy.
    fn note(&mut self, about: &str, text: &str) {
        tracing::error!("journal: {text}");
        let name = format!("note-{about}-{:016x}.txt", self.epoch);
        self.result.unnoted |= !quarantine::note(self.disk, self.dir, &name, &format!("{text}\n"));
    }

    /// Cuts the last segment behind its last valid frame, and makes durable what was found in it: its last write may
    /// never have been synced, and readers are about to act on it.
    fn cut_tail(&mut self, last: Option<&Found>) -> Result<(), OpenError> {
        let Some(last) = last else { return Ok(()) };
        let path = self.dir.join(segment::file_name(last.header.stamp.first_seq));
        let file = self.disk.open(&path).map_err(OpenError::at(&path))?;
        let Content::Scanned(scan) = &last.content else { return Ok(()) };
        let end = scan.end().max(DATA_START);
        let cut = if end < last.length { file.set_len(end) } else { Ok(()) };
        if let Err(error) = cut.and_then(|()| file.sync_all()) {
            // What is on a failing disk can still be read, and that is all this segment is for from now on.
            self.note("sync", &format!("the last segment could not be synced at the open: {error}"));
        }
        Ok(())
    }

    fn finish(mut self, found: Vec<Found>) -> Recovered {
        let result = &mut self.result;
        for found in found {
            let (after, segment) = (found.header.after, found.into_segment());
            result.next_seq = result.next_seq.max(segment.last_seq + 1).max(after.saturating_add(1));
            if segment.extents.is_empty() {
                result.empty.push(segment);
            } else {
                result.last_seq = segment.last_seq;
                result.segments.insert(segment.stamp.first_seq, segment);
            }
        }
        self.result
    }
}
