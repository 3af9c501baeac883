//! How much a request holds, before anything of it is unpacked.
//!
//! Two bytes on the wire are an empty log record, or an empty attribute: unpacked, a record takes five hundred times
//! that, so a bound on bytes alone bounds nothing.

use super::check::{MAX_DEPTH, request_message};
use super::schema::{FieldKind, Message};
use super::wire::{Value, entries};
use crate::model::Signal;

/// Counts of what a request holds. Bytes that are no message count as far as they make sense: whether they are one is
/// for the others to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Log records, spans or data points.
    pub records: usize,
    /// Field occurrences at every level, and a share of the numbers in packed lists.
    pub fields: usize,
}

/// Bytes that one record takes as a row on its way to the lake, beside its texts.
const RECORD_BYTES: usize = 1024;
/// Bytes that one field occurrence takes while its message is looked at.
const FIELD_BYTES: usize = 96;
/// In honest telemetry a field has that many bytes on the wire: those are what the request's own bytes stand for.
const USUAL_FIELD: usize = 8;

impl Extent {
    /// Counts. One pass, nothing is allocated.
    pub fn of(signal: Signal, request: &[u8]) -> Extent {
        let mut extent = Extent::default();
        if let Some(message) = request_message(signal) {
            extent.add(message, request, 0);
        }
        extent
    }

    fn add(&mut self, message: &'static Message, bytes: &[u8], depth: usize) {
        self.records += usize::from(message.is_record());
        for entry in entries(bytes).map_while(Result::ok) {
            self.fields += 1;
            let (Some(field), Value::Bytes(inner)) = (message.field(entry.number), entry.value) else { continue };
            match field.kind {
                // Messages around values add a few levels to theirs; what is deeper is never unpacked.
                FieldKind::Message(below) if depth < 3 * MAX_DEPTH => self.add(below, inner, depth + 1),
                FieldKind::Message(_) | FieldKind::Str | FieldKind::Bytes | FieldKind::Id(_) => {}
                // A packed list: a number of one byte becomes text of two and more, one of eight bytes up to twenty.
                _ => self.fields += inner.len() / 6,
            }
        }
    }

    /// Bytes of memory that a request of `bytes` on the wire takes at most at once, about.
    pub fn memory(&self, bytes: usize) -> usize {
        let unusual = self.fields.saturating_sub(bytes / USUAL_FIELD);
        bytes.max(self.records * RECORD_BYTES).max(unusual * FIELD_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::otlp::wire::put_bytes;

    /// A request with `count` copies of a record.
    fn logs(record: &[u8], count: usize) -> Vec<u8> {
        let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
        (0..count).for_each(|_| put_bytes(&mut scope, 2, record));
        put_bytes(&mut resource, 2, &scope);
        put_bytes(&mut request, 1, &resource);
        request
    }

    fn memory(request: &[u8]) -> usize {
        Extent::of(Signal::Logs, request).memory(request.len())
    }

    #[test]
    fn what_is_tiny_on_the_wire_weighs_what_it_becomes() {
        let empty = logs(b"", 1000);
        assert_eq!(Extent::of(Signal::Logs, &empty), Extent { records: 1000, fields: 1002 });
        assert_eq!(memory(&empty), 1000 * RECORD_BYTES);
        let attributes = logs(&b"\x32\x00".repeat(100_000), 1);
        assert!(memory(&attributes) > 20 * attributes.len());
    }

    #[test]
    fn long_lists_of_numbers_weigh_more_than_their_bytes() {
        let (mut point, mut histogram, mut metric) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(&mut point, 6, &[1; 1 << 20]);
        put_bytes(&mut histogram, 1, &point);
        put_bytes(&mut metric, 9, &histogram);
        let request = logs(&metric, 1);
        assert!(Extent::of(Signal::Metrics, &request).memory(request.len()) > 3 * request.len());
    }

    #[test]
    fn an_honest_record_weighs_its_bytes() {
        let (mut key_value, mut record) = (Vec::new(), Vec::new());
        put_bytes(&mut key_value, 1, b"event.name");
        put_bytes(&mut key_value, 2, b"\x0a\x1asomething that was written");
        (0..30).for_each(|_| put_bytes(&mut record, 6, &key_value));
        let request = logs(&record, 100);
        assert_eq!(memory(&request), request.len());
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_counted() {
        let deep = (0..1_000).fold(Vec::new(), |inner, _| {
            let (mut list, mut value) = (Vec::new(), Vec::new());
            put_bytes(&mut list, 1, &inner);
            put_bytes(&mut value, 5, &list);
            value
        });
        let mut record = Vec::new();
        put_bytes(&mut record, 5, &deep);
        assert!(Extent::of(Signal::Logs, &logs(&record, 1)).fields < 4 * MAX_DEPTH);
        assert_eq!(Extent::of(Signal::Logs, &[0xff; 100]), Extent::default());
        assert_eq!(Extent::of(Signal::Hooks, b"{}"), Extent::default());
    }
}
