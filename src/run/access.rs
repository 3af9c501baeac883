//! The tokens of a running server: read at the start, read again when their file is replaced.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::interval;

use super::Stage;
use crate::auth::{Door, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::telemetry::Metrics;
use crate::telemetry::health::{Health, State};

/// How often the file is looked at: a token is in force, or over, within a second of the command that says so.
const WATCH: Duration = Duration::from_millis(200);

/// The door in front of everything that takes data in, as the configuration wants it.
pub fn door(config: &Config, stage: &mut Stage, clock: &Clock, health: &Health, metrics: &Metrics) -> Result<Door> {
    if !config.auth.enabled {
        return Ok(Door::open());
    }
    let tokens = Tokens::open(&config.data_dir).context("cannot read the tokens")?;
    if tokens.active(clock.now()) == 0 {
        tracing::warn!(
            "auth.enabled is true and there is no token: everything is refused until \
             `sessionlake token create --workspace NAME --role ingest` makes one in this data directory"
        );
    }
    stage.spawn(follow(tokens.clone(), health.clone(), metrics.clone()));
    Ok(Door::guarded(tokens, clock.clone(), metrics.clone()))
}

async fn follow(tokens: Tokens, health: Health, metrics: Metrics) {
    let mut tick = interval(WATCH);
    loop {
        tick.tick().await;
        let looked = tokens.clone();
        let Ok(refreshed) = tokio::task::spawn_blocking(move || looked.refresh()).await else { continue };
        match refreshed {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("tokens reloaded");
                health.set("tokens", State::Ok);
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(error, "tokens not reloaded: those that were known stay in force");
                metrics.token_reload_failures.add(1);
                health.explain("tokens", State::Degraded, format!("the tokens known before stay in force: {error}"));
            }
        }
    }
}
