//! Wires the stages together: the only place that knows every one of them.
//!
//! Started last stage first (sealer, appender, journal, receiver), so that nothing is accepted before there is
//! something to take it; stopped first stage first, each with its share of the drain's time. What a deadline cuts off
//! is in the journal and goes on at the next start.

mod access;
mod background;
mod data_dir;
mod descriptors;
mod journal;
mod key;
mod maintain;
mod private;
pub mod rules;
#[cfg(feature = "sql")]
mod sql;
mod tls;

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::auth::Door;
use crate::clock::Clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::model::{Status, Workspace};
use crate::receiver::budget::Budget;
use crate::receiver::{Intake, Limits, Port, Protocol, door, http_router, otlp, serve};
use crate::redaction::Current;
use crate::sink::lake::append::{AppendOptions, AppendReport, Appended, Appender};
use crate::sink::lake::seal::{Recheck, Report, SealOptions, Sealed, Sealer, Timing};
use crate::sink::lake::tombstones::Tombstones;
use crate::sink::lake::{Anew, Lake, TableKind};
use crate::telemetry::health::{Health, State};
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;
use crate::tls::Tls;
use background::Background;
pub use key::known_key;
pub use maintain::{maintain, maintain_once};
use private::Privacy;
use rules::Watched;
use tls::Certificates;

/// The name by which the lake reads the journal.
const READER: &str = "lake";
/// How long requests in flight may take to finish after the stop.
const DRAIN_REQUESTS: Duration = Duration::from_secs(8);
/// How long the journal's rest may take to reach the lake.
const DRAIN_LAKE: Duration = Duration::from_secs(12);
/// How long sessions that ended may take to be sealed.
const DRAIN_SEAL: Duration = Duration::from_secs(8);
/// Connections to health and to the metrics, each: probes and scrapers are few.
const WATCHERS: usize = 64;
/// How often the gauges are read and health is looked at.
const WATCH: Duration = Duration::from_secs(1);

/// Where a running collector listens; the real ports, also where 0 was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub health: SocketAddr,
    pub metrics: SocketAddr,
    /// `None`: this build has no SQL.
    pub sql: Option<SocketAddr>,
}

/// A running collector.
pub struct Running {
    pub addresses: Addresses,
    pub lake: Lake,
    pub data_dir: PathBuf,
    health: Health,
    journal: Journal,
    sealed: watch::Receiver<Sealed>,
    #[cfg(feature = "sql")]
    sql: crate::query::Server,
    receiving: Stage,
    appending: Stage,
    sealing: Stage,
    watching: Stage,
    /// Where `appending` and `sealing` run.
    _background: Background,
}

/// A stage's tasks and what stops them.
struct Stage {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    runtime: Handle,
}

impl Stage {
    /// A stage that runs where it is made.
    fn new() -> Stage {
        Stage::on(Handle::current())
    }

    fn on(runtime: Handle) -> Stage {
        Stage { stop: watch::Sender::new(false), tasks: Vec::new(), runtime }
    }

    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(self.runtime.spawn(task));
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stop = self.stop.subscribe();
        async move {
            let _ = stop.wait_for(|stop| *stop).await;
        }
    }

    /// Stops the tasks and waits; after `deadline` they are cut off. Says whether all finished.
    async fn finish(self, deadline: Duration) -> bool {
        self.stop.send_replace(true);
        let until = tokio::time::Instant::now() + deadline;
        let mut finished = true;
        for mut task in self.tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
                finished = false;
            }
        }
        finished
    }
}

/// The listeners, bound before anything else is started: a port that is taken is the most likely reason to fail.
struct Listeners {
    grpc: Port,
    http: Port,
    health: Port,
    metrics: Port,
    #[cfg(feature = "sql")]
    sql: sql::Port,
}

