//! Programs with the real OpenTelemetry SDKs get their telemetry kept: each protocol, compressed and not, in the clear,
//! over TLS, and with client certificates.

use std::path::Path;
use std::process::Command;

use crate::harness::{Server, Setup, root};
use crate::query::{Lake, run_python};

/// (language, protocol, compression)
const CLIENTS: [(&str, &str, &str); 7] = [
    ("python", "grpc", "none"),
    ("python", "grpc", "gzip"),
    ("python", "http/protobuf", "gzip"),
    ("js", "grpc", "gzip"),
    ("js", "http/protobuf", "gzip"),
    ("js", "http/json", "none"),
    ("js", "http/json", "gzip"),
];

/// Whether there is a JavaScript to test with.
fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok()
}

/// Runs an instrumented program; `files`: CA, and certificate and key of the client.
fn program(language: &str, arguments: &[&str]) {
    if language == "python" {
        run_python("sdk.py", arguments, b"");
        return;
    }
    let modules = root().join(".node/node_modules");
    assert!(modules.exists(), "{} is missing: run the tests with `make test`", modules.display());
    let script = root().join("tests/js/sdk.cjs");
    let output = Command::new("node").arg(script).args(arguments).env("NODE_PATH", modules).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "ok", "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn all_clients(server: &Server, scheme: &str, files: &[&str]) {
    let clients: Vec<_> = CLIENTS.into_iter().filter(|(language, ..)| *language != "js" || has_node()).collect();
    let session = |(language, protocol, compression)| format!("{language} {protocol} {compression}");
    for client in &clients {
        let (language, protocol, compression) = *client;
        let port = if protocol == "grpc" { server.ports.grpc } else { server.ports.http };
        let endpoint = format!("{scheme}://localhost:{port}");
        program(language, &[&[protocol, &endpoint, &session(*client), compression], files].concat());
    }
    clients.into_iter().for_each(|client| is_kept(server, &session(client)));
}

fn is_kept(server: &Server, session: &str) {
    let of = |what: &str| format!("SELECT {what} FROM facts WHERE session_id = '{session}'");
    let arrived = of("count(DISTINCT source) = 3 AND count(*) >= 5");
    let facts = Lake::of(server).when(&arrived, &[&of("source, name, attributes")]).remove(0);
    let names: Vec<&str> = facts.iter().filter_map(|f| f["name"].as_str()).collect();
    for name in ["first", "second"] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{session}: {name} in {names:?}");
    }
    // The SDK exports its metrics at the flush and again at the shutdown.
    assert!(names.contains(&"sdk.counter") && names.contains(&"sdk.histogram"), "{session}: {names:?}");
    let logs: Vec<_> = facts.iter().filter(|f| f["source"] == "otlp_log").collect();
    assert_eq!(logs.len(), 1, "{session}");
    let attributes = logs[0]["attributes"].as_str().unwrap();
    assert!(attributes.contains("a log"), "{session}: nothing sent is lost: {attributes}");
}

#[test]
fn the_sdks_in_the_clear() {
    all_clients(&Setup::default().idle("1m").start(), "http", &[]);
}

/// A server with a certificate on both OTLP listeners; with `client_ca` it wants one of its clients too.
fn secured(folder: &Path, client_ca: bool) -> Server {
    run_python("certificates.py", &[folder.to_str().unwrap()], b"");
    let mut setup = Setup::default().idle("1m");
    for protocol in ["grpc", "http"] {
        let files = [
            ("cert_file", "server.pem", true),
            ("key_file", "server.key", true),
            ("client_ca_file", "ca.pem", client_ca),
        ];
        for (key, file, _) in files.into_iter().filter(|(_, _, wanted)| *wanted) {
            let path = folder.join(file);
            setup.settings.push(format!("receivers.otlp.protocols.{protocol}.tls.{key}={}", path.display()));
        }
    }
    setup.start()
}

#[test]
fn the_sdks_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let server = secured(folder.path(), false);
    let ca = folder.path().join("ca.pem");
    all_clients(&server, "https", &[ca.to_str().unwrap()]);
}

#[test]
fn the_sdks_with_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let server = secured(folder.path(), true);
    let path = |file: &str| folder.path().join(file).display().to_string();
    all_clients(&server, "https", &[&path("ca.pem"), &path("client.pem"), &path("client.key")]);
}
