//! What a listener bears.

use std::time::Duration;

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
