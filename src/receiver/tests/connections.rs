//! Connections: keep-alive, bounds in time, broken clients, and the drain.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::receiver::testing::{Options, Server, logs, post};

const LONG: Duration = Duration::from_secs(20);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.http).await.unwrap()
}

/// Reads until `end` has come `times` times.
async fn read_until(stream: &mut TcpStream, end: &str, times: usize) -> String {
    let mut read = Vec::new();
    while String::from_utf8_lossy(&read).matches(end).count() < times {
        let count = timeout(LONG, stream.read_buf(&mut read)).await.unwrap().unwrap();
        assert!(count > 0, "closed after {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

/// Whether the server closes within the time, whatever it says before.
async fn closes(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(LONG, stream.read_to_end(&mut rest)).await.is_ok()
}

fn head(extra: &str) -> String {
    format!("POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\n{extra}\r\n")
}

#[tokio::test]
async fn two_requests_on_one_connection_one_of_them_chunked() {
    let mut server = Server::start().await;
    let mut stream = connect(&server).await;
    let body = logs("one");
    for _ in 0..2 {
        stream.write_all(head(&format!("content-length: {}\r\n", body.len())).as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200 OK\r\n"));
        stream.write_all(head("transfer-encoding: chunked\r\n").as_bytes()).await.unwrap();
        for byte in &body {
            stream.write_all(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']).await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let kept = server.kept();
    assert_eq!(kept.len(), 4);
    assert!(kept.iter().all(|batch| batch.payload == body));
}

#[tokio::test]
async fn a_refused_body_does_not_cost_the_connection() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    let too_much = (1 << 20) + 1;
    stream.write_all(head(&format!("content-length: {too_much}\r\n")).as_bytes()).await.unwrap();
    stream.write_all(&vec![0; too_much]).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 413"));
    let body = logs("next");
    stream.write_all(head(&format!("content-length: {}\r\n", body.len())).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    assert!(read_until(&mut stream, "HTTP/1.1 200", 1).await.contains("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_before_it_sends() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    stream.write_all(head("content-length: 9999999\r\nexpect: 100-continue\r\n").as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn an_endless_chunked_body_ends_at_the_limit() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    stream.write_all(head("transfer-encoding: chunked\r\n").as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let sender = tokio::spawn(async move {
        let chunk = [b"10000\r\n", &vec![b'x'; 0x10000][..], b"\r\n"].concat();
        while writing.write_all(&chunk).await.is_ok() {}
    });
    let mut reply = [0; 12];
    timeout(LONG, reading.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(&reply, b"HTTP/1.1 413");
    drop(reading);
    timeout(LONG, sender).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_shorter_than_promised_leaves_nothing() {
    let mut server = Server::start().await;
    let mut stream = connect(&server).await;
    let body = logs("one");
    stream.write_all(head(&format!("content-length: {}\r\n", body.len() + 1)).as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(closes(stream).await);
    assert!(server.kept().is_empty());
    assert_eq!(server.budget.free_bytes(), 16 << 20);
}

#[tokio::test]
async fn contradicting_lengths_are_refused_and_the_connection_closed() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    let smuggled = head("content-length: 4\r\ncontent-length: 5\r\n");
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    stream.write_all(b"abcde").await.unwrap();
    let mut reply = String::new();
    timeout(LONG, stream.read_to_string(&mut reply)).await.unwrap().unwrap();
    assert!(reply.starts_with("HTTP/1.1 400"), "{reply}");
    assert_eq!(reply.matches("HTTP/1.1").count(), 1);
}

#[tokio::test]
async fn oversized_heads_are_refused() {
    let server = Server::start().await;
    let mut stream = connect(&server).await;
    let many: String = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
    stream.write_all(head(&many).as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn silent_and_dribbling_connections_are_closed() {
    let mut options = Options::default();
    options.limits.head_time = Duration::from_millis(100);
    let server = Server::with(options).await;
    assert!(closes(connect(&server).await).await);
    let mut stream = connect(&server).await;
    stream.write_all(b"POST /v1/logs HTT").await.unwrap();
    assert!(closes(stream).await);
    let mut stream = TcpStream::connect(server.grpc).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert!(closes(stream).await);
}

#[tokio::test]
async fn a_connection_that_falls_idle_is_closed() {
    let mut options = Options::default();
    options.limits.idle = Duration::from_millis(100);
    let server = Server::with(options).await;
    let mut stream = connect(&server).await;
    stream.write_all(head("content-length: 0\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n", 1).await;
    assert!(closes(stream).await);
}

#[tokio::test]
async fn other_protocols_are_closed_and_do_no_harm() {
    let server = Server::start().await;
    for greeting in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"SSH-2.0-x\r\n\r\n"] {
        for address in [server.http, server.grpc] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(greeting).await.unwrap();
            stream.shutdown().await.unwrap();
            assert!(closes(stream).await);
        }
    }
    let content = ("content-type", "application/x-protobuf");
    assert_eq!(post(&server.url("/v1/logs"), &[content], logs("one")).await.status(), 200);
}

#[tokio::test]
async fn a_slow_head_is_closed_also_on_a_connection_that_was_served() {
    let mut options = Options::default();
    options.limits.head_time = Duration::from_millis(200);
    let server = Server::with(options).await;
    let mut stream = connect(&server).await;
    stream.write_all(head("content-length: 0\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, "\r\n\r\n", 1).await;
    stream.write_all(b"POST /v1/logs HTT").await.unwrap();
    assert!(closes(stream).await);
}

#[tokio::test]
async fn for_a_connection_beyond_the_cap_the_one_that_is_idle_for_longest_is_closed() {
    let mut options = Options::default();
    options.limits.connections = 2;
    let server = Server::with(options).await;
    let mut oldest = connect(&server).await;
    oldest.write_all(head("content-length: 0\r\n").as_bytes()).await.unwrap();
    read_until(&mut oldest, "\r\n\r\n", 1).await;
    let mut busy = connect(&server).await;
    let body = logs("slow");
    busy.write_all(head(&format!("content-length: {}\r\n", body.len())).as_bytes()).await.unwrap();
    busy.write_all(&body[..2]).await.unwrap();
    while server.budget.free_bytes() == 16 << 20 {
        tokio::task::yield_now().await;
    }
    let mut new = connect(&server).await;
    new.write_all(head("content-length: 0\r\n").as_bytes()).await.unwrap();
    assert!(read_until(&mut new, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200"));
    assert!(closes(oldest).await);
    busy.write_all(&body[2..]).await.unwrap();
    assert!(read_until(&mut busy, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_client_that_takes_no_replies_is_cut_off() {
    let mut options = Options::default();
    options.limits.write_time = Duration::from_millis(200);
    let server = Server::with(options).await;
    let mut stream = connect(&server).await;
    // Replies pile up until the kernel takes no more of them.
    let requests = head("content-length: 0\r\n").repeat(1000);
    while stream.write_all(requests.as_bytes()).await.is_ok() {}
}

#[tokio::test]
async fn an_aged_connection_finishes_its_request_and_ends() {
    let mut options = Options::default();
    options.limits.age = Some(Duration::from_millis(100));
    let mut server = Server::with(options).await;
    let mut stream = connect(&server).await;
    let body = logs("slow");
    stream.write_all(head(&format!("content-length: {}\r\n", body.len())).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(&body).await.unwrap();
    let reply = read_until(&mut stream, "\r\n\r\n", 1).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("connection: close"), "{reply}");
    assert!(closes(stream).await);
    assert_eq!(server.kept().len(), 1);
}

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_takes_no_more() {
    let mut server = Server::start().await;
    let mut stream = connect(&server).await;
    let idle = connect(&server).await;
    let body = logs("last");
    stream.write_all(head(&format!("content-length: {}\r\n", body.len())).as_bytes()).await.unwrap();
    stream.write_all(&body[..2]).await.unwrap();
    // The head has arrived once the budget shows the body's first bytes.
    while server.budget.free_bytes() == 16 << 20 {
        tokio::task::yield_now().await;
    }
    server.stop();
    assert!(closes(idle).await);
    while TcpStream::connect(server.http).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(&body[2..]).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.kept()[0].payload, body);
    timeout(LONG, server.stopped()).await.unwrap();
}

#[tokio::test]
async fn a_drain_cuts_what_does_not_finish_in_time() {
    let server = Server::with(Options { drain: Duration::from_millis(100), ..Options::default() }).await;
    let mut stream = connect(&server).await;
    stream.write_all(head("content-length: 5\r\n").as_bytes()).await.unwrap();
    stream.write_all(b"a").await.unwrap();
    while server.budget.free_bytes() == 16 << 20 {
        tokio::task::yield_now().await;
    }
    server.stop();
    timeout(LONG, server.stopped()).await.unwrap();
    assert!(closes(stream).await);
}
