//! Writes a lake of made-up sessions, as the collector writes them: facts in small files by the time they arrived, and
//! the events and sessions that the real fold makes of them. For measurements; the same seed gives the same rows.
//!
//!     cargo test --release --test generate -- make --lake /tmp/lake --sessions 20000 --events 50

#![allow(clippy::unwrap_used)]

mod lake;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use lake::{Size, make};

#[derive(Parser)]
#[command(name = "generate", about = "Writes a lake of made-up sessions")]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    Make(Options),
}

#[derive(clap::Args)]
struct Options {
    /// A directory or s3://bucket/prefix, without tables
    #[arg(long)]
    lake: String,
    /// Sessions, over 30 days
    #[arg(long, default_value_t = 20_000)]
    sessions: u64,
    /// Events of a session, about
    #[arg(long, default_value_t = 50)]
    events: u64,
    /// Sessions whose facts arrive between two commits
    #[arg(long, default_value_t = 20)]
    batch: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    // `cargo test` calls every test binary, with its own arguments: a lake is written when it is asked for.
    if !std::env::args().nth(1).is_some_and(|word| ["make", "--help"].contains(&word.as_str())) {
        println!("`cargo test --release --test generate -- make --lake DIR` writes a lake");
        return ExitCode::SUCCESS;
    }
    let What::Make(options) = Arguments::parse().command;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let Options { lake, sessions, events, batch, seed } = options;
    let rows = runtime.block_on(make(&lake, &Size { sessions, events, batch, seed }));
    println!("{sessions} sessions, {rows} events");
    ExitCode::SUCCESS
}
