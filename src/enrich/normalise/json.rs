//! Writing the `attributes` object piece by piece, without building a map.

use crate::model::otlp::view::{AnyValue, KeyValue, write_attributes_json};

/// Bytes that most objects fit into.
const USUAL: usize = 512;

/// An `attributes` object under construction: what no column took, then what the protocol says beside the attributes
/// (under the names that OpenTelemetry gives these things in other formats, `otel.*`).
pub struct AttributesJson {
    json: String,
}

impl AttributesJson {
    pub fn new(rest: &[KeyValue<'_>]) -> AttributesJson {
        let mut json = String::with_capacity(USUAL);
        write_attributes_json(rest, &mut json);
        json.pop();
        AttributesJson { json }
    }

    fn key(&mut self, name: &str) {
        if !self.json.ends_with('{') {
            self.json.push(',');
        }
        AnyValue::Str(name).write_json(&mut self.json);
        self.json.push(':');
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.value(name, AnyValue::Str(value));
        }
        self
    }

    pub fn number(&mut self, name: &str, value: i64) -> &mut Self {
        if value != 0 {
            self.value(name, AnyValue::Int(value));
        }
        self
    }

    pub fn value(&mut self, name: &str, value: AnyValue<'_>) -> &mut Self {
        self.key(name);
        value.write_json(&mut self.json);
        self
    }

    /// A member whose JSON is written by `write`.
    pub fn raw(&mut self, name: &str, write: impl FnOnce(&mut String)) -> &mut Self {
        self.key(name);
        write(&mut self.json);
        self
    }

    /// The object; `None` when it is empty.
    pub fn finish(mut self) -> Option<String> {
        if self.json == "{" {
            return None;
        }
        self.json.push('}');
        Some(self.json)
    }
}
