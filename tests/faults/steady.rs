//! A rate held for minutes: acknowledgement times, the server's resident size, and nothing lost.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Args;

use crate::bodies::{Bodies, Plan};
use crate::harness::Setup;
use crate::load::{Load, Rate};
use crate::query::Lake;
use crate::rss::Rss;
use crate::verdict;

/// Records in a request, as exporters send them under load.
const RECORDS: u64 = 100;
/// A session of a thousand records, a hundred sessions at once: at 10,000 records/s, each gets a batch a second.
const PLAN: Plan = Plan { records: RECORDS, sessions: 100, batches: 10 };

#[derive(Args)]
pub struct Options {
    /// Log records a second.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Fails above that 99th percentile of the acknowledgement, ms.
    #[arg(long, default_value_t = 50.0)]
    p99_ms: f64,
    /// Fails above that resident size, MiB.
    #[arg(long, default_value_t = 200)]
    rss_mib: u64,
    /// Settings of the server, as `serve` takes them.
    #[arg(long)]
    set: Vec<String>,
}

/// Holds the rate; says whether a promise was broken.
pub fn run(options: &Options) -> bool {
    // Each open session gets a batch a second, so that only those whose end was lost fall idle.
    let server = Setup { settings: options.set.clone(), ..Setup::default() }.idle("10s").start();
    let bodies = Arc::new(Bodies::new("steady", PLAN));
    let rate = Rate { ends: true, ..Rate::new(options.clients, options.rate as f64 / RECORDS as f64) };
    let (rss, began) = (Rss::watch(server.pid()), Instant::now());
    let load = Load::start(server.ports.http, &bodies, rate);
    sleep(Duration::from_secs_f64(options.minutes * 60.0));
    let since = Instant::now();
    let ledger = load.stop();
    let curve = rss.stop();
    let [p50, p99, max] = ledger.latency();
    let rate = ledger.count() as f64 * RECORDS as f64 / began.elapsed().as_secs_f64();
    println!("{rate:.0} records/s acknowledged, p50 {p50:.1} p99 {p99:.1} max {max:.1} ms after they were due");
    println!("{curve}; refused {:?}, without reply {}", ledger.refused(), ledger.broken());
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::of(&server).patient(600);
    let verdict = verdict::judge(&lake, &bodies, &ledger, &folder.path().join("ledger.csv"), since);
    println!(
        "acknowledged {} stored {} duplicate {} lost {} altered {} drained {:.1} s",
        verdict.acknowledged,
        verdict.stored,
        verdict.duplicate,
        verdict.lost,
        verdict.altered,
        verdict.drained.as_secs_f64()
    );
    let wrong = verdict.duplicate + verdict.lost + verdict.altered;
    wrong > 0 || p99 > options.p99_ms || curve.max > options.rss_mib
}
