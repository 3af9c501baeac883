//! SQL: where it listens, and what it may take.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::net::TcpListener;

use crate::auth::Door;
use crate::clock::Clock;
use crate::config::Config;
use crate::query::{Engine, QueryOptions, Server, ServerOptions};
use crate::sink::lake::Lake;
use crate::sink::lake::seal::Recheck;
use crate::tls::Tls;

/// Files of sorts and joins that outgrow their memory, below the data directory.
const SPILL: &str = "sql-spill";

/// A listener that is bound.
pub struct Port {
    pub listener: TcpListener,
    tls: Option<Tls>,
}

impl Port {
    pub async fn bind(address: SocketAddr, tls: Option<Tls>) -> Result<Port> {
        let advice =
            || format!("cannot listen on {address}: free the port, or set extensions.sql.endpoint to another one");
        Ok(Port { listener: TcpListener::bind(address).await.with_context(advice)?, tls })
    }

    /// Answers queries over the lake.
    pub fn serve(self, config: &Config, lake: &Lake, door: &Door, recheck: Recheck, clock: &Clock) -> Result<Server> {
        let options = QueryOptions {
            idle_timeout: config.idle_timeout,
            ..QueryOptions::within(config.memory_limit_bytes, config.data_dir.join(SPILL))
        };
        let engine = Engine::new(lake.clone(), options, None, Some(recheck), clock.clone());
        let engine = engine.context("cannot set SQL up")?;
        let server = Server::start(engine, door.clone(), self.tls, ServerOptions::default(), self.listener);
        server.context("cannot serve SQL")
    }
}
