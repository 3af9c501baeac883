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
mod needs;
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

use crate::needs::Need;
use crate::trial::{Context, Outcome};

type Fault = (&'static str, Need, fn(&Context) -> Outcome);

const FAULTS: &[Fault] = &[
    ("kill -9 at random instants", Need::Nothing, process::kill),
    ("SIGTERM under load", Need::Nothing, process::terminate),
    ("SIGTERM, then SIGKILL after 1 s", Need::Nothing, process::terminate_then_kill),
    ("SIGSTOP", Need::Nothing, process::pause),
    ("second process on the data directory", Need::Nothing, process::second_process),
    ("256 file descriptors", Need::Nothing, process::descriptors),
    ("clock jumps", Need::Faketime, process::clock),
    ("disk full", Need::Tmpfs, disks::full),
    ("fdatasync fails once", Need::Strace, disks::sync_fails_once),
    ("fdatasync fails for ever", Need::Strace, disks::sync_fails_for_ever),
    ("fdatasync fails for a while", Need::Strace, disks::sync_fails_for_a_while),
    ("disk turns read-only", Need::Strace, disks::read_only),
    ("batches duplicated, reordered, late", Need::Nothing, deliveries::duplicates),
    ("acknowledgements lost", Need::Nothing, deliveries::lost_acknowledgements),
    ("store: 500, 503, 429", Need::Nothing, stores::errors),
    ("store: late, slow closes, resets", Need::Nothing, stores::slow),
    ("store: 1 kbit/s", Need::Nothing, stores::narrow),
    ("store: replies lost or false", Need::Nothing, stores::lost_replies),
    ("store: 403", Need::Nothing, stores::forbidden),
    ("store: away", Need::Nothing, stores::away),
    ("noisy neighbour", Need::Nothing, crowds::noisy_neighbour),
    ("10,000 connections, 1,000 of them slow", Need::Nothing, crowds::connections),
    ("256 MiB of memory", Need::MemoryGroup, crowds::memory),
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
        /// Not those whose name contains this word; more than once: words.
        #[arg(long)]
        without: Vec<String>,
        /// 1,000 kills, a store that is away for an hour.
        #[arg(long)]
        long: bool,
        /// How long the store is away, minutes; nothing: 2, or 60 in the long form.
        #[arg(long)]
        away: Option<u64>,
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
        What::Run { words, without, long, away, seed } => run(&words, &without, &Context::new(long, away, seed)),
        What::Load(options) => steady::run(&options),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run(words: &[String], without: &[String], context: &Context) -> bool {
    let one_of = |words: &[String], name: &str| words.iter().any(|word| name.contains(word.as_str()));
    let chosen = |name: &str| (words.is_empty() || one_of(words, name)) && !one_of(without, name);
    let (mut passed, mut failed, mut skipped, began) = (0, 0, 0, Instant::now());
    println!("seed {}", context.seed);
    for (name, need, fault) in FAULTS.iter().filter(|(name, ..)| chosen(name)) {
        if let Some(missing) = need.missing() {
            println!("{name}: SKIPPED: {missing}");
            skipped += 1;
            continue;
        }
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
    println!("{:.0} s\n{passed} passed, {failed} failed, {skipped} skipped", began.elapsed().as_secs_f64());
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
