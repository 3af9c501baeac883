//! Bounds of what one record may hold, applied after redaction: what is cut off has been scanned as a part of the whole,
//! so that no secret's first half is left over as an innocent text.
//!
//! A text that is cut ends with `[TRUNCATED:n]`, n being the bytes that it had; enriching finds the mark, and the fact
//! says which of its columns was cut. Attributes that are left out are counted where OTLP counts them
//! (`dropped_attributes_count`). No record is left out: what is over all bounds is a record with less in it.

mod hooks;
mod otlp;
mod text;

use super::RedactedBatch;
use crate::model::otlp::check::request_message;

/// How much one record may hold. The names are the OpenTelemetry SDKs' where they have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// One log record, span, data point or hook envelope, encoded, bytes.
    pub record_bytes: usize,
    /// `attribute_value_length_limit`: any one text, bytes of UTF-8.
    pub value_bytes: usize,
    /// Attributes with a longer key are left out, bytes of UTF-8.
    pub key_bytes: usize,
    /// `attribute_count_limit`: attributes of one record, or of one event or link of a span.
    pub attributes: usize,
}

impl Default for RecordLimits {
    /// Far above what agents send (their raw API bodies end at 60 KiB, a prompt or a file that a tool read may be
    /// megabytes), and far below what a reader of the tables would choke on.
    fn default() -> RecordLimits {
        RecordLimits { record_bytes: 16 << 20, value_bytes: 4 << 20, key_bytes: 1 << 10, attributes: 1024 }
    }
}

impl RecordLimits {
    /// Nothing encoded in so many bytes can be over a limit.
    fn harmless_bytes(&self) -> usize {
        // An attribute takes two bytes at least.
        self.value_bytes.min(self.key_bytes).min(2 * self.attributes).min(self.record_bytes)
    }
}

/// What was cut from a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Texts that now end with a mark, and parts of records that are one.
    pub values: u64,
    /// Attributes that were left out.
    pub attributes: u64,
}

impl RedactedBatch {
    /// The batch with every record within the limits. Only ever takes away.
    #[must_use]
    pub fn within(mut self, limits: &RecordLimits) -> (RedactedBatch, Cuts) {
        let mut cuts = Cuts::default();
        let payload = &self.0.payload;
        let cut = match request_message(self.0.envelope.signal) {
            Some(message) => otlp::cut(message, payload, limits, &mut cuts),
            None => hooks::cut(payload, limits, &mut cuts),
        };
        if let Some(payload) = cut {
            self.0.payload = payload.into();
        }
        (self, cuts)
    }
}

#[cfg(test)]
mod tests;
