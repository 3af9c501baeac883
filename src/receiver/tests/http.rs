//! OTLP/HTTP conformance: status, content type and body of every kind of reply.

use std::time::Duration;

use prost::Message;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::journal::JournalOptions;
use crate::model::Signal;
use crate::receiver::encoding::{Encoding, Encodings};
use crate::receiver::testing::{
    Options, RpcStatus, Server, deflate, gzip, h2_connect, h2_post, logs, metrics, post, traces, zstd,
};
use crate::receiver::{Cors, Paths};
use crate::telemetry::Transport;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const JSON_LOG: &str = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"one"}}]}]}]}"#;

fn content_type(response: &Response) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

async fn assert_full_success(response: Response, content: &str, body: &str) {
    assert_eq!(response.status(), 200);
    assert_eq!(content_type(&response), content);
    assert_eq!(response.text().await.unwrap(), body);
}

async fn assert_status_protobuf(response: Response, http: u16, code: i32) -> RpcStatus {
    assert_eq!(response.status(), http);
    assert_eq!(content_type(&response), "application/x-protobuf");
    let status = RpcStatus::decode(response.bytes().await.unwrap()).unwrap();
    assert_eq!(status.code, code);
    assert!(!status.message.is_empty());
    status
}

async fn assert_status_json(response: Response, http: u16, code: i32) -> Value {
    assert_eq!(response.status(), http);
    assert_eq!(content_type(&response), "application/json");
    let status: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(status["code"], code);
    assert!(status["message"].is_string());
    status
}

#[tokio::test]
async fn each_signal_in_protobuf_is_kept_and_answered_with_an_empty_message() {
    let mut server = Server::start().await;
    for (path, signal, body) in [
        ("/v1/logs", Signal::Logs, logs("one")),
        ("/v1/metrics", Signal::Metrics, metrics(3)),
        ("/v1/traces", Signal::Traces, traces("span")),
    ] {
        let response = post(&server.url(path), &[PROTOBUF], body.clone()).await;
        assert_full_success(response, "application/x-protobuf", "").await;
        let kept = server.kept();
        assert_eq!(kept.len(), 1);
        assert_eq!((kept[0].envelope.signal, &kept[0].payload[..]), (signal, &body[..]));
        assert_eq!(kept[0].envelope.workspace, "default");
        assert_eq!(server.metrics.records(signal, Transport::Http).accepted.get(), 1);
    }
}

#[tokio::test]
async fn json_is_kept_as_protobuf_and_answered_with_an_empty_object() {
    let mut server = Server::start().await;
    for content in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        let response = post(&server.url("/v1/logs"), &[("content-type", content)], JSON_LOG).await;
        assert_full_success(response, "application/json", "{}").await;
        let kept = server.kept();
        assert_eq!(kept[0].envelope.signal, Signal::Logs);
        assert!(kept[0].payload.windows(3).any(|window| window == b"one"));
    }
}

