//! `sessionlake redact`: texts through the redactor, and everything an administrator of rules needs.

mod check;
mod diff;
mod dry_run;
mod filter;
mod jsonl;
mod rules;
mod stored;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

pub use dry_run::Counts;
pub use stored::Stored;

use super::failure::Failure;
use super::options::ConfigArgs;
use crate::config::Config;
use crate::model::LakeKey;
use crate::redaction::Redactor;
use crate::run;

/// Redact text: from standard input or files to standard output
///
/// Applies the rules that a collector with the same flags would apply to a string in an event. Text
/// that is JSON, or holds JSON, base64 or escapes, is read as such. With --jsonl, lines that are no
/// JSON object with a text are told on standard error by number and left out; the exit code is then 1.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  sessionlake redact < build.log
  sessionlake redact --explain --packs secrets/default,pii/structured notes.txt
  sessionlake redact --jsonl --config collector.yaml < texts.jsonl
  sessionlake redact check rules.yaml"
)]
pub struct Redact {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Print what was found instead: place, rule, bytes, action; never the value
    #[arg(long)]
    explain: bool,
    /// Read {"id": .., "text": ..} lines; write {"id", "text", "spans"}, spans in characters of the input text
    #[arg(long)]
    jsonl: bool,
    /// Files to read; none, or -: standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Rules(rules::Rules),
    DryRun(dry_run::DryRun),
    Diff(diff::Diff),
}

/// Which rules.
#[derive(Debug, Default, Args)]
pub struct PolicyArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Rule file (YAML) instead of those that the configuration names; several are merged
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Packs in force instead of those that the rule files name, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    packs: Vec<String>,
}

impl PolicyArgs {
    /// The redactor that the flags describe. It marks with the key of the lake, where this
    /// machine knows one; else marks have no fingerprint.
    fn redactor(&self) -> Result<Redactor, Failure> {
        let config = self.config.load()?;
        let paths = if self.rules.is_empty() { &config.redaction_rules } else { &self.rules };
        let mut files = run::rules::read(paths)?;
        if !self.packs.is_empty() {
            files.pick_packs(&self.packs)?;
        }
        let key = run::known_key(&config).unwrap_or(LakeKey::NONE);
        Ok(files.compile(&key)?)
    }
}

/// The redactor that a configuration describes.
pub fn policy_of(config: &Config) -> Result<Redactor, Failure> {
    let key = run::known_key(config).unwrap_or(LakeKey::NONE);
    Ok(run::rules::read(&config.redaction_rules)?.compile(&key)?)
}

impl Redact {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Command::Check(command)) => command.run(),
            Some(Command::Rules(command)) => command.run(),
            Some(Command::DryRun(command)) => command.run().await,
            Some(Command::Diff(command)) => command.run().await,
            None => self.filter(),
        }
    }

    fn filter(&self) -> Result<(), Failure> {
        let redactor = self.policy.redactor()?;
        let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let mut bad = 0;
        for (name, mut input) in inputs(&self.files)? {
            match (self.jsonl, self.explain) {
                (true, explain) => bad += jsonl::run(&redactor, &name, &mut *input, &mut out, explain)?,
                (false, true) => filter::explain(&redactor, &name, &mut *input, &mut out)?,
                (false, false) => filter::redact(&redactor, &mut *input, &mut out)?,
            }
        }
        out.flush()?;
        match bad {
            0 => Ok(()),
            n => Err(Failure::Failed(anyhow::anyhow!("{n} lines were no JSON objects with a text and were left out"))),
        }
    }
}

type Input = Box<dyn BufRead>;

/// The files with their names, opened before anything is written.
fn inputs(files: &[PathBuf]) -> Result<Vec<(String, Input)>, Failure> {
    let stdin = || ("-".to_owned(), Box::new(BufReader::with_capacity(1 << 16, io::stdin())) as Input);
    if files.is_empty() {
        return Ok(vec![stdin()]);
    }
    files
        .iter()
        .map(|path| {
            if path.as_os_str() == "-" {
                return Ok(stdin());
            }
            let file = File::open(path)
                .map_err(|error| Failure::Failed(anyhow::anyhow!("cannot read {}: {error}", path.display())))?;
            Ok((path.display().to_string(), Box::new(BufReader::with_capacity(1 << 16, file)) as Input))
        })
        .collect()
}
