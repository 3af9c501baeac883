//! Segment files: `<first seq, 20 digits>.seg` = header, the header again, frames, zeros.

use std::io;
use std::path::Path;

use super::disk::{self, Disk, DiskFile};
use super::frame::Stamp;

/// The header fills a block of its own, twice: without the epoch it holds, no frame of the segment can be checked.
const HEADER_BLOCK: usize = 4096;
/// Where the frames begin.
pub(super) const DATA_START: u64 = 2 * HEADER_BLOCK as u64;

const MAGIC: [u8; 8] = *b"SLJOURNL";
/// The format this version writes, and the newest it reads. It reads every older one: 1 is the same, without
/// tombstones and marks.
pub(super) const FORMAT: u32 = 2;
/// No journal comes that far: a number beyond it is not one of ours, and would leave no room for the next.
pub(super) const SEQ_MAX: u64 = 1 << 62;
/// The version that wrote a segment, for people who look at a damaged one.
const BUILD: &str = concat!("sessionlake ", env!("CARGO_PKG_VERSION"));
const BUILD_ROOM: usize = 64;
/// Length of a journal's id: hex digits.
pub(super) const ID_DIGITS: usize = 16;

/// What a segment says of itself. Fixed in every format: magic (8 bytes), format (u32), and the block's crc32c in its
/// last 4 bytes; so that an older version can tell a newer format from damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub journal: String,
    pub stamp: Stamp,
    /// The last seq that was acknowledged when the segment was made: if the segments before do not reach it, they
    /// have lost records.
    pub after: u64,
}

/// Why a block is no header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Newer(u32),
    Damaged,
}

impl SegmentHeader {
    fn encode(&self) -> [u8; HEADER_BLOCK] {
        let mut block = [0; HEADER_BLOCK];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        block[16..24].copy_from_slice(&self.stamp.epoch.to_le_bytes());
        block[24..32].copy_from_slice(&self.stamp.first_seq.to_le_bytes());
        block[32..40].copy_from_slice(&self.after.to_le_bytes());
        block[40..40 + ID_DIGITS].copy_from_slice(self.journal.as_bytes());
        let build = &BUILD.as_bytes()[..BUILD.len().min(BUILD_ROOM)];
        block[64..64 + build.len()].copy_from_slice(build);
        let checksum = crc32c::crc32c(&block[..HEADER_BLOCK - 4]);
        block[HEADER_BLOCK - 4..].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    /// The bytes before a segment's frames.
    fn encode_twice(&self) -> Vec<u8> {
        self.encode().repeat(2)
    }

    fn decode(block: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let (content, checksum) = block.split_last_chunk::<4>().ok_or(HeaderError::Damaged)?;
        if content.len() != HEADER_BLOCK - 4
            || content[..8] != MAGIC
            || crc32c::crc32c(content) != u32::from_le_bytes(*checksum)
        {
            return Err(HeaderError::Damaged);
        }
        let word = |at: usize| content[at..at + 8].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
        let format = word(8) as u32;
        if format > FORMAT {
            return Err(HeaderError::Newer(format));
        }
        let journal = std::str::from_utf8(&content[40..40 + ID_DIGITS]).map_err(|_| HeaderError::Damaged)?;
        let stamp = Stamp { epoch: word(16), first_seq: word(24) };
        Ok(SegmentHeader { journal: journal.to_owned(), stamp, after: word(32) })
    }

    /// The header of a segment from its first bytes, and whether both copies are whole.
    pub(super) fn read(bytes: &[u8]) -> Result<(SegmentHeader, bool), HeaderError> {
        let copy = |n: usize| bytes.get(n * HEADER_BLOCK..(n + 1) * HEADER_BLOCK).unwrap_or_default();
        match (SegmentHeader::decode(copy(0)), SegmentHeader::decode(copy(1))) {
            (Ok(first), second) => Ok((first, second.is_ok())),
            (Err(HeaderError::Damaged), Ok(second)) => Ok((second, false)),
            (Err(HeaderError::Damaged), Err(error)) | (Err(error), _) => Err(error),
        }
    }
}

pub(super) fn file_name(first_seq: u64) -> String {
    format!("{first_seq:020}.seg")
}

/// The inverse of [`file_name`].
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() == 20 { digits.parse().ok().filter(|seq| *seq <= SEQ_MAX) } else { None }
}

/// Creates a segment with room for `bytes` bytes on the disk; it has its name only when it and its header are durable.
pub(super) fn create(disk: &dyn Disk, dir: &Path, header: &SegmentHeader, bytes: u64) -> io::Result<Box<dyn DiskFile>> {
    disk::create_whole(disk, dir, &file_name(header.stamp.first_seq), |file| {
        file.allocate(bytes.max(DATA_START))?;
        file.write_all_at(&header.encode_twice(), 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader { journal: "0123456789abcdef".into(), stamp: Stamp { first_seq: 12, epoch: 34 }, after: 10 }
    }

    #[test]
    fn either_copy_is_enough() {
        let whole = header().encode_twice();
        assert_eq!(SegmentHeader::read(&whole), Ok((header(), true)));
        for at in [0, 9, 20, 3000, 4095] {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            assert_eq!(SegmentHeader::read(&damaged), Ok((header(), false)));
            damaged[4096 + at] ^= 4;
            assert_eq!(SegmentHeader::read(&damaged), Err(HeaderError::Damaged));
        }
        assert_eq!(SegmentHeader::read(&whole[..5000]), Ok((header(), false)));
        assert_eq!(SegmentHeader::read(b""), Err(HeaderError::Damaged));
    }

    #[test]
    fn a_newer_format_is_not_damage_and_an_older_one_is_read() {
        let with_format = |format: u8| {
            let mut block = header().encode();
            block[8] = format;
            let checksum = crc32c::crc32c(&block[..HEADER_BLOCK - 4]);
            block[HEADER_BLOCK - 4..].copy_from_slice(&checksum.to_le_bytes());
            [block, block].concat()
        };
        assert_eq!(SegmentHeader::read(&with_format(FORMAT as u8 + 1)), Err(HeaderError::Newer(FORMAT + 1)));
        assert_eq!(SegmentHeader::read(&with_format(1)), Ok((header(), true)));
    }

    #[test]
    fn names_sort_as_their_numbers() {
        assert_eq!(file_name(42), "00000000000000000042.seg");
        assert_eq!(parse_name(&file_name(SEQ_MAX)), Some(SEQ_MAX));
        assert_eq!(parse_name(&file_name(u64::MAX)), None);
        for other in ["42.seg", "00000000000000000042.seg.tmp", "lock", "+0000000000000000042.seg2"] {
            assert_eq!(parse_name(other), None);
        }
    }
}
