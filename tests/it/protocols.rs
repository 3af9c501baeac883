//! What OTLP and hook clients see: status codes, content types, bodies.

use std::io::Write;

use serde_json::{Value, json};

use crate::corpus;
use crate::harness::{Server, Setup};
use crate::http;
use crate::query::{Lake, run_python};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

fn log_request(session: &str, n: usize) -> Vec<u8> {
    let attributes = json!([
        {"key": "session.id", "value": {"stringValue": session}},
        {"key": "event.name", "value": {"stringValue": "api_request"}},
        {"key": "event.sequence", "value": {"intValue": n.to_string()}},
        {"key": "request_id", "value": {"stringValue": format!("req_{session}_{n}")}},
    ]);
    let record = json!({"timeUnixNano": "1795346337000000000", "attributes": attributes});
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": "claude-code"}}]});
    let resource_logs = json!([{"resource": resource, "scopeLogs": [{"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [record]}]}]);
    json!({"resourceLogs": resource_logs}).to_string().into_bytes()
}

#[test]
fn success_is_200_in_the_content_type_of_the_request() {
    let server = Setup::default().start();
    for path in ["/v1/logs", "/v1/metrics", "/v1/traces"] {
        let empty = server.post(path, PROTOBUF, b"").unwrap();
        assert_eq!((empty.status, empty.header("content-type"), empty.body.len()), (200, Some(PROTOBUF), 0), "{path}");
        let empty = server.post(path, JSON, b"{}").unwrap();
        assert_eq!(
            (empty.status, empty.header("content-type"), empty.text()),
            (200, Some(JSON), "{}".into()),
            "{path}"
        );
        let charset = server.post(path, "Application/JSON; charset=utf-8", b"{}").unwrap();
        assert_eq!(charset.status, 200, "{path}");
    }
}

#[test]
fn what_can_never_succeed_is_refused_with_a_status_in_the_content_type_of_the_request() {
    let server = Setup::default().start();
    let malformed = server.post("/v1/logs", PROTOBUF, b"\xff\xff\xff").unwrap();
    assert_eq!((malformed.status, malformed.header("content-type")), (400, Some(PROTOBUF)));
    assert!(!malformed.body.is_empty(), "a google.rpc.Status");
    let malformed = server.post("/v1/logs", JSON, b"{").unwrap();
    assert_eq!((malformed.status, malformed.header("content-type")), (400, Some(JSON)));
    let status: Value = serde_json::from_slice(&malformed.body).unwrap();
    assert_eq!(status["code"], 3, "INVALID_ARGUMENT");
    assert_eq!(server.post("/v1/logs", "text/plain", b"x").unwrap().status, 415);
    assert_eq!(http::get(server.ports.http, "/v1/logs").unwrap().status, 405);
    assert_eq!(server.post("/v1/nothing", JSON, b"{}").unwrap().status, 404);
    let headers = [("content-type", JSON), ("content-encoding", "gzip")];
    assert_eq!(http::send(server.ports.http, "POST", "/v1/logs", &headers, b"no gzip").unwrap().status, 400);
    let garbage = run_python("send_grpc.py", &[&format!("127.0.0.1:{}", server.ports.grpc), "logs"], b"\xff\xff\xff");
    assert!(garbage.starts_with("INVALID_ARGUMENT"), "{garbage}");
}

#[test]
fn gzip_zstd_and_identity_carry_the_same() {
    let server = Setup::default().idle("1m").start();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&log_request("s", 1)).unwrap();
    let bodies = [
        ("gzip", gzip.finish().unwrap()),
        ("zstd", zstd::encode_all(log_request("s", 2).as_slice(), 1).unwrap()),
        ("identity", log_request("s", 3)),
    ];
    for (encoding, body) in bodies {
        let headers = [("content-type", JSON), ("content-encoding", encoding)];
        let reply = http::send(server.ports.http, "POST", "/v1/logs", &headers, &body).unwrap();
        assert_eq!(reply.status, 200, "{encoding}: {}", reply.text());
    }
    let arrived = "SELECT count(DISTINCT request_id) = 3 FROM facts WHERE session_id = 's'";
    Lake::of(&server).when(arrived, &[]);
}

#[test]
fn hooks_are_taken_as_objects_and_as_envelopes() {
    let server = Setup::default().idle("1m").start();
    let hook = json!({"session_id": "h", "hook_event_name": "SomethingNew", "what": "ever"});
    let reply = server.post("/v1/hooks", JSON, hook.to_string().as_bytes()).unwrap();
    assert_eq!((reply.status, reply.text()), (200, "{}".to_owned()));
    let lines = [
        json!({"id": "1", "seq": 1, "at": "2026-11-22T11:00:00Z", "kind": "hook", "session_id": "h", "data": hook}).to_string(),
        "no JSON at all".to_owned(),
        json!({"id": "2", "seq": 2, "at": "2026-11-22T11:00:01Z", "kind": "novel", "session_id": "h", "data": {"a": 1}})
            .to_string(),
    ];
    let reply = server.post("/v1/hooks", "application/x-ndjson", lines.join("\n").as_bytes()).unwrap();
    assert!(reply.text().contains('2'), "the bad line is named by number: {} {}", reply.status, reply.text());
    let arrived = "SELECT count(*) = 3 FROM facts WHERE session_id = 'h'";
    let kinds = Lake::of(&server).when(arrived, &["SELECT DISTINCT kind FROM facts WHERE session_id = 'h'"]).remove(0);
    assert_eq!(kinds.len(), 1);
    assert_eq!(kinds[0]["kind"], "other");
}

#[test]
fn health_and_metrics_are_served() {
    let server = Setup::default().start();
    corpus::send(&server, &corpus::fixture("resume").requests(corpus::Hooks::Raw));
    assert_eq!(http::get(server.ports.health, "/live").unwrap().status, 200);
    assert_eq!(http::get(server.ports.health, "/ready").unwrap().status, 200);
    let metrics = http::get(server.ports.metrics, "/metrics").unwrap().text();
    let accepted = |l: &&str| l.starts_with("otelcol_receiver_accepted_log_records") && l.contains("http");
    let accepted = metrics.lines().find(accepted).expect(&metrics);
    assert!(!accepted.ends_with(" 0"), "{accepted}");
}

fn acknowledged_is_kept_after(stop: impl FnOnce(&mut Server)) {
    let mut server = Setup::default().idle("1m").start();
    for n in 0..20 {
        assert_eq!(server.post("/v1/logs", JSON, &log_request("stop", n)).unwrap().status, 200);
    }
    stop(&mut server);
    let arrived = "SELECT count(*) = 20 AND count(DISTINCT request_id) = 20 FROM facts WHERE session_id = 'stop'";
    Lake::of(&server).when(arrived, &[]);
}

#[test]
fn sigterm_drains_to_the_lake_and_exits_with_0() {
    acknowledged_is_kept_after(|server| {
        let status = server.terminate();
        assert!(status.success(), "{status}\n{}", server.log());
    });
}

#[test]
fn a_second_process_on_the_same_data_directory_is_refused() {
    let server = Setup::default().start();
    let output = std::process::Command::new(crate::harness::binary())
        .arg("serve")
        .arg("--data-dir")
        .arg(server.data_dir())
        .args(["--set", "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0"])
        .args(["--set", "receivers.otlp.protocols.http.endpoint=127.0.0.1:0"])
        .args(["--set", "extensions.health_check.endpoint=127.0.0.1:0"])
        .args(["--set", "service.telemetry.metrics.address=127.0.0.1:0"])
        .args(["--set", "extensions.sql.endpoint=127.0.0.1:0"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("in use"), "{error}");
}
