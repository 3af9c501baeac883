//! Leaving records out of a request, on the wire. What is kept is copied as it is.

use super::check::request_message;
use super::schema::{FieldKind, Message};
use super::wire::{Value, WireError, entries, put_bytes};
use crate::model::Signal;

/// The request without the records that `leave_out` names by their position in wire order (`RecordHits::index`). What
/// held them stays, even when it is empty then: an empty resource or scope is legal, and nothing is made of it.
///
/// # Errors
/// The bytes are no such request.
pub fn without(signal: Signal, request: &[u8], leave_out: &dyn Fn(u32) -> bool) -> Result<Vec<u8>, WireError> {
    let Some(message) = request_message(signal) else { return Ok(request.to_vec()) };
    let mut index = 0;
    copy(message, request, &mut index, leave_out)
}

/// Requests nest five messages deep down to their records: the recursion ends there.
fn copy(
    message: &'static Message,
    bytes: &[u8],
    index: &mut u32,
    leave_out: &dyn Fn(u32) -> bool,
) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(bytes.len());
    for entry in entries(bytes) {
        let entry = entry?;
        let below = match (message.field(entry.number).map(|field| field.kind), entry.value) {
            (Some(FieldKind::Message(below)), Value::Bytes(inner)) if holds_records(below) => Some((below, inner)),
            _ => None,
        };
        match below {
            Some((below, _)) if below.is_record() => {
                let position = *index;
                *index += 1;
                if !leave_out(position) {
                    out.extend_from_slice(&bytes[entry.range]);
                }
            }
            Some((below, inner)) => put_bytes(&mut out, entry.number, &copy(below, inner, index, leave_out)?),
            None => out.extend_from_slice(&bytes[entry.range]),
        }
    }
    Ok(out)
}

/// Whether a message is a record, or holds some.
fn holds_records(message: &'static Message) -> bool {
    let below = |field: &super::schema::Field| matches!(field.kind, FieldKind::Message(below) if holds_records(below));
    message.is_record() || (!is_leaf(message) && message.fields.iter().any(below))
}

/// Values nest within each other without end, and resources, scopes and the like hold values: no record is below them.
fn is_leaf(message: &'static Message) -> bool {
    use super::schema::{ANY_VALUE, KEY_VALUE};
    message.is(&ANY_VALUE) || message.is(&KEY_VALUE)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
    };
    use prost::Message as _;

    use super::*;

    fn record(n: u64) -> LogRecord {
        LogRecord { time_unix_nano: n, ..LogRecord::default() }
    }

    #[test]
    fn records_are_left_out_by_their_position_over_all_resources() {
        let scope =
            |ns: &[u64]| ScopeLogs { log_records: ns.iter().map(|n| record(*n)).collect(), ..Default::default() };
        let resource = |scopes| ResourceLogs { scope_logs: scopes, ..ResourceLogs::default() };
        let request = ExportLogsServiceRequest {
            resource_logs: vec![resource(vec![scope(&[10, 11]), scope(&[12])]), resource(vec![scope(&[13, 14])])],
        };
        let left = without(Signal::Logs, &request.encode_to_vec(), &|n| n == 1 || n == 3).unwrap();
        let left = ExportLogsServiceRequest::decode(&*left).unwrap();
        let records = left.resource_logs.iter().flat_map(|r| &r.scope_logs).flat_map(|s| &s.log_records);
        assert_eq!(records.map(|r| r.time_unix_nano).collect::<Vec<_>>(), [10, 12, 14]);
        assert_eq!(without(Signal::Logs, &request.encode_to_vec(), &|_| false).unwrap(), request.encode_to_vec());
        assert!(without(Signal::Logs, b"\x0a\xff", &|_| false).is_err());
    }

    #[test]
    fn data_points_are_records_and_not_their_metric() {
        let points = (0..3).map(|n| NumberDataPoint { time_unix_nano: n, ..Default::default() }).collect();
        let data = Some(metric::Data::Gauge(Gauge { data_points: points }));
        let metrics = vec![Metric { name: "m".into(), data, ..Default::default() }];
        let scopes = vec![ScopeMetrics { metrics, ..Default::default() }];
        let resource_metrics = vec![ResourceMetrics { scope_metrics: scopes, ..Default::default() }];
        let request = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
        let left = without(Signal::Metrics, &request, &|n| n != 1).unwrap();
        let left = ExportMetricsServiceRequest::decode(&*left).unwrap();
        let metric = &left.resource_metrics[0].scope_metrics[0].metrics[0];
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { panic!("no gauge") };
        assert_eq!(gauge.data_points.iter().map(|p| p.time_unix_nano).collect::<Vec<_>>(), [1]);
    }
}