#[tokio::test]
async fn empty_requests_succeed_and_leave_nothing() {
    let mut server = Server::start().await;
    // A resource without scopes, and a scope without records.
    for body in [&b""[..], b"\x0a\x00", b"\x0a\x02\x12\x00"] {
        let response = post(&server.url("/v1/logs"), &[PROTOBUF], body).await;
        assert_full_success(response, "application/x-protobuf", "").await;
    }
    for body in ["{}", r#"{"resourceLogs":[]}"#, r#"{"resourceLogs":[{"scopeLogs":[{}]}]}"#, ""] {
        let response = post(&server.url("/v1/logs"), &[JSON], body).await;
        assert_full_success(response, "application/json", "{}").await;
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn content_encodings_are_undone() {
    let mut server = Server::start().await;
    let body = logs("text that is compressed ");
    for (encoding, wire) in [
        ("identity", body.clone()),
        ("none", body.clone()),
        ("gzip", gzip(&body)),
        ("GZIP", gzip(&body)),
        ("zstd", zstd(&body)),
        ("deflate", deflate(&body)),
    ] {
        let response = post(&server.url("/v1/logs"), &[PROTOBUF, ("content-encoding", encoding)], wire).await;
        assert_full_success(response, "application/x-protobuf", "").await;
        assert_eq!(server.kept()[0].payload, body, "{encoding}");
    }
    let response =
        post(&server.url("/v1/logs"), &[JSON, ("content-encoding", "gzip")], gzip(JSON_LOG.as_bytes())).await;
    assert_full_success(response, "application/json", "{}").await;
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn what_no_gzip_is_and_unknown_encodings_are_refused_in_the_requests_encoding() {
    let mut server = Server::start().await;
    let url = server.url("/v1/traces");
    let gzipped = ("content-encoding", "gzip");
    assert_status_protobuf(post(&url, &[PROTOBUF, gzipped], traces("s")).await, 400, 3).await;
    assert_status_json(post(&url, &[JSON, gzipped], "{}").await, 400, 3).await;
    let twice = gzip(&gzip(&traces("s")));
    assert_status_protobuf(post(&url, &[PROTOBUF, gzipped], twice).await, 400, 3).await;
    for unknown in ["foo", "gzip, gzip", "snappy"] {
        let response = post(&url, &[PROTOBUF, ("content-encoding", unknown)], traces("s")).await;
        assert_status_protobuf(response, 415, 12).await;
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn malformed_bodies_get_400_with_a_bad_request_detail() {
    let mut server = Server::start().await;
    for path in ["/v1/logs", "/v1/metrics", "/v1/traces"] {
        let status = assert_status_protobuf(post(&server.url(path), &[PROTOBUF], "not protobuf").await, 400, 3).await;
        assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.BadRequest");
        let status = assert_status_json(post(&server.url(path), &[JSON], "{\"secret-text\":").await, 400, 3).await;
        assert_eq!(status["details"][0]["@type"], "type.googleapis.com/google.rpc.BadRequest");
        assert!(!status.to_string().contains("secret-text"));
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn a_request_cut_at_any_byte_is_refused_or_smaller_but_never_a_fault() {
    let server = Server::start().await;
    let client = reqwest::Client::new();
    let body = logs("cut anywhere");
    for length in 0..body.len() {
        let request = client.post(server.url("/v1/logs")).header(PROTOBUF.0, PROTOBUF.1).body(body[..length].to_vec());
        let status = request.send().await.unwrap().status();
        assert!(status == 400 || (length == 0 && status == 200), "{length} bytes: {status}");
    }
}

#[tokio::test]
async fn other_content_types_methods_and_paths() {
    let server = Server::start().await;
    let url = server.url("/v1/logs");
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/xml; a=b")]] {
        let response = post(&url, headers, logs("one")).await;
        assert_eq!(response.status(), 415);
        assert!(content_type(&response).starts_with("text/plain"));
    }
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = reqwest::Client::new().request(method, &url).send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
    for path in ["/", "/v1/log", "/v1development/profiles", "/v1/logs/"] {
        assert_eq!(post(&server.url(path), &[PROTOBUF], "").await.status(), 404);
    }
}

#[tokio::test]
async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
    let mut server = Server::start().await;
    let url = server.url("/v1/logs");
    let mut body = logs(&"x".repeat((1 << 20) - 40));
    body = logs(&"x".repeat((1 << 20) - 40 + ((1 << 20) - body.len())));
    assert_eq!(body.len(), 1 << 20);
    let response = post(&url, &[PROTOBUF], body.clone()).await;
    assert_full_success(response, "application/x-protobuf", "").await;
    assert_eq!(server.kept().len(), 1);
    body.push(0);
    let status = assert_status_protobuf(post(&url, &[PROTOBUF], body.clone()).await, 413, 8).await;
    assert!(status.details.is_empty());
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(body)]));
    assert_status_protobuf(post(&url, &[PROTOBUF], chunked).await, 413, 8).await;
    let bomb = gzip(&vec![0; 16 << 20]);
    assert_status_json(post(&url, &[JSON, ("content-encoding", "gzip")], bomb).await, 413, 8).await;
    let bomb = zstd(&vec![0; 16 << 20]);
    assert_status_protobuf(post(&url, &[PROTOBUF, ("content-encoding", "zstd")], bomb).await, 413, 8).await;
    assert!(server.kept().is_empty());
    assert_eq!(server.budget.free_bytes(), 16 << 20);
}

#[tokio::test]
async fn a_spent_budget_and_a_full_journal_are_for_later() {
    let journal = JournalOptions { max_bytes: 32 << 10, ..JournalOptions::default() };
    let mut server = Server::with(Options { journal, ..Options::default() }).await;
    let url = server.url("/v1/logs");
    let mut response = post(&url, &[PROTOBUF], logs("one")).await;
    while response.status() == 200 {
        response = post(&url, &[PROTOBUF], logs(&"more ".repeat(1000))).await;
    }
    server.kept();
    assert_eq!(response.headers()["retry-after"], "10");
    let status = assert_status_protobuf(response, 503, 14).await;
    assert_eq!(status.details[0].type_url, "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(status.details[0].value, [0x0a, 2, 0x08, 10]);
    assert_eq!(server.metrics.records(Signal::Logs, Transport::Http).refused.get(), 1);

    let mut all = server.budget.permit();
    all.cover(16 << 20).unwrap();
    let response = post(&url, &[JSON], JSON_LOG).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let status = assert_status_json(response, 503, 14).await;
    let retry = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"});
    assert_eq!(status["details"], json!([retry]));
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn secrets_are_redacted_before_they_are_kept_and_counted() {
    let mut server = Server::start().await;
    let secret = "AKIAQ3EGRIFM2ZX4VB7N";
    let response = post(&server.url("/v1/logs"), &[PROTOBUF], logs(&format!("key {secret}"))).await;
    assert_eq!(response.status(), 200);
    let kept = server.kept();
    assert!(!String::from_utf8_lossy(&kept[0].payload).contains(secret));
    assert_eq!(server.metrics.redactions.read().iter().map(|(_, n)| n).sum::<u64>(), 1);
}

#[tokio::test]
async fn http2_with_prior_knowledge_works_on_the_same_port() {
    let mut server = Server::start().await;
    let client = h2_connect(server.http).await;
    for text in ["one", "two"] {
        let reply = h2_post(&client, &server.url("/v1/logs"), &[PROTOBUF], logs(text).into()).await;
        assert_eq!((reply.http.as_u16(), reply.body.len()), (200, 0));
    }
    assert_eq!(server.kept().len(), 2);
}

#[tokio::test]
async fn a_hundred_requests_at_once_on_one_connection_are_all_answered() {
    let mut server = Server::start().await;
    let client = h2_connect(server.http).await;
    let url = server.url("/v1/logs");
    let requests = (0..100).map(|i| h2_post(&client, &url, &[PROTOBUF], logs(&format!("log {i}")).into()));
    let replies = futures::future::join_all(requests).await;
    assert!(replies.iter().all(|reply| reply.http == 200));
    assert_eq!(server.kept().len(), 100);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let mut options = Options::default();
    options.limits.body_grace = Duration::from_millis(50);
    let server = Server::with(options).await;
    let endless = reqwest::Body::wrap_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let response = post(&server.url("/v1/logs"), &[PROTOBUF], endless).await;
    assert_status_protobuf(response, 408, 4).await;
}

#[tokio::test]
async fn what_there_is_not_is_refused_in_the_requests_encoding() {
    let server = Server::start().await;
    assert_status_json(post(&server.url("/v1/nothing"), &[JSON], "{}").await, 404, 12).await;
    assert_status_protobuf(post(&server.url("/v1development/profiles"), &[PROTOBUF], "").await, 404, 12).await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let request = reqwest::Client::new().request(method.clone(), server.url("/v1/logs"));
        let response = request.header("content-type", "application/json").send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST", "{method}");
        assert_status_json(response, 405, 12).await;
    }
}

#[tokio::test]
async fn paths_are_what_the_configuration_says() {
    let paths = Paths { traces: "/otlp/traces".to_owned(), ..Paths::default() };
    let mut server = Server::with(Options { paths, ..Options::default() }).await;
    assert_eq!(post(&server.url("/otlp/traces"), &[PROTOBUF], traces("s")).await.status(), 200);
    assert_eq!(server.kept()[0].envelope.signal, Signal::Traces);
    assert_eq!(post(&server.url("/v1/traces"), &[PROTOBUF], traces("s")).await.status(), 404);
}

#[tokio::test]
async fn encodings_that_the_configuration_leaves_out_are_refused() {
    let mut options = Options::default();
    options.limits.encodings = Encodings::NONE.with(Encoding::Zstd);
    let server = Server::with(options).await;
    let url = server.url("/v1/logs");
    assert_eq!(post(&url, &[PROTOBUF, ("content-encoding", "zstd")], zstd(&logs("a"))).await.status(), 200);
    let refused = post(&url, &[PROTOBUF, ("content-encoding", "gzip")], gzip(&logs("a"))).await;
    assert_status_protobuf(refused, 415, 12).await;
    assert_eq!(post(&url, &[PROTOBUF], logs("a")).await.status(), 200);
}

async fn preflight(server: &Server, origin: &str) -> Response {
    let request = reqwest::Client::new().request(Method::OPTIONS, server.url("/v1/traces"));
    let request = request.header("origin", origin).header("access-control-request-method", "POST");
    request.header("access-control-request-headers", "content-type,x-team").send().await.unwrap()
}

#[tokio::test]
async fn other_origins_are_allowed_only_where_the_configuration_names_them() {
    let server = Server::start().await;
    let response = preflight(&server, "https://app.example").await;
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key("access-control-allow-origin"));

    let cors = Cors {
        allowed_origins: vec!["https://*.example".to_owned()],
        allowed_headers: vec!["x-team".to_owned()],
        max_age: Some(Duration::from_secs(600)),
    };
    let server = Server::with(Options { cors, ..Options::default() }).await;
    let allowed = preflight(&server, "https://app.example").await;
    assert_eq!(allowed.status(), 204);
    let header = |name: &str| allowed.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("access-control-allow-origin"), "https://app.example");
    assert_eq!(header("access-control-max-age"), "600");
    assert!(header("access-control-allow-headers").contains("x-team"));
    let other = preflight(&server, "https://app.test").await;
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    let headers = [PROTOBUF, ("origin", "https://app.example")];
    let response = post(&server.url("/v1/traces"), &headers, traces("s")).await;
    assert_eq!(
        (response.status().as_u16(), response.headers().contains_key("access-control-allow-origin")),
        (200, true)
    );
}
