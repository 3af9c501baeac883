//! Starts, kills and restarts the server under test.

// Shared with tests/faults: neither binary uses all of it.
#![allow(dead_code)]

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http;

/// The server must answer `/ready` within that time of its start, also on a loaded machine.
const START: Duration = Duration::from_secs(60);
/// What SIGTERM promises (30 s), and the machine's load.
const DRAIN: Duration = Duration::from_secs(45);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The server under test: `SESSIONLAKE_BINARY`, or the one that was built with the tests.
pub fn binary() -> &'static str {
    static BINARY: LazyLock<String> =
        LazyLock::new(|| std::env::var("SESSIONLAKE_BINARY").unwrap_or(env!("CARGO_BIN_EXE_sessionlake").into()));
    &BINARY
}

/// The Python of the test environment.
pub fn python() -> PathBuf {
    venv("python")
}

pub fn venv(program: &str) -> PathBuf {
    let path = root().join(".venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run the tests with `make test`", path.display());
    path
}

/// A loopback port that was free and that no other test of this process was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap();
    let given = given.get_or_insert_default();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if given.insert(port) {
            return port;
        }
    }
}

/// Polls until `condition` gives something; panics with `what` after `deadline`.
pub fn wait_for<T>(what: &str, deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(started.elapsed() < deadline, "waited {deadline:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Clone, Copy)]
pub struct Ports {
    pub grpc: u16,
    pub http: u16,
    pub health: u16,
    pub metrics: u16,
    pub sql: u16,
}

impl Ports {
    fn free() -> Ports {
        Ports { grpc: free_port(), http: free_port(), health: free_port(), metrics: free_port(), sql: free_port() }
    }

    fn settings(&self) -> Vec<String> {
        [
            ("receivers.otlp.protocols.grpc.endpoint", self.grpc),
            ("receivers.otlp.protocols.http.endpoint", self.http),
            ("extensions.health_check.endpoint", self.health),
            ("service.telemetry.metrics.address", self.metrics),
            ("extensions.sql.endpoint", self.sql),
        ]
        .iter()
        .map(|(key, port)| format!("{key}=127.0.0.1:{port}"))
        .collect()
    }
}

/// How to run a server. The defaults suit a test: short flush interval, sessions end by idleness only when asked.
pub struct Setup {
    pub settings: Vec<String>,
    /// `None`: the default lake inside the data directory.
    pub lake: Option<String>,
    pub env: Vec<(String, String)>,
    /// Starts with the key of that lake, so that both give the same names to the same facts.
    pub key_of: Option<PathBuf>,
    /// A program with arguments that runs the server, `prlimit` for example.
    pub wrapper: Vec<String>,
    /// `None`: a directory of its own, removed with the server.
    pub data_dir: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            settings: vec!["exporters.lake.flush_interval=200ms".into()],
            lake: None,
            env: vec![],
            key_of: None,
            wrapper: vec![],
            data_dir: None,
        }
    }
}

impl Setup {
    pub fn idle(mut self, timeout: &str) -> Setup {
        self.settings.push(format!("processors.sessions.idle_timeout={timeout}"));
        self
    }

    pub fn key_of(mut self, lake: &str) -> Setup {
        self.key_of = Some(PathBuf::from(lake));
        self
    }

    pub fn start(self) -> Server {
        let dir = tempfile::Builder::new().prefix("sessionlake-it-").tempdir().unwrap();
        if let Some(lake) = &self.key_of {
            copy_tree(&lake.join("_sessionlake/keys"), &dir.path().join("data/lake/_sessionlake/keys"));
        }
        let mut server = Server { setup: self, ports: Ports::free(), dir, child: None };
        server.start();
        server
    }
}

/// A running server; killed when dropped.
pub struct Server {
    setup: Setup,
    pub ports: Ports,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// The process's id, while it runs.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Sends the process a signal, `-STOP` for example.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// How the process ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap())
    }

    /// Where its lake is, as DuckDB names it.
    pub fn lake(&self) -> String {
        self.setup.lake.clone().unwrap_or_else(|| self.data_dir().join("lake").display().to_string())
    }

    /// Everything it has written to stdout and stderr so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// Starts the process (again) and waits until it is ready; the time that took.
    pub fn start(&mut self) -> Duration {
        assert!(self.child.is_none(), "the server is running");
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut words = self.setup.wrapper.iter().map(String::as_str).chain([binary()]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).arg("serve").arg("--data-dir").arg(self.data_dir());
        for setting in self.ports.settings().iter().chain(&self.setup.settings) {
            command.args(["--set", setting]);
        }
        if let Some(lake) = &self.setup.lake {
            command.args(["--lake", lake]);
        }
        command.envs(self.setup.env.iter().cloned());
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        self.wait_ready()
    }

    fn wait_ready(&mut self) -> Duration {
        let started = Instant::now();
        loop {
            if http::get(self.ports.health, "/ready").is_ok_and(|reply| reply.status == 200) {
                return started.elapsed();
            }
            let exit = self.exited();
            assert!(exit.is_none(), "the server exited at its start ({exit:?}):\n{}", self.log());
            assert!(started.elapsed() < START, "the server is not ready after {START:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// From its next start on, the server runs without its wrapper.
    pub fn unwrap_setup(&mut self) {
        self.setup.wrapper.clear();
    }

    /// SIGKILL, and waits until the process is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for the drain.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        let mut child = self.child.take().expect("a running server");
        wait_for("the server to drain after SIGTERM", DRAIN, || child.try_wait().unwrap())
    }

    /// SIGKILL and start again, on the same ports and directory; the time until it is ready.
    pub fn crash(&mut self) -> Duration {
        self.kill();
        self.start()
    }

    pub fn post(&self, path: &str, content_type: &str, body: &[u8]) -> io::Result<http::Reply> {
        http::post(self.ports.http, path, content_type, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- server log\n{}", self.log());
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
