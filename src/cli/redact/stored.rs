//! Sessions in the lake, for commands that try rules on them.

use anyhow::{Context, Result};
use clap::Args;

use super::super::failure::Failure;
use super::super::sessions::open_lake;
use crate::clock::Clock;
use crate::config::{Config, duration};
use crate::model::{Event, Workspace};
use crate::sink::lake::{Lake, TableKind};

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Which stored sessions.
#[derive(Debug, Args)]
pub struct StoredArgs {
    /// The workspace whose sessions are meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    /// Only events since so long ago, as in 7d or 12h
    #[arg(long, value_name = "DURATION", default_value = "7d")]
    since: String,
}

/// Stored events.
pub struct Stored {
    pub lake: Lake,
    pub workspace: Workspace,
    /// UTC microseconds.
    pub from: i64,
}

impl StoredArgs {
    /// Opens the lake; never creates one.
    pub async fn open(&self, config: &Config, clock: &Clock) -> Result<Stored, Failure> {
        let workspace = Workspace::parse(&self.workspace).map_err(|error| Failure::Usage(error.to_string()))?;
        let since =
            duration(&self.since, "1s", "3650d").map_err(|wrong| Failure::Usage(format!("--since: {wrong}")))?;
        let from = clock.now().saturating_sub(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
        Ok(Stored { lake: open_lake(config).await?, workspace, from })
    }
}

impl Stored {
    /// Calls `each` with every event, file by file: memory is bounded by the largest file.
    pub async fn each_event(&self, mut each: impl FnMut(Event)) -> Result<()> {
        let table = self.lake.existing(&self.workspace, TableKind::Events).await?;
        let Some(table) = table else { return Ok(()) };
        // A session lives in the partition of its start, which may be before its events.
        let first_day = i32::try_from(self.from.div_euclid(DAY)).unwrap_or(i32::MIN).saturating_sub(MAX_SESSION_DAYS);
        for file in table.files().await?.iter().filter(|file| file.date >= first_day) {
            let events = table.read_events(file, None).await;
            let events =
                events.context("cannot read stored events; a running collector may have rewritten them: try again")?;
            events.into_iter().filter(|event| event.time >= self.from).for_each(&mut each);
        }
        Ok(())
    }
}

/// Longer sessions' latest events are not looked at.
const MAX_SESSION_DAYS: i32 = 30;
