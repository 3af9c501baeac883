//! Cutting OTLP requests on the wire. What is within its limits is not copied.

use super::text;
use super::{Cuts, RecordLimits};
use crate::model::otlp::schema::{ANY_VALUE, Field, FieldKind, KEY_VALUE, Message};
use crate::model::otlp::wire::{Entry, Value, entries, put_bytes, put_varint_field};

/// Cuts a request of type `message`; `None`: nothing was over a limit.
pub fn cut(message: &'static Message, request: &[u8], limits: &RecordLimits, cuts: &mut Cuts) -> Option<Vec<u8>> {
    Cutter { limits, cuts, harmless: limits.harmless_bytes() }.message(message, request)
}

struct Cutter<'l> {
    limits: &'l RecordLimits,
    cuts: &'l mut Cuts,
    harmless: usize,
}

/// A message being written anew from its first change on.
struct Rewrite<'a> {
    bytes: &'a [u8],
    out: Option<Vec<u8>>,
    /// Attributes left out by the sender, and by us.
    dropped: (u64, u64),
}

impl<'a> Rewrite<'a> {
    fn new(bytes: &'a [u8]) -> Rewrite<'a> {
        Rewrite { bytes, out: None, dropped: (0, 0) }
    }

    fn keep(&mut self, entry: &Entry<'_>) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(&self.bytes[entry.range.clone()]);
        }
    }

    /// Where to write what stands for an entry; nothing written leaves it out.
    fn instead(&mut self, entry: &Entry<'_>) -> &mut Vec<u8> {
        self.out.get_or_insert_with(|| self.bytes[..entry.range.start].to_vec())
    }

    /// Of two occurrences of the count the last one holds.
    fn finish(self, message: &'static Message) -> Option<Vec<u8>> {
        let mut out = self.out?;
        let (before, now) = self.dropped;
        if let (true, Some(field)) = (now > 0, message.field_by_json_name("droppedAttributesCount")) {
            put_varint_field(&mut out, field.number, before.saturating_add(now).min(u64::from(u32::MAX)));
        }
        Some(out)
    }
}

impl Cutter<'_> {
    fn message(&mut self, message: &'static Message, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.len() <= self.harmless {
            return None;
        }
        let mut rewrite = Rewrite::new(bytes);
        let mut attributes = 0;
        for entry in entries(bytes).map_while(Result::ok) {
            let Some(field) = message.field(entry.number) else { continue };
            note_dropped(field, &entry, &mut rewrite);
            if is_attribute(field) {
                attributes += 1;
                if attributes > self.limits.attributes || key_length(&entry) > self.limits.key_bytes {
                    self.leave_out(&entry, &mut rewrite);
                    continue;
                }
            }
            self.field(message, field, &entry, &mut rewrite);
        }
        let cut = rewrite.finish(message);
        let record = is_record(message) && cut.as_deref().unwrap_or(bytes).len() > self.limits.record_bytes;
        if record { Some(self.shrink(message, cut.as_deref().unwrap_or(bytes))) } else { cut }
    }

    fn field(&mut self, message: &'static Message, field: &Field, entry: &Entry<'_>, rewrite: &mut Rewrite<'_>) {
        let Value::Bytes(bytes) = entry.value else { return rewrite.keep(entry) };
        let new = match field.kind {
            FieldKind::Message(below) => self.message(below, bytes),
            FieldKind::Str => self.text(bytes).map(String::into_bytes),
            FieldKind::Bytes if bytes.len() > self.limits.value_bytes => {
                // A part of something binary is worth nothing: the mark stands alone, as a text where one may stand.
                self.cuts.values += 1;
                let number = if message.is(&ANY_VALUE) { 1 } else { entry.number };
                return put_bytes(rewrite.instead(entry), number, text::mark(bytes.len()).as_bytes());
            }
            _ => None,
        };
        match new {
            Some(new) => put_bytes(rewrite.instead(entry), entry.number, &new),
            None => rewrite.keep(entry),
        }
    }

    fn text(&mut self, bytes: &[u8]) -> Option<String> {
        let cut = text::cut(std::str::from_utf8(bytes).ok()?, self.limits.value_bytes);
        self.cuts.values += u64::from(cut.is_some());
        cut
    }

    fn leave_out(&mut self, entry: &Entry<'_>, rewrite: &mut Rewrite<'_>) {
        self.cuts.attributes += 1;
        rewrite.dropped.1 += 1;
        rewrite.instead(entry);
    }

    /// A record that is too large although each of its texts is not: its fields are kept in their order as long as there
    /// is room, marks stand for values that there is none for, and the rest is left out.
    fn shrink(&mut self, message: &'static Message, record: &[u8]) -> Vec<u8> {
        let mut rewrite = Rewrite::new(record);
        rewrite.out = Some(Vec::new());
        for entry in entries(record).map_while(Result::ok) {
            let Some(field) = message.field(entry.number) else { continue };
            let used = rewrite.out.as_ref().map_or(0, Vec::len);
            let room = self.limits.record_bytes.saturating_sub(used);
            note_dropped(field, &entry, &mut rewrite);
            if entry.range.len() <= room {
                rewrite.keep(&entry);
            } else if let Some(marked) = marked(field, &entry).filter(|marked| marked.len() <= room) {
                self.cuts.values += 1;
                put_bytes(rewrite.instead(&entry), entry.number, &marked);
            } else if is_attribute(field) {
                self.leave_out(&entry, &mut rewrite);
            } else {
                self.cuts.values += 1;
            }
        }
        rewrite.finish(message).unwrap_or_default()
    }
}

fn note_dropped(field: &Field, entry: &Entry<'_>, rewrite: &mut Rewrite<'_>) {
    if let ("droppedAttributesCount", Value::Varint(count)) = (field.json_name, entry.value) {
        rewrite.dropped.0 = count;
    }
}

fn is_attribute(field: &Field) -> bool {
    field.json_name == "attributes"
}

/// Records, and nothing else, have a time of their own and attributes.
fn is_record(message: &'static Message) -> bool {
    let has = |name| message.field_by_json_name(name).is_some();
    has("attributes") && (has("observedTimeUnixNano") || has("startTimeUnixNano"))
}

fn key_length(attribute: &Entry<'_>) -> usize {
    let Value::Bytes(bytes) = attribute.value else { return 0 };
    let key = entries(bytes).map_while(Result::ok).filter(|entry| entry.number == 1).last();
    key.and_then(|key| key.bytes().ok()).map_or(0, <[u8]>::len)
}

/// The content of a value's or an attribute's field with a mark for its value.
fn marked(field: &Field, entry: &Entry<'_>) -> Option<Vec<u8>> {
    let (FieldKind::Message(message), Value::Bytes(bytes)) = (field.kind, entry.value) else { return None };
    let mut value = Vec::new();
    put_bytes(&mut value, 1, text::mark(bytes.len()).as_bytes());
    if message.is(&ANY_VALUE) {
        return Some(value);
    }
    let mut attribute = Vec::new();
    for key in entries(bytes).map_while(Result::ok).filter(|entry| entry.number == 1) {
        put_bytes(&mut attribute, 1, key.bytes().ok()?);
    }
    put_bytes(&mut attribute, 2, &value);
    message.is(&KEY_VALUE).then_some(attribute)
}
