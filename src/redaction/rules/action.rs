//! What becomes of a hit.

use std::fmt;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// Whether hits change anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Enforce,
    /// Hits are counted, the text stays.
    Report,
}

/// What stands in a hit's place. An unkeyed hash is not offered: whoever can guess the value could confirm the guess.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `[REDACTED:rule-id:3f9a1c]`, the end a keyed fingerprint.
    #[default]
    Tag,
    /// `********1234`.
    Mask(MaskSpec),
    /// `[PSEUDONYM:label:key-id:24 hex digits]`: one value, one pseudonym, in all sessions, as long as the key id stays.
    Pseudonym {
        /// `None`: the rule's id.
        label: Option<String>,
    },
    /// The whole string (attribute value, JSON member) is replaced by the tag.
    DropField,
    /// The whole record is left out.
    DropEvent,
}

impl Action {
    /// The name in files and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Action::Tag => "tag",
            Action::Mask(_) => "mask",
            Action::Pseudonym { .. } => "pseudonym",
            Action::DropField => "drop_field",
            Action::DropEvent => "drop_event",
        }
    }
}

/// What a mask lets through; together never more than 4 characters nor a quarter of the value, whatever is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaskSpec {
    pub keep_first: usize,
    pub keep_last: usize,
}

const ACTIONS: &[&str] = &["tag", "mask", "pseudonym", "drop_field", "drop_event"];

/// `tag`, `mask`, `pseudonym`, `drop_field`, `drop_event`, `{mask: {keep_last: 4}}`, `{pseudonym: {label: CUST}}`.
impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
        deserializer.deserialize_any(ActionVisitor)
    }
}

struct ActionVisitor;

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenPseudonym {
    label: Option<String>,
}

impl<'de> Visitor<'de> for ActionVisitor {
    type Value = Action;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}, {{mask: {{keep_last: 4}}}}, {{pseudonym: {{label: NAME}}}}", ACTIONS.join(", "))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Action, E> {
        Ok(match name {
            "tag" => Action::Tag,
            "mask" => Action::Mask(MaskSpec::default()),
            "pseudonym" => Action::Pseudonym { label: None },
            "drop_field" => Action::DropField,
            "drop_event" => Action::DropEvent,
            other => return Err(E::unknown_variant(other, ACTIONS)),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Action, A::Error> {
        let Some(name) = map.next_key::<String>()? else { return Err(de::Error::invalid_length(0, &self)) };
        let action = match name.as_str() {
            "mask" => Action::Mask(map.next_value()?),
            "pseudonym" => Action::Pseudonym { label: map.next_value::<WrittenPseudonym>()?.label },
            other => return Err(de::Error::unknown_variant(other, &["mask", "pseudonym"])),
        };
        match map.next_key::<String>()? {
            Some(_) => Err(de::Error::custom("an action is one word or one key")),
            None => Ok(action),
        }
    }
}
