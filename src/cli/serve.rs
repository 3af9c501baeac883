//! `sessionlake serve`: the collector, until it is told to stop.

use clap::Args;

use crate::clock::Clock;
use crate::config::Config;
use crate::run;

use super::failure::Failure;
use super::options::ConfigArgs;

/// Run the collector: receive, redact, keep, join
///
/// Everything has a default: OTLP gRPC on 127.0.0.1:4317, OTLP HTTP and hooks on 127.0.0.1:4318,
/// data in ./sessionlake-data. Logs go to stderr. SIGTERM or Ctrl-C stops it after what was
/// accepted is written.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake serve
  sessionlake serve --config collector.yaml --lake s3://acme-sessions/prod
  sessionlake serve --set receivers.otlp.protocols.http.endpoint=127.0.0.1:0"
)]
pub struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Serve {
    pub async fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        run::forbid_core_dumps()?;
        run::set_up_logs(&config)?;
        for name in &config.unavailable {
            tracing::warn!("{name} is set, but has no effect in this version");
        }
        let running = start(config).await?;
        run::stop_requested().await?;
        Ok(running.shutdown().await?)
    }
}

async fn start(config: Config) -> anyhow::Result<run::Running> {
    run::start(config, Clock::system()).await
}
