//! The redaction rules in force: read at the start, and again on SIGHUP and whenever a file of theirs changes.
//!
//! New rules are in force at once and as a whole, or not at all: a request that has begun ends with the rules that it
//! began with, and files that are wrong leave the old rules in force.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::document::{self, ConfigError, Problem, Source};
use crate::model::LakeKey;
use crate::redaction::{Current, Redactor, RuleFiles};
use crate::telemetry::health::{Health, State};
use crate::telemetry::metrics::Metrics;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A dictionary of a million names.
const MAX_DICTIONARY: u64 = 32 << 20;

/// Reads rule files and what they name. Patterns are not compiled yet.
///
/// # Errors
/// Everything that is wrong in them, with file, line and caret.
pub fn read(paths: &[PathBuf]) -> Result<RuleFiles, ConfigError> {
    let (mut sources, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        match document::read(path) {
            Ok(text) => sources.push(Source { name, text }),
            Err(error) => problems.push(unreadable(&error).of(name)),
        }
    }
    match problems.is_empty() {
        true => RuleFiles::read(sources, &|path| document::read_up_to(path, MAX_DICTIONARY)),
        false => Err(ConfigError(problems)),
    }
}

fn unreadable(error: &io::Error) -> Problem {
    let help = "processors.redaction.rules lists files, relative to the file that it stands in".to_owned();
    Problem::new(format!("cannot read the rule file: {error}"), Some(help))
}

/// Follows the rule files.
pub struct Watched {
    paths: Vec<PathBuf>,
    key: LakeKey,
    current: Current,
    metrics: Metrics,
    health: Health,
    seen: Vec<Option<Stamp>>,
    /// Rule files and what they named when they were read last.
    files: Vec<PathBuf>,
}

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Watched {
    /// Reads the rules for the first time; `current` is what they put in force.
    ///
    /// # Errors
    /// The rules are wrong, or their tests fail.
    pub fn start(paths: &[PathBuf], key: &LakeKey, metrics: Metrics, health: Health) -> Result<Watched, ConfigError> {
        let (redactor, files) = load(paths, key)?;
        metrics.policy.set(redactor.policy());
        health.set("redaction", State::Ok);
        let seen = stamps(&files);
        let (paths, key, current) = (paths.to_vec(), key.clone(), Current::new(redactor));
        Ok(Watched { paths, key, current, metrics, health, seen, files })
    }

    pub fn current(&self) -> Current {
        self.current.clone()
    }

    /// Runs until it is dropped.
    pub async fn follow(mut self) {
        // Without a handler the signal would end the process.
        let mut hang_up = match signal(SignalKind::hangup()) {
            Ok(hang_up) => Some(hang_up),
            Err(error) => {
                tracing::warn!(%error, "cannot listen for SIGHUP: rules are reloaded when their files change");
                None
            }
        };
        let mut tick = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! {
                _ = async { match &mut hang_up { Some(signal) => signal.recv().await, None => std::future::pending().await } } => true,
                _ = tick.tick() => false,
            };
            let now = stamps(&self.files);
            if asked || now != self.seen {
                self.seen = now;
                self.reload().await;
            }
        }
    }

    async fn reload(&mut self) {
        let (paths, key) = (self.paths.clone(), self.key.clone());
        let loaded = tokio::task::spawn_blocking(move || load(&paths, &key)).await;
        match loaded.unwrap_or_else(|_| Err(ConfigError(vec![Problem::new("reading the rules failed", None)]))) {
            Ok((redactor, files)) => {
                self.watch(files);
                tracing::info!(policy = redactor.policy(), "redaction rules read: in force from now on");
                self.metrics.policy.set(redactor.policy());
                self.metrics.policy_reloads.add(1);
                self.current.put(redactor);
                self.health.set("redaction", State::Ok);
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// Files that the rules name may be others now. A change between reading and this is seen at the next look.
    fn watch(&mut self, files: Vec<PathBuf>) {
        if files != self.files {
            self.seen = stamps(&files);
            self.files = files;
        }
    }

    fn refuse(&self, error: &ConfigError) {
        let policy = self.current.get().policy().to_owned();
        let wrong = error.0.first().map(Problem::summary).unwrap_or_default();
        let others = error.0.len().saturating_sub(1);
        let detail = format!("rule files are wrong, policy {policy} stays in force: {wrong} ({others} more)");
        tracing::error!(policy, wrong, others, "redaction rules are wrong and not in force: the old ones stay");
        self.metrics.policy_reload_failures.add(1);
        self.health.explain("redaction", State::Degraded, detail);
    }
}

/// Reads and compiles; returns the files to follow as well.
fn load(paths: &[PathBuf], key: &LakeKey) -> Result<(Redactor, Vec<PathBuf>), ConfigError> {
    let files = read(paths)?;
    let redactor = files.compile(key)?;
    Ok((redactor, paths.iter().chain(files.named()).cloned().collect()))
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|path| Stamp::of(path)).collect()
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let meta = std::fs::metadata(path).ok()?;
        let (inode, size) = (meta.ino() as i64, meta.size() as i64);
        // The time of the last change of anything catches a file put in another's place with its time.
        Some(Stamp([meta.dev() as i64, inode, size, meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]))
    }
}
