//! Policies compiled: for each record the first that matches it says which rules apply and what becomes of their hits.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::{self, Allow, CompileError, Compiled, Fault, Finder, compile};
use super::engine::{Engine, Rule};
use super::marks::Keys;
use super::rules::{
    Action, AllowSpec, Find, Glob, Mode, Origin, PolicySetSpec, PolicySpec, RuleSpec, ScopeSpec, Severity, Subject,
    When,
};
use super::spec_hash;
use crate::model::LakeKey;

/// Each policy has an automaton of its own.
const MAX_POLICIES: usize = 64;

/// One policy, ready to run.
pub struct Policy {
    pub name: String,
    pub engine: Engine,
}

/// All policies, and what holds where none matches.
pub struct PolicySet {
    base: Policy,
    policies: Vec<(When, Policy)>,
    keys: Keys,
    hash: String,
}

impl PolicySet {
    /// Compiles everything, with the marks' keys derived from the lake's.
    ///
    /// # Errors
    /// Everything that is wrong, each with the rule or policy to blame.
    pub fn compile(spec: &PolicySetSpec, lake: LakeKey) -> Result<PolicySet, Vec<CompileError>> {
        let mut compiler = Compiler { spec, rules: Vec::new(), errors: Vec::new(), allow: Arc::default() };
        compiler.rules();
        let base = compiler.policy(&spec.base, true);
        let policies: Vec<_> = spec.policies.iter().map(|p| (p.when.clone(), compiler.policy(p, false))).collect();
        if policies.len() > MAX_POLICIES {
            compiler.fail(None, "policies", Fault::TooManyPolicies(MAX_POLICIES));
        }
        let key_id = if spec.key_id.is_empty() { "k1" } else { &spec.key_id };
        if !compile::is_id(key_id, 32) {
            compiler.fail(None, "key_id", Fault::BadKeyId(key_id.to_owned()));
        }
        match compiler.errors.is_empty() {
            true => Ok(PolicySet { base, policies, keys: Keys::new(lake, key_id), hash: spec_hash(spec) }),
            false => Err(compiler.errors),
        }
    }

    /// 16 hex digits over everything that was compiled.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What holds where no policy matches.
    pub fn base(&self) -> &Policy {
        &self.base
    }

    /// Whether records have to be looked into for their policy.
    pub fn asks_for_subjects(&self) -> bool {
        !self.policies.is_empty()
    }

    /// The policy for a record.
    pub fn choose(&self, subject: &Subject) -> &Policy {
        self.policies.iter().find(|(when, _)| when.matches(subject)).map_or(&self.base, |(_, policy)| policy)
    }
}

struct Compiler<'s> {
    spec: &'s PolicySetSpec,
    rules: Vec<Arc<Compiled>>,
    errors: Vec<CompileError>,
    allow: Arc<Allow>,
}

