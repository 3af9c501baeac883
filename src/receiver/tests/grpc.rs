//! OTLP/gRPC conformance: the status of every kind of reply, as a client reads it from headers and trailers.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::Code;

use crate::journal::JournalOptions;
use crate::model::Signal;
use crate::receiver::testing::{
    GrpcReply, Options, RpcStatus, Server, frame, gzip, h2_connect, h2_post, logs, metrics, traces, zstd,
};
use crate::telemetry::Transport;

const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

async fn call(server: &Server, path: &str, headers: &[(&str, &str)], body: Bytes) -> GrpcReply {
    let client = h2_connect(server.grpc).await;
    let headers = [&[("content-type", "application/grpc"), ("te", "trailers")], headers].concat();
    h2_post(&client, &format!("http://{}{path}", server.grpc), &headers, body).await
}

fn details(reply: &GrpcReply) -> RpcStatus {
    let encoded = reply.headers["grpc-status-details-bin"].as_bytes();
    let bytes = STANDARD_NO_PAD.decode(encoded).or_else(|_| STANDARD.decode(encoded)).unwrap();
    RpcStatus::decode(&*bytes).unwrap()
}

fn assert_refused(reply: &GrpcReply, code: Code, detail: Option<&str>) {
    assert_eq!(reply.http, 200);
    assert_eq!(reply.headers["content-type"], "application/grpc");
    assert_eq!(reply.code(), code as i32, "{:?}", reply.headers);
    let status = details(reply);
    assert_eq!(status.code, code as i32);
    let named = status.details.first().map(|detail| detail.type_url.rsplit('.').next().unwrap());
    assert_eq!(named, detail);
}

#[tokio::test]
async fn each_service_keeps_its_signal_and_answers_with_an_empty_message() {
    let mut server = Server::start().await;
    for (path, signal, body) in [
        (LOGS, Signal::Logs, logs("one")),
        (METRICS, Signal::Metrics, metrics(3)),
        (TRACES, Signal::Traces, traces("span")),
    ] {
        let reply = call(&server, path, &[], frame(false, &body)).await;
        assert_eq!(reply.code(), 0);
        assert_eq!(reply.body, frame(false, b""));
        let kept = server.kept();
        assert_eq!((kept[0].envelope.signal, &kept[0].payload[..]), (signal, &body[..]));
        assert_eq!(server.metrics.records(signal, Transport::Grpc).accepted.get(), 1);
    }
}

#[tokio::test]
async fn compressed_messages_are_undone_and_the_flag_decides() {
    let mut server = Server::start().await;
    let body = logs("compressed");
    for (encoding, message) in [
        ("gzip", frame(true, &gzip(&body))),
        ("zstd", frame(true, &zstd(&body))),
        ("gzip", frame(false, &body)),
        ("identity", frame(false, &body)),
    ] {
        let reply = call(&server, LOGS, &[("grpc-encoding", encoding)], message).await;
        assert_eq!(reply.code(), 0, "{encoding}");
        assert_eq!(server.kept()[0].payload, body, "{encoding}");
    }
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let mut server = Server::start().await;
    assert_eq!(call(&server, LOGS, &[], frame(false, b"")).await.code(), 0);
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn garbage_is_invalid_and_not_internal() {
    let mut server = Server::start().await;
    let two = [frame(false, &logs("a")), frame(false, &logs("b"))].concat();
    let cases: [(&[(&str, &str)], Bytes); 6] = [
        (&[], frame(false, b"garbage")),
        (&[("grpc-encoding", "gzip")], frame(true, b"garbage")),
        (&[], frame(true, &logs("no encoding is named"))),
        (&[], Bytes::from_static(&[9, 0, 0, 0, 0])),
        (&[], Bytes::new()),
        (&[], two.into()),
    ];
    for (headers, body) in cases {
        assert_refused(&call(&server, LOGS, headers, body).await, Code::InvalidArgument, Some("BadRequest"));
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn a_message_that_ends_early_is_not_kept() {
    let mut server = Server::start().await;
    let whole = frame(false, &logs("one"));
    for length in [3, 5, whole.len() - 1] {
        let reply = call(&server, LOGS, &[], whole.slice(..length)).await;
        assert_eq!(reply.code(), Code::Cancelled as i32);
    }
    assert!(server.kept().is_empty());
}

#[tokio::test]
async fn an_oversized_message_is_final_whether_claimed_sent_or_inflated() {
    let mut server = Server::start().await;
    let mut claimed = BytesMut::new();
    claimed.put_u8(0);
    claimed.put_u32(u32::MAX);
    let zeros = vec![0; 16 << 20];
    let cases: [(&str, Bytes); 4] = [
        ("identity", claimed.freeze()),
        ("identity", frame(false, &zeros[..(1 << 20) + 1])),
        ("gzip", frame(true, &gzip(&zeros))),
        ("zstd", frame(true, &zstd(&zeros))),
    ];
    for (encoding, body) in cases {
        let reply = call(&server, LOGS, &[("grpc-encoding", encoding)], body).await;
        assert_refused(&reply, Code::ResourceExhausted, None);
    }
    assert!(server.kept().is_empty());
    assert_eq!(server.budget.free_bytes(), 16 << 20);
}

#[tokio::test]
async fn overload_is_unavailable_with_a_delay() {
    let journal = JournalOptions { max_bytes: 32 << 10, ..JournalOptions::default() };
    let server = Server::with(Options { journal, ..Options::default() }).await;
    let mut reply = call(&server, LOGS, &[], frame(false, &logs("one"))).await;
    while reply.code() == 0 {
        reply = call(&server, LOGS, &[], frame(false, &logs(&"more ".repeat(1000)))).await;
    }
    assert_refused(&reply, Code::Unavailable, Some("RetryInfo"));
    let mut all = server.budget.permit();
    all.cover(16 << 20).unwrap();
    let reply = call(&server, LOGS, &[], frame(false, &logs("one"))).await;
    assert_refused(&reply, Code::Unavailable, Some("RetryInfo"));
}

#[tokio::test]
async fn unknown_methods_and_encodings_are_unimplemented() {
    let server = Server::start().await;
    for path in ["/opentelemetry.proto.collector.logs.v1.LogsService/Import", "/a.B/C", "/"] {
        assert_refused(&call(&server, path, &[], frame(false, b"")).await, Code::Unimplemented, None);
    }
    let reply = call(&server, LOGS, &[("grpc-encoding", "snappy")], frame(true, b"x")).await;
    assert_refused(&reply, Code::Unimplemented, None);
    assert_eq!(reply.headers["grpc-accept-encoding"], "identity,gzip,zstd,deflate");
}

#[tokio::test]
async fn a_hundred_calls_at_once_on_one_connection_are_all_answered() {
    let mut server = Server::start().await;
    let client = h2_connect(server.grpc).await;
    let url = format!("http://{}{LOGS}", server.grpc);
    let headers = [("content-type", "application/grpc+proto")];
    let calls = (0..100).map(|i| h2_post(&client, &url, &headers, frame(false, &logs(&format!("log {i}")))));
    let replies = futures::future::join_all(calls).await;
    assert!(replies.iter().all(|reply| reply.code() == 0));
    assert_eq!(server.kept().len(), 100);
}
