//! `sessionlake sessions show`.

use clap::Args;

use super::super::failure::Failure;
use super::super::{json, render, terminal};
use super::{LakeArgs, Reader};

/// Show a session's summary: cost, models, tools, prompts, redactions, and what is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sessionlake sessions show 9ffbc996
  sessionlake sessions show 9ffbc996 --json | jq .gaps")]
pub struct Show {
    /// The session's id, or the start of it
    id: String,
    #[command(flatten)]
    lake: LakeArgs,
    /// Show prompts whole
    #[arg(long)]
    full: bool,
    /// Print the session's row as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub async fn run(self) -> Result<(), Failure> {
        let session = Reader::open(&self.lake).await?.find(&self.id).await?;
        if self.json {
            return terminal::print(&json::text(&json::session(&session)));
        }
        let options = terminal::options(self.full);
        terminal::print(&(render::headline(&session, options) + "\n" + &render::details(&session, options)))
    }
}
