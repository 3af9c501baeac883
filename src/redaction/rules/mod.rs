//! Rules, packs and policies as data: what an administrator's files and the shipped packs are read into, before anything
//! is compiled (`compile`).
//!
//! A [`RuleSpec`] finds something; a [`Pack`] is a named, versioned list of rules; a [`PolicySpec`] says which rules apply
//! to which records and what becomes of a hit; a [`PolicySetSpec`] is all of that together.

mod action;
mod gitleaks;
mod globs;
mod pack;
mod policy;
pub mod validators;
mod written;

use serde::Serialize;

pub use action::{Action, MaskSpec, Mode};
pub use gitleaks::{GitleaksError, read_gitleaks};
pub use globs::Glob;
pub use pack::{BUILTIN_PACKS, Pack, builtin_pack, read_pack};
pub use policy::{PolicySetSpec, PolicySpec, Subject, When};
pub use validators::Validator;
pub use written::{WrittenAllow, WrittenNear, WrittenRule};

/// How bad it is when the thing leaks. Of overlapping hits of one length the severer rule names the mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    #[default]
    High,
    Critical,
}

/// Where a rule was written: a pack's name or a file's, for messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// `secrets/default`, or a file's path as the user gave it.
    pub source: String,
    /// Line of the rule in that file, from 1; 0 when unknown.
    pub line: u64,
}

/// A rule as data. Ids are 1 to 64 of `a-z`, `0-9`, `-` and appear in `[REDACTED:id:...]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleSpec {
    pub id: String,
    /// One line for people.
    pub description: String,
    pub severity: Severity,
    pub find: Find,
    /// All must pass.
    pub validators: Vec<Validator>,
    pub allow: AllowSpec,
    /// `None`: what the policy says, else the pack's default, [`Action::Tag`].
    pub action: Option<Action>,
    /// `Some(Mode::Report)`: hits are counted and nothing is changed.
    pub mode: Option<Mode>,
    pub scope: ScopeSpec,
    #[serde(skip)]
    pub origin: Origin,
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Find {
    Regex(RegexSpec),
    /// A dictionary.
    Terms {
        terms: Vec<String>,
        case_sensitive: bool,
    },
    /// Built in: a jumbled token in or after one of these names (`tokens`).
    NamedTokens {
        names: Vec<String>,
    },
    /// The value under or beside a name: `employee_pin`, `x-acme-*`. Names are compared without case, `-`, `_`, `.`.
    Names(Vec<Glob>),
    /// Everything at a place: `tool_response`, `tool_input.headers.*`.
    Fields(Vec<Glob>),
    /// Built in: the value under a key that names a secret (`names`).
    SecretNames,
    /// Built in: the value beside a word that names a secret, in running text (`pairs`).
    SecretPairs,
}

/// A regular expression and how to come by its matches cheaply.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RegexSpec {
    /// Over bytes, ASCII classes, Rust's syntax. The group named `secret`, if any, is what gets hidden.
    pub pattern: String,
    /// Another group to hide instead.
    pub group: Option<usize>,
    /// Literals one of which stands in or near every match, compared without case. Empty: derived from the pattern
    /// where it begins with literals, else the whole text is searched.
    pub keywords: Vec<String>,
    /// The most bytes that a match starts before its keyword. `None`: found out, 128 where it cannot be.
    pub before: Option<usize>,
    /// Bytes after the keyword in which a match is looked for first; one that touches the end is looked for further on.
    pub window: Option<usize>,
    /// Keywords count only where a word starts.
    pub word_start: bool,
    /// Keywords count only between letters, digits, `_`, `+` or `-`.
    pub within_word: bool,
    /// A second thing that must stand near for the match to count.
    pub near: Option<NearSpec>,
}

/// The other half of a composite rule: an id beside a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NearSpec {
    pub pattern: String,
    /// Bytes on either side of the match.
    pub within: usize,
}

/// What is let through although the rule matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AllowSpec {
    /// Regular expressions over the value, not anchored.
    pub values: Vec<String>,
    /// Words that make a value harmless wherever they stand in it, compared without case.
    pub stopwords: Vec<String>,
    /// Regular expressions over the value's line.
    pub lines: Vec<String>,
}

impl AllowSpec {
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.stopwords.is_empty() && self.lines.is_empty()
    }
}

/// The places that a rule looks at. A place is the keys from the record's top joined by dots: `tool_input.command` of a
/// hook's data, an attribute's key, `body`, `resource.host.name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ScopeSpec {
    /// Empty: everywhere.
    pub fields: Vec<Glob>,
    pub not_fields: Vec<Glob>,
}

impl ScopeSpec {
    pub fn is_everywhere(&self) -> bool {
        self.fields.is_empty() && self.not_fields.is_empty()
    }

    /// Whether the rule looks at `place`.
    pub fn covers(&self, place: &str) -> bool {
        let included = self.fields.is_empty() || self.fields.iter().any(|glob| glob.covers(place));
        included && !self.not_fields.iter().any(|glob| glob.covers(place))
    }
}
