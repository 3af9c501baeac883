//! `sessionlake reredact`: today's rules over stored sessions.

use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::failure::Failure;
use super::options::{self, ConfigArgs};
use super::redact::{Counts, Stored, policy_of};
use super::sessions::open_lake;
use super::{json, terminal};
use crate::clock::Clock;
use crate::config::duration;
use crate::sink::lake::{Reredacted, Reredaction, Reredactions};

/// Redact stored sessions anew, by the rules in force now
///
/// The process that maintains the lake ('serve', or 'maintain') does it, by the rules of its own configuration: this
/// command orders it and waits. What was hidden is gone from the tables, their older files and their logs afterwards.
/// Redaction takes away only: what is hidden already stays hidden.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake reredact --since 30d --reason 'new rule for badge numbers'")]
pub struct Reredact {
    /// Rows since so long ago, as in 7d or 12h
    #[arg(long, value_name = "DURATION")]
    since: String,
    /// Tell what this configuration's rules would hide, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Why; kept with the record of what was done
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// How long to wait for it; the order stands whether or not it is waited for
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    wait: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The workspace whose sessions are meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    #[command(flatten)]
    config: ConfigArgs,
}

/// How often it is looked whether an order is done.
const LOOK: Duration = Duration::from_millis(500);

impl Reredact {
    pub async fn run(self) -> Result<(), Failure> {
        let clock = Clock::system();
        let workspace = options::workspace(&self.workspace)?;
        let ago = |name: &str, text: &str| {
            duration(text, "1s", "36500d").map_err(|wrong| Failure::Usage(format!("{name}: {wrong}")))
        };
        let (since, wait) = (ago("--since", &self.since)?, ago("--wait", &self.wait)?);
        let since = clock.now().saturating_sub(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        let config = self.config.load()?;
        let lake = open_lake(&config).await?;
        if self.dry_run {
            let redactor = policy_of(&config)?;
            let stored = Stored { lake, workspace, from: since };
            let mut counts = Counts::default();
            stored.each_event(|event| counts.add(&redactor, &stored.workspace, event)).await?;
            return terminal::print(&if self.json { json::text(&counts.as_json()) } else { counts.table() });
        }
        let orders = Reredactions::new(&lake, &workspace);
        let by = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
        let id = uuid::Uuid::new_v4().simple().to_string();
        let order = Reredaction { since, reason: self.reason.clone(), by, at: clock.now() };
        orders.order(&id, &order).await.context("the order is not taken")?;
        eprintln!("Ordered as {id}; waiting for the process that maintains the lake.");
        let done = tokio::time::timeout(wait, finished(&orders, &id)).await;
        let late =
            || anyhow!("not done within {}: the order stands; is 'sessionlake serve' running on this lake?", self.wait);
        self.show(&id, &done.map_err(|_| late())??)
    }

    fn show(&self, id: &str, done: &Reredacted) -> Result<(), Failure> {
        let Reredacted { facts, events, sessions, objects_before, objects_after, remaining, .. } = done;
        if self.json {
            return terminal::print(&json::text(&json!({
                "id": id, "facts": facts, "events": events, "sessions": sessions,
                "objects_before": objects_before, "objects_after": objects_after, "remaining": remaining,
            })));
        }
        let mut out = format!("Hidden something in {facts} facts, {events} events, {sessions} sessions: ");
        out.push_str(&format!("{objects_before} files were replaced by {objects_after} and deleted.\n"));
        for object in remaining {
            out.push_str(&format!("NOT deleted: {}\n", object.escape_debug()));
        }
        terminal::print(&out)
    }
}

async fn finished(orders: &Reredactions, id: &str) -> anyhow::Result<Reredacted> {
    loop {
        if let Some(done) = orders.done(id).await.context("cannot look whether it is done")? {
            return Ok(done);
        }
        tokio::time::sleep(LOOK).await;
    }
}
