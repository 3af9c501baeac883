//! Cursors: `<name>.cursor` = magic, the last committed seq, a checksum; always replaced as a whole.

use std::io;
use std::path::Path;

use super::disk::{self, Disk};

const MAGIC: [u8; 8] = *b"SLCURSR1";
const SUFFIX: &str = ".cursor";

fn encode(seq: u64) -> Vec<u8> {
    let mut bytes = [MAGIC, seq.to_le_bytes()].concat();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    let (magic, seq) = content.split_first_chunk::<8>()?;
    let whole = *magic == MAGIC && crc32c::crc32c(content) == u32::from_le_bytes(*checksum);
    if whole { Some(u64::from_le_bytes(seq.try_into().ok()?)) } else { None }
}

/// Makes the cursor durable.
pub(super) fn write(disk: &dyn Disk, dir: &Path, name: &str, seq: u64) -> io::Result<()> {
    disk::write_atomic(disk, dir, &file_name(name), &encode(seq))
}

/// The cursor in the file; `None` if the file is damaged.
pub(super) fn read(disk: &dyn Disk, dir: &Path, name: &str) -> Option<u64> {
    let file = disk.open(&dir.join(file_name(name))).ok()?;
    // A file of another length is damaged, whatever it holds.
    let length = file.len().ok().filter(|length| *length == encode(0).len() as u64)?;
    let mut bytes = vec![0; length as usize];
    disk::read_exact_at(&*file, &mut bytes, 0).ok()?;
    decode(&bytes)
}

/// The file of a reader's cursor. What is not a lower-case letter, digit, `_` or `-` is escaped as `%xx`.
pub(super) fn file_name(name: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    };
    name.bytes().map(escape).collect::<String>() + SUFFIX
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
        write(&StdDisk, dir.path(), "lake", 77).unwrap();
        assert_eq!(read(&StdDisk, dir.path(), "lake"), Some(77));
        let path = dir.path().join("lake.cursor");
        let whole = std::fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, damaged).unwrap();
            assert_eq!(read(&StdDisk, dir.path(), "lake"), None);
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(read(&StdDisk, dir.path(), "lake"), None);
    }
}
