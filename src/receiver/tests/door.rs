//! The door in front of real listeners: what a client is told, in its protocol's words.

use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use tempfile::TempDir;

use crate::auth::store::Store;
use crate::auth::{Door, Randomness, Role, Token, Tokens, Wanted};
use crate::clock::Clock;
use crate::model::Workspace;
use crate::receiver::IntakeLimits;
use crate::receiver::testing::{Options, RpcStatus, Server, frame, h2_connect, h2_post, logs, post};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::Claim;

const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

fn create(dir: &TempDir, n: u8, workspace: &str, role: Role) -> String {
    let workspace = Workspace::parse(workspace).unwrap();
    let wanted = Wanted { workspace, role, name: Some(format!("t{n}")), group: None, expires_at: None };
    let random = Randomness { token: [n; 30], salt: [n; 16] };
    let (token, _) = Store::new(dir.path()).create(wanted, random, [9; 32], 0).unwrap();
    format!("Bearer {}", token.reveal())
}

/// A server, and the headers of a sender of workspace `a` and of a reader.
async fn server() -> (Server, String, String) {
    server_with(Options::default()).await
}

async fn server_with(options: Options) -> (Server, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (sender, reader) = (create(&dir, 1, "a", Role::Ingest), create(&dir, 2, "a", Role::Reader));
    let tokens = Tokens::open(dir.path()).unwrap();
    let clock = Clock::from_fn(|| 1);
    let door = Door::guarded(tokens, clock.clone(), Metrics::new(clock));
    (Server::with(Options { door, ..options }).await, sender, reader)
}

#[tokio::test]
async fn a_request_without_a_token_is_told_how_to_bring_one() {
    let (mut server, ..) = server().await;
    let reply = post(&server.url("/v1/logs"), &[PROTOBUF], logs("x")).await;
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let schemes: Vec<_> = reply.headers().get_all("www-authenticate").iter().map(|v| v.to_str().unwrap()).collect();
    assert!(schemes[0].starts_with("Bearer ") && schemes[1].starts_with("Basic "), "{schemes:?}");
    assert_eq!(reply.headers()["content-type"], "application/x-protobuf");
    let status = RpcStatus::decode(reply.bytes().await.unwrap()).unwrap();
    assert_eq!(status.code, 16);
    let reply = post(&server.url("/v1/hooks"), &[JSON], r#"{"session_id":"s"}"#).await;
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    let status: serde_json::Value = serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap();
    assert_eq!(status["code"], 16);
    assert_eq!(post(&server.url("/nowhere"), &[], "").await.status(), StatusCode::UNAUTHORIZED);
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn the_token_decides_the_workspace_whatever_the_rest_says() {
    let (mut server, sender, _) = server().await;
    let headers = [PROTOBUF, ("authorization", sender.as_str()), ("x-scope-orgid", "b"), ("baggage", "workspace=b")];
    assert_eq!(post(&server.url("/v1/logs"), &headers, logs("x")).await.status(), StatusCode::OK);
    let headers = [("content-type", "application/x-ndjson"), ("authorization", sender.as_str())];
    let envelope = r#"{"id":"1","kind":"hook","workspace":"b","data":{"session_id":"s"}}"#;
    assert_eq!(post(&server.url("/v1/hooks"), &headers, envelope).await.status(), StatusCode::OK);
    let kept = server.kept();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|b| b.envelope.workspace == "a" && b.envelope.principal.as_deref() == Some("t1")));
    assert_eq!((server.metrics.claims(Claim::Header).get(), server.metrics.claims(Claim::Payload).get()), (1, 1));
}

#[tokio::test]
async fn in_strict_mode_a_claim_of_another_workspace_is_refused_and_its_own_is_not() {
    let intake = IntakeLimits { strict_workspaces: true, ..Options::default().intake };
    let (mut server, sender, _) = server_with(Options { intake, ..Options::default() }).await;
    let auth = ("authorization", sender.as_str());
    let url = server.url("/v1/logs");
    let status =
        async |url: &str, headers: &[(&str, &str)], body: &'static str| post(url, headers, body).await.status();
    assert_eq!(status(&url, &[PROTOBUF, auth, ("x-scope-orgid", "b")], "").await, StatusCode::FORBIDDEN);
    let claimed = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"workspace","value":{"stringValue":"b"}}]}}]}"#;
    assert_eq!(status(&url, &[JSON, auth], claimed).await, StatusCode::FORBIDDEN);
    let lines = ("content-type", "application/x-ndjson");
    let envelope = r#"{"id":"1","kind":"hook","workspace":"b","data":{"session_id":"s"}}"#;
    assert_eq!(status(&server.url("/v1/hooks"), &[lines, auth], envelope).await, StatusCode::FORBIDDEN);
    let client = h2_connect(server.grpc).await;
    let headers = [("content-type", "application/grpc"), ("te", "trailers"), auth, ("x-workspace", "b")];
    let grpc = format!("http://{}{LOGS}", server.grpc);
    assert_eq!(h2_post(&client, &grpc, &headers, frame(false, &logs("x"))).await.code(), 7);
    assert!(server.kept().is_empty());
    let own = [PROTOBUF, auth, ("x-scope-orgid", "a")];
    assert_eq!(post(&url, &own, logs("x")).await.status(), StatusCode::OK);
    assert_eq!((server.metrics.claims(Claim::Header).get(), server.metrics.claims(Claim::Payload).get()), (2, 2));
}

#[tokio::test]
async fn a_role_that_may_not_send_and_a_guess_have_answers_of_their_own() {
    let (server, _, reader) = server().await;
    let url = server.url("/v1/traces");
    let headers = [PROTOBUF, ("authorization", reader.as_str())];
    let reply = post(&url, &headers, "").await;
    assert_eq!(reply.status(), StatusCode::FORBIDDEN);
    assert_eq!(RpcStatus::decode(reply.bytes().await.unwrap()).unwrap().code, 7);
    let unknown = format!("Bearer {}", Token::new([3; 30]).reveal());
    let headers = [PROTOBUF, ("authorization", unknown.as_str())];
    let mut last = post(&url, &headers, "").await;
    assert_eq!(last.status(), StatusCode::UNAUTHORIZED);
    for _ in 0..40 {
        last = post(&url, &headers, "").await;
    }
    assert_eq!(last.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(last.headers()["retry-after"], "60");
}

#[tokio::test]
async fn grpc_metadata_is_asked_the_same_way() {
    let (mut server, sender, reader) = server().await;
    let client = h2_connect(server.grpc).await;
    let url = format!("http://{}{LOGS}", server.grpc);
    let call = async |authorization: &str| {
        let headers = [("content-type", "application/grpc"), ("te", "trailers"), ("authorization", authorization)];
        h2_post(&client, &url, &headers, frame(false, &logs("x"))).await
    };
    let codes = [call("Bearer x").await.code(), call(&reader).await.code(), call(&sender).await.code()];
    assert_eq!(codes, [16, 7, 0]);
    let reply = h2_post(&client, &url, &[("content-type", "application/grpc")], Bytes::new()).await;
    assert_eq!((reply.http, reply.code()), (StatusCode::OK, 16));
    assert_eq!(server.kept().len(), 1);
}

/// The body is not waited for, and holds none of the budget.
#[tokio::test]
async fn who_is_refused_is_answered_before_the_body_is_there() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (server, ..) = server().await;
    let mut stream = tokio::net::TcpStream::connect(server.http).await.unwrap();
    let head = "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n\
                content-length: 60000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 401");
    assert_eq!(server.budget.free_bytes(), 16 << 20);
}