impl Compiler<'_> {
    fn fail(&mut self, policy: Option<&PolicySpec>, key: &'static str, fault: Fault) {
        let policy = policy.map(|p| if p.name.is_empty() { "base".to_owned() } else { p.name.clone() });
        self.errors.push(CompileError { rule: None, policy, origin: Origin::default(), key, offset: None, fault });
    }

    fn rules(&mut self) {
        let spec = self.spec;
        let packs = spec.packs.iter().flat_map(|pack| pack.rules.iter().map(move |rule| (rule, pack.name.as_str())));
        let mut sources: BTreeMap<&str, String> = BTreeMap::new();
        for (rule, pack) in packs.chain(spec.rules.iter().map(|rule| (rule, ""))) {
            if let Some(source) = sources.insert(&rule.id, rule.origin.source.clone()) {
                let (rule, origin) = (Some(rule.id.clone()), rule.origin.clone());
                let fault = Fault::DuplicateId(source);
                self.errors.push(CompileError { rule, policy: None, origin, key: "id", offset: None, fault });
                continue;
            }
            match compile(rule, pack) {
                Ok(compiled) => self.rules.push(Arc::new(compiled)),
                Err(error) => self.errors.push(*error),
            }
        }
        match compile::allow(&spec.allow) {
            Ok(allow) => self.allow = Arc::new(allow),
            Err((offset, fault)) => {
                let (policy, origin) = (None, Origin::default());
                self.errors.push(CompileError { rule: None, policy, origin, key: "allow", offset, fault });
            }
        }
    }

    fn policy(&mut self, policy: &PolicySpec, is_base: bool) -> Policy {
        let base = &self.spec.base;
        let mut packs: Vec<&String> = policy.packs.as_ref().or(base.packs.as_ref()).into_iter().flatten().collect();
        packs.extend(if policy.packs.is_none() && !is_base { &base.add_packs[..] } else { &[] });
        packs.extend(&policy.add_packs);
        for pack in &packs {
            if !self.spec.packs.iter().any(|known| known.name == **pack) {
                self.fail(Some(policy), "packs", Fault::NoPack((*pack).clone()));
            }
        }
        self.check_names(policy);
        let layers: Vec<&PolicySpec> = if is_base { vec![policy] } else { vec![policy, base] };
        let mut rules = Vec::new();
        for compiled in self.rules.clone() {
            let on = compiled.pack.is_empty() || packs.iter().any(|pack| **pack == compiled.pack);
            let off = layers.iter().any(|layer| any(&layer.disable, &compiled.id));
            let report = compiled.mode == Some(Mode::Report) || layers.iter().any(|layer| reports(layer, &compiled.id));
            self.check_loosening(policy, is_base, &compiled, on && !off, report);
            if on && !off {
                let action = layers.iter().find_map(|layer| action(layer, &compiled.id));
                let action = action.or(compiled.action.as_ref()).cloned().unwrap_or_default();
                rules.push(Rule { compiled, action, report });
            }
        }
        rules.extend(layers.iter().flat_map(|layer| &layer.fields).enumerate().filter_map(|(i, (place, action))| {
            let spec = field_rule(i, place);
            Some(Rule { compiled: Arc::new(compile(&spec, "").ok()?), action: action.clone(), report: false })
        }));
        Policy { name: policy.name.clone(), engine: Engine::new(rules, Arc::clone(&self.allow)) }
    }

    /// What a policy names has to exist.
    fn check_names(&mut self, policy: &PolicySpec) {
        let named = policy.disable.iter().map(|glob| ("disable", glob));
        let named = named.chain(policy.report.iter().map(|glob| ("report", glob)));
        let named: Vec<_> = named.chain(policy.actions.iter().map(|(glob, _)| ("actions", glob))).collect();
        for (key, glob) in named {
            if !self.rules.iter().any(|rule| glob.matches(&rule.id)) {
                self.fail(Some(policy), key, Fault::NoRule(glob.as_str().to_owned()));
            }
        }
    }

    /// A policy may tighten what the base says of secrets; to loosen it takes the admin's word.
    fn check_loosening(&mut self, policy: &PolicySpec, is_base: bool, rule: &Compiled, on: bool, report: bool) {
        if is_base || policy.loosen_secrets || !rule.guards_secrets {
            return;
        }
        let base = &self.spec.base;
        let packs = base.packs.iter().flatten().chain(&base.add_packs);
        let base_on = packs.into_iter().any(|pack| *pack == rule.pack) && !any(&base.disable, &rule.id);
        let base_reports = rule.mode == Some(Mode::Report) || reports(base, &rule.id);
        if base_on && !base_reports && (!on || report) {
            self.fail(Some(policy), "loosen_secrets", Fault::Loosens(rule.id.clone()));
        }
    }
}

fn any(globs: &[Glob], id: &str) -> bool {
    globs.iter().any(|glob| glob.matches(id))
}

fn reports(policy: &PolicySpec, id: &str) -> bool {
    policy.mode == Some(Mode::Report) || any(&policy.report, id)
}

fn action<'p>(policy: &'p PolicySpec, id: &str) -> Option<&'p Action> {
    policy.actions.iter().find(|(glob, _)| glob.matches(id)).map(|(_, action)| action)
}

/// A policy's `fields` entry as a rule.
fn field_rule(position: usize, place: &Glob) -> RuleSpec {
    let id: String = place.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(50).collect();
    RuleSpec {
        id: format!("field-{position}-{}", id.trim_matches('-')).trim_end_matches('-').to_owned(),
        description: format!("Everything at {}", place.as_str()),
        severity: Severity::Critical,
        find: Find::Fields(vec![place.clone()]),
        validators: Vec::new(),
        allow: AllowSpec::default(),
        action: None,
        mode: None,
        scope: ScopeSpec::default(),
        origin: Origin::default(),
    }
}

impl Policy {
    /// The rules in force, the severest first.
    pub fn rules(&self) -> &[Rule] {
        self.engine.rules()
    }

    /// Whether a rule of it looks at whole places.
    pub fn has_fields(&self) -> bool {
        self.rules().iter().any(|rule| matches!(rule.compiled.finder, Finder::Fields(_)))
    }
}