impl Listeners {
    async fn bind(config: &Config, certificates: &Certificates) -> Result<Listeners> {
        let tls = |watched: &Option<tls::Watched>| watched.as_ref().map(|watched| watched.tls.clone());
        let (grpc, http) = (config.grpc.listener.address, config.http.listener.address);
        let (health, metrics) = (config.health.address, config.metrics.address);
        let (grpc_tls, http_tls) = (tls(&certificates.grpc), tls(&certificates.http));
        let (health_tls, metrics_tls) = (tls(&certificates.health), tls(&certificates.metrics));
        Ok(Listeners {
            grpc: bind("receivers.otlp.protocols.grpc.endpoint", grpc, Protocol::Grpc, grpc_tls).await?,
            http: bind("receivers.otlp.protocols.http.endpoint", http, Protocol::Http, http_tls).await?,
            health: bind("extensions.health_check.endpoint", health, Protocol::Http, health_tls).await?,
            metrics: bind("service.telemetry.metrics.address", metrics, Protocol::Http, metrics_tls).await?,
            #[cfg(feature = "sql")]
            sql: sql::Port::bind(config.sql.address, tls(&certificates.sql)).await?,
        })
    }

    fn addresses(&self) -> Result<Addresses> {
        Ok(Addresses {
            grpc: self.grpc.listener.local_addr()?,
            http: self.http.listener.local_addr()?,
            health: self.health.listener.local_addr()?,
            metrics: self.metrics.listener.local_addr()?,
            #[cfg(feature = "sql")]
            sql: Some(self.sql.listener.local_addr()?),
            #[cfg(not(feature = "sql"))]
            sql: None,
        })
    }
}

async fn bind(setting: &str, address: SocketAddr, protocol: Protocol, tls: Option<Tls>) -> Result<Port> {
    let advice = || format!("cannot listen on {address}: free the port, or set {setting} to another one");
    let listener = TcpListener::bind(address).await.with_context(advice)?;
    Ok(Port { listener, protocol, tls })
}

/// Sets up the process's log. Once per process.
pub fn set_up_logs(config: &Config) -> Result<()> {
    let rust_log = std::env::var("RUST_LOG").ok();
    Ok(logs::init(config.logs.level, config.logs.encoding, rust_log.as_deref())?)
}

/// Leaves no memory behind when the process dies, and lets no other process of the same user read it: it holds what was
/// not redacted yet. Once per process.
pub fn forbid_core_dumps() -> Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).context("cannot switch core dumps off")?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .context("cannot switch core dumps off")?;
    Ok(())
}

/// Starts every stage; returns when all listeners accept.
pub async fn start(mut config: Config, clock: Clock) -> Result<Running> {
    descriptors::fit(&mut config);
    if data_dir::prepare(&config.data_dir)? {
        let dir = config.data_dir.display();
        tracing::warn!(%dir, "others could enter the data directory: its mode is 0700 now");
    }
    let certificates = Certificates::open(&config)?;
    let listeners = Listeners::bind(&config, &certificates).await?;
    let addresses = listeners.addresses()?;
    let health = Health::new(&["journal", "lake", "receiver", "redaction"]);
    let metrics = Metrics::new(clock.clone());
    let mut watching = Stage::new();
    watch_routes(&mut watching, listeners.health, health.router());
    watch_routes(&mut watching, listeners.metrics, metrics.router());
    certificates.watches(&health, &metrics).into_iter().for_each(|watch| watching.spawn(watch));

    let door = access::door(&config, &mut watching, &clock, &health, &metrics)?;
    let journal = journal::open(&config)?;
    health.set("journal", State::Ok);
    let lake = Lake::open(&config.lake_options()).await.context("cannot open the lake")?;
    let key = key::lake_key(&lake, &config).await?;
    health.set("lake", State::Ok);
    let rules = Watched::start(&config.redaction_rules, &key, metrics.clone(), health.clone())?;
    let redactor = rules.current();
    watching.spawn(rules.follow());

    let privacy = Privacy::start(&config, &lake, &key, &journal, &clock).await?;
    let background = Background::start()?;
    let mut appending = Stage::on(background.handle());
    let appended = start_appending(&mut appending, &config, &lake, &privacy.tombstones, &journal, &metrics)?;
    let mut sealing = Stage::on(background.handle());
    let sealer = Sealer::new(
        lake.clone(),
        key,
        clock.clone(),
        SealOptions {
            forgetter: Some(privacy.forgetter.clone()),
            ..seal_options(&config, redactor.clone(), journal.id())
        },
        observe_seal(metrics.clone(), health.clone()),
    );
    let sealed = sealer.sealed();
    watching.spawn(count_running(sealer.running(), metrics.clone()));
    if config.maintenance.enabled {
        sealing.spawn(sealer.run(appended, sealing.stop.subscribe()));
    } else {
        tracing::info!("maintenance is off: sessions are sealed by another process on the same lake");
    }

    #[cfg(feature = "sql")]
    let sql = {
        let (tombstones, redactor) = (&privacy.tombstones, redactor.clone());
        // With connections of its own to the store: who shares one waits for the threads of whoever opened it.
        let own = Lake::open(&config.lake_options()).await.context("cannot open the lake")?;
        let stages = sql::Stages { lake: &own, door: &door, tombstones, redactor, journal: &journal, clock: &clock };
        listeners.sql.serve(&config, stages)?
    };

    let in_flight = config.in_flight_bytes.unwrap_or(config.memory_limit_bytes / 4);
    let budget = Budget::new(usize::try_from(in_flight).unwrap_or(usize::MAX));
    let intake = Intake::new(
        redactor,
        journal.clone(),
        clock,
        metrics.clone(),
        budget,
        config.limits,
        privacy.gate.clone(),
        privacy.passage.clone(),
    );
    let receiving = start_receiving(&config, &intake, &door, listeners.grpc, listeners.http);
    privacy.run(&mut watching);
    health.set("receiver", State::Ok);
    watching.spawn(journal::watch(journal.clone(), metrics, health.clone()));
    tracing::info!(grpc = %addresses.grpc, http = %addresses.http, health = %addresses.health, lake = config.lake_name(), "ready");
    let data_dir = config.data_dir;
    Ok(Running {
        addresses,
        lake,
        data_dir,
        health,
        journal,
        sealed,
        #[cfg(feature = "sql")]
        sql,
        receiving,
        appending,
        sealing,
        watching,
        _background: background,
    })
}

