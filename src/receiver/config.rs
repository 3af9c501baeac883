//! `receivers.otlp` as written, in the OpenTelemetry Collector's shape and key names, and what it means.

use std::time::Duration;

use serde::Deserialize;

/// `receivers.otlp`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub protocols: Protocols,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Protocols {
    pub grpc: Grpc,
    pub http: Http,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grpc {
    pub endpoint: String,
    /// Largest message, before and after decompression, MiB.
    pub max_recv_msg_size_mib: u32,
}

/// OTLP/HTTP and hooks.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub endpoint: String,
    /// Largest body, before and after decompression, bytes.
    pub max_request_body_size: usize,
}

impl Default for Grpc {
    fn default() -> Grpc {
        Grpc { endpoint: "127.0.0.1:4317".to_owned(), max_recv_msg_size_mib: 64 }
    }
}

impl Default for Http {
    fn default() -> Http {
        Http { endpoint: "127.0.0.1:4318".to_owned(), max_request_body_size: 64 << 20 }
    }
}

/// The bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body or message, before and after decompression, bytes. OTLP 1.11 recommends at least 64 MiB.
    pub body_bytes: usize,
    /// Open connections; more wait in the kernel's queue.
    pub connections: usize,
    /// A new connection must have sent the head of its first request by then.
    pub first_request: Duration,
    /// A connection without a request for that long is closed. Longer than the exporters' usual intervals (5 s for
    /// logs, 60 s for metrics), so that they keep their connections.
    pub idle: Duration,
    /// Time for any body, however small.
    pub body_grace: Duration,
    /// What a body must bring on average once the grace is over, bytes per second: far below any link that works.
    pub body_rate: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 64 << 20,
            connections: 4096,
            first_request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            body_grace: Duration::from_secs(10),
            body_rate: 16 << 10,
        }
    }
}

impl Grpc {
    pub fn limits(&self) -> Limits {
        Limits { body_bytes: (self.max_recv_msg_size_mib as usize) << 20, ..Limits::default() }
    }
}

impl Http {
    pub fn limits(&self) -> Limits {
        Limits { body_bytes: self.max_request_body_size, ..Limits::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collectors_block_is_understood_and_a_typo_is_not() {
        let block = "protocols: {grpc: {endpoint: 'localhost:1', max_recv_msg_size_mib: 4}, http: {}}";
        let config: Config = serde_saphyr::from_str(block).unwrap();
        assert_eq!(config.protocols.grpc.limits().body_bytes, 4 << 20);
        assert_eq!(config.protocols.http.endpoint, "127.0.0.1:4318");
        assert!(serde_saphyr::from_str::<Config>("protocols: {http: {max_body: 1}}").is_err());
    }
}
