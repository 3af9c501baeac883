//! `redact check`: are these rule files good?

use std::path::PathBuf;

use clap::Args;

use super::super::failure::Failure;
use super::super::terminal;
use crate::model::LakeKey;
use crate::run;

/// Check rule files and run the tests in them
///
/// Exit code 0 and a summary when they are good; 64 and every error with its file, line and column when not.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake redact check rules.yaml
  sessionlake redact check company.yaml payments.yaml"
)]
pub struct Check {
    /// Rule files (YAML), merged as a collector would merge them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Check {
    pub fn run(self) -> Result<(), Failure> {
        let files = run::rules::read(&self.files)?;
        let redactor = files.compile(&LakeKey::NONE)?;
        let spec = files.spec();
        // Those of gitleaks' files are added to the ones that are named.
        let packs = spec.base.packs.iter().flatten().chain(&spec.base.add_packs).map(String::as_str);
        terminal::print(&format!(
            "ok: {} own rules, packs {}, {} policies, {} tests passed\n",
            spec.rules.len(),
            packs.collect::<Vec<_>>().join(" "),
            spec.policies.len(),
            files.tests(),
        ))?;
        terminal::print(&format!("policy {}\n", redactor.policy()))
    }
}
