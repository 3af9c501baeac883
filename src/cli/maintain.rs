//! `sessionlake maintain`: what the collector does for its tables, without receiving anything.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::model::Workspace;
use crate::run;
use crate::sink::lake::Done;
use crate::sink::lake::seal::Step;

use super::failure::Failure;
use super::options::ConfigArgs;
use super::terminal;

/// Seal sessions and keep the tables good: few large files, checkpoints, no orphans
///
/// `serve` does all this by itself. Run it as a process of its own beside replicas that have it
/// switched off (--set maintenance.enabled=false), or once, from a timer. It may be interrupted at
/// any time: what was done stays, and nothing is half done.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake maintain --lake s3://acme-sessions/prod
  sessionlake maintain --once --data-dir /var/lib/sessionlake"
)]
pub struct Maintain {
    #[command(flatten)]
    config: ConfigArgs,
    /// Do what is to be done now, say what it was, and end
    #[arg(long)]
    once: bool,
    /// With --once: print what was done as a JSON object
    #[arg(long, requires = "once")]
    json: bool,
}

impl Maintain {
    pub async fn run(self) -> Result<(), Failure> {
        let config = self.config.load()?;
        run::forbid_core_dumps()?;
        run::set_up_logs(&config)?;
        if !self.once {
            let (stop, stopped) = watch::channel(false);
            let maintaining = run::maintain(&config, Clock::system(), stopped);
            tokio::pin!(maintaining);
            return tokio::select! {
                ended = &mut maintaining => Ok(ended?),
                asked = run::stop_requested() => {
                    asked?;
                    stop.send_replace(true);
                    Ok(maintaining.await?)
                }
            };
        }
        let tally = Arc::new(Mutex::new(Tally::new()));
        let kept = tally.clone();
        let told = move |workspace: &Workspace, step| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).add(workspace, step);
        };
        let ended = tokio::select! {
            ended = run::maintain_once(&config, Clock::system(), Arc::new(told)) => ended.map(|()| false),
            asked = run::stop_requested() => asked.map(|()| true),
        };
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.end_line();
        let interrupted = ended?;
        terminal::print(&if self.json { tally.json(interrupted) } else { tally.text(interrupted) })
    }
}

/// What was done so far.
struct Tally {
    started: Instant,
    /// When files began to be put together: sealing comes before that.
    merging_since: Option<Instant>,
    terminal: bool,
    /// Bytes that are still to be put together in the present workspace, and those that were in all of them.
    bytes_left: u64,
    bytes_done: u64,
    bytes_after: u64,
    files_before: usize,
    files_after: usize,
    sessions: usize,
    checkpoints: usize,
    orphans: usize,
    expired: usize,
}

impl Tally {
    fn new() -> Tally {
        Tally {
            started: Instant::now(),
            merging_since: None,
            terminal: io::stderr().is_terminal(),
            bytes_left: 0,
            bytes_done: 0,
            bytes_after: 0,
            files_before: 0,
            files_after: 0,
            sessions: 0,
            checkpoints: 0,
            orphans: 0,
            expired: 0,
        }
    }

    fn add(&mut self, workspace: &Workspace, step: Step) {
        let merges = matches!(step, Step::Kept { .. });
        match step {
            Step::Sealed(report) => self.sessions += report.ended,
            Step::Expired(files) => self.expired += files,
            Step::Kept { done, left } => {
                self.merging_since.get_or_insert_with(Instant::now);
                self.bytes_left = left;
                self.keep(done);
            }
        }
        self.show(workspace, merges);
    }

    fn keep(&mut self, done: Done) {
        match done {
            Done::Merged(merged) => {
                self.bytes_done += merged.bytes_before;
                self.bytes_after += merged.bytes_after;
                self.files_before += merged.files_before;
                self.files_after += merged.files_after;
            }
            Done::Swept(swept) => {
                self.checkpoints += usize::from(swept.checkpoint);
                self.orphans += swept.files;
            }
            Done::Nothing => {}
        }
    }

    /// One line that is written over on a terminal, a line each elsewhere. A reader who has gone is no reason to stop.
    fn show(&self, workspace: &Workspace, merges: bool) {
        let line = match self.merging_since.filter(|_| merges) {
            None => format!("{workspace}: {} sessions sealed", self.sessions),
            Some(since) => format!(
                "{workspace}: {} files to {}, {:.1} of {:.1} MiB{}",
                self.files_before,
                self.files_after,
                mib(self.bytes_done),
                mib(self.bytes_done + self.bytes_left),
                self.eta(since).map_or(String::new(), |seconds| format!(", about {seconds:.0} s left")),
            ),
        };
        let mut stderr = io::stderr().lock();
        let _ = if self.terminal { write!(stderr, "\r\x1b[K{line}") } else { writeln!(stderr, "{line}") };
        let _ = stderr.flush();
    }

    fn eta(&self, since: Instant) -> Option<f64> {
        let known = self.bytes_left > 0 && self.bytes_done > 0;
        known.then(|| since.elapsed().as_secs_f64() * self.bytes_left as f64 / self.bytes_done as f64)
    }

    fn end_line(&self) {
        if self.terminal {
            eprintln!();
        }
    }

    fn text(&self, interrupted: bool) -> String {
        format!(
            "{}{} sessions sealed; {} files of {:.1} MiB became {} of {:.1} MiB; {} checkpoints written; {} expired files and {} orphans removed; {:.1} s\n",
            if interrupted { "Interrupted, nothing is half done: " } else { "" },
            self.sessions,
            self.files_before,
            mib(self.bytes_done),
            self.files_after,
            mib(self.bytes_after),
            self.checkpoints,
            self.expired,
            self.orphans,
            self.started.elapsed().as_secs_f64(),
        )
    }

    fn json(&self, interrupted: bool) -> String {
        let done = json!({
            "interrupted": interrupted,
            "sessions_sealed": self.sessions,
            "files_before": self.files_before,
            "files_after": self.files_after,
            "bytes_before": self.bytes_done,
            "bytes_after": self.bytes_after,
            "checkpoints": self.checkpoints,
            "expired": self.expired,
            "orphans": self.orphans,
            "seconds": self.started.elapsed().as_secs_f64(),
        });
        format!("{done:#}\n")
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
