//! Hook bodies: one bare object, or envelopes.

use serde_json::Value;

use super::{redact_hooks, stays_readable};
use crate::receiver::hooks::{envelopes, raw_hook};

/// Any bytes as a hook and as lines of envelopes.
pub fn hook_json(data: &[u8]) {
    if let Ok(hook) = raw_hook(data) {
        kept(vec![hook]);
    }
    let (good, bad) = envelopes(data);
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    assert_eq!(good.len() as u64 + bad.count, lines as u64, "every line is taken or refused");
    if !good.is_empty() {
        kept(good);
    }
}

/// One line each, JSON again, and the same when it is redacted again.
fn kept(envelopes: Vec<Value>) {
    let count = envelopes.len();
    let batch = redact_hooks(envelopes);
    let payload = batch.batch().payload.clone();
    let lines: Vec<Value> = payload
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a redacted line is JSON"))
        .collect();
    assert_eq!(lines.len(), count);
    assert_eq!(redact_hooks(lines).batch().payload, payload, "redaction is idempotent");
    stays_readable(&batch);
}
