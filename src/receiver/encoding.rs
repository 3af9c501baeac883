//! Content encodings: which one a request uses, and undoing it within bounds.

use std::io::{self, Read};

use axum::http::HeaderValue;
use bytes::Bytes;

use super::budget::Permit;
use super::refusal::Refusal;

/// A content encoding. One layer only: a list of them is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
    /// RFC 1950, as HTTP means it.
    Deflate,
}

impl Encoding {
    /// The names of the collector's `compression_algorithms`, in which the empty one is no encoding.
    pub const NAMES: [(&str, Encoding); 6] = [
        ("", Encoding::Identity),
        ("none", Encoding::Identity),
        ("gzip", Encoding::Gzip),
        ("zstd", Encoding::Zstd),
        ("deflate", Encoding::Deflate),
        ("zlib", Encoding::Deflate),
    ];
}

/// The encodings that a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encodings(u8);

impl Encodings {
    pub const ALL: Encodings = Encodings(u8::MAX);
    pub const NONE: Encodings = Encodings(0);

    #[must_use]
    pub fn with(self, encoding: Encoding) -> Encodings {
        Encodings(self.0 | 1 << encoding as u8)
    }

    pub fn take(self, encoding: Encoding) -> bool {
        self.0 & (1 << encoding as u8) != 0
    }
}

/// Bytes with the permit that they count against.
pub struct Held {
    pub bytes: Bytes,
    pub permit: Permit,
}

/// Output grows by at most this much before the limit and the budget are asked again.
const STEP: usize = 64 << 10;

/// 8 MiB, the largest window that RFC 9659 allows for the content encoding.
const ZSTD_WINDOW_LOG: u32 = 23;

impl Encoding {
    /// Reads `content-encoding` or `grpc-encoding`; several header lines count as a list.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, taken: Encodings) -> Result<Encoding, Refusal> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else { return Ok(Encoding::Identity) };
        if values.next().is_some() {
            return Err(Refusal::Encoding);
        }
        let name = value.to_str().unwrap_or("?").trim().to_ascii_lowercase();
        let encoding = match name.as_str() {
            "" | "identity" | "none" => return Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Encoding::Gzip,
            "zstd" => Encoding::Zstd,
            "deflate" | "zlib" => Encoding::Deflate,
            _ => return Err(Refusal::Encoding),
        };
        if taken.take(encoding) { Ok(encoding) } else { Err(Refusal::Encoding) }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
            Encoding::Deflate => "deflate",
        }
    }

    /// Undoes the encoding; CPU work. An empty body is empty in every encoding. Output above `limit` bytes, or that
    /// the budget does not cover, is refused as soon as it appears.
    pub fn decode(self, held: Held, limit: usize) -> Result<Held, Refusal> {
        let wire: &[u8] = &held.bytes;
        if self == Encoding::Identity || wire.is_empty() {
            return Ok(held);
        }
        let mut permit = held.permit.another();
        let decoded = match self {
            Encoding::Identity => unreachable!("returned above"),
            Encoding::Gzip => drain(flate2::read::MultiGzDecoder::new(wire), limit, &mut permit),
            Encoding::Deflate => drain(flate2::read::ZlibDecoder::new(wire), limit, &mut permit),
            Encoding::Zstd => zstd_reader(wire).map_err(Stop::from).and_then(|r| drain(r, limit, &mut permit)),
        };
        match decoded {
            Ok(bytes) => Ok(Held { bytes, permit }),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(Stop::Corrupt) => Err(Refusal::Compressed(self.name())),
        }
    }
}

fn zstd_reader(wire: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(wire)?;
    reader.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(reader)
}

/// Why decompression ended before the input did.
enum Stop {
    Refused(Refusal),
    Corrupt,
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Stop {
        Stop::Corrupt
    }
}

