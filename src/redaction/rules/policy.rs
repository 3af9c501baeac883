//! Which rules apply to which records.

use serde::Serialize;

use super::AllowSpec;
use super::{Action, Glob, Mode, Pack, RuleSpec};

/// Everything that redaction is told: packs, own rules, what holds by default, and the policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PolicySetSpec {
    /// Packs that policies may name. The ids of all rules of all packs and of `rules` are unique.
    pub packs: Vec<Pack>,
    /// Own rules: always on, unless a policy disables them.
    pub rules: Vec<RuleSpec>,
    /// Values that no rule hides.
    pub allow: AllowSpec,
    /// What holds where no policy matches, and what policies start from.
    pub base: PolicySpec,
    /// The first whose `when` matches a record applies to it.
    pub policies: Vec<PolicySpec>,
    /// Names the key that pseudonyms are made with; it derives from the lake's key and this name, so a new name is a new
    /// key.
    pub key_id: String,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PolicySpec {
    /// For messages.
    pub name: String,
    pub when: When,
    /// Names of the packs in force; `None`: those of the base.
    pub packs: Option<Vec<String>>,
    /// Packs beside them.
    pub add_packs: Vec<String>,
    /// Rules that are off, by id.
    pub disable: Vec<Glob>,
    /// Rules that only count.
    pub report: Vec<Glob>,
    /// `Some(Mode::Report)`: all rules only count.
    pub mode: Option<Mode>,
    /// What becomes of the hits of rules, by id; the first that matches holds.
    pub actions: Vec<(Glob, Action)>,
    /// Places that are hidden as a whole.
    pub fields: Vec<(Glob, Action)>,
    /// The admin's explicit word: this policy may switch off rules of `secrets/...` packs, or only count their hits.
    pub loosen_secrets: bool,
}

/// What a record must be for a policy to apply: every list that is not empty must have a match.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct When {
    pub workspace: Vec<Glob>,
    /// E-mail or id.
    pub user: Vec<Glob>,
    /// The working directory, or its last part.
    pub project: Vec<Glob>,
    /// `claude-code`, `cowork`: OTLP's `service.name`, a hook's client.
    pub agent: Vec<Glob>,
    pub tool: Vec<Glob>,
    pub mcp_server: Vec<Glob>,
    /// Hook event or log event name.
    pub event: Vec<Glob>,
}

/// What is known of a record before it is redacted. Nothing of it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub workspace: String,
    /// E-mail and id, whichever are known.
    pub users: Vec<String>,
    pub project: Option<String>,
    pub agent: Option<String>,
    pub tool: Option<String>,
    pub mcp_server: Option<String>,
    pub event: Option<String>,
}

impl When {
    /// Whether it matches every record.
    pub fn is_always(&self) -> bool {
        *self == When::default()
    }

    pub fn matches(&self, subject: &Subject) -> bool {
        let one = |globs: &[Glob], value: Option<&str>| {
            globs.is_empty() || value.is_some_and(|value| globs.iter().any(|glob| glob.matches(value)))
        };
        let project = subject.project.as_deref();
        let folder = project.and_then(|path| path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next());
        one(&self.workspace, Some(&subject.workspace))
            && (self.user.is_empty() || subject.users.iter().any(|user| one(&self.user, Some(user))))
            && (one(&self.project, project) || one(&self.project, folder))
            && one(&self.agent, subject.agent.as_deref())
            && one(&self.tool, subject.tool.as_deref())
            && one(&self.mcp_server, subject.mcp_server.as_deref())
            && one(&self.event, subject.event.as_deref())
    }
}
