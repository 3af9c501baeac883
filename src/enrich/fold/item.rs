//! The set of facts: one of each, in an order that they themselves give.

use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::columns::Text;
use crate::model::{Fact, FactId, Source};

/// A fact, with what its `attributes` say.
pub struct Item<'a> {
    pub fact: &'a Fact,
    /// The first time that any delivery of the fact was received.
    pub received_at: i64,
    notes: OnceCell<Map<String, Value>>,
}

impl Item<'_> {
    /// Event time. A fact without a clock has its first receive time.
    pub fn time(&self) -> i64 {
        if self.clocked() { self.fact.time } else { self.received_at }
    }

    /// Whether the source said when. A hook without a clock of its own was given its receive time.
    pub fn clocked(&self) -> bool {
        self.fact.source != Source::Hook || self.fact.time != self.fact.received_at
    }

    /// When what the fact speaks of began: the client logs requests and tool results when they are over.
    pub fn begin(&self) -> i64 {
        let over =
            matches!(self.fact.name.as_str(), "api_request" | "tool_result" | "subagent_completed" | "api_error");
        let duration = self.fact.columns.duration_ms.filter(|_| over && self.fact.source == Source::OtlpLog);
        self.time().saturating_sub(duration.unwrap_or(0).saturating_mul(1000))
    }

    pub fn end(&self) -> i64 {
        self.fact.end_time.unwrap_or(self.time()).max(self.time())
    }

    /// Everything that `attributes` holds.
    pub fn notes(&self) -> &Map<String, Value> {
        self.notes.get_or_init(|| {
            let text = self.fact.columns.attributes.as_deref().unwrap_or("{}");
            serde_json::from_str(text).unwrap_or_default()
        })
    }

    /// A text among the attributes.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.notes_if(name)?.get(name).and_then(|v| v.as_str()).filter(|v| !v.is_empty())
    }

    pub fn flag(&self, name: &str) -> bool {
        self.notes_if(name).and_then(|notes| notes.get(name)).and_then(Value::as_bool).unwrap_or(false)
    }

    /// An integer among the attributes; clients send some as text.
    pub fn number(&self, name: &str) -> Option<i64> {
        let value = self.notes_if(name)?.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
    }

    /// The uuid of the message or line that the fact speaks of.
    pub fn uuid(&self) -> Option<&str> {
        match self.fact.source {
            Source::Transcript => self.note("uuid"),
            _ => self.note("message.uuid"),
        }
    }

    /// A transcript line that a fork copied from another session's file.
    pub fn inherited(&self) -> bool {
        self.fact.source == Source::Transcript && (self.note("sessionId").is_some() || self.has("forkedFrom"))
    }

    pub fn has(&self, name: &str) -> bool {
        self.notes_if(name).is_some_and(|notes| notes.contains_key(name))
    }

    /// The attributes, unless their text shows that the name is not among them: most facts lack most notes.
    pub fn notes_if(&self, name: &str) -> Option<&Map<String, Value>> {
        self.fact.columns.attributes.as_deref().filter(|json| json.contains(name)).map(|_| self.notes())
    }

    /// What sets items in order: their own time, their own counter, and where these say nothing their identity.
    pub fn order(&self) -> (i64, i64, FactId) {
        (self.time(), self.fact.sequence.unwrap_or(0), self.fact.fact_id)
    }
}

/// One item per fact id, in order of time.
pub fn items(facts: &[Fact]) -> Vec<Item<'_>> {
    let mut set: BTreeMap<FactId, Item<'_>> = BTreeMap::new();
    for fact in facts {
        let item = Item { fact, received_at: fact.received_at, notes: OnceCell::new() };
        match set.entry(fact.fact_id) {
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(item);
            }
            std::collections::btree_map::Entry::Occupied(mut slot) => {
                let received_at = slot.get().received_at.min(fact.received_at);
                if fact != slot.get().fact && preference(fact) > preference(slot.get().fact) {
                    slot.insert(item);
                }
                slot.get_mut().received_at = received_at;
            }
        }
    }
    let mut items: Vec<Item<'_>> = set.into_values().collect();
    items.sort_by_key(Item::order);
    items
}

/// Which of two deliveries that claim to be the same fact is believed: never the order of arrival decides.
fn preference(fact: &Fact) -> (usize, String, Reverse<i64>) {
    let texts: usize = Text::ALL.iter().filter_map(|c| c.get(&fact.columns).as_ref()).map(String::len).sum();
    let clocked = fact.source != Source::Hook || fact.time != fact.received_at;
    let time = if clocked { fact.time } else { 0 };
    let said = format!("{:?}", (fact.kind, &fact.name, fact.sequence, time, fact.end_time, &fact.columns));
    (texts, said, Reverse(fact.received_at))
}
