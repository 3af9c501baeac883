//! What the receiver's tests share: a server on loopback with a real redactor and journal, and small clients.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::Compression;
use http::{HeaderMap, Request, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::budget::Budget;
use super::config::{Cors, Limits, Paths};
use super::{Intake, IntakeLimits, Port, Protocol, QuotaOptions, door, http_router, otlp, serve};
use crate::auth::Door;
use crate::clock::Clock;
use crate::journal::{Journal, JournalOptions, Reader};
use crate::model::{Batch, LakeKey};
use crate::redaction::{Current, Redactor};
use crate::telemetry::Metrics;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Both listeners over one intake.
pub struct Server {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    pub metrics: Metrics,
    pub budget: Budget,
    reader: Reader,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    _dir: TempDir,
}

/// How a test's server differs from the default.
pub struct Options {
    pub limits: Limits,
    pub budget_bytes: usize,
    pub journal: JournalOptions,
    pub drain: Duration,
    pub door: Door,
    pub paths: Paths,
    pub cors: Cors,
    pub intake: IntakeLimits,
}

impl Default for Options {
    fn default() -> Options {
        let limits = Limits { body_bytes: 1 << 20, ..Limits::default() };
        let drain = Duration::from_secs(20);
        // One workspace may use all of the small budget.
        let quota = QuotaOptions { in_flight_percent: 100, ..QuotaOptions::default() };
        Options {
            limits,
            budget_bytes: 16 << 20,
            journal: JournalOptions::default(),
            drain,
            door: Door::open(),
            paths: Paths::default(),
            cors: Cors::default(),
            intake: IntakeLimits { quota, ..IntakeLimits::default() },
        }
    }
}

impl Server {
    pub async fn start() -> Server {
        Server::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), options.journal, 1).unwrap();
        let reader = journal.reader("test").unwrap();
        let metrics = Metrics::new(Clock::from_fn(|| 1));
        let budget = Budget::new(options.budget_bytes);
        let redactor = Current::new(Redactor::builtin(LakeKey::new([7; 32])));
        let clock = Clock::from_fn(|| 1_700_000_000_000_000);
        let intake = Intake::new(
            redactor,
            journal.clone(),
            clock,
            metrics.clone(),
            budget.clone(),
            options.intake,
            std::sync::Arc::new(crate::receiver::gate::OpenGate),
            crate::receiver::Passage::default(),
        );
        let (stop, stopped) = watch::channel(false);
        let routers = [
            (http_router(intake.clone(), options.limits, &options.paths, &options.cors), Protocol::Http),
            (otlp::grpc::router(intake.clone(), options.limits), Protocol::Grpc),
        ];
        let (mut addresses, mut tasks) = (Vec::new(), Vec::new());
        for (router, protocol) in routers {
            let router = door::behind(options.door.clone(), router, &intake, options.limits);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let mut stopped = stopped.clone();
            let shutdown = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
            let port = Port { listener, protocol, tls: None };
            tasks.push(tokio::spawn(serve(port, router, options.limits, shutdown, options.drain)));
        }
        let (http, grpc) = (addresses[0], addresses[1]);
        Server { http, grpc, metrics, budget, reader, stop, tasks, _dir: dir }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// The batches that became durable since the last call.
    pub fn kept(&mut self) -> Vec<Batch> {
        let mut batches = Vec::new();
        while let Some((_, bytes)) = self.reader.try_next().unwrap() {
            batches.push(Batch::decode(&bytes).unwrap());
        }
        batches
    }

    /// Begins the drain.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until both listeners are done.
    pub async fn stopped(self) {
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

/// Posts a body with headers; a fresh connection each time.
pub async fn post(url: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> reqwest::Response {
    let mut request = reqwest::Client::new().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

/// An answer to a gRPC call.
pub struct GrpcReply {
    pub http: StatusCode,
    /// Headers and trailers.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl GrpcReply {
    pub fn code(&self) -> i32 {
        self.headers["grpc-status"].to_str().unwrap().parse().unwrap()
    }
}

pub type H2Client = h2::client::SendRequest<Bytes>;

/// An HTTP/2 connection with prior knowledge.
pub async fn h2_connect(address: SocketAddr) -> H2Client {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// One POST over HTTP/2. The body may be cut off by the server's answer.
pub async fn h2_post(client: &H2Client, url: &str, headers: &[(&str, &str)], body: Bytes) -> GrpcReply {
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(request.body(()).unwrap(), false).unwrap();
    let _ = stream.send_data(body, true);
    let response = response.await.unwrap();
    let (http, mut headers) = (response.status(), response.headers().clone());
    let (mut incoming, mut body) = (response.into_body(), BytesMut::new());
    while let Some(Ok(data)) = incoming.data().await {
        body.extend_from_slice(&data);
        let _ = incoming.flow_control().release_capacity(data.len());
    }
    if let Ok(Some(trailers)) = incoming.trailers().await {
        headers.extend(trailers);
    }
    GrpcReply { http, headers, body: body.freeze() }
}

/// A gRPC frame.
pub fn frame(compressed: bool, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(u8::from(compressed));
    frame.put_u32(message.len() as u32);
    frame.put_slice(message);
    frame.freeze()
}

/// One log record.
pub fn logs(text: &str) -> Vec<u8> {
    let body = Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let record = LogRecord { time_unix_nano: 1, body, ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }.encode_to_vec()
}

/// One data point.
pub fn metrics(value: i64) -> Vec<u8> {
    let point = NumberDataPoint { value: Some(number_data_point::Value::AsInt(value)), ..NumberDataPoint::default() };
    let data = Some(metric::Data::Gauge(Gauge { data_points: vec![point] }));
    let metric = Metric { name: "m".to_owned(), data, ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }.encode_to_vec()
}

/// One span.
pub fn traces(name: &str) -> Vec<u8> {
    let span = Span { name: name.to_owned(), trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

/// `google.rpc.Status` as far as tests look: generated by hand from google/rpc/status.proto.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub struct Detail {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}
