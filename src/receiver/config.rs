//! What a listener bears, and where its routes are.

use std::time::Duration;

use super::encoding::Encodings;

/// The bounds of one listener. The durations' names in a configuration are the collector's (`confighttp`, `configgrpc`).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body or message, before and after decompression, bytes. OTLP 1.11 recommends at least 64 MiB.
    pub body_bytes: usize,
    /// Open connections. For one more, the connection that is idle for the longest time is closed.
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub streams: u32,
    /// Largest head of a request (line and headers), bytes; beyond it 431. HTTP/1.1 also counts 100 headers at most.
    pub head_bytes: u32,
    /// The head of a request must be complete that long after its first byte, and a new connection's first one that
    /// long after the connection.
    pub head_time: Duration,
    /// A connection without a request for that long is closed. Longer than the exporters' usual intervals (5 s for
    /// logs, 60 s for metrics), so that they keep their connections.
    pub idle: Duration,
    /// Time for any body, however small.
    pub body_grace: Duration,
    /// What a body must bring on average once the grace is over, bytes per second: far below any link that works.
    pub body_rate: usize,
    /// The most time for a body, however large it is; `None`: `body_rate` alone bounds it.
    pub body_time: Option<Duration>,
    /// A client that takes none of its reply for that long is cut off.
    pub write_time: Duration,
    /// A connection older than that (up to a tenth more or less, so that not all end at once) takes no new requests: a
    /// load balancer in front gets to spread its clients anew.
    pub age: Option<Duration>,
    /// How long the requests of such a connection may take to finish.
    pub age_grace: Duration,
    /// HTTP/2: a connection without any frame for that long is sent a PING ...
    pub ping_interval: Duration,
    /// ... and closed when no answer comes within that time.
    pub ping_timeout: Duration,
    /// Whether a connection serves more than one request (HTTP/1.1).
    pub keep_alive: bool,
    /// The content encodings that are taken.
    pub encodings: Encodings,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 64 << 20,
            connections: 4096,
            streams: 256,
            head_bytes: 64 << 10,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body_grace: Duration::from_secs(10),
            body_rate: 16 << 10,
            body_time: None,
            write_time: Duration::from_secs(30),
            age: None,
            age_grace: Duration::from_secs(30),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            keep_alive: true,
            encodings: Encodings::ALL,
        }
    }
}

/// The paths of OTLP/HTTP; each begins with `/`, and no two are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    pub logs: String,
    pub metrics: String,
    pub traces: String,
}

impl Default for Paths {
    fn default() -> Paths {
        Paths { logs: "/v1/logs".to_owned(), metrics: "/v1/metrics".to_owned(), traces: "/v1/traces".to_owned() }
    }
}

/// Which pages of other origins a browser lets read the replies (fetch.spec.whatwg.org, "CORS protocol").
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Origins (`https://app.example.com`), each with at most one `*` for any text; empty: none, CORS is off.
    pub allowed_origins: Vec<String>,
    /// Request headers beside those that OTLP needs; `*` alone: all.
    pub allowed_headers: Vec<String>,
    /// How long a browser may keep the answer to a preflight; `None`: what the browser does by default.
    pub max_age: Option<Duration>,
}
