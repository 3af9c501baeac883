//! Frames: `length u32 | crc32c u32 | seq u64 | payload`, all little endian, `length` being the payload's.
//!
//! The checksum covers the segment and the number as well as the payload, so that a block that a disk kept from an
//! earlier use, or wrote to the wrong place, is no frame.

/// Bytes before a frame's payload.
pub(super) const FRAME_HEADER: usize = 16;

/// The segment that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub first_seq: u64,
    pub epoch: u64,
}

impl Stamp {
    fn checksum(self, seq: u64, payload: &[u8]) -> u32 {
        let mut prefix = [0; 28];
        prefix[..8].copy_from_slice(&self.first_seq.to_le_bytes());
        prefix[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        prefix[16..24].copy_from_slice(&seq.to_le_bytes());
        prefix[24..].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c(&prefix), payload)
    }
}

/// Room for a frame's header; the payload is appended to it, then the frame is sealed.
pub(super) fn unsealed() -> Vec<u8> {
    vec![0; FRAME_HEADER]
}

/// Fills in the header of a frame made with [`unsealed`], whose payload is at most [`super::MAX_RECORD_BYTES`].
pub(super) fn seal(frame: &mut [u8], stamp: Stamp, seq: u64) {
    let (header, payload) = frame.split_at_mut(FRAME_HEADER);
    header[..4].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[4..8].copy_from_slice(&stamp.checksum(seq, payload).to_le_bytes());
    header[8..].copy_from_slice(&seq.to_le_bytes());
}

/// A frame's header, as found.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHeader {
    length: u32,
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

    pub(super) fn matches(&self, stamp: Stamp, payload: &[u8]) -> bool {
        self.length as usize == payload.len() && stamp.checksum(self.seq, payload) == self.checksum
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

    fn valid(frame: &[u8], stamp: Stamp) -> bool {
        let (header, payload) = frame.split_first_chunk().unwrap();
        FrameHeader::read(header).matches(stamp, payload)
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
}