/// Fresh randomness from the operating system.
///
/// # Errors
/// It gives none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the operating system: {error}"))?;
    Ok(bytes)
}

/// A part of the memory limit, bytes.
fn share(config: &Config, part: u64) -> usize {
    usize::try_from(config.memory_limit_bytes / part).unwrap_or(usize::MAX)
}

/// What one flush may hold of a memory limit. It needs several times that while it encodes.
const FLUSH: u64 = 64;
/// What one round of sealing may hold, and a third of what a merge may; either beside the other, and beside a flush.
const ROUND: u64 = 64;
/// What the facts of one session may take when it is sealed.
const SESSION: u64 = 8;

fn start_appending(
    stage: &mut Stage,
    config: &Config,
    lake: &Lake,
    tombstones: &Tombstones,
    journal: &Journal,
    metrics: &Metrics,
) -> Result<watch::Receiver<Appended>> {
    let options = AppendOptions {
        flush_interval: config.lake.flush_interval,
        flush_bytes: share(config, FLUSH).min(32 << 20),
        ..AppendOptions::default()
    };
    let metrics = metrics.clone();
    let observe = Arc::new(move |report: AppendReport| {
        metrics.lake_commits.add(1);
        metrics.lake_commit_collisions.add(report.collisions);
        metrics.facts.add(report.facts);
        metrics.facts_redelivered.add(report.duplicates);
        metrics.poison_records.add(report.poison);
    });
    let records = journal.reader(READER)?;
    let appender = Appender::new(lake.clone(), tombstones.clone(), journal.id().to_owned(), records, options, observe);
    let appended = appender.appended();
    stage.spawn(appender.run(stage.stop.subscribe()));
    Ok(appended)
}

/// The second pass of redaction, under the policy in force.
fn recheck(redactor: Current) -> Recheck {
    Recheck::new(move |workspace: &_, event: &mut _, facts: &[&_]| redactor.get().recheck(workspace, event, facts))
}

fn seal_options(config: &Config, redactor: Current, journal: &str) -> SealOptions {
    let again = redactor.clone();
    let anew = move |workspace: &_, columns: &mut _| again.get().redact_stored(workspace, columns);
    SealOptions {
        recheck: Some(recheck(redactor)),
        anew: Some(Anew::new(anew)),
        retention: config.lake.retention.meant(),
        holder: journal.to_owned(),
        timing: Timing { idle_timeout: config.idle_timeout, ..Timing::default() },
        round_bytes: share(config, ROUND).min(32 << 20),
        session_bytes: share(config, SESSION),
        ..SealOptions::default()
    }
}

