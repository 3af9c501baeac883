//! `sessionlake sessions list`.

use clap::Args;
use serde_json::Value;

use crate::model::Session;

use super::super::failure::Failure;
use super::super::render::{RenderOptions, table};
use super::super::{json, terminal};
use super::{LakeArgs, Reader};

/// List sessions, the newest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sessionlake sessions list
  sessionlake sessions list --lake s3://acme-sessions/prod --json | jq '.[].cost_usd'")]
pub struct List {
    #[command(flatten)]
    lake: LakeArgs,
    /// Sessions shown at most
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print a JSON array, one object per session
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self) -> Result<(), Failure> {
        let mut sessions = Reader::open(&self.lake).await?.sessions().await?;
        let all = sessions.len();
        sessions.truncate(self.limit);
        terminal::print(&self.shown(&sessions, all))
    }

    fn shown(&self, sessions: &[Session], all: usize) -> String {
        if self.json {
            return json::text(&Value::Array(sessions.iter().map(json::session).collect()));
        }
        if sessions.is_empty() {
            return format!("No sessions in workspace {}.\n", self.lake.workspace);
        }
        // The last column alone uses the line's end, so a wide terminal is used as a whole.
        let (options, columns) = (terminal::options(false), terminal::columns());
        let options = RenderOptions { width: columns.unwrap_or(options.width), ..options };
        let mut out = table::sessions(sessions, options, columns.is_some());
        if all > sessions.len() {
            out.push_str(&format!("{} of {all} sessions; --limit shows more\n", sessions.len()));
        }
        out
    }
}
