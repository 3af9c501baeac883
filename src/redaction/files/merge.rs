//! From written to meant: one file after the other laid into one set of policies.

use std::path::PathBuf;

use super::super::rules::{
    AllowSpec, Glob, Mode, Origin, Pack, PolicySetSpec, PolicySpec, RuleSpec, ScopeSpec, When, WrittenRule,
    builtin_pack, read_gitleaks,
};
use super::check::Check;
use super::places::{Lines, of_key};
use super::written::{File, OneOrMore, Override, Policy};
use super::{DEFAULT_PACK, Read, written};
use crate::document::{self, Place, Problem, Source, Text, place};

/// What was merged so far.
pub struct Merge<'r> {
    read: Read<'r>,
    pub spec: PolicySetSpec,
    pub checks: Vec<Check>,
    pub policies: Vec<(String, usize, Place)>,
    pub named: Vec<PathBuf>,
    pub problems: Vec<Problem>,
    /// Some file says that secrets may be loosened.
    loosened: bool,
    /// Some file names packs.
    packs_written: bool,
    /// What files say of rules, to be judged when all rules are known: file, place, rules, key, whether it may loosen.
    claims: Vec<Claim>,
    overrides: Vec<(usize, String, Place, Override, bool)>,
}

/// A file's word that a rule is off or only counts.
struct Claim {
    source: usize,
    place: Place,
    rules: Glob,
    may_loosen: bool,
}

