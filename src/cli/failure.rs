//! How a command ends when it does not end well: text on stderr and an exit code.

use std::fmt;
use std::process::ExitCode;

use crate::config::{ConfigError, Problem};

/// Bad usage or configuration (`EX_USAGE`).
pub const USAGE: u8 = 64;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// What was typed means nothing.
    Usage(String),
    /// A command is missing: how it goes on.
    Help(String),
    Config(ConfigError),
    /// What was asked for did not work.
    Failed(anyhow::Error),
    /// Whoever read the output has gone: nothing more to say.
    Quiet,
}

impl Failure {
    /// What the argument parser says, which starts with `error: ` itself unless it is a help text.
    pub fn usage(error: &clap::Error) -> Failure {
        let text = error.render().to_string();
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            return Failure::Help(text.trim_end().to_owned());
        }
        Failure::Usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned())
    }

    pub fn exit_code(&self) -> ExitCode {
        match self {
            Failure::Usage(_) | Failure::Help(_) | Failure::Config(_) => ExitCode::from(USAGE),
            Failure::Failed(_) => ExitCode::FAILURE,
            Failure::Quiet => ExitCode::SUCCESS,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) => write!(f, "error: {message}"),
            Failure::Help(text) => f.write_str(text),
            Failure::Config(error) => write!(f, "{error}"),
            Failure::Failed(error) => write!(f, "error: {}", chain(error)),
            Failure::Quiet => Ok(()),
        }
    }
}

/// An error and its causes; many errors quote theirs, and nothing is said twice.
fn chain(error: &anyhow::Error) -> String {
    let mut out = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if out.is_empty() {
            out = cause;
        } else if !out.contains(&cause) {
            out = format!("{out}: {cause}");
        }
    }
    out
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Config(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure::Config(ConfigError(vec![problem]))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        match error.downcast() {
            Ok(config) => Failure::Config(config),
            Err(error) => Failure::Failed(error),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::Quiet,
            _ => Failure::Failed(anyhow::Error::new(error).context("cannot write the output")),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_that_its_error_quotes_is_not_said_again() {
        let error = anyhow!("refused").context("GET failed: no answer: refused").context("cannot list");
        assert_eq!(Failure::from(error).to_string(), "error: cannot list: GET failed: no answer: refused");
        let error = anyhow!("refused").context("no answer");
        assert_eq!(Failure::from(error).to_string(), "error: no answer: refused");
    }
}
