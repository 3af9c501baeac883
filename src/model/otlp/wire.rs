//! Reading and writing protobuf's wire format (protobuf.dev/programming-guides/encoding), without copying.

use std::ops::Range;

/// Bytes that are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("message ends inside a field")]
    Truncated,
    #[error("varint is longer than 10 bytes")]
    VarintTooLong,
    #[error("field number 0 or above 2^29-1")]
    FieldNumber,
    #[error("wire type {0} is not in use")]
    WireType(u8),
    #[error("field {0} has another wire type than its definition")]
    WrongType(u32),
    #[error("string field {0} is not UTF-8")]
    Utf8(u32),
    #[error("field {0} is no id: neither empty nor of the length that trace and span ids have")]
    IdLength(u32, usize),
    #[error("messages are nested deeper than {0}")]
    Depth(usize),
}

/// A field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

/// One field occurrence.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// Where the whole occurrence (tag and value) lies in the message's bytes.
    pub range: Range<usize>,
}

/// Iterates over a message's field occurrences in wire order; stops after the first error.
pub struct Entries<'a> {
    bytes: &'a [u8],
    at: usize,
    failed: bool,
}

/// The field occurrences of a message.
pub fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries { bytes, at: 0, failed: false }
}

impl<'a> Entries<'a> {
    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Tags and most lengths are one byte.
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in 0..10 {
            let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::VarintTooLong)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(WireError::Truncated)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut raw = [0u8; N];
        raw.copy_from_slice(self.take(N)?);
        Ok(raw)
    }

    #[inline]
    fn entry(&mut self) -> Result<Entry<'a>, WireError> {
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n)).ok_or(WireError::FieldNumber)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            other => return Err(WireError::WireType(other as u8)),
        };
        Ok(Entry { number, value, range: start..self.at })
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.bytes.len() || self.failed {
            return None;
        }
        let entry = self.entry();
        self.failed = entry.is_err();
        Some(entry)
    }
}

/// The varints of a packed list; stops after the first error.
pub struct Varints<'a>(Entries<'a>);

/// Reads a packed list of varints.
pub fn varints(packed: &[u8]) -> Varints<'_> {
    Varints(entries(packed))
}

impl Iterator for Varints<'_> {
    type Item = Result<u64, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.failed || self.0.at == self.0.bytes.len() {
            return None;
        }
        let value = self.0.varint();
        self.0.failed = value.is_err();
        Some(value)
    }
}

impl<'a> Entry<'a> {
    fn wrong<T>(&self) -> Result<T, WireError> {
        Err(WireError::WrongType(self.number))
    }

    /// The content of a bytes or message field.
    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        if let Value::Bytes(bytes) = self.value { Ok(bytes) } else { self.wrong() }
    }

    /// The content of a string field.
    pub fn text(&self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8(self.number))
    }

    /// The content of an id field of `length` bytes; an id of zeros is no id (W3C Trace Context), so it reads as empty.
    pub fn id(&self, length: usize) -> Result<&'a [u8], WireError> {
        let bytes = self.bytes()?;
        if !bytes.is_empty() && bytes.len() != length {
            return Err(WireError::IdLength(self.number, bytes.len()));
        }
        Ok(if bytes.iter().all(|byte| *byte == 0) { &[] } else { bytes })
    }

    /// The content of a varint field: an `int64` as is, narrower types by truncation (`as i32`), as protobuf has it.
    pub fn varint(&self) -> Result<u64, WireError> {
        if let Value::Varint(value) = self.value { Ok(value) } else { self.wrong() }
    }

    /// The content of a fixed64, sfixed64 or (as bits) double field.
    pub fn fixed64(&self) -> Result<u64, WireError> {
        if let Value::Fixed64(value) = self.value { Ok(value) } else { self.wrong() }
    }

    /// The content of a double field.
    pub fn double(&self) -> Result<f64, WireError> {
        self.fixed64().map(f64::from_bits)
    }

    /// The content of a fixed32 field.
    pub fn fixed32(&self) -> Result<u32, WireError> {
        if let Value::Fixed32(value) = self.value { Ok(value) } else { self.wrong() }
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint field.
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends a fixed64 field.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed32 field.
pub fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_varint(out, u64::from(number) << 3 | 5);
    out.extend_from_slice(&value.to_le_bytes());
}
