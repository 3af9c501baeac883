//! sessionlake: an OpenTelemetry collector for AI-agent sessions.
//!
//! ```text
//!  OTLP gRPC, OTLP HTTP, hooks ─ receiver ─ redaction ─ journal ─(durable: acknowledged)─ sink/lake: facts
//!                                                                                             │
//!                          DuckDB, Spark, ... ── events, sessions ── seal: enrich::fold ──────┘
//! ```

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

pub mod clock;
pub mod document;
pub mod model;

pub mod cli;
pub mod config;
pub mod run;

pub mod receiver;

pub mod auth;

pub mod tls;

pub mod private;

pub mod redaction;

pub mod journal;

pub mod enrich;

pub mod sink;

#[cfg(feature = "sql")]
pub mod query;

pub mod telemetry;
