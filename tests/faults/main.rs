//! What the server promises must hold while something fails. `make faults` runs each fault against the real server and
//! prints what it counted; `make load` holds a rate for minutes.
//!
//! A fault is a function from a [`Context`] to an [`Outcome`]: it starts a server (`trial`), loads it with numbered
//! records that each carry a secret (`bodies`, `load`), does its harm, and has the tables, the journal and every file
//! searched for what was acknowledged and for what must not be there (`verdict`).

// A fault that cannot set its scene stops with the reason: that is what unwrap does here.
#![allow(clippy::unwrap_used)]

mod bodies;
#[path = "../it/corpus.rs"]
#[allow(dead_code)]
mod corpus;
mod crowds;
mod deliveries;
mod disks;
#[path = "../it/harness.rs"]
mod harness;
#[path = "../it/http.rs"]
#[allow(dead_code)]
mod http;
mod load;
mod process;
mod proxy;
#[path = "../it/query.rs"]
mod query;
mod rss;
mod steady;
#[path = "../it/store.rs"]
mod store;
mod stores;
mod trial;
mod verdict;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::trial::{Context, Outcome};

type Fault = (&'static str, fn(&Context) -> Outcome);

const FAULTS: &[Fault] = &[
    ("kill -9 at random instants", process::kill),
    ("SIGTERM under load", process::terminate),
    ("SIGTERM, then SIGKILL after 1 s", process::terminate_then_kill),
    ("SIGSTOP", process::pause),
    ("second process on the data directory", process::second_process),
    ("256 file descriptors", process::descriptors),
    ("clock jumps", process::clock),
    ("disk full", disks::full),
    ("fdatasync fails once", disks::sync_fails_once),
    ("fdatasync fails for ever", disks::sync_fails_for_ever),
    ("batches duplicated, reordered, late", deliveries::duplicates),
    ("acknowledgements lost", deliveries::lost_acknowledgements),
    ("store: 500, 503, 429", stores::errors),
    ("store: late, slow closes, resets", stores::slow),
    ("store: 1 kbit/s", stores::narrow),
    ("store: replies lost or false", stores::lost_replies),
    ("store: 403", stores::forbidden),
    ("store: away", stores::away),
    ("noisy neighbour", crowds::noisy_neighbour),
    ("10,000 connections, 1,000 of them slow", crowds::connections),
    ("256 MiB of memory", crowds::memory),
];

#[derive(Parser)]
#[command(name = "faults", about = "Runs the server through faults and counts what is lost")]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs the faults, or those whose name contains one of the words.
    Run {
        words: Vec<String>,
        /// 1,000 kills, a store that is away for an hour.
        #[arg(long)]
        long: bool,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Holds a rate of log records a second.
    Load(steady::Options),
}

fn main() -> ExitCode {
    // `cargo test` calls every test binary, with its own arguments: faults run when they are asked for.
    if !std::env::args().nth(1).is_some_and(|word| ["run", "load", "--help"].contains(&word.as_str())) {
        println!("faults take minutes: `make faults` or `cargo test --test faults -- run [WORD]...`");
        return ExitCode::SUCCESS;
    }
    let failed = match Arguments::parse().command {
        What::Run { words, long, seed } => run(&words, &Context::new(long, seed)),
        What::Load(options) => steady::run(&options),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(words: &[String], context: &Context) -> bool {
    let chosen = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let (mut passed, mut failed, began) = (0, 0, Instant::now());
    println!("seed {}", context.seed);
    for (name, fault) in FAULTS.iter().filter(|(name, _)| chosen(name)) {
        let began = Instant::now();
        // A scene that panics has failed; its server's log is on stderr.
        let outcome = catch_unwind(AssertUnwindSafe(|| fault(context)));
        match outcome.is_ok_and(|outcome| report(name, began.elapsed(), &outcome)) {
            true => passed += 1,
            false => {
                println!("{name}: FAILED");
                failed += 1;
            }
        }
    }
    println!("{:.0} s\n{passed} passed, {failed} failed", began.elapsed().as_secs_f64());
    failed > 0
}

/// Prints what was counted; says whether every promise was kept.
fn report(name: &str, took: Duration, outcome: &Outcome) -> bool {
    let verdict = &outcome.verdict;
    let ready = outcome.ready.map_or("-".to_owned(), |ready| format!("{:.1} s", ready.as_secs_f64()));
    println!(
        "{name}: acknowledged {} stored {} duplicate {} lost {} altered {} unredacted {} ready {ready} in facts {:.1} s drained {:.1} s, took {:.0} s",
        verdict.acknowledged,
        verdict.stored,
        verdict.duplicate,
        verdict.lost,
        verdict.altered,
        verdict.unredacted,
        verdict.stored_after.as_secs_f64(),
        verdict.drained.as_secs_f64(),
        took.as_secs_f64(),
    );
    for note in &outcome.notes {
        println!("    {note}");
    }
    for broken in &outcome.broken {
        println!("    NOT KEPT: {broken}");
    }
    let wrong = verdict.duplicate + verdict.lost + verdict.altered + verdict.unredacted;
    wrong == 0 && verdict.acknowledged > 0 && outcome.broken.is_empty()
}
