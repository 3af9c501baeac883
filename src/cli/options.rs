//! Flags that say what the configuration is.

use std::path::PathBuf;

use clap::Args;

use super::failure::Failure;
use crate::config::{self, Config, ConfigError, Problem, Source};
use crate::model::Workspace;

/// Later flags and files win over earlier ones; `--data-dir` and `--lake` win over everything.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// Configuration file (YAML); several are laid over each other, from left to right
    #[arg(long, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// One configuration value at a dotted path, as in exporters.lake.flush_interval=1s
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
}

impl ConfigArgs {
    /// The configuration that the flags describe.
    ///
    /// # Errors
    /// With every problem of every source.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let files = self.config.iter().map(|path| config::read_file(path));
        let sets = self.set.iter().map(|argument| config::set_argument(argument));
        let flags = self.flags().into_iter().map(Ok);
        let (sources, problems) = split(files.chain(sets).chain(flags));
        if !problems.is_empty() {
            return Err(ConfigError(problems));
        }
        Config::load(&sources, &|name| std::env::var(name).ok())
    }

    fn flags(&self) -> Vec<Source> {
        let data_dir = self.data_dir.iter().map(|dir| config::flag("--data-dir", &["data_dir"], dir));
        let lake = self.lake.iter().map(|url| config::flag("--lake", &["exporters", "lake", "url"], url));
        data_dir.chain(lake).collect()
    }
}

/// The workspace that `--workspace` names.
///
/// # Errors
/// It is no name of a workspace.
pub fn workspace(name: &str) -> Result<Workspace, Failure> {
    Workspace::parse(name).map_err(|error| Failure::Usage(format!("--workspace {error}")))
}

fn split(results: impl Iterator<Item = Result<Source, Problem>>) -> (Vec<Source>, Vec<Problem>) {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    (sources, problems)
}
