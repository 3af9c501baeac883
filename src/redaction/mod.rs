//! Redaction: the only maker of a [`RedactedBatch`], and so of anything that is kept. Pure: no I/O, no clock.
//!
//! ```text
//!  otlp (wire walk) ─┐                          ┌─ json (JSON inside a string, in place)
//!  hooks (envelopes) ┼─ texts (one string) ─────┼─ engine (keywords, then regexes) ── builtin (rules as data)
//!  one text ─────────┘   until nothing hits     └─ pairs, names, ids (what a name says of its value)
//! ```
//!
//! Each hit leaves `[REDACTED:rule]`. What cannot be scanned (too long, too deep, a panic) leaves
//! `[REDACTED:unscanned]`; the record is kept. Same input, same policy, same output; redacting twice changes nothing.

mod builtin;
mod engine;
mod hooks;
mod ids;
mod json;
mod limits;
mod names;
mod otlp;
mod pairs;
mod rule;
mod texts;

use std::sync::Arc;

use bytes::Bytes;

use crate::model::batch::{Batch, Envelope, RecordHits, Signal};
use crate::model::otlp::identity::record_identity;
use crate::model::otlp::schema::{self, Message};
use crate::model::otlp::wire::WireError;
use crate::model::{LakeKey, Workspace};
use engine::Engine;
pub use limits::{Cuts, RecordLimits};
use texts::{Tally, Texts};

/// Part of the policy's hash: rises when the same rules come to mean something else.
const POLICY_FORMAT: &str = "2";

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
pub struct Redactor(Arc<Policy>);

struct Policy {
    key: LakeKey,
    engine: Engine,
    hash: String,
}

/// A redacted OTLP request.
#[derive(Debug)]
pub struct RedactedOtlp {
    /// `None` when the request holds no record.
    pub batch: Option<RedactedBatch>,
    /// Records in the batch: log records, spans or data points.
    pub records: u64,
    /// Records that were left out, and the first one's fault: an id of a wrong length, a string that is no UTF-8, or
    /// values nested too deep.
    pub rejected: Option<(u64, WireError)>,
    /// Rule hits, for the counters.
    pub hits: Vec<(String, u64)>,
}

/// Names a record from resource, scope, metric name and its own message, all unredacted.
type RecordIdentity<'f> = &'f dyn Fn(&[u8], &[u8], &str, &'static Message, &[u8]) -> [u8; 16];

impl Redactor {
    /// The built-in secrets policy.
    pub fn builtin(key: LakeKey) -> Redactor {
        let engine = Engine::new(builtin::RULES).expect("the built-in rules are constants, and a test compiles them");
        Redactor(Arc::new(Policy { key, engine, hash: policy_hash() }))
    }

    /// Hash of the policy, 16 hex digits.
    pub fn policy(&self) -> &str {
        &self.0.hash
    }

    /// Redacts an OTLP export request in protobuf (`signal` is one of logs, metrics, traces). Bytes that redaction
    /// leaves unchanged are not copied.
    ///
    /// # Errors
    /// The request is no protobuf or contradicts OTLP's messages.
    pub fn redact_otlp(&self, delivery: Delivery, signal: Signal, request: Bytes) -> Result<RedactedOtlp, WireError> {
        let key = &self.0.key;
        self.redact_request(delivery, signal, request, &|resource, scope, metric, message, record| {
            record_identity(key, resource, scope, metric, message, record)
        })
    }

    fn redact_request(
        &self,
        delivery: Delivery,
        signal: Signal,
        request: Bytes,
        identity: RecordIdentity<'_>,
    ) -> Result<RedactedOtlp, WireError> {
        let message = match signal {
            Signal::Logs => &schema::EXPORT_LOGS_SERVICE_REQUEST,
            Signal::Metrics => &schema::EXPORT_METRICS_SERVICE_REQUEST,
            Signal::Traces => &schema::EXPORT_TRACE_SERVICE_REQUEST,
            // Hooks are no protobuf: whatever these bytes are, they are not kept.
            Signal::Hooks => return Err(WireError::WireType(7)),
        };
        let walked = otlp::redact(message, &request, self.texts(), identity)?;
        let payload = walked.request.map_or(request, Bytes::from);
        let batch = (walked.records > 0).then(|| self.seal(delivery, signal, walked.hits, payload));
        let rejected = walked.rejected.map(|(count, fault)| (u64::from(count), fault));
        Ok(RedactedOtlp { batch, records: u64::from(walked.records), rejected, hits: totals(walked.total) })
    }

    /// Redacts hook envelopes (JSON objects `{"id","seq","at","kind","session_id","data"}`; a raw hook has only
    /// `kind` and `data`). Each becomes one line of the payload.
    pub fn redact_hooks(&self, delivery: Delivery, envelopes: Vec<serde_json::Value>) -> RedactedBatch {
        let lines = hooks::redact(&envelopes, self.texts(), &self.0.key);
        self.seal(delivery, Signal::Hooks, lines.hits, lines.payload.into())
    }

    /// Redacts one text that is about to be shown or kept outside a batch.
    pub fn redact_text(&self, text: &str) -> String {
        self.texts().string(text, None).unwrap_or_else(|| text.to_owned())
    }

    fn texts(&self) -> Texts<'_> {
        Texts::new(&self.0.engine)
    }

    fn seal(&self, delivery: Delivery, signal: Signal, hits: Vec<RecordHits>, payload: Bytes) -> RedactedBatch {
        let envelope = Envelope {
            workspace: delivery.workspace.as_str().to_owned(),
            principal: delivery.principal,
            received_at: delivery.received_at,
            signal,
            policy: self.policy().to_owned(),
            hits,
        };
        RedactedBatch(Batch { envelope, payload })
    }
}

fn totals(tally: Tally) -> Vec<(String, u64)> {
    tally.into_sorted().into_iter().map(|(rule, count)| (rule, u64::from(count))).collect()
}

/// The first 16 hex digits of a hash over the rules.
fn policy_hash() -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(POLICY_FORMAT.as_bytes());
    for rule in builtin::RULES {
        for part in [rule.id, rule.pattern].into_iter().chain(rule.keywords.iter().copied()) {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex()[..16].to_owned()
}
#[cfg(test)]
mod tests;
