//! What identifies an OTLP record that carries no id of its own.

use super::schema::Message;
use crate::model::key::LakeKey;

/// Keyed hash of a record with what encloses it (resource and scope message bytes, and for a data point its metric's
/// name). The same for the same telemetry whatever its encoding was: fields are hashed in the order of their
/// numbers, unknown fields and implicit defaults are left out, floats by their bits.
///
/// Bytes that do not decode are hashed as they are.
pub fn record_identity(
    key: &LakeKey,
    resource: &[u8],
    scope: &[u8],
    metric_name: &str,
    message: &'static Message,
    record: &[u8],
) -> [u8; 16] {
    let _ = (key, resource, scope, metric_name, message, record);
    todo!()
}
