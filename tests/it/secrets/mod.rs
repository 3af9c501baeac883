//! A secret planted in every place a string can be is found in no file, log or reply.

mod blooms;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::corpus;
use crate::harness::{Server, Setup, binary, wait_for};
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
struct Secret {
    place: String,
    /// Its random part.
    core: String,
    /// The text that was sent.
    planted: String,
}

/// What `tests/py/search.py` says.
#[derive(Deserialize)]
struct Search {
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
        assert_eq!(answer.trim() == "ok", !planted.refused, "{} over gRPC: {answer}", planted.path);
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

/// What a command writes, to both outputs.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    [output.stdout, output.stderr].concat()
}

/// Validates each planted configuration; what is said about it goes to the outputs.
fn refused_configurations(folder: &Path, outputs: &Path) {
    let secret = fs::read_to_string(folder.join("configs/environment")).unwrap();
    let configs = fs::read_dir(folder.join("configs")).unwrap().map(|entry| entry.unwrap().path());
    for config in configs.filter(|path| path.extension().is_some()) {
        let validate = run(Command::new(binary()).arg("validate").arg("--config").arg(&config).env("PLANTED", &secret));
        let said = String::from_utf8_lossy(&validate);
        assert!(said.contains("error"), "{} is refused: {said}", config.display());
        fs::write(outputs.join(format!("config-{}", config.file_stem().unwrap().display())), validate).unwrap();
    }
}

#[test]
fn a_secret_in_any_place_of_any_request_is_kept_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let (folder, outputs) = (dir.path().join("planted"), dir.path().join("outputs"));
    fs::create_dir(&outputs).unwrap();
    run_python("plant.py", &[folder.to_str().unwrap()], b"");
    let requests: Vec<Planted> = serde_json::from_slice(&fs::read(folder.join("requests.json")).unwrap()).unwrap();

    let mut server = Setup::default().idle("1s").start();
    // What the first half left is recovered, the second half comes to a journal that was.
    let (first, second) = requests.split_at(requests.len() / 2);
    for half in [first, second] {
        half.iter().for_each(|planted| deliver(&server, planted, &folder, &outputs));
        server.crash();
    }
    refused_configurations(&folder, &outputs);
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

    for (n, query) in [&["list"][..], &["list", "--json"], &["show", "canary-session"], &["replay", "canary-session"]]
        .into_iter()
        .enumerate()
    {
        let data_dir = server.data_dir();
        let output = run(Command::new(binary()).arg("sessions").args(query).arg("--data-dir").arg(data_dir));
        fs::write(outputs.join(format!("query-{n}")), output).unwrap();
    }
    let metrics = http::get(server.ports.metrics, "/metrics").unwrap();
    fs::write(outputs.join("metrics"), metrics.body).unwrap();
    server.terminate();
    fs::write(outputs.join("log"), server.log()).unwrap();
    let (secrets_file, data_dir) = (folder.join("secrets.json"), server.data_dir());
    let paths = [&secrets_file, &data_dir, &outputs].map(|path| path.to_str().unwrap());
    let search: Search = serde_json::from_str(&run_python("search.py", &paths, b"")).unwrap();
    assert!(search.secrets > 1000 && search.files > 10, "{} secrets, {} files", search.secrets, search.files);
    assert!(search.found.is_empty(), "{} of {}:\n{}", search.found.len(), search.secrets, search.found.join("\n"));

    let secrets: Vec<Secret> = serde_json::from_slice(&fs::read(secrets_file).unwrap()).unwrap();
    // Those that stand where the columns with filters come from.
    let ids = secrets.into_iter().filter(|secret| secret.place.starts_with("filler"));
    let texts: Vec<String> = ids.flat_map(|secret| [secret.core, secret.planted]).collect();
    let probes = blooms::probe(&data_dir, &texts);
    assert!(probes.filters > 0, "there are filters to ask");
    // A filter lets one in a hundred pass by chance.
    assert!(probes.maybe < 5 + probes.asked / 20, "bloom filters know planted texts: {probes:?}");
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
