//! `sessionlake token list`.

use clap::Args;
use serde_json::Value;

use super::super::failure::Failure;
use super::super::options::{self, ConfigArgs};
use super::super::render::numbers::rfc3339;
use super::super::{json, terminal};
use super::{described, store};
use crate::auth::entry::Entry;
use crate::clock::Clock;

/// List tokens, without their secrets
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake token list --workspace acme --json")]
pub struct List {
    /// Only those of a workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

impl List {
    pub fn run(self) -> Result<(), Failure> {
        let now = Clock::system().now();
        let only = self.workspace.as_deref().map(options::workspace).transpose()?;
        let mut entries = store(&self.config)?.read().map_err(anyhow::Error::new)?.entries;
        entries.retain(|entry| only.as_ref().is_none_or(|workspace| *workspace == entry.workspace));
        if self.json {
            return terminal::print(&json::text(&entries.iter().map(|e| described(e, now)).collect::<Value>()));
        }
        if entries.is_empty() {
            eprintln!("no tokens: sessionlake token create --workspace NAME --role ROLE makes one");
            return Ok(());
        }
        terminal::print(&table(&entries, now))
    }
}

fn table(entries: &[Entry], now: i64) -> String {
    let head = ["ID", "WORKSPACE", "ROLE", "NAME", "STATUS", "CREATED", "EXPIRES"].map(str::to_owned);
    let rows = entries.iter().map(|e| {
        let expires = e.expires_at.map_or("never".to_owned(), rfc3339);
        let status = e.standing(now).as_str().to_owned();
        let (workspace, role) = (e.workspace.to_string(), e.role.as_str().to_owned());
        [e.id.clone(), workspace, role, e.name.clone(), status, rfc3339(e.created_at), expires]
    });
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &[String; 7]| {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
