//! Erasing where no server runs: this process takes the lease, and the journal's lock, and does a server's part.

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use super::random;
use crate::config::Config;
use crate::journal::{Journal, JournalOptions};
use crate::model::Workspace;
use crate::sink::lake::forget::{Forgetter, Outcome, sweep};
use crate::sink::lake::{Lake, Lease, Leases};

/// Our own way to do the work.
pub struct Own {
    leases: Leases,
    lease: Option<Lease>,
    swept: bool,
}

impl Own {
    pub fn new(lake: &Lake) -> Own {
        let holder = format!("erase-{}", std::process::id());
        Own { leases: Leases::new(lake, &holder), lease: None, swept: false }
    }

    /// Does what is due, if nobody else maintains the lake.
    pub async fn turn(&mut self, config: &Config, workspace: &Workspace, forgetter: &Forgetter) -> Result<()> {
        if self.lease.is_none() {
            self.lease = self.leases.attempt().await.context("cannot ask for the lake's lease")?;
        }
        let Some(lease) = &self.lease else { return Ok(()) };
        let fence = lease.fence();
        if *lease.lost().borrow() {
            self.lease = None;
            return Ok(());
        }
        if !self.swept {
            clear(config, forgetter).await?;
            self.swept = true;
        }
        forgetter.work(workspace, fence, &mut Outcome::default()).await.context("cannot erase from the tables")
    }
}

/// Overwrites what the data directory's journal has. Where a server has it open, that one does it.
async fn clear(config: &Config, forgetter: &Forgetter) -> Result<()> {
    let dir = config.data_dir.join("journal");
    if !dir.is_dir() {
        return Ok(());
    }
    let (epoch, tombstones) = (u64::from_le_bytes(random()?), forgetter.tombstones().clone());
    let cleared = spawn_blocking(move || {
        let Ok(journal) = Journal::open(&dir, JournalOptions::default(), epoch) else { return Ok(None) };
        let stats = journal.stats();
        let backlog = stats.readers.iter().map(|reader| reader.backlog_records).max().unwrap_or(0);
        let swept = sweep(&journal, &tombstones, stats.durable_seq.saturating_sub(backlog), true);
        journal.close();
        swept.map(Some)
    });
    if let Some(swept) = cleared.await?.context("cannot overwrite the journal's records")?
        && swept.waiting > 0
    {
        eprintln!(
            "{} records of the journal hold other sessions as well, which the lake does not have yet: they are \
             overwritten when the server has run again",
            swept.waiting
        );
    }
    Ok(())
}
