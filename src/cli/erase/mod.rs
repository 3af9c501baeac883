//! `sessionlake erase`: sessions are forgotten, completely, with a receipt.

mod choose;
mod offline;
mod receipt;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::failure::Failure;
use super::options::{self, ConfigArgs};
use super::sessions::open_lake;
use super::{json, terminal};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Columns, LakeKey, Workspace, hex};
use crate::run::random;
use crate::sink::lake::audit::receipts;
use crate::sink::lake::forget::{Forgetter, Request, RequestKind, Requests};
use crate::sink::lake::tombstones::Tombstones;
use crate::sink::lake::{Holds, Lake};
use choose::Choice;

/// How often the command looks how far its request has come.
const LOOK: Duration = Duration::from_millis(500);

/// Forget sessions for good: in tables, journals, logs and older versions.
///
/// With a running server its process does the work, and this command waits for it; without one it does the work itself.
/// A receipt without content goes to the table audit. It may be interrupted: what was asked for is done all the same.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  sessionlake erase --session 4f1c2a9e-6a3b-4a55-9d0e-3c1a5a1b7e21 --reason 'ticket 1203'
  sessionlake erase --user ann@example.com --dry-run
  sessionlake erase --older-than 400d --yes --json
  sessionlake erase status 9d3a5c0f4be1472a8f60c1d2e3b4a596"
)]
pub struct Erase {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    choice: Choice,
    /// Show what would be erased, and erase nothing
    #[arg(long)]
    dry_run: bool,
    /// Why; stands in the receipt
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print the receipt as a JSON object
    #[arg(long)]
    json: bool,
    /// The workspace whose sessions are meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(receipt::Status),
    List(receipt::List),
}

/// What a command works on.
struct Site {
    config: Config,
    workspace: Workspace,
    lake: Lake,
    requests: Requests,
}

impl Site {
    async fn open(config: &ConfigArgs, workspace: &str) -> Result<Site, Failure> {
        let workspace = options::workspace(workspace)?;
        let config = config.load()?;
        let lake = open_lake(&config).await?;
        let requests = Requests::new(&lake);
        Ok(Site { config, workspace, lake, requests })
    }

    /// The lake's key: a lake without one has no session.
    async fn key(&self) -> Result<LakeKey> {
        self.lake.key(random()?).await.context("cannot read the lake's key")
    }
}

impl Erase {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Some(Command::Status(command)) => command.run().await,
            Some(Command::List(command)) => command.run().await,
            None => self.erase().await,
        }
    }

    async fn erase(self) -> Result<(), Failure> {
        let how = self.choice.checked()?;
        let site = Site::open(&self.config, &self.workspace).await?;
        let sessions = self.choice.sessions(&site.lake, &site.workspace, Clock::system().now()).await?;
        if self.dry_run || sessions.is_empty() {
            return self.show(&sessions);
        }
        refuse_held(&site, &sessions).await?;
        self.confirm(sessions.len())?;
        let request = Request {
            id: hex(&random::<16>()?),
            workspace: site.workspace.clone(),
            kind: RequestKind::Erased,
            sessions,
            keeps_costs: false,
            at: Clock::system().now(),
            by: Some(user()),
            how,
            reason: self.reason.clone(),
        };
        let tombstones = Tombstones::new(site.key().await?);
        site.requests.put(&request, &tombstones).await.context("cannot store the request; nothing is erased")?;
        eprintln!("Request {}: nothing more of {} is taken.", request.id, plural(request.sessions.len()));
        let forgetter = Forgetter::alone(&site.lake, tombstones, Clock::system());
        wait(&site, &request, &forgetter).await?;
        let all = receipts(&site.lake, &site.workspace).await.context("cannot read the table audit")?;
        match all.into_iter().find(|entry| entry.request_id == request.id) {
            Some(entry) => receipt::print(&entry, self.json),
            None => Err(anyhow::anyhow!("the request {} is gone, and has no receipt", request.id).into()),
        }
    }

    fn show(&self, sessions: &[String]) -> Result<(), Failure> {
        if self.json {
            return terminal::print(&json::text(&json!({"dry_run": self.dry_run, "sessions": sessions})));
        }
        let listed: String = sessions.iter().map(|session| format!("{}\n", session.escape_debug())).collect();
        terminal::print(&listed)?;
        eprintln!("{}{}", plural(sessions.len()), if self.dry_run { " would be erased" } else { ": nothing to erase" });
        Ok(())
    }

    fn confirm(&self, count: usize) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() {
            return Err(Failure::Usage("erasing cannot be undone: say --yes, or look first with --dry-run".to_owned()));
        }
        eprint!("Erase {} of workspace {}, for ever? [y/N] ", plural(count), self.workspace);
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::Failed(anyhow::anyhow!("nothing is erased"))),
        }
    }
}

/// Nothing is erased while anything of it is under a legal hold.
async fn refuse_held(site: &Site, sessions: &[String]) -> Result<()> {
    let holds = Holds::open(&site.lake, &site.workspace).await.context("cannot read legal holds")?;
    let held = holds.held(&site.lake, &site.workspace).await.context("cannot read legal holds")?;
    let count = sessions.iter().filter(|session| held.holds(Some(session), &Columns::default())).count();
    anyhow::ensure!(
        count == 0,
        "{} under a legal hold, nothing is erased: `sessionlake hold list` shows the holds",
        if count == 1 { "1 session is".to_owned() } else { format!("{count} sessions are") }
    );
    Ok(())
}

/// The user of the operating system, by name where it is told.
fn user() -> String {
    let named = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|user| !user.is_empty());
    named.unwrap_or_else(|| format!("uid {}", rustix::process::geteuid().as_raw()))
}

fn plural(count: usize) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

/// Until the request is done: by a server, or by ourselves where none holds the lease.
async fn wait(site: &Site, request: &Request, forgetter: &Forgetter) -> Result<()> {
    let id = request.id.as_str();
    let mut own = offline::Own::new(&site.lake);
    let mut told = String::new();
    while site.requests.get(id).await?.is_some() {
        own.turn(site, request, forgetter).await?;
        let progress = site.requests.progress(id).await?;
        let waits = progress.waits_for.map(|what| format!(", waiting for {what}")).unwrap_or_default();
        let line = format!(
            "removed {} rows of facts, {} of events, {} of sessions in {} files{waits}",
            progress.facts, progress.events, progress.sessions, progress.objects_before
        );
        if line != told && progress.passes > 0 {
            eprintln!("{line}");
            told = line;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
