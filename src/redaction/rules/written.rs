//! A rule as YAML has it.

use serde::Deserialize;

use super::{
    Action, AllowSpec, Find, Glob, Mode, NearSpec, Origin, RegexSpec, RuleSpec, ScopeSpec, Severity, Validator,
};

/// A rule as written. Exactly one of `regex`, `terms` or `dictionary`, `names`, `places`, `builtin` says what it finds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenRule {
    pub id: String,
    pub description: String,
    pub severity: Option<Severity>,
    pub regex: Option<String>,
    pub secret_group: Option<usize>,
    pub keywords: Vec<String>,
    pub before: Option<usize>,
    pub window: Option<usize>,
    /// Keywords count only where a word starts.
    pub word_start: bool,
    /// Keywords count only between letters, digits, `_`, `+` or `-`.
    pub within_word: bool,
    pub near: Option<WrittenNear>,
    /// Least Shannon entropy of the value, bits a character.
    pub entropy: Option<f64>,
    pub validators: Vec<String>,
    /// A dictionary in place.
    pub terms: Option<Vec<String>>,
    /// A dictionary in a file of its own, a term a line: whoever reads the rule puts its terms to `terms`.
    pub dictionary: Option<String>,
    pub case_sensitive: bool,
    pub names: Option<Vec<String>>,
    pub places: Option<Vec<String>>,
    /// `named-tokens` (with `keywords`), `secret-names` or `secret-pairs`.
    pub builtin: Option<String>,
    pub allow: WrittenAllow,
    /// Places that the rule looks at.
    pub fields: Vec<String>,
    pub not_fields: Vec<String>,
    pub action: Option<Action>,
    pub mode: Option<Mode>,
}

/// The other half of a composite rule, as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenNear {
    pub regex: String,
    #[serde(default = "within")]
    pub within: usize,
}

fn within() -> usize {
    200
}

/// What is let through, as written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WrittenAllow {
    pub values: Vec<String>,
    pub stopwords: Vec<String>,
    pub lines: Vec<String>,
}

impl From<WrittenAllow> for AllowSpec {
    fn from(written: WrittenAllow) -> AllowSpec {
        AllowSpec { values: written.values, stopwords: written.stopwords, lines: written.lines }
    }
}

impl WrittenRule {
    /// What is meant.
    ///
    /// # Errors
    /// A message about keys that contradict each other or name nothing known.
    pub fn into_spec(self, origin: Origin) -> Result<RuleSpec, String> {
        let find = self.find()?;
        let mut validators = Vec::with_capacity(self.validators.len() + 1);
        for name in &self.validators {
            validators.push(Validator::parse(name).ok_or_else(|| {
                format!("unknown validator '{name}'; known are {}", super::validators::names().join(", "))
            })?);
        }
        validators.extend(self.entropy.map(|bits| Validator::Entropy((bits * 100.0) as u32)));
        let globs = |list: &[String]| list.iter().map(|glob| Glob::new(glob)).collect();
        Ok(RuleSpec {
            find,
            validators,
            scope: ScopeSpec { fields: globs(&self.fields), not_fields: globs(&self.not_fields) },
            id: self.id,
            description: self.description,
            severity: self.severity.unwrap_or_default(),
            allow: self.allow.into(),
            action: self.action,
            mode: self.mode,
            origin,
        })
    }

    fn find(&self) -> Result<Find, String> {
        let globs = |list: &[String]| list.iter().map(|glob| Glob::new(glob)).collect();
        let mut finds = Vec::new();
        if let Some(pattern) = &self.regex {
            finds.push(Find::Regex(RegexSpec {
                pattern: pattern.clone(),
                group: self.secret_group,
                keywords: self.keywords.clone(),
                before: self.before,
                window: self.window,
                word_start: self.word_start,
                within_word: self.within_word,
                near: self.near.as_ref().map(|n| NearSpec { pattern: n.regex.clone(), within: n.within }),
            }));
        }
        if let Some(terms) = &self.terms {
            finds.push(Find::Terms { terms: terms.clone(), case_sensitive: self.case_sensitive });
        }
        finds.extend(self.names.as_deref().map(|names| Find::Names(globs(names))));
        finds.extend(self.places.as_deref().map(|places| Find::Fields(globs(places))));
        match self.builtin.as_deref() {
            None => {}
            Some("named-tokens") => finds.push(Find::NamedTokens { names: self.keywords.clone() }),
            Some("secret-names") => finds.push(Find::SecretNames),
            Some("secret-pairs") => finds.push(Find::SecretPairs),
            Some(other) => {
                return Err(format!("unknown builtin '{other}'; known are named-tokens, secret-names, secret-pairs"));
            }
        }
        match (finds.pop(), finds.is_empty()) {
            (Some(find), true) => Ok(find),
            _ => Err("a rule has exactly one of regex, terms (or dictionary), names, places, builtin".to_owned()),
        }
    }
}
