//! Packs: named, versioned lists of rules. The shipped ones lie in the binary, written as administrators write rules.

use serde::{Deserialize, Serialize};

use super::{Origin, RuleSpec, WrittenRule};

/// A pack of rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pack {
    /// `secrets/default`. What begins with `secrets/` can be loosened only by the admin's explicit word.
    pub name: String,
    /// `2026.11`.
    pub version: String,
    pub description: String,
    pub rules: Vec<RuleSpec>,
}

impl Pack {
    pub fn guards_secrets(&self) -> bool {
        self.name.starts_with("secrets/")
    }

    /// The first 16 hex digits of a hash over everything in the pack.
    pub fn hash(&self) -> String {
        super::super::spec_hash(self)
    }
}

/// Name and text of each shipped pack.
pub const BUILTIN_PACKS: &[(&str, &[&str])] = &[
    (
        "secrets/default",
        &[
            include_str!("../../../assets/redaction/secrets/keys.yaml"),
            include_str!("../../../assets/redaction/secrets/cloud.yaml"),
            include_str!("../../../assets/redaction/secrets/code.yaml"),
            include_str!("../../../assets/redaction/secrets/llm.yaml"),
            include_str!("../../../assets/redaction/secrets/chat.yaml"),
            include_str!("../../../assets/redaction/secrets/payment.yaml"),
            include_str!("../../../assets/redaction/secrets/work.yaml"),
            include_str!("../../../assets/redaction/secrets/commands.yaml"),
            include_str!("../../../assets/redaction/secrets/context.yaml"),
        ],
    ),
    ("pii/structured", &[include_str!("../../../assets/redaction/pii.yaml")]),
];

/// A shipped pack by name.
pub fn builtin_pack(name: &str) -> Option<Pack> {
    let (_, texts) = BUILTIN_PACKS.iter().find(|(known, _)| *known == name)?;
    let mut pack: Option<Pack> = None;
    for text in *texts {
        let part = read_pack(text, name).expect("the shipped packs are constants, and a test reads them");
        match &mut pack {
            Some(pack) => pack.rules.extend(part.rules),
            None => pack = Some(part),
        }
    }
    pack
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPack {
    pack: String,
    version: String,
    description: String,
    rules: Vec<serde_saphyr::Spanned<WrittenRule>>,
}

/// Why a pack's text is none.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("{0}")]
    Yaml(#[from] Box<serde_saphyr::Error>),
    #[error("line {line}: rule '{rule}': {message}")]
    Rule { rule: String, line: u64, message: String },
}

/// Reads a pack from YAML (`pack`, `version`, `description`, `rules`). `source` is told in messages.
///
/// # Errors
/// The text is no YAML, has unknown keys, or holds a rule that contradicts itself. Patterns are compiled later.
pub fn read_pack(text: &str, source: &str) -> Result<Pack, PackError> {
    let written: WrittenPack = serde_saphyr::from_str(text).map_err(Box::new)?;
    let mut rules = Vec::with_capacity(written.rules.len());
    for rule in written.rules {
        let line = rule.referenced.line();
        let id = rule.value.id.clone();
        let origin = Origin { source: source.to_owned(), line };
        let spec = rule.value.into_spec(origin).map_err(|message| PackError::Rule { rule: id, line, message })?;
        rules.push(spec);
    }
    Ok(Pack { name: written.pack, version: written.version, description: written.description, rules })
}
