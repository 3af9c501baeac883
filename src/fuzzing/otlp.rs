//! OTLP export requests in both encodings.

use bytes::Bytes;

use super::{REDACTOR, delivery, stays_readable};
use crate::model::Signal;
use crate::model::otlp::check;
use crate::model::otlp::extent::Extent;
use crate::model::otlp::wire::WireError;
use crate::receiver::otlp::json;

/// The signal that the first byte names, and the request behind it.
fn split(data: &[u8]) -> Option<(Signal, &[u8])> {
    let (first, request) = data.split_first()?;
    Some(([Signal::Logs, Signal::Metrics, Signal::Traces][usize::from(*first) % 3], request))
}

/// Any bytes as a protobuf request.
pub fn otlp_proto(data: &[u8]) {
    if let Some((signal, request)) = split(data) {
        protobuf(signal, request);
    }
}

/// Whatever is accepted is a sound request, stays as it is when it is redacted again, and becomes facts.
fn protobuf(signal: Signal, request: &[u8]) {
    let extent = Extent::of(signal, request);
    let Ok(redacted) = REDACTOR.redact_otlp(delivery(), signal, Bytes::copy_from_slice(request)) else { return };
    let rejected = redacted.rejected.map_or(0, |(count, _)| count);
    assert_eq!(extent.records as u64, redacted.records + rejected, "every record is counted");
    let Some(batch) = redacted.batch else { return };
    let payload = batch.batch().payload.clone();
    check::request(signal, &payload).expect("what is kept is an OTLP request");
    let again = REDACTOR.redact_otlp(delivery(), signal, payload.clone()).expect("and is accepted again");
    let again = again.batch.expect("with its records");
    assert_eq!(again.batch().payload, payload, "redaction is idempotent");
    stays_readable(&batch);
}

/// Any bytes as a JSON request: a request after that, or an error that quotes nothing.
pub fn otlp_json(data: &[u8]) {
    let Some((signal, text)) = split(data) else { return };
    match json::to_protobuf(signal, text) {
        Ok(request) => {
            let checked = check::request(signal, &request);
            // A text that is no id becomes an id of one byte, so that its record alone is rejected.
            assert!(
                matches!(checked, Ok(()) | Err(WireError::IdLength(_, 1))),
                "JSON becomes a sound request: {checked:?}"
            );
            protobuf(signal, &request);
        }
        Err(error) => assert!(!error.to_string().contains("quoted"), "{error}"),
    }
}
