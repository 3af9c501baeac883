//! Certificates of the listeners: opened at the start, looked at again while the process runs.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::interval;

use crate::config::{Config, Listener};
use crate::receiver::Protocol;
use crate::telemetry::Metrics;
use crate::telemetry::health::{Health, State};
use crate::tls::Tls;

/// What clients of PostgreSQL 17 and later name (its protocol, "ALPN").
const POSTGRESQL: &[&[u8]] = &[b"postgresql"];

/// A listener's certificate, and how often its files are looked at.
pub struct Watched {
    pub tls: Tls,
    every: Duration,
    /// The listener's place in the configuration.
    setting: &'static str,
}

/// The certificates of all listeners; `None` where one speaks in the clear.
pub struct Certificates {
    pub grpc: Option<Watched>,
    pub http: Option<Watched>,
    pub health: Option<Watched>,
    pub metrics: Option<Watched>,
    pub sql: Option<Watched>,
}

impl Certificates {
    pub fn open(config: &Config) -> Result<Certificates> {
        Ok(Certificates {
            grpc: open("receivers.otlp.protocols.grpc.tls", &config.grpc.listener, Protocol::Grpc.alpn())?,
            http: open("receivers.otlp.protocols.http.tls", &config.http.listener, Protocol::Http.alpn())?,
            health: open("extensions.health_check.tls", &config.health, Protocol::Http.alpn())?,
            metrics: open("service.telemetry.metrics.tls", &config.metrics, Protocol::Http.alpn())?,
            sql: open("extensions.sql.tls", &config.sql, POSTGRESQL)?,
        })
    }

    /// One task for each certificate that follows its files until it is dropped.
    pub fn watches(self, health: &Health, metrics: &Metrics) -> Vec<impl Future<Output = ()> + Send + 'static> {
        let all = [self.grpc, self.http, self.health, self.metrics, self.sql];
        all.into_iter().flatten().map(|watched| watched.follow(health.clone(), metrics.clone())).collect()
    }
}

fn open(setting: &'static str, listener: &Listener, alpn: &'static [&'static [u8]]) -> Result<Option<Watched>> {
    let Some(options) = listener.tls.options(alpn) else { return Ok(None) };
    let tls = Tls::open(options).with_context(|| format!("{setting} cannot be used"))?;
    Ok(Some(Watched { tls, every: listener.tls.reload_interval, setting }))
}

impl Watched {
    async fn follow(self, health: Health, metrics: Metrics) {
        let mut tick = interval(self.every);
        let mut last_error = None;
        loop {
            tick.tick().await;
            let tls = self.tls.clone();
            let Ok(refreshed) = tokio::task::spawn_blocking(move || tls.refresh()).await else { continue };
            match refreshed {
                Ok(false) => {}
                Ok(true) => {
                    tracing::info!(listener = self.setting, "certificate reloaded: new connections get it");
                    metrics.tls_reloads.add(1);
                    health.set(self.setting, State::Ok);
                    last_error = None;
                }
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    if last_error.as_ref() != Some(&error) {
                        tracing::error!(listener = self.setting, error, "certificate not reloaded: the old one stays");
                        metrics.tls_reload_failures.add(1);
                        health.explain(self.setting, State::Degraded, format!("the old certificate stays: {error}"));
                        last_error = Some(error);
                    }
                }
            }
        }
    }
}
