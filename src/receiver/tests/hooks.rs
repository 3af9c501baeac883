//! `POST /v1/hooks` from outside.

use serde_json::{Value, json};

use crate::model::Signal;
use crate::receiver::testing::{Server, gzip, post};
use crate::telemetry::Transport;

const JSON: (&str, &str) = ("content-type", "application/json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");

async fn send(server: &Server, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> (u16, Value) {
    let response = post(&server.url("/v1/hooks"), headers, body).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

fn kept_lines(server: &mut Server) -> Vec<Value> {
    let batches = server.kept();
    assert!(batches.iter().all(|batch| batch.envelope.signal == Signal::Hooks));
    let lines = batches.iter().flat_map(|batch| batch.payload.split(|byte| *byte == b'\n'));
    lines.filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[tokio::test]
async fn a_raw_hook_is_kept_as_an_envelope_and_answered_with_an_empty_object() {
    let mut server = Server::start().await;
    let data = json!({"hook_event_name": "NotKnownYet", "session_id": "s", "deep": {"list": [1, 2.5, null, "x"]}});
    assert_eq!(send(&server, &[JSON], data.to_string()).await, (200, json!({})));
    let zipped = gzip(data.to_string().as_bytes());
    assert_eq!(send(&server, &[JSON, ("content-encoding", "gzip")], zipped).await, (200, json!({})));
    let expected = json!({"kind": "hook", "data": data});
    assert_eq!(kept_lines(&mut server), [expected.clone(), expected]);
    assert_eq!(server.metrics.records(Signal::Hooks, Transport::Http).accepted.get(), 2);
}

#[tokio::test]
async fn envelopes_are_kept_and_a_bad_line_is_refused_by_number() {
    let mut server = Server::start().await;
    let good = json!({"id": "a", "seq": 1, "at": "2026-08-01T10:00:00Z", "kind": "new-kind", "data": {"x": 1}});
    for content in ["application/x-ndjson", "application/jsonl; charset=utf-8"] {
        let body = format!("{good}\n\n{{\"id\":1}}\n{good}\n");
        let (status, reply) = send(&server, &[("content-type", content)], body).await;
        let bad = json!({"line": 3, "error": "id must be a string that is not empty"});
        assert_eq!((status, reply), (200, json!({"rejected": [bad], "rejected_count": 1})));
        assert_eq!(kept_lines(&mut server), [good.clone(), good.clone()]);
    }
    assert_eq!(send(&server, &[LINES], format!("{good}\r\n")).await, (200, json!({})));
    assert_eq!(send(&server, &[LINES], "").await, (200, json!({})));
    assert_eq!(server.metrics.records(Signal::Hooks, Transport::Http).refused.get(), 2);
}

#[tokio::test]
async fn bodies_without_anything_good_get_400() {
    let mut server = Server::start().await;
    let (status, reply) = send(&server, &[LINES], "nope\n[]\n").await;
    assert_eq!((status, &reply["code"]), (400, &json!(3)));
    assert_eq!(reply["rejected"], json!([{"line": 1, "error": "not JSON"}, {"line": 2, "error": "not a JSON object"}]));
    for body in ["[]", "1", "{", ""] {
        let (status, reply) = send(&server, &[JSON], body).await;
        assert_eq!((status, &reply["code"]), (400, &json!(3)), "{body}");
    }
    assert!(kept_lines(&mut server).is_empty());
}

#[tokio::test]
async fn other_content_types_get_415() {
    let server = Server::start().await;
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-protobuf")]] {
        assert_eq!(post(&server.url("/v1/hooks"), headers, "{}").await.status(), 415);
    }
}

#[tokio::test]
async fn hostile_lines_never_end_the_request() {
    let mut server = Server::start().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = format!(r#"{{"id":"a","kind":"hook","data":{{"x":{}}}}}"#, nested(100));
    let deeper = format!(r#"{{"id":"b","kind":"hook","data":{{"x":{}}}}}"#, nested(100_000));
    let double = r#"{"id":"c","id":"d","kind":"hook","data":{"x":1,"x":2}}"#;
    let half = r#"{"id":"e","kind":"hook","data":{"x":"cut \ud83d"}}"#;
    let (status, reply) = send(&server, &[LINES], [&deep, &deeper, double, half].join("\n")).await;
    assert_eq!(status, 200);
    assert_eq!(reply["rejected"], json!([{"line": 2, "error": "not JSON"}]));
    let ids: Vec<Value> = kept_lines(&mut server).iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, ["a", "d", "e"]);
}

#[tokio::test]
async fn a_body_whose_parsed_form_exceeds_the_budget_is_too_large() {
    let mut server = Server::start().await;
    let body = format!(r#"{{"x":[{}[]]}}"#, "[],".repeat(300_000));
    let (status, reply) = send(&server, &[JSON], body).await;
    assert_eq!((status, &reply["code"]), (413, &json!(8)));
    assert!(kept_lines(&mut server).is_empty());
}
