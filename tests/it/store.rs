//! An S3-compatible store (SeaweedFS) of its own.

// Shared with tests/faults: neither binary uses all of it.
#![allow(dead_code)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{free_port, venv, wait_for};
use crate::http;
use crate::query::run_python;

const KEY: &str = "test-access-key";
const SECRET: &str = "test-secret-key";
const REGION: &str = "us-east-1";

/// A store of its own; ended when dropped.
pub struct Store {
    child: Child,
    port: u16,
    dir: TempDir,
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
        let store = Store { child, port, dir };
        wait_for("SeaweedFS", Duration::from_secs(60), || {
            http::get(port, "/healthz").ok().filter(|reply| reply.status == 200)
        });
        store
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where it keeps everything it was given.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends the process a signal, `-STOP` for example.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The usual AWS variables.
    pub fn env(&self) -> Vec<(String, String)> {
        self.env_through(self.port)
    }

    /// The same, reached by way of another port.
    pub fn env_through(&self, port: u16) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec()
    }

    /// What DuckDB needs to read it.
    pub fn access(&self) -> Value {
        json!({"endpoint": format!("127.0.0.1:{}", self.port), "key": KEY, "secret": SECRET, "region": REGION})
    }

    /// As the lake's own options.
    pub fn options(&self) -> Vec<(String, String)> {
        let endpoint = self.endpoint();
        let options = [
            ("access_key_id", KEY),
            ("secret_access_key", SECRET),
            ("region", REGION),
            ("endpoint", &endpoint),
            ("allow_http", "true"),
        ];
        options.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec()
    }

    /// Makes a bucket keep what is deleted and overwritten.
    pub fn keep_versions(&self, bucket: &str) {
        run_python("versions.py", &[&self.endpoint(), KEY, SECRET, REGION, bucket, "enable"], b"");
    }

    /// All versions of a bucket's objects: key, id, whether a plain read finds it, whether it marks a deletion.
    pub fn versions(&self, bucket: &str) -> Vec<(String, String, bool, bool)> {
        let listed = run_python("versions.py", &[&self.endpoint(), KEY, SECRET, REGION, bucket, "list"], b"");
        serde_json::from_str(&listed).unwrap()
    }

    /// Begins an upload in parts that is never finished.
    pub fn begin_upload(&self, bucket: &str, key: &str) {
        run_python("versions.py", &[&self.endpoint(), KEY, SECRET, REGION, bucket, "begin", key], b"");
    }

    /// The keys of uploads that are not finished.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        let listed = run_python("versions.py", &[&self.endpoint(), KEY, SECRET, REGION, bucket, "uploads"], b"");
        serde_json::from_str(&listed).unwrap()
    }

    /// Makes a bucket.
    pub fn bucket(&self, name: &str) {
        run_python("bucket.py", &[&self.endpoint(), KEY, SECRET, REGION, name], b"");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
