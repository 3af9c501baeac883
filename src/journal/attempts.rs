//! `<reader>.attempt`: which records a reader's owner works on, so that a process which dies of one knows it at the
//! next start.
//!
//! Not synced: a process that dies leaves its files behind, and a power loss is no record's fault. A life that ends
//! within a run of records makes the run suspect; its records are then tried alone, and the one that processes die of
//! again and again, without one that survives it, is condemned. A kill from outside looks like a death of the record, so
//! two are not enough: under load kill -9 met the same record twice. What one process survives is innocent.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use super::disk::{self, Disk, DiskFile};

const MAGIC: [u8; 8] = *b"SLTRIED1";
const SUFFIX: &str = ".attempt";
const LENGTH: usize = 60;
/// A record that so many processes in a row died of is set aside: few restarts for one that kills, and more than kills
/// from outside meet by chance in the milliseconds that a record takes.
const DEATHS: u64 = 6;

/// How a record is to be treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    None,
    /// To be tried alone.
    Suspect,
    /// Not to be tried any more.
    Condemned,
}

/// What is in the file. 0 is no record's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Attempts {
    /// First and last of what is being worked on.
    running: (u64, u64),
    /// First and last of what an earlier process died within.
    suspect: (u64, u64),
    /// The record that a process died of when it was tried alone, and how many did.
    alone: (u64, u64),
}

impl Attempts {
    fn encode(&self) -> [u8; LENGTH] {
        let words = [self.running, self.suspect, self.alone].map(|(a, b)| [a, b]);
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        let places = bytes[8..LENGTH - 4].chunks_mut(8);
        places.zip(words.as_flattened()).for_each(|(place, word)| place.copy_from_slice(&word.to_le_bytes()));
        let checksum = crc32c::crc32c(&bytes[..LENGTH - 4]);
        bytes[LENGTH - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; LENGTH]) -> Option<Attempts> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        let (words, _) = content.as_chunks::<8>();
        let [magic, words @ ..] = <[[u8; 8]; 7]>::try_from(words).ok()?;
        let [a, b, c, d, e, f] = words.map(u64::from_le_bytes);
        let whole = magic == MAGIC && crc32c::crc32c(content) == u32::from_le_bytes(*checksum);
        whole.then_some(Attempts { running: (a, b), suspect: (c, d), alone: (e, f) })
    }

    /// What a new process makes of what the last one left.
    fn succeed(self) -> Attempts {
        match self.running {
            (0, _) => self,
            (first, last) if first == last => {
                let deaths = if self.alone.0 == first { self.alone.1 + 1 } else { 1 };
                Attempts { running: (0, 0), alone: (first, deaths), ..self }
            }
            suspect => Attempts { running: (0, 0), suspect, ..self },
        }
    }

    fn suspicion(&self, seq: u64) -> Suspicion {
        match (seq == self.alone.0, self.alone.1 >= DEATHS) {
            (true, true) => Suspicion::Condemned,
            (true, false) => Suspicion::Suspect,
            _ if self.suspect.0 <= seq && seq <= self.suspect.1 => Suspicion::Suspect,
            _ => Suspicion::None,
        }
    }
}

/// The file, open.
pub(super) struct AttemptFile {
    file: Box<dyn DiskFile>,
    attempts: Attempts,
}

impl AttemptFile {
    /// Opens the file of a reader, and judges what it says.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, reader_file: &str) -> io::Result<AttemptFile> {
        let path = dir.join(format!("{reader_file}{SUFFIX}"));
        let mut bytes = [0; LENGTH];
        let (file, left) = match disk.open(&path) {
            // Whatever else it holds says nothing.
            Ok(file) => match disk::read_exact_at(&*file, &mut bytes, 0) {
                Ok(()) => (file, Attempts::decode(&bytes).unwrap_or_default()),
                Err(_) => (file, Attempts::default()),
            },
            Err(_) => (disk.create(&path)?, Attempts::default()),
        };
        let attempts = left.succeed();
        let opened = AttemptFile { file, attempts };
        opened.write()?;
        Ok(opened)
    }

    pub(super) fn suspicion(&self, seq: u64) -> Suspicion {
        self.attempts.suspicion(seq)
    }

    pub(super) fn begin(&mut self, seqs: RangeInclusive<u64>) -> io::Result<()> {
        self.attempts.running = seqs.into_inner();
        self.write()
    }

    pub(super) fn end(&mut self) -> io::Result<()> {
        let (first, last) = std::mem::take(&mut self.attempts.running);
        if (first..=last).contains(&self.attempts.alone.0) {
            self.attempts.alone = (0, 0);
        }
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&self.attempts.encode(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::StdDisk;
    use super::*;

    /// What the next process thinks of records 4 to 8 when one dies while it works on `seqs`.
    fn die_of(dir: &Path, seqs: RangeInclusive<u64>) -> Vec<Suspicion> {
        AttemptFile::open(&StdDisk, dir, "lake").unwrap().begin(seqs).unwrap();
        let next = AttemptFile::open(&StdDisk, dir, "lake").unwrap();
        (4..=8).map(|seq| next.suspicion(seq)).collect()
    }

    #[test]
    fn a_record_that_processes_keep_dying_of_alone_is_condemned_and_no_other() {
        use Suspicion::{Condemned, None, Suspect};
        let dir = tempfile::tempdir().unwrap();
        let suspects = [None, Suspect, Suspect, Suspect, None];
        assert_eq!(die_of(dir.path(), 5..=7), suspects);
        assert_eq!(die_of(dir.path(), 6..=6), suspects);
        assert_eq!(die_of(dir.path(), 7..=7), suspects, "another one");
        for _ in 1..DEATHS {
            assert_eq!(die_of(dir.path(), 6..=6), suspects);
        }
        assert_eq!(die_of(dir.path(), 6..=6), [None, Suspect, Condemned, Suspect, None]);
    }

    #[test]
    fn who_was_survived_is_innocent() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 1..DEATHS {
            die_of(dir.path(), 6..=6);
        }
        let mut survivor = AttemptFile::open(&StdDisk, dir.path(), "lake").unwrap();
        survivor.begin(6..=6).unwrap();
        survivor.end().unwrap();
        drop(survivor);
        assert_eq!(die_of(dir.path(), 6..=6)[2], Suspicion::Suspect);
    }

    #[test]
    fn what_was_finished_is_not_suspect_and_a_torn_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = AttemptFile::open(&StdDisk, dir.path(), "lake").unwrap();
        file.begin(4..=8).unwrap();
        file.end().unwrap();
        drop(file);
        let path = dir.path().join("lake.attempt");
        let next = || AttemptFile::open(&StdDisk, dir.path(), "lake").unwrap();
        assert_eq!(next().suspicion(5), Suspicion::None);
        next().begin(4..=8).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(next().suspicion(5), Suspicion::None);
        std::fs::write(&path, &bytes[..30]).unwrap();
        assert_eq!(next().suspicion(5), Suspicion::None);
    }
}
