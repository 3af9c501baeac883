//! Opens the journal as configured, and says how it is.

use anyhow::{Context, Result};
use tokio::task::spawn_blocking;

use super::{WATCH, random};
use crate::config::Config;
use crate::journal::{Finding, Journal, JournalOptions};
use crate::telemetry::health::{Health, State};
use crate::telemetry::metrics::Metrics;

pub fn open(config: &Config) -> Result<Journal> {
    let dir = config.data_dir.join("journal");
    let epoch = u64::from_le_bytes(random()?);
    let options = JournalOptions {
        segment_bytes: config.journal.segment_bytes,
        max_bytes: config.journal.max_bytes,
        max_disk_percent: config.journal.max_disk_percent,
        ..JournalOptions::default()
    };
    Journal::open(&dir, options, epoch).context("cannot open the journal")
}

/// Follows the journal's state for as long as the process lives.
pub async fn watch(journal: Journal, metrics: Metrics, health: Health) {
    let mut tick = tokio::time::interval(WATCH);
    loop {
        tick.tick().await;
        let stats = journal.stats();
        metrics.journal_bytes.set(stats.bytes);
        metrics.journal_lost_records.set(stats.lost_records);
        metrics.journal_dropped_records.set(stats.readers.iter().map(|reader| reader.dropped_records).sum());
        let looking = journal.clone();
        // It looks into a directory, on a disk that may not answer.
        let Ok(findings) = spawn_blocking(move || looking.findings()).await else { return };
        show(&health, &findings);
    }
}

fn show(health: &Health, findings: &[Finding]) {
    let texts: Vec<&str> = findings.iter().map(|finding| finding.text.as_str()).collect();
    match findings.iter().map(|finding| finding.severe).max() {
        None => health.set("journal", State::Ok),
        Some(false) => health.explain("journal", State::Degraded, texts.join("; ")),
        Some(true) => health.explain("journal", State::Failed, texts.join("; ")),
    }
}
