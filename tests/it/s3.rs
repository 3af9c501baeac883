//! The lake on an S3-compatible store (SeaweedFS), read by DuckDB from there.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::corpus::{self, Hooks};
use crate::examples;
use crate::harness::{Setup, free_port, venv, wait_for};
use crate::http;
use crate::oracle;
use crate::query::Lake;
use crate::replay;

const KEY: &str = "test-access-key";
const SECRET: &str = "test-secret-key";
const REGION: &str = "us-east-1";

/// A store of its own; ended when dropped.
pub struct Store {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Store {
    pub fn start() -> Store {
        let dir = tempfile::Builder::new().prefix("sessionlake-s3-").tempdir().unwrap();
        let config = dir.path().join("s3.json");
        let identity = json!({"name": "test", "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                              "actions": ["Admin", "Read", "List", "Tagging", "Write"]});
        fs::write(&config, json!({"identities": [identity]}).to_string()).unwrap();
        let (data, port) = (dir.path().join("data"), free_port());
        fs::create_dir(&data).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut command = Command::new(venv("weed"));
        command.args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false"]);
        command.args(["-admin.ui=false", "-s3.port.lance=0"]);
        command.arg(format!("-dir={}", data.display())).arg(format!("-s3.config={}", config.display()));
        command.arg(format!("-s3.port={port}"));
        for service in ["master.port", "volume.port", "filer.port", "admin.port", "s3.port.iceberg"] {
            command.arg(format!("-{service}={}", free_port()));
        }
        // Unset, these are the ports above plus 10,000, which may not be a port any more.
        for service in ["master", "volume", "filer", "admin", "s3"] {
            command.arg(format!("-{service}.port.grpc={}", free_port()));
        }
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let store = Store { child, port, _dir: dir };
        wait_for("SeaweedFS", Duration::from_secs(60), || {
            http::get(port, "/healthz").ok().filter(|reply| reply.status == 200)
        });
        store
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The usual AWS variables.
    pub fn env(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &self.endpoint()),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec()
    }

    /// What DuckDB needs to read it.
    pub fn access(&self) -> Value {
        json!({"endpoint": format!("127.0.0.1:{}", self.port), "key": KEY, "secret": SECRET, "region": REGION})
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) {
        crate::query::run_python("bucket.py", &[&self.endpoint(), KEY, SECRET, REGION, name], b"");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_session_on_s3_is_the_session_that_was_captured() {
    let store = Store::start();
    store.bucket("lake");
    let session = corpus::fixture("content-on");
    let url = "s3://lake/some/prefix".to_owned();
    let server = Setup { lake: Some(url.clone()), env: store.env(), ..Setup::default() }.idle("3s").start();
    corpus::send(&server, &session.requests(Hooks::Raw));
    corpus::send_marker(&server, "marker");
    let rows = replay::read(&Lake::s3(url, store.access()), &session.session_ids(), "marker");
    let rows = &rows[&session.session_id()];
    let oracle = oracle::of(&session);
    let calls = rows.events.values().filter(|e| e["kind"] == "model_call" && e["cost_usd"].is_string()).count();
    assert_eq!(calls, oracle.requests.values().filter(|r| r.api_request.is_some()).count());
    let costs = examples::costs_on_s3("s3://lake/some/prefix", &store.access());
    assert!(costs.iter().any(|row| row["cost_usd"].is_string()), "{costs:?}");
    let local = fs::read_dir(server.data_dir().join("lake")).map(|d| d.count()).unwrap_or(0);
    assert_eq!(local, 0, "nothing of the lake is on the local disk");
}

/// The store is away for a while: clients notice nothing, and nothing is lost.
#[test]
fn a_server_whose_store_is_away_keeps_what_it_acknowledged() {
    let store = Store::start();
    store.bucket("lake");
    let session = corpus::fixture("resume");
    let url = "s3://lake/away".to_owned();
    let server = Setup { lake: Some(url.clone()), env: store.env(), ..Setup::default() }.idle("3s").start();
    let pause = |signal: &str| Command::new("kill").args([signal, &store.child.id().to_string()]).status().unwrap();
    assert!(pause("-STOP").success());
    corpus::send(&server, &session.requests(Hooks::Raw));
    assert!(pause("-CONT").success());
    corpus::send_marker(&server, "marker");
    replay::read(&Lake::s3(url, store.access()), &session.session_ids(), "marker");
}
