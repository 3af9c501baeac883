//! Writes a lake of made-up sessions, as the collector writes them: facts in small files by the time they arrived, and
//! the events and sessions that the real fold makes of them. For measurements; the same seed gives the same rows.
//!
//!     cargo test --release --test generate -- make --lake /tmp/lake --sessions 20000 --events 50

#![allow(clippy::unwrap_used)]

mod sessions;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sessionlake::clock::Clock;
use sessionlake::enrich::fold::fold;
use sessionlake::model::Workspace;
use sessionlake::sink::lake::seal::TRANSACTION;
use sessionlake::sink::lake::{Change, Lake, LakeOptions, NewFile, Table, TableKind};

use sessions::{DAYS, Maker};

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
    runtime.block_on(make(&options));
    ExitCode::SUCCESS
}

/// The tables, and the files of the commits to come.
struct Writing {
    tables: [Table; 3],
    files: [Vec<NewFile>; 3],
}

impl Writing {
    async fn commit(&mut self) {
        let mut through = -1;
        for (table, add) in self.tables.iter_mut().zip(&mut self.files) {
            // With the sessions goes up to where the facts are sealed.
            let sealed = (table.kind() == TableKind::Sessions).then(|| (TRANSACTION.to_owned(), through));
            let change = Change { add: std::mem::take(add), transaction: sealed, ..Change::default() };
            let version = table.commit(change).await.unwrap();
            if table.kind() == TableKind::Facts {
                through = version;
            }
        }
    }
}

async fn make(options: &Options) {
    let lake = Lake::open(&LakeOptions { url: options.lake.clone(), ..LakeOptions::default() }).await.unwrap();
    let lake = lake.with_clock(Clock::system());
    let (key, workspace) = (lake.key([9; 32]).await.unwrap(), Workspace::default());
    let open = async |kind| lake.table(&workspace, kind, &key).await.unwrap();
    let tables = [open(TableKind::Facts).await, open(TableKind::Events).await, open(TableKind::Sessions).await];
    let mut writing = Writing { tables, files: Default::default() };
    let today = (Clock::system().now() / 86_400_000_000) as u64;
    let mut maker = Maker::new(options.seed, options.events, today - DAYS);
    let (mut rows, mut done) = (0, 0);
    while done < options.sessions {
        let (mut facts, mut events, mut rows_of_sessions) = (Vec::new(), Vec::new(), Vec::new());
        let batch = options.batch.min(options.sessions - done);
        let day = done * DAYS / options.sessions;
        for _ in 0..batch {
            let (session, of_session) = maker.session(day);
            let folded = fold(&session, &of_session, true);
            facts.extend(of_session);
            events.extend(folded.events);
            rows_of_sessions.push(folded.session);
        }
        rows += events.len();
        done += batch;
        let [of_facts, of_events, of_sessions] = &mut writing.files;
        of_facts.extend(writing.tables[0].write_facts(&facts).await.unwrap());
        of_events.extend(writing.tables[1].write_events(&events).await.unwrap());
        of_sessions.extend(writing.tables[2].write_sessions(&rows_of_sessions).await.unwrap());
        // A commit names many files, so that a large lake is not mostly its log.
        if writing.files[0].len() >= 100 {
            writing.commit().await;
        }
    }
    writing.commit().await;
    println!("{done} sessions, {rows} events");
}
