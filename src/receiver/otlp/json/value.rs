//! Reads JSON values by the message table and writes them as protobuf.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::encoder::{Encoder, Slots, Step};
use super::scalar;
use crate::model::otlp::check::MAX_DEPTH;
use crate::model::otlp::schema::{ANY_VALUE, Field, FieldKind, Message, Presence};
use crate::model::otlp::wire::put_varint;

/// The request itself: an object, written without tag and length.
pub(super) struct Root<'e> {
    pub(super) encoder: &'e mut Encoder,
    pub(super) message: &'static Message,
}

impl<'de> DeserializeSeed<'de> for Root<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        members(self.encoder, self.message, map)
    }
}

/// Writes a message's fields.
fn members<'de, A: MapAccess<'de>>(
    encoder: &mut Encoder,
    message: &'static Message,
    mut map: A,
) -> Result<(), A::Error> {
    let start = encoder.out.len();
    let mut slots = Slots::default();
    encoder.values += usize::from(message.is(&ANY_VALUE));
    if encoder.values > MAX_DEPTH {
        return encoder.fail("nests values deeper than 64");
    }
    while let Some(known) = map.next_key_seed(Name(message))? {
        let Some((at, field)) = known else {
            map.next_value::<IgnoredAny>()?;
            continue;
        };
        let from = encoder.out.len();
        encoder.path.push(Step::Field(field));
        map.next_value_seed(Value { encoder, field, place: Place::of(field) })?;
        encoder.path.pop();
        slots.set(at, from..encoder.out.len());
    }
    if slots.oneof_members(message) > 1 {
        return encoder.fail("sets more than one of the members that exclude each other");
    }
    encoder.arrange(start, &slots);
    encoder.values -= usize::from(message.is(&ANY_VALUE));
    Ok(())
}

/// Finds a member's field, and its place in the message's table; none when it is unknown.
struct Name(&'static Message);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<(usize, &'static Field)>;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<(usize, &'static Field)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.fields.iter().enumerate().find(|(_, field)| field.json_name == name))
    }
}

/// Where a value stands, which decides how it is written and what null means.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// The one value of a field.
    Single,
    /// All values of a repeated field.
    List,
    /// One value of a repeated field, written with its tag.
    Item,
    /// One number of a packed list, written without a tag.
    Packed,
}

impl Place {
    fn of(field: &Field) -> Place {
        if field.presence == Presence::Repeated { Place::List } else { Place::Single }
    }
}

/// Reads one JSON value as a field's, or as an item of the field's list.
struct Value<'e> {
    encoder: &'e mut Encoder,
    field: &'static Field,
    place: Place,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.encoder.expected())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        match (self.place, self.field.kind) {
            (Place::Single | Place::List, _) => Ok(()),
            (Place::Item, FieldKind::Message(_)) => {
                self.encoder.open(self.field);
                Ok(())
            }
            _ => self.encoder.fail("is null in a list"),
        }
    }

    fn visit_bool<E: Error>(mut self, value: bool) -> Result<(), E> {
        if self.place == Place::List || !matches!(self.field.kind, FieldKind::Bool) {
            return self.mismatch();
        }
        self.put_number(u64::from(value));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.number(|| Ok(i128::from(value)), value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.number(|| Ok(i128::from(value)), value as f64)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.number(|| scalar::whole(value), value)
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        if self.place == Place::List {
            return self.mismatch();
        }
        match self.write_text(text) {
            Ok(()) => Ok(()),
            Err(fault) => self.encoder.fail(fault),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.place != Place::List {
            return self.mismatch();
        }
        let Value { encoder, field, .. } = self;
        let packed = field.kind.wire_type() != 2;
        let place = if packed { Place::Packed } else { Place::Item };
        let from = encoder.out.len();
        let start = if packed { encoder.open(field) } else { from };
        encoder.path.push(Step::Index(0));
        while list.next_element_seed(Value { encoder, field, place })?.is_some() {
            if let Some(Step::Index(at)) = encoder.path.last_mut() {
                *at += 1;
            }
        }
        encoder.path.pop();
        match encoder.out.len() == start {
            true => encoder.out.truncate(from),
            false if packed => encoder.close(start),
            false => {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let FieldKind::Message(message) = self.field.kind else { return self.mismatch() };
        if self.place == Place::List {
            return self.mismatch();
        }
        let start = self.encoder.open(self.field);
        members(self.encoder, message, map)?;
        self.encoder.close(start);
        Ok(())
    }
}

impl Value<'_> {
    /// The value has another JSON type than the field; the message is made from the path.
    fn mismatch<T, E: Error>(&self) -> Result<T, E> {
        Err(E::custom(self.encoder.expected()))
    }

    fn number<E: Error>(mut self, integer: impl Fn() -> Result<i128, &'static str>, double: f64) -> Result<(), E> {
        if self.place == Place::List {
            return self.mismatch();
        }
        let bits = match self.field.kind {
            FieldKind::Str | FieldKind::Bytes | FieldKind::Id(_) | FieldKind::Bool | FieldKind::Message(_) => {
                return self.mismatch();
            }
            FieldKind::Double => Ok(double.to_bits()),
            kind => integer().and_then(|value| scalar::integer(kind, value)),
        };
        match bits {
            Ok(bits) => {
                self.put_number(bits);
                Ok(())
            }
            Err(fault) => self.encoder.fail(fault),
        }
    }

    fn write_text(&mut self, text: &str) -> Result<(), &'static str> {
        match self.field.kind {
            FieldKind::Str => self.put_content(|out| {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }),
            FieldKind::Bytes => self.put_content(|out| scalar::base64(text, out)),
            FieldKind::Id(length) => self.put_content(|out| {
                scalar::id(length, text, out);
                Ok(())
            }),
            FieldKind::Double => scalar::double_text(text).map(|value| self.put_number(value.to_bits())),
            FieldKind::Bool => Err("is no true or false"),
            FieldKind::Message(_) => Err("is no object"),
            kind => {
                let value = scalar::integer_text(kind, text)?;
                scalar::integer(kind, value).map(|bits| self.put_number(bits))
            }
        }
    }

    /// Whether an empty or zero value is left out, as proto3 does.
    fn skips_default(&self) -> bool {
        self.place == Place::Single && self.field.presence == Presence::Implicit
    }

    fn put_content(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let from = self.encoder.out.len();
        let start = self.encoder.open(self.field);
        write(&mut self.encoder.out)?;
        if self.encoder.out.len() == start && self.skips_default() {
            self.encoder.out.truncate(from);
        } else {
            self.encoder.close(start);
        }
        Ok(())
    }

    fn put_number(&mut self, bits: u64) {
        if bits == 0 && self.skips_default() {
            return;
        }
        let (out, wire_type) = (&mut self.encoder.out, self.field.kind.wire_type());
        if self.place != Place::Packed {
            put_varint(out, u64::from(self.field.number) << 3 | u64::from(wire_type));
        }
        match wire_type {
            1 => out.extend_from_slice(&bits.to_le_bytes()),
            5 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
            _ => put_varint(out, bits),
        }
    }
}
