//! Erasing where no server runs: this process takes the lease, and the journal's lock, and does a server's part.

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use super::Site;
use crate::clock::Clock;
use crate::journal::{Journal, JournalOptions};
use crate::run::random;
use crate::sink::lake::forget::{Ack, Forgetter, Forgotten, Request, SweepError, Swept, sweep, sweep_quarantine};
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
    pub async fn turn(&mut self, site: &Site, request: &Request, forgetter: &Forgetter) -> Result<()> {
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
            request.bury(forgetter.tombstones());
            clear(site, request, forgetter).await?;
            self.swept = true;
        }
        let due = forgetter.due(&site.workspace).await.context("cannot read the lake")?;
        forgetter
            .work(&site.workspace, due, fence, &mut Forgotten::default())
            .await
            .context("cannot erase from the tables")
    }
}

/// Overwrites what the data directory's journal has. Where a server has it open, that one does it.
async fn clear(site: &Site, request: &Request, forgetter: &Forgetter) -> Result<()> {
    let dir = site.config.data_dir.join("journal");
    if !dir.is_dir() {
        return Ok(());
    }
    let (epoch, tombstones) = (u64::from_le_bytes(random()?), forgetter.tombstones().clone());
    let sessions = request.sessions.clone();
    let cleared = spawn_blocking(move || {
        let Ok(journal) = Journal::open(&dir, JournalOptions::default(), epoch) else { return Ok(None) };
        let stats = journal.stats();
        let backlog = stats.readers.iter().map(|reader| reader.backlog_records).max().unwrap_or(0);
        let swept = sweep(&journal, &tombstones, stats.durable_seq.saturating_sub(backlog), true);
        let quarantined = sweep_quarantine(&journal, &sessions);
        let id = journal.id().to_owned();
        journal.close();
        let swept = swept?;
        let swept = Swept { erased: swept.erased + quarantined?, ..swept };
        Ok::<_, SweepError>(Some((id, swept)))
    });
    let Some((journal, swept)) = cleared.await?.context("cannot overwrite the journal's records")? else {
        return Ok(());
    };
    if swept.waiting == 0 {
        let ack = Ack { records: swept.erased, at: Clock::system().now() };
        site.requests.acknowledge(&request.id, &journal, &ack).await.context("cannot write to the lake")?;
    } else {
        eprintln!(
            "{} records of the journal hold other sessions as well, which the lake does not have yet: they are \
             overwritten when the server has run again",
            swept.waiting
        );
    }
    Ok(())
}
