//! Redaction: the only maker of a [`RedactedBatch`], and so of anything that is kept. Pure: no I/O, no clock.
//!
//! ```text
//!  rules (data: RuleSpec, Pack, PolicySpec; assets/redaction/*.yaml) ── compile ── policy (PolicySet: one engine each)
//!                                                                                     │ chosen per record (subject)
//!  otlp (wire walk) ─┐             ┌─ json (leaves of JSON in a string) ─┐            ▼
//!  hooks (envelopes) ┼─ texts ─────┼─ decode (escapes, base64, hex) ─────┼─ engine (keywords, then patterns)
//!  one text ─────────┘ until       └─ echo (a secret found before) ──────┘   └─ pairs, names, ids (what a name says)
//!                      nothing hits        finding: stretches, settled and applied; marks: what stands in their place
//! ```
//!
//! Everything works on stretches of the text that arrived: a finding in a decoded layer is traced back to the stretch that
//! encodes it, and only that is replaced. Each hit leaves `[REDACTED:rule:fingerprint]`, or what its action says (`marks`).
//! What cannot be scanned (too long, too deep, a panic) leaves `[REDACTED:unscanned]`; the record is kept. Same input, same
//! policy, same output; redacting twice changes nothing, because a text is scanned until nothing hits.
//!
//! For the admin's side: [`rules::PolicySetSpec`] is what files are read into, [`PolicySet::compile`] says what is wrong
//! with it as data ([`CompileError`]), [`Redactor::new`] puts it in force, [`Redactor::explain`] tells spans.

mod clean;
mod compile;
mod current;
mod decode;
mod echo;
mod engine;
mod files;
mod finding;
mod hooks;
mod ids;
mod json;
mod limits;
mod marks;
mod names;
mod otlp;
mod pairs;
mod policy;
pub mod recheck;
pub mod rules;
mod seen;
mod shape;
mod stored;
mod subject;
mod texts;
mod tokens;
mod values;

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;

use crate::model::batch::{Batch, Envelope, RecordHits, Signal};
use crate::model::otlp::identity::record_identity;
use crate::model::otlp::schema::{self, Message};
use crate::model::otlp::wire::WireError;
use crate::model::{AuditEntry, LakeKey, Workspace};
pub use compile::{CompileError, Compiled, Fault, MAX_COMPILED_BYTES};
pub use current::Current;
use engine::Place;
pub use engine::Rule;
pub use files::RuleFiles;
pub use limits::{Cuts, RecordLimits};
pub use policy::{Policy, PolicySet};
use rules::{PolicySetSpec, PolicySpec, Subject};
pub use texts::Hit;
use texts::{Tally, Texts};

/// Part of the policy's hash: rises when the same rules come to mean something else.
const POLICY_FORMAT: &str = "4";

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

/// Applies the policies in force. Cheap to clone.
#[derive(Clone)]
pub struct Redactor(Arc<Inner>);

struct Inner {
    key: LakeKey,
    policies: PolicySet,
}

/// A text after redaction, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    pub text: String,
    /// In order of the given text.
    pub hits: Vec<Hit>,
    /// A rule says that a record with this text is to be left out.
    pub drops_event: bool,
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
    /// What rules that only report would have hidden.
    pub reported: Vec<(String, u64)>,
    /// Records that a rule left out.
    pub dropped: u64,
}

/// Redacted hook envelopes.
#[derive(Debug)]
pub struct RedactedHooks {
    /// `None`: a rule left every envelope out.
    pub batch: Option<RedactedBatch>,
    /// Envelopes in the batch.
    pub records: u64,
    pub hits: Vec<(String, u64)>,
    pub reported: Vec<(String, u64)>,
    /// Envelopes that a rule left out.
    pub dropped: u64,
}