/// Keeps output in pieces while it grows, so that it is never there twice but for a moment at its end, and only when
/// all of it is within the limit.
fn drain(mut reader: impl Read, limit: usize, permit: &mut Permit) -> Result<Bytes, Stop> {
    let (mut pieces, mut length) = (Vec::new(), 0);
    loop {
        permit.cover(length + STEP).map_err(Stop::Refused)?;
        let mut piece = Vec::with_capacity(STEP);
        let read = reader.by_ref().take(STEP as u64).read_to_end(&mut piece)?;
        length += read;
        if length > limit {
            return Err(Stop::Refused(Refusal::TooLarge { limit }));
        }
        pieces.push(piece);
        if read < STEP {
            return Ok(joined(pieces, length));
        }
    }
}

fn joined(mut pieces: Vec<Vec<u8>>, length: usize) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0).into();
    }
    let mut whole = Vec::with_capacity(length);
    // Each piece is let go as soon as it is copied.
    pieces.into_iter().for_each(|piece| whole.extend_from_slice(&piece));
    whole.into()
}
#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::receiver::budget::Budget;
    use crate::receiver::testing::{deflate, gzip, zstd};

    fn held(bytes: Vec<u8>) -> Held {
        Held { bytes: bytes.into(), permit: Budget::new(64 << 20).permit() }
    }

    #[test]
    fn every_encoding_gives_the_bytes_back() {
        let text = b"some text ".repeat(20_000);
        for (encoding, wire) in [
            (Encoding::Identity, text.clone()),
            (Encoding::Gzip, gzip(&text)),
            (Encoding::Zstd, zstd(&text)),
            (Encoding::Deflate, deflate(&text)),
        ] {
            assert_eq!(encoding.decode(held(wire), text.len()).unwrap().bytes, text, "{encoding:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit_in_every_encoding() {
        let zeros = vec![0; 8 << 20];
        for (encoding, wire) in
            [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd(&zeros)), (Encoding::Deflate, deflate(&zeros))]
        {
            assert!(wire.len() < 20_000);
            let refused = encoding.decode(held(wire), zeros.len() - 1);
            assert!(matches!(refused, Err(Refusal::TooLarge { .. })), "{encoding:?}");
        }
    }

    #[test]
    fn output_counts_against_the_budget() {
        let budget = Budget::new(1 << 20);
        let wire = gzip(&vec![0; 8 << 20]);
        let mut other = budget.permit();
        other.cover(512 << 10).unwrap();
        let refused = Encoding::Gzip.decode(Held { bytes: wire.into(), permit: budget.permit() }, 64 << 20);
        assert!(matches!(refused, Err(Refusal::Busy)));
        assert_eq!(budget.free_bytes(), 512 << 10);
    }

    #[test]
    fn corrupt_cut_or_doubly_compressed_input_is_no_valid_body() {
        let text = b"text".repeat(1000);
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Deflate] {
            assert!(matches!(encoding.decode(held(text.clone()), 1 << 20), Err(Refusal::Compressed(_))));
        }
        for (encoding, mut wire) in
            [(Encoding::Gzip, gzip(&text)), (Encoding::Zstd, zstd(&text)), (Encoding::Deflate, deflate(&text))]
        {
            wire.truncate(wire.len() - 3);
            assert!(matches!(encoding.decode(held(wire), 1 << 20), Err(Refusal::Compressed(_))), "{encoding:?}");
        }
    }

    #[test]
    fn a_zstd_window_above_eight_mebibytes_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![7; 1 << 20]).unwrap();
        let wire = encoder.finish().unwrap();
        assert!(matches!(Encoding::Zstd.decode(held(wire), 64 << 20), Err(Refusal::Compressed("zstd"))));
    }

    #[test]
    fn one_known_encoding_at_most() {
        let of = |values: &[&'static str]| {
            let values: Vec<HeaderValue> = values.iter().map(|v| HeaderValue::from_static(v)).collect();
            Encoding::of(&values, Encodings::ALL)
        };
        assert_eq!(of(&[]).unwrap(), Encoding::Identity);
        assert_eq!(of(&["Identity"]).unwrap(), Encoding::Identity);
        assert_eq!(of(&[" GZIP "]).unwrap(), Encoding::Gzip);
        assert!(matches!(of(&["foo"]), Err(Refusal::Encoding)));
        assert!(matches!(of(&["gzip, gzip"]), Err(Refusal::Encoding)));
        assert!(matches!(of(&["gzip", "gzip"]), Err(Refusal::Encoding)));
    }
}
