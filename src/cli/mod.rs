//! The commands, one file each. What was typed is read here; what it means is decided by the commands.

mod connect;
mod demo;
mod erase;
mod failure;
mod hold;
mod json;
mod maintain;
mod options;
mod redact;
mod render;
mod reredact;
mod serve;
mod sessions;
#[cfg(feature = "sql")]
mod sql;
mod terminal;
mod token;
mod validate;

#[cfg(test)]
mod tests;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// Records what AI agents do: receives their OpenTelemetry data and hooks, redacts secrets, joins
/// both by session, and writes Delta Lake tables of Parquet files.
#[derive(Debug, Parser)]
#[command(name = "sessionlake", verbatim_doc_comment, version, after_help = "Start here: sessionlake demo")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Validate(validate::Validate),
    Sessions(sessions::Sessions),
    #[cfg(feature = "sql")]
    Sql(sql::Sql),
    Redact(redact::Redact),
    Erase(erase::Erase),
    Connect(connect::Connect),
    Token(token::Token),
    Maintain(maintain::Maintain),
    Hold(hold::Hold),
    Reredact(reredact::Reredact),
}

impl Cli {
    /// Whether it puts files together and nothing else: the quicker the better, within the memory it may have.
    pub fn is_maintenance(&self) -> bool {
        matches!(self.command, Command::Maintain(_))
    }

    /// Does what was asked.
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(command) => command.run().await,
            Command::Demo(command) => command.run().await,
            Command::Validate(command) => command.run(),
            Command::Sessions(command) => command.run().await,
            #[cfg(feature = "sql")]
            Command::Sql(command) => command.run().await,
            Command::Redact(command) => command.run().await,
            Command::Erase(command) => command.run().await,
            Command::Connect(command) => command.run(),
            Command::Token(command) => command.run(),
            Command::Maintain(command) => command.run().await,
            Command::Hold(command) => command.run().await,
            Command::Reredact(command) => command.run().await,
        }
    }
}
