//! `sessionlake validate`: is this configuration good, and what does it mean?

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::config::Config;

use super::failure::Failure;
use super::options::ConfigArgs;
use super::{json, terminal};

/// Check configuration files without starting anything
///
/// Exit code 0 and a summary when they are good; 64 and every error with its file, line and column when not.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake validate --config collector.yaml
  sessionlake validate --config base.yaml --config production.yaml --set memory_limit_mib=1024"
)]
pub struct Validate {
    /// Configuration file (YAML); several are laid over each other, from left to right
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
    /// One configuration value at a dotted path, as in exporters.lake.flush_interval=1s
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

impl Validate {
    pub fn run(self) -> Result<(), Failure> {
        let args = ConfigArgs { config: self.config, set: self.set, ..ConfigArgs::default() };
        let config = args.load()?;
        terminal::print(&if self.json { json::text(&as_json(&config)) } else { summary(&config) })
    }
}

/// What the configuration means, without secrets.
fn summary(config: &Config) -> String {
    let lines = [
        ("OTLP gRPC", config.grpc.listener.address.to_string()),
        ("OTLP HTTP, hooks", config.http.listener.address.to_string()),
        ("health", config.health.address.to_string()),
        ("metrics", config.metrics.address.to_string()),
        ("lake", config.lake_name()),
        ("data directory", config.data_dir.display().to_string()),
        ("flush interval", format!("{:?}", config.lake.flush_interval)),
        ("idle timeout", format!("{:?}", config.idle_timeout)),
    ];
    let lines = lines.map(|(name, value)| format!("  {name:<18}{value}\n"));
    let notes = config.unavailable.iter().map(|name| format!("  note: {name} has no effect in this version\n"));
    format!("ok\n{}{}", lines.concat(), notes.collect::<String>())
}

fn as_json(config: &Config) -> serde_json::Value {
    json!({
        "ok": true,
        "grpc": config.grpc.listener.address.to_string(),
        "http": config.http.listener.address.to_string(),
        "health": config.health.address.to_string(),
        "metrics": config.metrics.address.to_string(),
        "lake": config.lake_name(),
        "data_dir": config.data_dir.display().to_string(),
        "flush_interval_ms": config.lake.flush_interval.as_millis() as u64,
        "idle_timeout_ms": config.idle_timeout.as_millis() as u64,
        "memory_limit_bytes": config.memory_limit_bytes,
        "unavailable": config.unavailable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_the_defaults_are() {
        insta::assert_snapshot!(summary(&Config::default()), @r#"
        ok
          OTLP gRPC         127.0.0.1:4317
          OTLP HTTP, hooks  127.0.0.1:4318
          health            127.0.0.1:13133
          metrics           127.0.0.1:8888
          lake              ./sessionlake-data/lake
          data directory    ./sessionlake-data
          flush interval    5s
          idle timeout      600s
        "#);
    }
}
