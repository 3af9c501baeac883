//! Rule files as written: every key optional, unknown ones refused.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

use super::super::rules::{Action, Mode, Severity, WrittenAllow, WrittenRule};
use crate::document::Text;

/// A whole file.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    /// Packs in force for every record: `name` or `name@version`.
    pub packs: Option<Vec<Text>>,
    pub key_id: Option<Text>,
    pub mode: Option<Mode>,
    pub allow: WrittenAllow,
    pub rules: Vec<Spanned<WrittenRule>>,
    /// Changes of packs' rules, by id.
    pub overrides: Pairs<Spanned<Override>>,
    pub disable: Vec<Text>,
    pub report: Vec<Text>,
    pub actions: Pairs<Action>,
    pub fields: Pairs<Action>,
    pub loosen_secrets: bool,
    pub policies: Vec<Spanned<Policy>>,
    pub tests: Vec<Spanned<Test>>,
}

/// A change of a pack's rule: what is given replaces, and what is allowed is allowed as well.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    pub severity: Option<Severity>,
    pub action: Option<Action>,
    pub mode: Option<Mode>,
    pub allow: WrittenAllow,
    pub fields: Option<Vec<String>>,
    pub not_fields: Option<Vec<String>>,
}

/// A policy.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    pub name: String,
    pub when: When,
    pub packs: Option<Vec<Text>>,
    pub add_packs: Vec<Text>,
    pub disable: Vec<String>,
    pub report: Vec<String>,
    pub mode: Option<Mode>,
    pub actions: Pairs<Action>,
    pub fields: Pairs<Action>,
    pub loosen_secrets: bool,
}

/// Which records a policy is for: one pattern or a list of them each.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    pub workspace: OneOrMore,
    pub user: OneOrMore,
    pub project: OneOrMore,
    pub agent: OneOrMore,
    pub tool: OneOrMore,
    pub mcp_server: OneOrMore,
    pub event: OneOrMore,
}

/// What a file says of its own rules: the rules that a text must hit, no more and no less.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub text: String,
    pub expect: Vec<String>,
    /// Where the text stands in its record, as in `tool_response.stdout`.
    #[serde(default)]
    pub place: String,
    #[serde(default)]
    pub record: Record,
}

/// The record that a test's text stands in.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    pub workspace: Option<String>,
    pub user: Option<String>,
    pub project: Option<String>,
    pub agent: Option<String>,
    pub tool: Option<String>,
    pub mcp_server: Option<String>,
    pub event: Option<String>,
}

/// A text, or a list of texts.
#[derive(Debug, Default)]
pub struct OneOrMore(pub Vec<String>);

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OneOrMore, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMore;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = list.next_element()? {
                    texts.push(text);
                }
                Ok(OneOrMore(texts))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}

/// A mapping whose order counts.
#[derive(Debug)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Pairs<T> {
        Pairs(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<T>, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}
