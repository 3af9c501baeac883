//! Cursors: `<name>.cursor` = magic, the last committed seq, the budget, what was dropped for it, a checksum; always
//! replaced as a whole. Format 1 had the seq alone.

use std::io;
use std::path::Path;

use super::disk::{self, Disk};
use super::segment::SEQ_MAX;

const MAGIC_1: [u8; 8] = *b"SLCURSR1";
const MAGIC: [u8; 8] = *b"SLCURSR2";
const SUFFIX: &str = ".cursor";
/// Length of the file in the present format.
const LENGTH: usize = 36;

/// How far a reader is, and how much may wait for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The last record that it is done with.
    pub seq: u64,
    /// Bytes that may wait for it before its oldest are dropped; `None`: all that the journal may hold.
    pub budget: Option<u64>,
    /// Records that were dropped because of the budget, ever.
    pub dropped: u64,
}

impl Cursor {
    fn encode(self) -> Vec<u8> {
        let budget = self.budget.unwrap_or(u64::MAX);
        let mut bytes = [MAGIC, self.seq.to_le_bytes(), budget.to_le_bytes(), self.dropped.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Cursor> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        let (words, rest) = content.as_chunks::<8>();
        let word = |n: usize| words.get(n).map(|word| u64::from_le_bytes(*word));
        let cursor = match (words.first()?, words.len(), rest.len()) {
            (&MAGIC_1, 2, 0) => Cursor { seq: word(1)?, ..Cursor::default() },
            (&MAGIC, 4, 0) => {
                let budget = word(2).filter(|budget| *budget != u64::MAX);
                Cursor { seq: word(1)?, budget, dropped: word(3)? }
            }
            _ => return None,
        };
        (cursor.seq <= SEQ_MAX).then_some(cursor)
    }
}

/// Makes the cursor durable.
pub(super) fn write(disk: &dyn Disk, dir: &Path, name: &str, cursor: Cursor) -> io::Result<()> {
    disk::write_atomic(disk, dir, &file_name(name), &cursor.encode())
}

/// The cursor in the file; `None` if the file is damaged.
pub(super) fn read(disk: &dyn Disk, dir: &Path, name: &str) -> Option<Cursor> {
    let file = disk.open(&dir.join(file_name(name))).ok()?;
    // A longer file is damaged, whatever it holds.
    let length = file.len().ok().filter(|length| *length <= LENGTH as u64)?;
    let mut bytes = vec![0; length as usize];
    disk::read_exact_at(&*file, &mut bytes, 0).ok()?;
    Cursor::decode(&bytes)
}

/// The file of a reader's cursor.
pub(super) fn file_name(name: &str) -> String {
    escaped(name) + SUFFIX
}

/// A reader's name as part of a file's. What is not a lower-case letter, digit, `_` or `-` is escaped as `%xx`.
pub(super) fn escaped(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(escape).collect()
}

/// The inverse of [`file_name`].
pub(super) fn parse_name(file: &str) -> Option<String> {
    let mut rest = file.strip_suffix(SUFFIX)?.as_bytes();
    let mut name = Vec::new();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            name.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            name.push(*byte);
        }
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::super::disk::StdDisk;
    use super::*;

    #[test]
    fn any_name_is_a_file_of_its_own() {
        for name in ["lake", "otlp_http/grafana", "../etc", "A", "%41", "ü", ""] {
            let file = file_name(name);
            assert!(!file.contains('/'));
            assert_eq!(parse_name(&file).as_deref(), Some(name));
        }
        for other in ["lake", "%4.cursor", "%zz.cursor", "%ff.cursor", "lake.cursor.tmp"] {
            assert_eq!(parse_name(other), None);
        }
    }

    #[test]
    fn a_damaged_cursor_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        for cursor in
            [Cursor { seq: 77, budget: None, dropped: 0 }, Cursor { seq: SEQ_MAX, budget: Some(1 << 30), dropped: 5 }]
        {
            write(&StdDisk, dir.path(), "lake", cursor).unwrap();
            assert_eq!(read(&StdDisk, dir.path(), "lake"), Some(cursor));
            let path = dir.path().join("lake.cursor");
            let whole = std::fs::read(&path).unwrap();
            assert_eq!(whole.len(), LENGTH);
            for bit in 0..whole.len() * 8 {
                let mut damaged = whole.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                std::fs::write(&path, damaged).unwrap();
                assert_eq!(read(&StdDisk, dir.path(), "lake"), None);
            }
            for cut in 0..whole.len() {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert_eq!(read(&StdDisk, dir.path(), "lake"), None);
            }
        }
    }

    #[test]
    fn a_cursor_of_format_1_is_read() {
        let mut bytes = [MAGIC_1, 77u64.to_le_bytes()].concat();
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        assert_eq!(Cursor::decode(&bytes), Some(Cursor { seq: 77, ..Cursor::default() }));
    }
}
