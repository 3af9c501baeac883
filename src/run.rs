//! Wires the stages together: the only place that knows every one of them.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use crate::clock::Clock;
use crate::config::Config;
use crate::model::Workspace;
use crate::sink::lake::Lake;

/// Where a running collector listens; the real ports, also where 0 was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub health: SocketAddr,
    pub metrics: SocketAddr,
}

/// A running collector.
pub struct Running {
    pub addresses: Addresses,
    pub lake: Lake,
    pub data_dir: PathBuf,
}

/// Sets up the process's log. Once per process.
pub fn set_up_logs(config: &Config) -> Result<()> {
    let _ = config;
    todo!()
}

/// Starts every stage; returns when all listeners accept.
pub async fn start(config: Config, clock: Clock) -> Result<Running> {
    let _ = (config, clock);
    todo!()
}

/// Returns when SIGTERM or Ctrl-C arrives.
pub async fn stop_requested() -> Result<()> {
    todo!()
}

impl Running {
    /// Returns when the session's row is in the lake and says that it has ended.
    pub async fn sealed(&self, workspace: &Workspace, session_id: &str) -> Result<()> {
        let _ = (workspace, session_id);
        todo!()
    }

    /// Stops receiving, writes what was accepted, and stops.
    pub async fn shutdown(self) -> Result<()> {
        todo!()
    }
}
