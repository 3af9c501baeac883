//! Redaction: the only maker of a [`RedactedBatch`], and so of anything that is kept. Pure: no I/O, no clock.

use bytes::Bytes;

use crate::model::batch::{Batch, Signal};
use crate::model::otlp::wire::WireError;
use crate::model::{LakeKey, Workspace};

/// A batch that has passed the redactor. Nothing else can make one, and the journal takes nothing else.
#[derive(Clone, Debug)]
pub struct RedactedBatch(Batch);

impl RedactedBatch {
    pub fn batch(&self) -> &Batch {
        &self.0
    }
}

/// Who delivered a request, and when.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub workspace: Workspace,
    pub principal: Option<String>,
    /// UTC microseconds.
    pub received_at: i64,
}

/// Applies the policy in force. Cheap to clone.
#[derive(Clone)]
pub struct Redactor {}

/// A redacted OTLP request.
#[derive(Debug)]
pub struct RedactedOtlp {
    /// `None` when the request holds no record.
    pub batch: Option<RedactedBatch>,
    /// Records in the batch: log records, spans or data points.
    pub records: u64,
    /// Rule hits, for the counters.
    pub hits: Vec<(String, u64)>,
}

impl Redactor {
    /// The built-in secrets policy.
    pub fn builtin(key: LakeKey) -> Redactor {
        let _ = key;
        todo!()
    }

    /// Hash of the policy, 16 hex digits.
    pub fn policy(&self) -> &str {
        todo!()
    }

    /// Redacts an OTLP export request in protobuf (`signal` is one of logs, metrics, traces). Bytes that redaction
    /// leaves unchanged are not copied.
    pub fn redact_otlp(&self, delivery: Delivery, signal: Signal, request: Bytes) -> Result<RedactedOtlp, WireError> {
        let _ = (delivery, signal, request);
        todo!()
    }

    /// Redacts hook envelopes (JSON objects `{"id","seq","at","kind","session_id","data"}`; a raw hook has only
    /// `kind` and `data`). Each becomes one line of the payload.
    pub fn redact_hooks(&self, delivery: Delivery, envelopes: Vec<serde_json::Value>) -> RedactedBatch {
        let _ = (delivery, envelopes);
        todo!()
    }

    /// Redacts one text that is about to be shown or kept outside a batch.
    pub fn redact_text(&self, text: &str) -> String {
        let _ = text;
        todo!()
    }
}
