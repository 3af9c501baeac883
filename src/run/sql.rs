//! SQL: where it listens, what it may take, and where its reads of content are recorded.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::auth::Door;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::model::AuditEntry;
use crate::query::{Audit, Engine, QueryOptions, Read, Server, ServerOptions, Sources, State};
use crate::redaction::{Current, Delivery};
use crate::sink::lake::Lake;
use crate::sink::lake::tombstones::Tombstones;
use crate::tls::Tls;

/// Files of sorts and joins that outgrow their memory, below the data directory.
const SPILL: &str = "sql-spill";

/// A listener that is bound.
pub struct Port {
    pub listener: TcpListener,
    tls: Option<Tls>,
}

/// What the stage is given.
pub struct Stages<'a> {
    pub lake: &'a Lake,
    pub door: &'a Door,
    pub tombstones: &'a Tombstones,
    pub redactor: Current,
    pub journal: &'a Journal,
    pub clock: &'a Clock,
}

impl Port {
    pub async fn bind(address: SocketAddr, tls: Option<Tls>) -> Result<Port> {
        let advice =
            || format!("cannot listen on {address}: free the port, or set extensions.sql.endpoint to another one");
        Ok(Port { listener: TcpListener::bind(address).await.with_context(advice)?, tls })
    }

    /// Answers queries over the lake.
    pub fn serve(self, config: &Config, stages: Stages<'_>) -> Result<Server> {
        let Stages { lake, door, tombstones, redactor, journal, clock } = stages;
        let options = QueryOptions {
            idle_timeout: config.idle_timeout,
            ..QueryOptions::within(config.memory_limit_bytes, config.data_dir.join(SPILL))
        };
        let sources = Sources {
            lake: lake.clone(),
            tombstones: Some(tombstones.clone()),
            recheck: Some(super::recheck(redactor.clone())),
            audit: Some(audit(redactor, journal.clone(), clock.clone())),
        };
        let engine = Engine::new(sources, options, clock.clone()).context("cannot set SQL up")?;
        let server = Server::start(engine, door.clone(), self.tls, ServerOptions::default(), self.listener);
        server.context("cannot serve SQL")
    }
}

/// Reads of content become rows of the table `audit`, through the journal like all that must not be lost.
fn audit(redactor: Current, journal: Journal, clock: Clock) -> Audit {
    Audit::new(move |read| {
        let (redactor, journal, now) = (redactor.get(), journal.clone(), clock.now());
        Box::pin(async move {
            let delivery =
                Delivery { workspace: read.workspace.clone(), principal: read.principal.clone(), received_at: now };
            let batch = redactor.redact_audit(delivery, entry(read, now));
            journal.append(batch).await.map(|_| ()).map_err(|error| error.to_string())
        })
    })
}

fn entry(read: Read, now: i64) -> AuditEntry {
    let (outcome, result_rows) = match read.state {
        State::Begun => ("begun", None),
        State::Done { rows } => ("done", Some(rows)),
        State::Stopped { rows } => ("stopped", Some(rows)),
    };
    AuditEntry {
        request_id: read.id,
        action: AuditEntry::READ.to_owned(),
        time: now,
        requested_at: now,
        who: read.principal,
        how: "sql".to_owned(),
        outcome: outcome.to_owned(),
        statement: Some(read.statement),
        result_rows: result_rows.map(|rows| i64::try_from(rows).unwrap_or(i64::MAX)),
        ..AuditEntry::default()
    }
}