impl<'r> Merge<'r> {
    pub fn new(read: Read<'r>) -> Merge<'r> {
        Merge {
            read,
            spec: PolicySetSpec::default(),
            checks: Vec::new(),
            policies: Vec::new(),
            named: Vec::new(),
            problems: Vec::new(),
            loosened: false,
            packs_written: false,
            claims: Vec::new(),
            overrides: Vec::new(),
        }
    }

    /// Lays one file over what is there.
    pub fn file(&mut self, position: usize, source: &Source) {
        if source.name.ends_with(".toml") {
            return self.gitleaks(source);
        }
        let file: File = match document::parse(source) {
            Ok(file) => file,
            Err(problem) => return self.problems.push(problem),
        };
        self.loosened |= file.loosen_secrets;
        self.base(position, source, &file);
        for rule in file.rules {
            let at = Place { line: rule.referenced.line(), column: rule.referenced.column() };
            self.rule(source, at, rule.value);
        }
        for (id, change) in file.overrides.0 {
            let at = Place { line: change.referenced.line(), column: change.referenced.column() };
            self.overrides.push((position, id, at, change.value, file.loosen_secrets));
        }
        for policy in file.policies {
            let at = Place { line: policy.referenced.line(), column: policy.referenced.column() };
            self.policy(position, source, at, policy.value);
        }
        self.checks.extend(file.tests.into_iter().map(|test| {
            let place = Place { line: test.referenced.line(), column: test.referenced.column() };
            Check { source: position, place, test: test.value }
        }));
    }

    fn base(&mut self, position: usize, source: &Source, file: &File) {
        self.packs_written |= file.packs.is_some();
        for text in file.packs.iter().flatten() {
            let name = self.pack(source, text);
            self.in_force(name);
        }
        if let Some(key_id) = &file.key_id {
            self.spec.key_id = key_id.value.clone();
        }
        if let Some(mode) = file.mode {
            self.spec.base.mode = Some(mode);
            if mode == Mode::Report && !file.loosen_secrets {
                self.loosens(source, key_place(source, "mode"), "counts secrets without hiding them");
            }
        }
        self.allow(source, &file.allow.values);
        extend(&mut self.spec.allow, file.allow.clone().into());
        for (texts, list) in [(&file.disable, &mut self.spec.base.disable), (&file.report, &mut self.spec.base.report)]
        {
            for text in texts {
                let (rules, place) = (Glob::new(&text.value), place(text));
                self.claims.push(Claim {
                    source: position,
                    place,
                    rules: rules.clone(),
                    may_loosen: file.loosen_secrets,
                });
                list.push(rules);
            }
        }
        self.spec.base.actions.extend(file.actions.0.iter().map(|(id, action)| (Glob::new(id), action.clone())));
        self.spec.base.fields.extend(file.fields.0.iter().map(|(at, action)| (Glob::new(at), action.clone())));
    }

    /// A file of gitleaks' rules: a pack, in force beside those that are named.
    fn gitleaks(&mut self, source: &Source) {
        let stem = std::path::Path::new(&source.name).file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("gitleaks/{stem}");
        match read_gitleaks(&source.text, &name, &source.name) {
            Ok(pack) => {
                self.spec.packs.push(pack);
                self.spec.base.add_packs.push(name);
            }
            Err(error) => {
                let help = "rule files that end in .toml are gitleaks' (version 8); our own are YAML".to_owned();
                let at = error.offset().map_or(Place { line: 1, column: 1 }, |offset| place_of(&source.text, offset));
                self.problems.push(Problem::new(error.to_string(), Some(help)).at(source, at));
            }
        }
    }

    fn in_force(&mut self, name: Option<String>) {
        let packs = self.spec.base.packs.get_or_insert_default();
        packs.extend(name.filter(|name| !packs.contains(name)));
    }

    /// Makes a pack known; `None`: it is none.
    fn pack(&mut self, source: &Source, text: &Text) -> Option<String> {
        let (name, version) = match text.value.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text.value.as_str(), None),
        };
        if !self.spec.packs.iter().any(|pack| pack.name == name) {
            match builtin_pack(name) {
                Some(pack) => self.spec.packs.push(pack),
                None => {
                    self.problems.push(no_pack(name).at(source, place(text)));
                    return None;
                }
            }
        }
        let pack = self.spec.packs.iter().find(|pack| pack.name == name)?;
        if let Some(version) = version.filter(|version| !of_version(pack, version)) {
            let message = format!("pack {name} has version {}, not {version}", pack.version);
            let help = "another version is in another release of sessionlake: read its changes, then write its version";
            self.problems.push(Problem::new(message, Some(help.to_owned())).at(source, place(text)));
        }
        Some(name.to_owned())
    }

    /// The text of a file that stands beside the rule file, or at an absolute path.
    fn beside(&mut self, source: &Source, name: &str, at: Place) -> Option<String> {
        let path = source.directory().join(name);
        self.named.push(path.clone());
        match (self.read)(&path) {
            Ok(text) => Some(text),
            Err(error) => {
                let message = format!("cannot read {}: {error}", path.display());
                let help = "give a path relative to this file, or an absolute one".to_owned();
                self.problems.push(Problem::new(message, Some(help)).at(source, at));
                None
            }
        }
    }

    fn rule(&mut self, source: &Source, at: Place, mut rule: WrittenRule) {
        let lines = Lines { from: at.line, until: u64::MAX };
        if let Some(name) = rule.dictionary.take() {
            let place = of_key(source, lines, "dictionary", None).unwrap_or(at);
            let Some(text) = self.beside(source, &name, place) else { return };
            let terms = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            rule.terms.get_or_insert_default().extend(terms.map(str::to_owned));
        }
        self.allow(source, &rule.allow.values);
        let id = rule.id.clone();
        let origin = Origin { source: source.name.clone(), line: at.line };
        match rule.into_spec(origin) {
            Ok(spec) => self.spec.rules.push(spec),
            Err(message) => {
                let message = format!("rule '{id}': {message}");
                self.problems.push(Problem::new(message, None).at(source, at));
            }
        }
    }

    fn policy(&mut self, position: usize, source: &Source, at: Place, written: Policy) {
        let number = self.policies.len() + 1;
        let name = if written.name.is_empty() { format!("policy {number}") } else { written.name };
        let mut packs = |texts: &[Text]| texts.iter().filter_map(|text| self.pack(source, text)).collect::<Vec<_>>();
        let add_packs = packs(&written.add_packs);
        let packs = written.packs.as_deref().map(packs);
        let globs = |list: Vec<String>| list.iter().map(|glob| Glob::new(glob)).collect();
        self.spec.policies.push(PolicySpec {
            name: name.clone(),
            when: when(written.when),
            packs,
            add_packs,
            disable: globs(written.disable),
            report: globs(written.report),
            mode: written.mode,
            actions: written.actions.0.into_iter().map(|(id, action)| (Glob::new(&id), action)).collect(),
            fields: written.fields.0.into_iter().map(|(at, action)| (Glob::new(&at), action)).collect(),
            loosen_secrets: written.loosen_secrets,
        });
        self.policies.push((name, position, at));
    }

    /// A pattern that matches the empty text lets every value through.
    fn allow(&mut self, source: &Source, patterns: &[String]) {
        for pattern in patterns {
            if regex::bytes::Regex::new(pattern).is_ok_and(|regex| regex.is_match(b"")) {
                let message = format!("the allowed values '{pattern}' are all values");
                let help = "write what the allowed values have in common; ^ and $ stand for their ends".to_owned();
                let at = key_place(source, "allow");
                self.problems.push(Problem::new(message, Some(help)).at(source, at));
            }
        }
    }

    fn loosens(&mut self, source: &Source, at: Place, how: &str) {
        let help = "write 'loosen_secrets: true' at the top of this file if it is meant".to_owned();
        self.problems.push(Problem::new(format!("this {how}"), Some(help)).at(source, at));
    }

    /// What can be judged only when all files are read.
    pub fn finish(mut self, sources: &[Source]) -> Merge<'r> {
        if !self.packs_written {
            self.in_force(Some(DEFAULT_PACK.to_owned()));
        }
        if !self.spec.packs.iter().any(|pack| pack.name == DEFAULT_PACK) {
            self.spec.packs.extend(builtin_pack(DEFAULT_PACK));
        }
        let without = !self.spec.base.packs.iter().flatten().any(|pack| pack == DEFAULT_PACK);
        if let (true, false, Some(source)) = (without, self.loosened, sources.first()) {
            let source = sources.iter().find(|s| s.text.lines().any(|l| l.starts_with("packs:"))).unwrap_or(source);
            let at = key_place(source, "packs");
            self.loosens(source, at, &format!("leaves the pack {DEFAULT_PACK} out"));
        }
        for claim in std::mem::take(&mut self.claims).into_iter().filter(|claim| !claim.may_loosen) {
            if let Some(rule) = self.secret_rule(&claim.rules) {
                self.loosens(&sources[claim.source], claim.place, &format!("loosens the secrets rule '{rule}'"));
            }
        }
        for (source, id, at, change, may_loosen) in std::mem::take(&mut self.overrides) {
            self.change(&sources[source], &id, at, change, may_loosen);
        }
        self
    }

    fn secret_rule(&self, glob: &Glob) -> Option<String> {
        let secrets = self.spec.packs.iter().filter(|pack| pack.guards_secrets());
        secrets.flat_map(|pack| &pack.rules).find(|rule| glob.matches(&rule.id)).map(|rule| rule.id.clone())
    }

    fn change(&mut self, source: &Source, id: &str, at: Place, change: Override, may_loosen: bool) {
        let packs = self.spec.packs.iter_mut();
        let mut rules = packs.flat_map(|pack| {
            let secret = pack.guards_secrets();
            pack.rules.iter_mut().map(move |rule| (rule, secret))
        });
        let Some((rule, secret)) = rules.find(|(rule, _)| rule.id == id) else {
            let help = "'sessionlake redact rules' lists the rules; a rule of your own is changed where it stands";
            let problem = Problem::new(format!("no pack in use has a rule '{id}'"), Some(help.to_owned()));
            return self.problems.push(problem.at(source, at));
        };
        let values = change.allow.values.clone();
        let loosens = apply(rule, change);
        if loosens && secret && !may_loosen {
            self.loosens(source, at, &format!("loosens the secrets rule '{id}'"));
        }
        self.allow(source, &values);
    }
}

