//! Builds nested protobuf messages in one buffer, and knows where in the JSON it is.

use std::fmt::Write;
use std::ops::Range;

use crate::model::otlp::schema::{Field, FieldKind, Message, Presence};
use crate::model::otlp::wire::put_varint;

/// The most fields that an OTLP message has (`Span`).
pub(super) const MAX_FIELDS: usize = 16;

/// One step of a path: `.name` or `[index]`.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Field(&'static Field),
    Index(usize),
}

/// The buffer, the path, and what went wrong there.
pub(super) struct Encoder {
    pub(super) out: Vec<u8>,
    /// Steps are taken back only after success, so that after an error the path names its place.
    pub(super) path: Vec<Step>,
    /// How many `AnyValue`s the reader is inside of.
    pub(super) values: usize,
    /// What is wrong with the value at `path`, without its content.
    pub(super) fault: Option<&'static str>,
}

impl Encoder {
    pub(super) fn with_capacity(bytes: usize) -> Encoder {
        Encoder { out: Vec::with_capacity(bytes), path: Vec::new(), values: 0, fault: None }
    }

    /// Notes what is wrong and gives serde an error to carry out.
    pub(super) fn fail<T, E: serde::de::Error>(&mut self, fault: &'static str) -> Result<T, E> {
        self.fault = Some(fault);
        Err(E::custom(fault))
    }

    /// Like `resourceLogs[0].scopeLogs[0]`; `request` at the top.
    pub(super) fn path(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(field) if text.is_empty() => text.push_str(field.json_name),
                Step::Field(field) => text.extend([".", field.json_name]),
                Step::Index(at) => write!(text, "[{at}]").expect("writing to a string does not fail"),
            }
        }
        if text.is_empty() { "request".to_owned() } else { text }
    }

    /// What the value at the path should have been.
    pub(super) fn expected(&self) -> &'static str {
        match self.path.as_slice() {
            [.., Step::Field(field)] if field.presence == Presence::Repeated => "list",
            [.., Step::Field(field)] | [.., Step::Field(field), Step::Index(_)] => expected(field.kind),
            _ => "object",
        }
    }

    /// Starts a length-delimited field; its content is what is written until [`Encoder::close`].
    pub(super) fn open(&mut self, field: &Field) -> usize {
        put_varint(&mut self.out, u64::from(field.number) << 3 | 2);
        self.out.push(0);
        self.out.len()
    }

    /// Ends the field whose content starts at `start`: most lengths fit in the byte kept free for them, others move
    /// the content.
    pub(super) fn close(&mut self, start: usize) {
        let length = self.out.len() - start;
        if length < 0x80 {
            self.out[start - 1] = length as u8;
            return;
        }
        let mut prefix = Vec::with_capacity(10);
        put_varint(&mut prefix, length as u64);
        self.out.splice(start - 1..start, prefix);
    }

    /// Puts the fields written since `start` in the order of their numbers and drops those that were replaced.
    pub(super) fn arrange(&mut self, start: usize, slots: &Slots) {
        let mut end = start;
        let in_order = slots.0.iter().flatten().all(|slot| std::mem::replace(&mut end, slot.end) == slot.start);
        if in_order && end == self.out.len() {
            return;
        }
        let mut arranged = Vec::with_capacity(self.out.len() - start);
        for slot in slots.0.iter().flatten() {
            arranged.extend_from_slice(&self.out[slot.clone()]);
        }
        self.out.truncate(start);
        self.out.append(&mut arranged);
    }
}

fn expected(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Str => "string",
        FieldKind::Bytes => "base64 string",
        FieldKind::Id(_) => "hex string",
        FieldKind::Bool => "true or false",
        FieldKind::Double => "number",
        FieldKind::Message(_) => "object",
        _ => "integer",
    }
}

/// Where each field of one message lies in the buffer, by its place in the message's table.
#[derive(Default)]
pub(super) struct Slots([Option<Range<usize>>; MAX_FIELDS]);

impl Slots {
    /// Sets a field; empty bytes unset it. A later occurrence replaces an earlier one.
    pub(super) fn set(&mut self, at: usize, bytes: Range<usize>) {
        if let Some(slot) = self.0.get_mut(at) {
            *slot = Some(bytes).filter(|bytes| !bytes.is_empty());
        }
    }

    /// How many members of the message's oneof are set.
    pub(super) fn oneof_members(&self, message: &'static Message) -> usize {
        let member = |number: u32| message.fields.iter().position(|field| field.number == number);
        let set = |at: usize| self.0.get(at).is_some_and(Option::is_some);
        message.oneof().iter().filter_map(|number| member(*number)).filter(|at| set(*at)).count()
    }
}
