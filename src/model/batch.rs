//! A batch: one accepted request after redaction, as the journal keeps it and its readers get it back.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::fact::Redaction;

/// What a batch's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// `ExportLogsServiceRequest`, protobuf.
    Logs,
    /// `ExportMetricsServiceRequest`, protobuf.
    Metrics,
    /// `ExportTraceServiceRequest`, protobuf.
    Traces,
    /// Hook envelopes, one JSON object a line (`{"id","seq","at","kind","session_id","data"}`; a raw hook has only
    /// `kind` and `data`).
    Hooks,
    /// One `AuditEntry` as JSON: what the server did itself.
    Audit,
}

/// What redaction did to one record of a batch, and the record's name before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordHits {
    /// Position of the record in the batch, in wire order: log records, spans, metric data points, hook lines.
    pub index: u32,
    /// Keyed hash of the *unredacted* record (with its resource): the record's identity where nothing better exists.
    pub identity: [u8; 16],
    /// Rules that hit in this record; hits in a resource or scope are listed with its first record.
    pub redactions: Vec<(String, u32)>,
}

impl RecordHits {
    pub fn redactions(&self) -> Vec<Redaction> {
        self.redactions.iter().map(|(rule, n)| Redaction { rule: rule.clone(), count: i64::from(*n) }).collect()
    }
}

/// Everything about a batch but its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    pub workspace: String,
    /// The token's name; `None` while authentication is off.
    pub principal: Option<String>,
    /// UTC microseconds.
    pub received_at: i64,
    pub signal: Signal,
    /// Hash of the redaction policy.
    pub policy: String,
    /// One entry per record that redaction changed, and per raw hook; ascending by index.
    pub hits: Vec<RecordHits>,
}

/// An envelope with its redacted payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub envelope: Envelope,
    pub payload: Bytes,
}

/// The journal's bytes do not hold a batch.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("batch of {0} bytes is shorter than its header says")]
    Short(usize),
    #[error("batch header is no envelope: {0}")]
    Envelope(#[from] serde_json::Error),
}

impl Batch {
    /// Appends `u32 LE header length | envelope as JSON | payload` to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        serde_json::to_writer(&mut *out, &self.envelope)
            .expect("an envelope has only string keys and writes to memory");
        let header = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&header.to_le_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// The inverse of [`Batch::encode`]; the payload shares `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Batch, BatchError> {
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(BatchError::Short(bytes.len()))?;
        let length = u32::from_le_bytes(*length) as usize;
        let header = rest.get(..length).ok_or(BatchError::Short(bytes.len()))?;
        Ok(Batch { envelope: serde_json::from_slice(header)?, payload: bytes.slice(4 + length..) })
    }
}
