//! One fault's scene: a server under load, its lake, and the judgement at the end.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::bodies::{Bodies, Plan};
use crate::harness::{Server, Setup};
use crate::load::{Ledger, Load, Rate};
use crate::proxy::Proxy;
use crate::query::Lake;
use crate::store::Store;
use crate::verdict::{self, DRAINED, PATIENCE_S, Verdict};

/// A restarted server must be ready within that time.
const READY: Duration = Duration::from_secs(10);
/// SIGTERM must be followed by the end within that time.
const STOPPED: Duration = Duration::from_secs(30);
const BUCKET: &str = "lake";

/// What all faults of a run share.
pub struct Context {
    /// The form that takes hours.
    pub long: bool,
    pub seed: u64,
    /// How long the store is away, if that was said.
    pub away: Option<Duration>,
    store: OnceCell<Store>,
}

impl Context {
    /// `away`: minutes.
    pub fn new(long: bool, away: Option<u64>, seed: u64) -> Context {
        let away = away.map(|minutes| Duration::from_secs(60 * minutes));
        Context { long, seed, away, store: OnceCell::new() }
    }

    pub fn pick<T>(&self, short: T, long: T) -> T {
        if self.long { long } else { short }
    }

    fn store(&self) -> &Store {
        self.store.get_or_init(|| {
            let store = Store::start();
            store.bucket(BUCKET);
            store
        })
    }
}

/// What a fault did.
#[derive(Default)]
pub struct Outcome {
    pub verdict: Verdict,
    /// The longest time that a restart took.
    pub ready: Option<Duration>,
    pub notes: Vec<String>,
    /// Promises that were not kept.
    pub broken: Vec<String>,
}

/// A server in trouble.
pub struct Trial<'a> {
    context: &'a Context,
    pub server: Server,
    pub bodies: Arc<Bodies>,
    pub lake: Lake,
    /// Between the server and its store.
    pub proxy: Option<Proxy>,
    pub outcome: Outcome,
    folder: TempDir,
}

/// Small batches, few sessions: faults are about order and time, not about volume.
const PLAN: Plan = Plan { records: 20, sessions: 8, batches: 25 };

impl<'a> Trial<'a> {
    /// With the lake in a local directory.
    pub fn local(context: &'a Context, run: &str, setup: Setup) -> Trial<'a> {
        Trial::planned(context, run, setup, PLAN)
    }

    pub fn planned(context: &'a Context, run: &str, setup: Setup, plan: Plan) -> Trial<'a> {
        let server = setup.idle("2s").start();
        let lake = Lake::of(&server).patient(PATIENCE_S);
        Trial::of(context, run, server, lake, None, plan)
    }

    /// With the lake on S3, behind a proxy.
    pub fn on_s3(context: &'a Context, run: &str, setup: Setup) -> Trial<'a> {
        let store = context.store();
        let proxy = Proxy::start(store.port(), context.seed);
        let url = format!("s3://{BUCKET}/{run}");
        let setup = Setup { lake: Some(url.clone()), env: store.env_through(proxy.port), ..setup };
        let lake = Lake::s3(url, store.access()).patient(PATIENCE_S);
        Trial::of(context, run, setup.idle("2s").start(), lake, Some(proxy), PLAN)
    }

    fn of(context: &'a Context, run: &str, server: Server, lake: Lake, proxy: Option<Proxy>, plan: Plan) -> Trial<'a> {
        let folder = tempfile::Builder::new().prefix("sessionlake-faults-").tempdir().unwrap();
        let bodies = Arc::new(Bodies::new(run, plan));
        assert!(finds_what_is_sent(folder.path(), &bodies), "the search for secrets does not find what is sent");
        Trial { context, server, bodies, lake, proxy, outcome: Outcome::default(), folder }
    }

    pub fn load(&self, rate: Rate) -> Load {
        Load::start(self.server.ports.http, &self.bodies, rate)
    }

    pub fn note(&mut self, note: String) {
        self.outcome.notes.push(note);
    }

    pub fn promise(&mut self, kept: bool, broken: impl FnOnce() -> String) {
        if !kept {
            self.outcome.broken.push(broken());
        }
    }

    /// A restart took that long.
    pub fn restarted(&mut self, took: Duration) {
        self.promise(took <= READY, || format!("a restart took {:.1} s", took.as_secs_f64()));
        self.outcome.ready = self.outcome.ready.max(Some(took));
    }

    /// SIGTERM, which must be followed by a clean exit in time.
    pub fn terminate(&mut self) {
        let began = Instant::now();
        let status = self.server.terminate();
        let took = began.elapsed();
        self.promise(status.success(), || format!("SIGTERM: {status}"));
        self.promise(took <= STOPPED, || format!("SIGTERM took {:.1} s", took.as_secs_f64()));
    }

    /// Acknowledged records that are neither in the journal's files nor in `facts` now.
    pub fn gone(&mut self, ledger: &Ledger) {
        let journal = self.server.data_dir().join("journal");
        let gone = verdict::gone(&self.lake, &self.bodies, ledger, &journal, self.folder.path());
        self.promise(gone == 0, || format!("{gone} acknowledged records were on no disk after a kill"));
    }

    /// The fault ended at `since`: judges what became of everything, stops the server and searches its files.
    pub fn finish(mut self, ledger: &Ledger, since: Instant) -> Outcome {
        self.outcome.verdict =
            verdict::judge(&self.lake, &self.bodies, ledger, &self.folder.path().join("ledger.csv"), since);
        let drained = self.outcome.verdict.drained;
        self.promise(drained <= DRAINED, || format!("it took {:.0} s to drain", drained.as_secs_f64()));
        let refused = ledger.refused();
        self.promise(refused.keys().all(|status| [429, 503].contains(status)), || {
            format!("refusals that clients do not retry: {refused:?}")
        });
        if !refused.is_empty() || ledger.broken() > 0 {
            self.note(format!("refused {refused:?}, without reply {}", ledger.broken()));
        }
        if let Some(proxy) = &self.proxy {
            let counts = proxy.take_counts();
            self.note(format!("store: {counts:?}"));
        }
        self.terminate();
        self.search();
        self.outcome
    }

    fn search(&mut self) {
        let log = self.folder.path().join("log");
        fs::write(&log, self.server.log()).unwrap();
        let data = self.server.data_dir();
        let mut paths: Vec<&Path> = vec![&log, &data];
        if self.proxy.is_some() {
            paths.push(self.context.store().dir());
        }
        let found: Vec<PathBuf> = verdict::unredacted(&paths);
        self.outcome.verdict.unredacted = found.len() as u64 + verdict::unredacted_rows(&self.lake);
        for file in found.iter().take(3) {
            self.outcome.broken.push(format!("a secret is in {}", file.display()));
        }
    }
}

fn finds_what_is_sent(folder: &Path, bodies: &Bodies) -> bool {
    let (file, mut body) = (folder.join("sent"), Vec::new());
    bodies.fill(0, &mut body);
    fs::write(&file, body).unwrap();
    verdict::unredacted(&[&file]).len() == 1
}
