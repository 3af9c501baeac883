//! Sealing and maintenance without receiving: as a process of its own, or once.

use anyhow::{Context, Result, bail};
use tokio::sync::watch;

use super::rules::Watched;
use super::{observe_seal, seal_options};
use crate::clock::Clock;
use crate::config::Config;
use crate::sink::lake::append::Appended;
use crate::sink::lake::forget::Forgetter;
use crate::sink::lake::seal::{Once, SealOptions, Sealer, Told};
use crate::sink::lake::tombstones::{Follower, POLL, TombstoneStore, Tombstones};
use crate::sink::lake::{Lake, LakeError};
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// A lake, and how its sessions are sealed.
struct Scene {
    lake: Lake,
    key: crate::model::LakeKey,
    options: SealOptions,
    metrics: Metrics,
    health: Health,
    rules: Watched,
    follower: Follower,
}

impl Scene {
    async fn set(config: &Config, clock: &Clock) -> Result<Scene> {
        let lake = Lake::open(&config.lake_options()).await.context("cannot open the lake")?;
        let key = match lake.existing_key().await {
            Err(LakeError::NoKey) => bail!(
                "{} is no lake yet: `sessionlake serve` makes one; or give another with --lake or --data-dir",
                config.lake_name()
            ),
            key => key.context("cannot read the lake")?,
        };
        let (metrics, health) = (Metrics::new(clock.clone()), Health::new(&["lake", "redaction"]));
        let rules = Watched::start(&config.redaction_rules, &key, metrics.clone(), health.clone())?;
        let holder = SealOptions::default().holder;
        let tombstones = Tombstones::new(key.clone());
        let mut follower = Follower::new(TombstoneStore::new(&lake), tombstones.clone(), clock.clone());
        follower.poll().await.context("cannot read which sessions are to be forgotten")?;
        let forgetter = Some(Forgetter::alone(&lake, tombstones, clock.clone()));
        let options = SealOptions { forgetter, ..seal_options(config, rules.current(), &holder) };
        Ok(Scene { lake, key, options, metrics, health, rules, follower })
    }
}

/// Seals, and keeps the tables good, until told to stop.
///
/// # Errors
/// There is no lake, or the rules are wrong.
pub async fn maintain(config: &Config, clock: Clock, stop: watch::Receiver<bool>) -> Result<()> {
    let Scene { lake, key, options, metrics, health, rules, follower } = Scene::set(config, &clock).await?;
    let following = [tokio::spawn(rules.follow()), tokio::spawn(follow(follower))];
    let sealer = Sealer::new(lake, key, clock, options, observe_seal(metrics, health));
    // What replicas append is seen in the log.
    let (_appended, appended) = watch::channel(Appended::default());
    sealer.run(appended, stop).await;
    following.iter().for_each(|task| task.abort());
    Ok(())
}

/// Hears of sessions that others were told to forget.
async fn follow(mut follower: Follower) {
    loop {
        tokio::time::sleep(POLL).await;
        if let Err(error) = follower.poll().await {
            tracing::debug!(%error, "tombstones not read, trying again");
        }
    }
}

/// As [`maintain`], everything that is to be done now; `told` hears of each step.
///
/// # Errors
/// Another process does it, or the lake cannot be read or written.
pub async fn maintain_once(config: &Config, clock: Clock, told: Told) -> Result<()> {
    let Scene { lake, key, options, .. } = Scene::set(config, &clock).await?;
    let done = Once { lake, key, clock, options }.run(told).await.context("maintenance stopped")?;
    anyhow::ensure!(
        done,
        "another process maintains this lake, and does the same by itself: stop it, or run it with \
         --set maintenance.enabled=false"
    );
    Ok(())
}
