//! The bodies of successful replies: `Export{Logs,Metrics,Trace}ServiceResponse`.

use serde_json::json;

use crate::model::Signal;
use crate::model::otlp::wire::{put_bytes, put_varint_field};
use crate::receiver::intake::PartialSuccess;
use crate::receiver::replies::Format;

/// Full success leaves `partial_success` unset: no byte of protobuf, `{}` in JSON.
pub fn body(signal: Signal, format: Format, partial: Option<&PartialSuccess>) -> Vec<u8> {
    match (format, partial) {
        (Format::Protobuf, None) => Vec::new(),
        (Format::Json, None) => b"{}".to_vec(),
        (Format::Protobuf, Some(partial)) => protobuf(partial),
        (Format::Json, Some(partial)) => json(signal, partial),
    }
}

/// `partial_success = 1 {rejected_* = 1, error_message = 2}`.
fn protobuf(partial: &PartialSuccess) -> Vec<u8> {
    let (mut inner, mut body) = (Vec::new(), Vec::new());
    if partial.rejected > 0 {
        put_varint_field(&mut inner, 1, partial.rejected);
    }
    put_bytes(&mut inner, 2, partial.message.as_bytes());
    put_bytes(&mut body, 1, &inner);
    body
}

/// 64-bit integers are strings in proto3's JSON.
fn json(signal: Signal, partial: &PartialSuccess) -> Vec<u8> {
    let rejected = match signal {
        Signal::Logs | Signal::Hooks | Signal::Audit => "rejectedLogRecords",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Traces => "rejectedSpans",
    };
    let partial = json!({rejected: partial.rejected.to_string(), "errorMessage": partial.message});
    json!({"partialSuccess": partial}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn a_partial_success_is_what_the_definition_says() {
        let partial = PartialSuccess { rejected: 3, message: "too large".to_owned() };
        let decoded =
            ExportLogsServiceResponse::decode(&*body(Signal::Logs, Format::Protobuf, Some(&partial))).unwrap();
        let read = decoded.partial_success.unwrap();
        assert_eq!((read.rejected_log_records, read.error_message.as_str()), (3, "too large"));
        let json = |signal| String::from_utf8(body(signal, Format::Json, Some(&partial))).unwrap();
        assert_eq!(json(Signal::Logs), r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"too large"}}"#);
        assert!(json(Signal::Metrics).contains(r#""rejectedDataPoints":"3""#));
        assert!(json(Signal::Traces).contains(r#""rejectedSpans":"3""#));
    }

    #[test]
    fn a_warning_has_a_message_and_rejects_nothing() {
        let warning = PartialSuccess { rejected: 0, message: "clock is off".to_owned() };
        let decoded =
            ExportLogsServiceResponse::decode(&*body(Signal::Logs, Format::Protobuf, Some(&warning))).unwrap();
        let read = decoded.partial_success.unwrap();
        assert_eq!((read.rejected_log_records, read.error_message.as_str()), (0, "clock is off"));
    }
}
