//! `sessionlake erase status` and `erase list`.

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::options::ConfigArgs;
use super::super::render::numbers::rfc3339;
use super::super::{json, terminal};
use super::{Site, plural};
use crate::model::AuditEntry;
use crate::sink::lake::audit::receipts;
use crate::sink::lake::forget::{Progress, Request};

/// How far a request has come, or its receipt.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake erase status 9d3a5c0f4be1472a8f60c1d2e3b4a596 --json")]
pub struct Status {
    /// The request, as `erase` printed it
    #[arg(value_name = "REQUEST")]
    id: String,
    #[command(flatten)]
    shown: Shown,
}

/// All requests and receipts, the newest first.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake erase list --workspace acme")]
pub struct List {
    #[command(flatten)]
    shown: Shown,
}

#[derive(Debug, Args)]
struct Shown {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The workspace that is meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Status {
    pub async fn run(self) -> Result<(), Failure> {
        let site = Site::open(&self.shown.config, &self.shown.workspace).await?;
        let id = self.id.as_str();
        if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) || id.len() != 32 {
            return Err(Failure::Usage("a request is 32 hex digits, as `erase` printed them".to_owned()));
        }
        let pending = site.requests.get(id).await.context("cannot read requests")?;
        if let Some(request) = pending.filter(|request| request.workspace == site.workspace) {
            let progress = site.requests.progress(id).await.context("cannot read requests")?;
            return terminal::print(&waiting(&request, &progress, self.shown.json));
        }
        let all = receipts(&site.lake, &site.workspace).await.context("cannot read the table audit")?;
        match all.iter().find(|entry| entry.request_id == id) {
            Some(entry) => print(entry, self.shown.json),
            None => Err(anyhow::anyhow!("no request {id} in workspace {}", site.workspace).into()),
        }
    }
}

impl List {
    pub async fn run(self) -> Result<(), Failure> {
        let site = Site::open(&self.shown.config, &self.shown.workspace).await?;
        let mut pending = site.requests.pending().await.context("cannot read requests")?;
        pending.retain(|request| request.workspace == site.workspace);
        let done = receipts(&site.lake, &site.workspace).await.context("cannot read the table audit")?;
        if self.shown.json {
            let pending = pending.iter().map(|request| pending_json(request, &Progress::default()));
            return terminal::print(&json::text(&pending.chain(done.iter().map(entry_json)).collect::<Value>()));
        }
        let line = |id: &str, at: i64, what: &str, count: i64, state: &str| {
            format!("{id}  {}  {what:<7}  {:>14}  {state}\n", rfc3339(at), plural(usize::try_from(count).unwrap_or(0)))
        };
        let mut out = String::new();
        for r in pending.iter().rev() {
            out.push_str(&line(&r.id, r.at, r.kind.action(), r.sessions.len() as i64, "pending"));
        }
        for e in &done {
            out.push_str(&line(&e.request_id, e.requested_at, &e.action, e.session_count, &e.outcome));
        }
        terminal::print(&out)
    }
}

fn waiting(request: &Request, progress: &Progress, as_json: bool) -> String {
    if as_json {
        return json::text(&pending_json(request, progress));
    }
    let waits = progress.waits_for.as_deref().unwrap_or("its turn");
    format!("Request {}: pending, waiting for {waits}.\n", request.id)
}

fn pending_json(request: &Request, progress: &Progress) -> Value {
    json!({
        "request_id": request.id,
        "action": request.kind.action(),
        "outcome": "pending",
        "requested_at": rfc3339(request.at),
        "session_count": request.sessions.len(),
        "waits_for": progress.waits_for,
    })
}

fn entry_json(e: &AuditEntry) -> Value {
    json!({
        "request_id": e.request_id,
        "action": e.action,
        "outcome": e.outcome,
        "requested_at": rfc3339(e.requested_at),
        "time": rfc3339(e.time),
        "who": e.who,
        "how": e.how,
        "reason": e.reason,
        "session_count": e.session_count,
        "names": e.names,
        "fact_rows": e.fact_rows,
        "event_rows": e.event_rows,
        "session_rows": e.session_rows,
        "journal_records": e.journal_records,
        "objects_before": e.objects_before,
        "objects_after": e.objects_after,
        "bytes_before": e.bytes_before,
        "bytes_after": e.bytes_after,
        "silent_writers": e.silent_writers,
        "remaining": e.remaining,
    })
}

/// Prints a receipt.
pub fn print(entry: &AuditEntry, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return terminal::print(&json::text(&entry_json(entry)));
    }
    let e = entry;
    let mut out = format!(
        "Request {}: {}, {} of {} ({}).\n  {} rows of facts, {} of events, {} of sessions; {} records of journals\n  \
         {} data files were rewritten as {}\n",
        e.request_id,
        e.outcome,
        e.action,
        plural(usize::try_from(e.session_count).unwrap_or(0)),
        e.how,
        e.fact_rows,
        e.event_rows,
        e.session_rows,
        e.journal_records,
        e.objects_before,
        e.objects_after,
    );
    for journal in &e.silent_writers {
        out.push_str(&format!("  not heard of: journal {journal}; it is cleared when its server starts again\n"));
    }
    for object in &e.remaining {
        out.push_str(&format!("  the store does not give up {}\n", object.escape_debug()));
    }
    terminal::print(&out)
}