fn observe_seal(metrics: Metrics, health: Health) -> Arc<dyn Fn(&Report) + Send + Sync> {
    Arc::new(move |report: &Report| {
        metrics.sessions_sealed.add(report.ended as u64);
        metrics.sessions_poisoned.add(report.poisoned as u64);
        metrics.sessions_exposed.add(report.exposed as u64);
        for micros in &report.end_to_visible {
            metrics.session_seal_seconds.observe_micros(*micros);
        }
        if report.failed {
            metrics.lake_commit_failures.add(1);
        }
        health.set("lake", if report.failed { State::Degraded } else { State::Ok });
    })
}

async fn count_running(mut running: watch::Receiver<usize>, metrics: Metrics) {
    while running.changed().await.is_ok() {
        metrics.sessions_open.set(*running.borrow_and_update() as u64);
    }
}

fn start_receiving(config: &Config, intake: &Intake, door: &Door, grpc: Port, http: Port) -> Stage {
    let mut stage = Stage::new();
    let bounds = config.grpc.limits;
    let router = door::behind(door.clone(), otlp::grpc::router(intake.clone(), bounds), intake, bounds);
    stage.spawn(serve(grpc, router, bounds, stage.stopped(), DRAIN_REQUESTS));
    let bounds = config.http.limits;
    let router = http_router(intake.clone(), bounds, &config.http.paths, &config.http.cors);
    let router = door::behind(door.clone(), router, intake, bounds);
    stage.spawn(serve(http, router, bounds, stage.stopped(), DRAIN_REQUESTS));
    stage
}

/// Serves what tells how the process is: until the very end, so that the drain can be watched.
fn watch_routes(stage: &mut Stage, port: Port, router: Router) {
    let stopped = stage.stopped();
    let limits = Limits { connections: WATCHERS, ..Limits::default() };
    stage.spawn(serve(port, router, limits, stopped, Duration::from_secs(1)));
}

/// Returns when SIGTERM or Ctrl-C arrives.
pub async fn stop_requested() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot listen for Ctrl-C"),
    }
}

impl Running {
    /// Returns when the session's row is in the lake and says that it has ended.
    pub async fn sealed(&self, workspace: &Workspace, session_id: &str) -> Result<()> {
        let mut sealed = self.sealed.clone();
        let only = std::collections::HashSet::from([session_id.to_owned()]);
        loop {
            sealed.borrow_and_update();
            if let Some(table) = self.lake.existing(workspace, TableKind::Sessions).await? {
                for file in table.files().await? {
                    let sessions = table.read_sessions(&file, Some(&only)).await?;
                    if sessions.iter().any(|s| s.session_id == session_id && s.status == Status::Ended) {
                        return Ok(());
                    }
                }
            }
            // Another process on the same lake may be the one that seals: then there is no news here.
            if let Ok(news) = tokio::time::timeout(WATCH, sealed.changed()).await {
                news.context("the sealer has stopped")?;
            }
        }
    }

    /// Stops receiving, writes what was accepted, and stops. At most 30 seconds.
    pub async fn shutdown(self) -> Result<()> {
        tracing::info!("stopping: no new requests are taken, what was accepted is written");
        for component in ["journal", "lake", "receiver", "redaction"] {
            self.health.set(component, State::Stopping);
        }
        #[cfg(feature = "sql")]
        drop(self.sql);
        let mut finished = self.receiving.finish(DRAIN_REQUESTS + Duration::from_secs(1)).await;
        finished &= self.appending.finish(DRAIN_LAKE).await;
        finished &= self.sealing.finish(DRAIN_SEAL).await;
        for task in &self.watching.tasks {
            task.abort();
        }
        let journal = self.journal;
        tokio::task::spawn_blocking(move || journal.close()).await?;
        match finished {
            true => tracing::info!("stopped: everything accepted is in the lake"),
            false => {
                tracing::warn!("stopped at the deadline: the rest is in the journal and goes on at the next start")
            }
        }
        Ok(())
    }
}