/// Names a record from resource, scope, metric name and its own message, all unredacted.
type RecordIdentity<'f> = &'f dyn Fn(&[u8], &[u8], &str, &'static Message, &[u8]) -> [u8; 16];

impl Redactor {
    /// What holds without any configuration: the pack `secrets/default`.
    pub fn builtin(key: LakeKey) -> Redactor {
        let packs = PolicySetSpec::builtin(&["secrets/default"]).expect("the shipped pack's name is right");
        Redactor::new(PolicySet::compile(&packs, key.clone()).expect("a test compiles the shipped packs"), key)
    }

    /// Puts policies in force. `key` names records.
    pub fn new(policies: PolicySet, key: LakeKey) -> Redactor {
        Redactor(Arc::new(Inner { key, policies }))
    }

    /// Hash of everything in force, 16 hex digits.
    pub fn policy(&self) -> &str {
        self.0.policies.hash()
    }

    pub fn policies(&self) -> &PolicySet {
        &self.0.policies
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
            // These are no protobuf: whatever the bytes are, they are not kept.
            Signal::Hooks | Signal::Audit => return Err(WireError::WireType(7)),
        };
        let walked = otlp::redact(message, &request, &self.0.policies, &delivery.workspace, identity)?;
        let payload = walked.request.map_or(request, Bytes::from);
        let batch = (walked.records > 0).then(|| self.seal(delivery, signal, walked.hits, payload));
        let rejected = walked.rejected.map(|(count, fault)| (u64::from(count), fault));
        Ok(RedactedOtlp {
            batch,
            records: u64::from(walked.records),
            rejected,
            hits: totals(walked.total),
            reported: totals(walked.reported),
            dropped: u64::from(walked.dropped),
        })
    }

    /// Redacts hook envelopes (JSON objects `{"id","seq","at","kind","session_id","data"}`; a raw hook has only
    /// `kind` and `data`). Each becomes one line of the payload.
    pub fn redact_hooks(&self, delivery: Delivery, envelopes: Vec<serde_json::Value>) -> RedactedHooks {
        let lines = hooks::redact(&envelopes, &self.0.policies, &delivery.workspace, &self.0.key);
        let records = envelopes.len() as u64 - lines.dropped;
        let batch = (records > 0).then(|| self.seal(delivery, Signal::Hooks, lines.hits, lines.payload.into()));
        let (hits, reported) = (totals(lines.total), totals(lines.reported));
        RedactedHooks { batch, records, hits, reported, dropped: lines.dropped }
    }

    /// Redacts a row of the `audit` table: what people wrote in it.
    pub fn redact_audit(&self, delivery: Delivery, entry: AuditEntry) -> RedactedBatch {
        let redacted = |text: Option<String>| text.map(|text| self.redact_text(&text));
        let entry = AuditEntry { reason: redacted(entry.reason), statement: redacted(entry.statement), ..entry };
        let payload = serde_json::to_vec(&entry).expect("a row has only texts and numbers");
        self.seal(delivery, Signal::Audit, Vec::new(), payload.into())
    }

    /// Redacts one text that is about to be shown or kept outside a batch.
    pub fn redact_text(&self, text: &str) -> String {
        let mut texts = self.texts();
        let new = texts.string(text, &Place::default());
        let echoed = texts
            .start_echo_of_redacted()
            .then(|| texts.string(new.as_deref().unwrap_or(text), &Place::default()))
            .flatten();
        echoed.or(new).unwrap_or_else(|| text.to_owned())
    }

    /// Redacts one text as a string of a record of `subject`, which stands at `place` (`tool_response.stdout`; may be
    /// empty), and tells what was found where.
    pub fn explain(&self, text: &str, subject: &Subject, place: &str) -> Explained {
        let policy = self.0.policies.choose(subject);
        let mut texts = Texts::new(policy, self.0.policies.keys());
        let key = place.rsplit('.').next().filter(|key| !key.is_empty());
        texts.explain(text, &Place { key, path: place })
    }

    fn texts(&self) -> Texts<'_> {
        Texts::new(self.0.policies.base(), self.0.policies.keys())
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

impl PolicySetSpec {
    /// Shipped packs, all in force for every record. `None`: a name is not known.
    pub fn builtin(packs: &[&str]) -> Option<PolicySetSpec> {
        let list = packs.iter().map(|name| rules::builtin_pack(name)).collect::<Option<Vec<_>>>()?;
        let names = packs.iter().map(|name| (*name).to_owned()).collect();
        let base = PolicySpec { packs: Some(names), ..PolicySpec::default() };
        Some(PolicySetSpec { packs: list, base, ..PolicySetSpec::default() })
    }
}

/// The first 16 hex digits of a hash over data and what it means to this version.
fn spec_hash(spec: &impl Serialize) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(POLICY_FORMAT.as_bytes());
    let data = serde_json::to_vec(spec).expect("rules are plain data with string keys");
    hasher.update(&data);
    hasher.finalize().to_hex()[..16].to_owned()
}

#[cfg(test)]
mod tests;
