//! `sessionlake sessions`: what is in the lake, read from its tables; no server is needed.

mod list;
mod read;
mod replay;
mod show;

use clap::{Args, Subcommand};

pub use read::{Reader, open_lake};

use super::failure::Failure;
use super::options::ConfigArgs;

/// List, show and replay recorded sessions.
///
/// Reads the tables of the lake directly, whether or not a collector is running.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake sessions list --lake s3://acme-sessions/prod --limit 10")]
pub struct Sessions {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
}

/// Which lake and workspace.
#[derive(Debug, Args)]
pub struct LakeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The workspace whose sessions are meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
}

impl Sessions {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::List(command) => command.run().await,
            Command::Show(command) => command.run().await,
            Command::Replay(command) => command.run().await,
        }
    }
}
