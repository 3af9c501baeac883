//! Frames: `length u32 | crc32c u32 | seq u64 | payload`, all little endian, `length` being the payload's.
//!
//! The checksum covers the segment and the number as well as the payload, so that a block that a disk kept from an
//! earlier use, or wrote to the wrong place, is no frame. There are three kinds, told apart by what their checksum
//! covers:
//! - a **record**: segment, number, length, payload;
//! - a **tombstone**, which is a record whose payload was erased: segment, number, length, kind. Its payload is zeros,
//!   and is not looked at;
//! - a **mark**, without payload: segment, number, kind. All records up to its number were durable when it was written,
//!   so that what is missing before it is damage, and not a tail that was being written.

/// Bytes before a frame's payload.
pub(super) const FRAME_HEADER: usize = 16;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Record = 0,
    Tombstone = 1,
    Mark = 2,
}

/// The segment that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub first_seq: u64,
    pub epoch: u64,
}

impl Stamp {
    /// The kind stands in the two upper bits of the length, which no payload reaches.
    fn checksum(self, kind: Kind, seq: u64, length: u32, payload: &[u8]) -> u32 {
        let mut prefix = [0; 28];
        prefix[..8].copy_from_slice(&self.first_seq.to_le_bytes());
        prefix[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        prefix[16..24].copy_from_slice(&seq.to_le_bytes());
        prefix[24..].copy_from_slice(&(length | (kind as u32) << 30).to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&prefix), payload)
    }
}

/// Room for a frame's header; the payload is appended to it, then the frame is sealed.
pub(super) fn unsealed() -> Vec<u8> {
    vec![0; FRAME_HEADER]
}

/// Fills in the header of a frame made with [`unsealed`], whose payload is at most [`super::options::MAX_RECORD_BYTES`].
pub(super) fn seal(frame: &mut [u8], stamp: Stamp, seq: u64) {
    let (header, payload) = frame.split_at_mut(FRAME_HEADER);
    let length = payload.len() as u32;
    header.copy_from_slice(&encode(length, stamp.checksum(Kind::Record, seq, length, payload), seq));
}

/// The header that makes a tombstone of a record with a payload of `length` bytes.
pub(super) fn tombstone(stamp: Stamp, seq: u64, length: u32) -> [u8; FRAME_HEADER] {
    encode(length, stamp.checksum(Kind::Tombstone, seq, length, &[]), seq)
}

/// A mark: the records up to `seq` are durable.
pub(super) fn mark(stamp: Stamp, seq: u64) -> [u8; FRAME_HEADER] {
    encode(0, stamp.checksum(Kind::Mark, seq, 0, &[]), seq)
}

fn encode(length: u32, checksum: u32, seq: u64) -> [u8; FRAME_HEADER] {
    let mut header = [0; FRAME_HEADER];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&checksum.to_le_bytes());
    header[8..].copy_from_slice(&seq.to_le_bytes());
    header
}

/// A frame's header, as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    pub length: u32,
    checksum: u32,
    pub seq: u64,
}

impl FrameHeader {
    pub(super) fn read(bytes: &[u8; FRAME_HEADER]) -> FrameHeader {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        FrameHeader { length: word(0), checksum: word(4), seq: u64::from(word(8)) | u64::from(word(12)) << 32 }
    }

    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.length)
    }

    /// What the frame is, given its payload; `None` if it is none of the segment's.
    pub(super) fn kind(&self, stamp: Stamp, payload: &[u8]) -> Option<Kind> {
        let is = |kind, covered| stamp.checksum(kind, self.seq, self.length, covered) == self.checksum;
        match self.length as usize == payload.len() {
            false => None,
            // A payload can be made to fit any checksum, so the record is asked first.
            true if is(Kind::Record, payload) => Some(Kind::Record),
            true if payload.is_empty() && is(Kind::Mark, &[]) => Some(Kind::Mark),
            true => is(Kind::Tombstone, &[]).then_some(Kind::Tombstone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { first_seq: 7, epoch: 99 };

    fn frame(payload: &[u8], stamp: Stamp, seq: u64) -> Vec<u8> {
        let mut frame = unsealed();
        frame.extend_from_slice(payload);
        seal(&mut frame, stamp, seq);
        frame
    }

    fn kind(frame: &[u8], stamp: Stamp) -> Option<Kind> {
        let (header, payload) = frame.split_first_chunk().unwrap();
        FrameHeader::read(header).kind(stamp, payload)
    }

    fn valid(frame: &[u8], stamp: Stamp) -> bool {
        kind(frame, stamp).is_some()
    }

    #[test]
    fn every_bit_counts() {
        let mut bytes = frame(b"payload", STAMP, 0x0102_0304_0506_0708);
        assert!(valid(&bytes, STAMP));
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!valid(&bytes, STAMP), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_frame_of_another_segment_or_open_is_none() {
        let bytes = frame(b"payload", STAMP, 8);
        assert!(!valid(&bytes, Stamp { first_seq: 8, ..STAMP }));
        assert!(!valid(&bytes, Stamp { epoch: 98, ..STAMP }));
    }

    #[test]
    fn zeros_are_no_frame() {
        assert!(!valid(&[0; FRAME_HEADER], STAMP));
        assert!(valid(&frame(b"", STAMP, 7), STAMP));
    }

    #[test]
    fn kinds_are_not_mistaken_for_each_other() {
        let record = frame(b"payload", STAMP, 8);
        assert_eq!(kind(&record, STAMP), Some(Kind::Record));
        let erased = [&tombstone(STAMP, 8, 7)[..], &[0; 7]].concat();
        assert_eq!(kind(&erased, STAMP), Some(Kind::Tombstone));
        let half = [&tombstone(STAMP, 8, 7)[..], b"payload"].concat();
        assert_eq!(kind(&half, STAMP), Some(Kind::Tombstone), "the payload is not looked at");
        assert_eq!(kind(&mark(STAMP, 8), STAMP), Some(Kind::Mark));
        assert_eq!(kind(&frame(b"", STAMP, 8), STAMP), Some(Kind::Record));
        for mut bytes in [erased[..FRAME_HEADER].to_vec(), mark(STAMP, 8).to_vec()] {
            let rest = erased.len() - FRAME_HEADER;
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                let payload = vec![0; if bytes[0] == 0 { 0 } else { rest }];
                assert!(!valid(&[&bytes[..], &payload].concat(), STAMP), "bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
