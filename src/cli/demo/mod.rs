//! `sessionlake demo`: the whole path, on a recorded session, explained as it goes.

mod capture;
mod explore;
mod send;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::model::Workspace;
use crate::run::{self, Running};

use super::failure::Failure;
use super::render::{self, Style, paint};
use super::sessions::Reader;
use super::terminal;

/// See it work: a recorded session goes through the real collector into real tables
///
/// Starts a collector on free loopback ports with a data directory of its own, sends it a recorded
/// session as the agent would have, shows the session as a timeline with what each reply cost, and
/// says how to query the tables.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake demo
  sessionlake demo --keep"
)]
pub struct Demo {
    /// Leave the collector running until Ctrl-C, to send sessions of your own
    #[arg(long)]
    keep: bool,
}

/// A session is in the tables seconds after its end; on a slow disk it may take some more.
const SEAL_TIMEOUT: Duration = Duration::from_secs(60);

impl Demo {
    pub async fn run(self) -> Result<(), Failure> {
        let data_dir = new_data_dir(&std::env::temp_dir(), std::process::id(), Clock::system().now())?;
        let running = run::start(config(&data_dir)?, Clock::system()).await.context("cannot start the collector")?;
        let shown = show(&running).await;
        match (shown, self.keep) {
            (Ok(()), true) => keep(running).await,
            (shown, _) => {
                let stopped = running.shutdown().await;
                shown?;
                stopped?;
                explore::print(&data_dir)
            }
        }
    }
}

/// A new directory that only this user can read: the session is an example, those sent with `--keep` are not.
fn new_data_dir(parent: &Path, process: u32, now: i64) -> Result<PathBuf> {
    let path = parent.join(format!("sessionlake-demo-{process}-{}", now / 1_000_000));
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// The defaults, but for free ports and the directory.
fn config(data_dir: &Path) -> Result<Config, Failure> {
    let paths: [&[&str]; 5] = [
        &["receivers", "otlp", "protocols", "grpc", "endpoint"],
        &["receivers", "otlp", "protocols", "http", "endpoint"],
        &["extensions", "health_check", "endpoint"],
        &["service", "telemetry", "metrics", "address"],
        &["extensions", "sql", "endpoint"],
    ];
    let mut sources: Vec<_> = paths.iter().map(|path| config::flag("demo", path, "127.0.0.1:0")).collect();
    let data_dir = data_dir.to_str().ok_or_else(|| anyhow!("the temporary directory's name is no UTF-8"))?;
    sources.push(config::flag("demo", &["data_dir"], data_dir));
    Ok(Config::load(&sources, &|_| None)?)
}

/// Sends the recording, waits for the session, and shows it.
async fn show(running: &Running) -> Result<(), Failure> {
    let options = terminal::options(false);
    let heading = |text: &str| paint(Style::Bold, text, options.color);
    let http = running.addresses.http;
    terminal::print(&format!(
        "{}\nA coding agent worked on a small project. It reports twice: by OpenTelemetry (what it cost, how long it took)\n\
         and by hooks (what was said and done). Here is that recording on its way to a collector at http://{http}:\n\n",
        heading("1. What arrives")
    ))?;
    let session_id = send::all(http).await?;
    terminal::print(
        "\n  Every request was answered after it was redacted and on disk. Waiting for the session's end to be processed...\n",
    )?;
    let workspace = Workspace::default();
    let sealed = tokio::time::timeout(SEAL_TIMEOUT, running.sealed(&workspace, &session_id)).await;
    sealed.map_err(|_| anyhow!("the session did not reach the tables within {} s", SEAL_TIMEOUT.as_secs()))??;
    let reader = Reader::new(running.lake.clone(), workspace);
    let session = reader.find(&session_id).await?;
    let events = reader.events(&session).await?;
    terminal::print(&format!(
        "\n{}\nBoth sources, joined: each reply with what it cost beside it, each tool call with its outcome.\n\n{}",
        heading("2. What it became"),
        render::timeline(&session, &events, options),
    ))?;
    terminal::print(&format!(
        "\n{}\n{}",
        heading("3. What was redacted before it was kept"),
        explore::redactions(&session)
    ))
}

/// Says where to send, and waits for Ctrl-C.
async fn keep(running: Running) -> Result<(), Failure> {
    explore::print(&running.data_dir)?;
    terminal::print(&explore::endpoints(&running.addresses))?;
    run::stop_requested().await?;
    Ok(running.shutdown().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_listens_on_free_loopback_ports_only() {
        let config = config(Path::new("/tmp/x $y")).unwrap();
        for listener in [&config.grpc.listener, &config.http.listener, &config.health, &config.metrics, &config.sql] {
            assert_eq!(listener.address.to_string(), "127.0.0.1:0");
        }
        assert_eq!(config.data_dir, Path::new("/tmp/x $y"));
    }

    #[test]
    fn a_data_directory_is_new_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let path = new_data_dir(parent.path(), 7, 1_000_000).unwrap();
        assert!(new_data_dir(parent.path(), 7, 1_000_000).is_err());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o700);
    }
}
