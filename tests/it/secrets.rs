//! A secret planted in every place a string can be is found in no file, log or reply.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::corpus;
use crate::harness::{Server, Setup, wait_for};
use crate::http;
use crate::query::{Lake, run_python};

#[derive(Deserialize)]
struct Planted {
    file: String,
    path: String,
    content_type: String,
    grpc: bool,
    /// The request is broken and must be refused, without a quotation.
    refused: bool,
}

#[derive(Deserialize)]
struct Check {
    secrets: usize,
    files: usize,
    found: Vec<String>,
}

/// Sends one planted request; what came back goes to a file of `replies`.
fn deliver(server: &Server, planted: &Planted, folder: &Path, replies: &Path) {
    let body = fs::read(folder.join(&planted.file)).unwrap();
    let reply = if planted.grpc {
        let signal = planted.path.rsplit('/').next().unwrap();
        let answer = run_python("send_grpc.py", &[&format!("127.0.0.1:{}", server.ports.grpc), signal], &body);
        assert_eq!(answer.trim(), "ok", "{} over gRPC", planted.path);
        answer
    } else {
        let reply = server.post(&planted.path, &planted.content_type, &body).unwrap();
        let expected = if planted.refused { 400..=499 } else { 200..=299 };
        // A bad NDJSON line is refused by number inside a success reply as well.
        let partly = planted.content_type == "application/x-ndjson" && planted.refused;
        assert!(partly || expected.contains(&reply.status), "{}: {} {}", planted.path, reply.status, reply.text());
        format!("{:?}\n{}", reply.headers, reply.text())
    };
    fs::write(replies.join(&planted.file), reply).unwrap();
}

#[test]
fn a_secret_in_any_place_of_any_request_is_kept_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, outputs) = (dir.path().join("planted"), dir.path().join("outputs"));
    fs::create_dir(&outputs).unwrap();
    run_python("plant.py", &["make", folder.to_str().unwrap()], b"");
    let requests: Vec<Planted> = serde_json::from_slice(&fs::read(folder.join("requests.json")).unwrap()).unwrap();

    let mut server = Setup::default().idle("1s").start();
    for planted in &requests {
        deliver(&server, planted, &folder, &outputs);
    }
    corpus::send_marker(&server, "marker");
    let lake = Lake::of(&server);
    let sealed = corpus::settled(&["canary-session".into()], "marker");
    let counts = lake.when(
        &sealed,
        &["SELECT count(*) FILTER (f::VARCHAR LIKE '%[REDACTED:%') redacted, count(DISTINCT source) sources
           FROM facts f WHERE session_id = 'canary-session'"],
    );
    assert_eq!(counts[0][0]["sources"], 5, "hooks, transcripts, logs, spans and metrics are in facts");
    assert!(counts[0][0]["redacted"].as_i64().unwrap() > 20, "redacted facts are kept: {counts:?}");

    let metrics = http::get(server.ports.metrics, "/metrics").unwrap();
    fs::write(outputs.join("metrics"), metrics.body).unwrap();
    server.terminate();
    fs::write(outputs.join("log"), server.log()).unwrap();
    let paths =
        [folder.to_str().unwrap(), server.data_dir().to_str().unwrap(), outputs.to_str().unwrap()].map(String::from);
    let arguments = ["check", &paths[0], &paths[1], &paths[2]];
    let check: Check = serde_json::from_str(&run_python("plant.py", &arguments, b"")).unwrap();
    assert!(check.secrets > 1000 && check.files > 10, "{} secrets, {} files", check.secrets, check.files);
    assert!(check.found.is_empty(), "{} of {}:\n{}", check.found.len(), check.secrets, check.found.join("\n"));
}

/// The captured sessions hold an AWS key that the agent read from a file.
#[test]
fn the_key_that_the_agent_read_is_redacted_everywhere() {
    let session = corpus::fixture("content-on");
    let server = Setup::default().idle("3s").start();
    corpus::send(&server, &session.requests(corpus::Hooks::Raw));
    corpus::send(&server, &session.transcripts());
    corpus::send_marker(&server, "marker");
    let settled = corpus::settled(&session.session_ids(), "marker");
    let rows = Lake::of(&server).when(
        &settled,
        &["SELECT (SELECT count(*) FROM facts f WHERE f::VARCHAR LIKE '%AKIAIOSFODNN7EXAMPLE%')
                + (SELECT count(*) FROM events e WHERE e::VARCHAR LIKE '%AKIAIOSFODNN7EXAMPLE%')
                + (SELECT count(*) FROM sessions s WHERE s::VARCHAR LIKE '%AKIAIOSFODNN7EXAMPLE%') AS n,
           (SELECT count(*) FROM events e WHERE content LIKE '%[REDACTED:%' AND len(redactions) > 0) AS marked"],
    );
    assert_eq!(rows[0][0]["n"], 0);
    assert!(rows[0][0]["marked"].as_i64().unwrap() > 0, "the reply that named the key says what was redacted");
    assert!(!server.log().contains("AKIAIOSFODNN7EXAMPLE"));
    wait_for("metrics", std::time::Duration::from_secs(5), || http::get(server.ports.metrics, "/metrics").ok());
}
