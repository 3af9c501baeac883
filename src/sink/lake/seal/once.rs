//! Everything that the holder of the lease has to do, once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::driver::acquire;
use super::live::{Now, micros};
use super::workspace::WorkspaceSealer;
use super::{Report, SealOptions};
use crate::clock::Clock;
use crate::model::{LakeKey, Workspace};
use crate::sink::lake::lease::Leases;
use crate::sink::lake::{Done, Lake, LakeError};

/// Longer than it takes to follow a holder that died.
const PATIENCE: Duration = Duration::from_secs(15);

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Sealed(Report),
    /// Files that were too old, or held what was.
    Expired(usize),
    /// Files were put together, or a table was swept; so many bytes of the workspace are still to be put together.
    Kept {
        done: Done,
        left: u64,
    },
}

/// Hears of each step, in a workspace.
pub type Told = Arc<dyn Fn(&Workspace, Step) + Send + Sync>;

/// Forgets, seals, redacts anew and expires what is due, puts together what can be, writes checkpoints and removes what
/// nothing names, in every workspace.
/// May be dropped at any time, which is as safe as a crash.
pub struct Once {
    pub lake: Lake,
    pub key: LakeKey,
    pub clock: Clock,
    pub options: SealOptions,
}

impl Once {
    /// `told` hears of each step. `false`: another process holds the lease, and does the same work.
    ///
    /// # Errors
    /// The lake cannot be read or written; what was done until then stays.
    pub async fn run(self, told: Told) -> Result<bool, LakeError> {
        let mut leases = Leases::new(&self.lake, &self.options.holder);
        let (give_up, mut stop) = watch::channel(false);
        let patience = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            give_up.send_replace(true);
        });
        let lease = acquire(&mut leases, &mut stop).await;
        patience.abort();
        let Some(lease) = lease else { return Ok(false) };
        let started = Instant::now();
        for workspace in self.lake.workspaces().await? {
            let now = Now { mono: micros(started.elapsed()), wall: self.clock.now() };
            let open = WorkspaceSealer::open(&self.lake, &self.key, &workspace, lease.fence(), &self.options, now);
            let mut sealer = open.await?;
            sealer.forget(now).await?;
            sealer.seal_all(now, &|report| told(&workspace, Step::Sealed(report.clone()))).await?;
            sealer.redact_all(now).await?;
            told(&workspace, Step::Expired(sealer.expire_all().await?));
            sealer.tidy_all(now, &|done, left| told(&workspace, Step::Kept { done, left })).await?;
        }
        lease.release().await;
        Ok(true)
    }
}
