//! A program with the real OpenTelemetry SDK gets its telemetry kept, over each protocol.

use crate::harness::Setup;
use crate::query::{Lake, run_python};

const FACTS: &str = "SELECT source, name, session_id, attributes FROM facts ORDER BY source, name";

fn sdk(protocol: &str) {
    let server = Setup::default().idle("1m").start();
    let port = if protocol == "grpc" { server.ports.grpc } else { server.ports.http };
    run_python("sdk.py", &[protocol, &format!("127.0.0.1:{port}"), "sdk-session"], b"");
    let arrived = "SELECT count(DISTINCT source) = 3 AND count(*) >= 5 FROM facts WHERE session_id = 'sdk-session'";
    let facts = Lake::of(&server).when(arrived, &[FACTS]).remove(0);
    let names: Vec<&str> = facts.iter().filter_map(|f| f["name"].as_str()).collect();
    for name in ["first", "second"] {
        assert_eq!(names.iter().filter(|n| **n == name).count(), 1, "{name} in {names:?}");
    }
    // The SDK exports its metrics at the flush and again at the shutdown.
    assert!(names.contains(&"sdk.counter") && names.contains(&"sdk.histogram"), "{names:?}");
    let logs: Vec<_> = facts.iter().filter(|f| f["source"] == "otlp_log").collect();
    assert_eq!(logs.len(), 1);
    assert!(facts.iter().all(|f| f["session_id"] == "sdk-session"), "{facts:?}");
    let attributes = logs[0]["attributes"].as_str().unwrap();
    assert!(attributes.contains("a log"), "nothing sent is lost: {attributes}");
}

#[test]
fn the_sdk_over_grpc() {
    sdk("grpc");
}

#[test]
fn the_sdk_over_http_with_gzip() {
    sdk("http");
}
