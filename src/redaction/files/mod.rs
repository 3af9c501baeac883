//! Rule files: what administrators write in YAML, merged into one [`PolicySetSpec`]; what is wrong with it, with file, line
//! and caret; and the files' own tests.
//!
//! Several files are one: lists are joined, of single values the last holds. Reading is the caller's: this module gets
//! texts, and asks for the dictionaries that they name.

mod check;
mod merge;
mod places;
mod written;

use std::io;
use std::path::{Path, PathBuf};

use super::compile::{CompileError, Fault};
use super::rules::{PolicySetSpec, builtin_pack};
use super::{PolicySet, Redactor};
use crate::document::{ConfigError, Place, Problem, Source};
use crate::model::LakeKey;
use check::Check;
use merge::Merge;
use places::{Lines, of_key};

/// Reads a file that a rule file names.
pub type Read<'r> = &'r dyn Fn(&Path) -> io::Result<String>;

/// The pack that is in force where no file names packs.
pub const DEFAULT_PACK: &str = "secrets/default";

/// Rule files, read and merged.
pub struct RuleFiles {
    spec: PolicySetSpec,
    sources: Vec<Source>,
    checks: Vec<Check>,
    /// Where each policy was written: its name, its file's position, its place.
    policies: Vec<(String, usize, Place)>,
    /// Dictionaries that were read.
    named: Vec<PathBuf>,
}

impl RuleFiles {
    /// Reads files; without any, what holds is the pack [`DEFAULT_PACK`].
    ///
    /// # Errors
    /// Everything that is wrong in any of them; patterns are compiled later.
    pub fn read(sources: Vec<Source>, read: Read<'_>) -> Result<RuleFiles, ConfigError> {
        let mut merge = Merge::new(read);
        for (position, source) in sources.iter().enumerate() {
            merge.file(position, source);
        }
        let Merge { spec, checks, policies, named, problems, .. } = merge.finish(&sources);
        match problems.is_empty() {
            true => Ok(RuleFiles { spec, sources, checks, policies, named }),
            false => Err(ConfigError(problems)),
        }
    }

    /// Puts these packs in force instead of those that the files name.
    ///
    /// # Errors
    /// A name is not known.
    pub fn pick_packs(&mut self, names: &[String]) -> Result<(), ConfigError> {
        for name in names {
            if self.spec.packs.iter().any(|pack| pack.name == *name) {
                continue;
            }
            let pack = builtin_pack(name).ok_or_else(|| ConfigError(vec![merge::no_pack(name)]))?;
            self.spec.packs.push(pack);
        }
        self.spec.base.packs = Some(names.to_vec());
        self.spec.base.add_packs.clear();
        Ok(())
    }

    pub fn spec(&self) -> &PolicySetSpec {
        &self.spec
    }

    /// How many tests the files hold.
    pub fn tests(&self) -> usize {
        self.checks.len()
    }

    /// The dictionaries that were read beside the files themselves.
    pub fn named(&self) -> &[PathBuf] {
        &self.named
    }

    /// Compiles the rules and runs the files' tests. `key` is the lake's.
    ///
    /// # Errors
    /// Patterns, policies and tests that are wrong.
    pub fn compile(&self, key: &LakeKey) -> Result<Redactor, ConfigError> {
        let policies = PolicySet::compile(&self.spec, key.clone())
            .map_err(|errors| ConfigError(first_of_each(&errors).map(|error| self.problem(error)).collect()))?;
        let redactor = Redactor::new(policies, key.clone());
        let failed: Vec<Problem> = self.checks.iter().filter_map(|check| check.run(&redactor, &self.sources)).collect();
        if failed.is_empty() { Ok(redactor) } else { Err(ConfigError(failed)) }
    }

    /// A compile error with its place.
    fn problem(&self, error: &CompileError) -> Problem {
        let problem = Problem::new(error.to_string(), Some(error.fault.advice().to_owned()));
        let Some((source, lines)) = self.blamed(error) else {
            return match error.origin.source.as_str() {
                "" => problem,
                name => problem.of(name),
            };
        };
        let start =
            self.policies.iter().find(|(name, ..)| error.policy.as_ref() == Some(name)).map(|(.., place)| *place);
        let start = start.unwrap_or(Place { line: lines.from, column: 1 });
        problem.at(source, of_key(source, lines, error.key, error.offset).unwrap_or(start))
    }

    /// The file to blame, and the lines of the rule, policy or key in it.
    fn blamed(&self, error: &CompileError) -> Option<(&Source, Lines)> {
        if error.origin.line > 0 {
            let source = self.sources.iter().find(|source| source.name == error.origin.source)?;
            return Some((source, self.lines(&source.name, error.origin.line)));
        }
        if let Some((_, source, place)) = self.policies.iter().find(|(name, ..)| error.policy.as_ref() == Some(name)) {
            let after = self.policies.iter().filter(|(_, other, at)| other == source && at.line > place.line);
            let until = after.map(|(.., at)| at.line).min().unwrap_or(u64::MAX);
            return Some((&self.sources[*source], Lines { from: place.line, until }));
        }
        let holds_key = |source: &&Source| source.text.lines().any(|line| line.starts_with(&format!("{}:", error.key)));
        self.sources.iter().find(holds_key).map(|source| (source, Lines::all()))
    }

    /// From a rule's line to the next rule's.
    fn lines(&self, name: &str, from: u64) -> Lines {
        let others = self.spec.rules.iter().filter(|rule| rule.origin.source == name);
        let until = others.map(|rule| rule.origin.line).filter(|line| *line > from).min();
        Lines { from, until: until.unwrap_or(u64::MAX) }
    }
}

/// A policy that loosens secrets loosens many rules: told of the first, one knows of all.
fn first_of_each(errors: &[CompileError]) -> impl Iterator<Item = &CompileError> {
    let loosens = |error: &CompileError| matches!(error.fault, Fault::Loosens(_));
    errors
        .iter()
        .enumerate()
        .filter(move |(i, error)| {
            !loosens(error) || !errors[..*i].iter().any(|earlier| loosens(earlier) && earlier.policy == error.policy)
        })
        .map(|(_, error)| error)
}

#[cfg(test)]
mod tests;