/// Where the value of a key begins, else the file.
fn key_place(source: &Source, key: &str) -> Place {
    of_key(source, Lines::all(), key, None).unwrap_or(Place { line: 1, column: 1 })
}

fn place_of(text: &str, offset: usize) -> Place {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place { line: before.matches('\n').count() as u64 + 1, column: line.chars().count() as u64 + 1 }
}

/// Changes a rule; says whether it may hide less afterwards.
fn apply(rule: &mut RuleSpec, change: Override) -> bool {
    let globs = |list: Vec<String>| list.iter().map(|glob| Glob::new(glob)).collect();
    let allow: AllowSpec = change.allow.into();
    let loosens = change.mode == Some(Mode::Report)
        || !allow.is_empty()
        || change.fields.as_ref().is_some_and(|fields| !fields.is_empty())
        || change.not_fields.as_ref().is_some_and(|fields| !fields.is_empty());
    extend(&mut rule.allow, allow);
    rule.severity = change.severity.unwrap_or(rule.severity);
    rule.action = change.action.or(rule.action.take());
    rule.mode = change.mode.or(rule.mode);
    rule.scope = ScopeSpec {
        fields: change.fields.map_or_else(|| std::mem::take(&mut rule.scope.fields), globs),
        not_fields: change.not_fields.map_or_else(|| std::mem::take(&mut rule.scope.not_fields), globs),
    };
    loosens
}

fn extend(allow: &mut AllowSpec, more: AllowSpec) {
    allow.values.extend(more.values);
    allow.stopwords.extend(more.stopwords);
    allow.lines.extend(more.lines);
}

fn when(written: written::When) -> When {
    let globs = |list: OneOrMore| list.0.iter().map(|glob| Glob::new(glob)).collect();
    When {
        workspace: globs(written.workspace),
        user: globs(written.user),
        project: globs(written.project),
        agent: globs(written.agent),
        tool: globs(written.tool),
        mcp_server: globs(written.mcp_server),
        event: globs(written.event),
    }
}

/// `2026.11` is any `2026.11.x`.
fn of_version(pack: &Pack, version: &str) -> bool {
    pack.version == version || pack.version.strip_prefix(version).is_some_and(|rest| rest.starts_with('.'))
}

pub fn no_pack(name: &str) -> Problem {
    let known: Vec<&str> = super::super::rules::BUILTIN_PACKS.iter().map(|(name, _)| *name).collect();
    let message = format!("there is no pack '{name}'");
    Problem::new(message, Some(format!("known packs: {}", known.join(", "))))
}
