//! Private and erased sessions in a running collector: the gate in front of the journal, and the task that does this
//! process's part of forgetting.

mod follow;
mod gate;
mod spool;

use std::sync::Arc;

use anyhow::{Context, Result};

use super::Stage;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::model::LakeKey;
use crate::receiver::{Gate, Passage};
use crate::sink::lake::Lake;
use crate::sink::lake::forget::Forgetter;
use crate::sink::lake::tombstones::Tombstones;
use follow::Follow;
use gate::PrivacyGate;
use spool::Spool;

/// What stands between the receiver and the journal.
pub struct Privacy {
    pub tombstones: Tombstones,
    /// For the holder of the lease.
    pub forgetter: Forgetter,
    pub gate: Arc<dyn Gate>,
    pub passage: Passage,
    follow: Follow,
}

impl Privacy {
    /// Learns which sessions are private: from the data directory, and from the lake where it answers.
    ///
    /// # Errors
    /// The data directory cannot be read or written.
    pub async fn start(
        config: &Config,
        lake: &Lake,
        key: &LakeKey,
        journal: &Journal,
        clock: &Clock,
    ) -> Result<Privacy> {
        let tombstones = Tombstones::new(key.clone());
        let spool =
            Spool::open(&config.data_dir).context("cannot open what the data directory says of private sessions")?;
        for request in spool.read()? {
            request.bury(&tombstones);
        }
        let passage = Passage::default();
        let gate = PrivacyGate::new(tombstones.clone(), config.private.clone(), spool.clone(), clock.clone());
        let forgetter = Forgetter::new(lake, tombstones.clone(), clock.clone());
        let mut follow = Follow::new(lake, journal.clone(), forgetter.clone(), spool, passage.clone(), clock.clone());
        follow.first_look().await;
        Ok(Privacy { tombstones, forgetter, gate: Arc::new(gate), passage, follow })
    }

    /// Follows what other processes say, for as long as the process lives.
    pub fn run(self, stage: &mut Stage) {
        stage.spawn(self.follow.run());
    }
}
