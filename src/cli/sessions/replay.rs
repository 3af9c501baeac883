//! `sessionlake sessions replay`.

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::{json, render, terminal};
use super::{LakeArgs, Reader};

/// Replay a session step by step: prompts, replies with their cost beside them, tool calls with their outcome.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sessionlake sessions replay 9ffbc996
  sessionlake sessions replay 9ffbc996 --full | less -R")]
pub struct Replay {
    /// The session's id, or the start of it
    id: String,
    #[command(flatten)]
    lake: LakeArgs,
    /// Show texts whole instead of their first lines
    #[arg(long)]
    full: bool,
    /// Print the session's row and all its events as JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    pub async fn run(self) -> Result<(), Failure> {
        let reader = Reader::open(&self.lake).await?;
        let session = reader.find(&self.id).await?;
        let events = reader.events(&session).await?;
        if self.json {
            let events: Vec<Value> = events.iter().map(json::event).collect();
            return terminal::print(&json::text(&json!({"session": json::session(&session), "events": events})));
        }
        terminal::print(&render::timeline(&session, &events, terminal::options(self.full)))
    }
}
