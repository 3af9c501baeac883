//! Drives the real binary from outside: its listeners, its files, its commands. One binary, a module per capability.
//!
//! `make test` installs what the tests call (`.venv`: DuckDB with its Delta extension, the OpenTelemetry SDK,
//! SeaweedFS). Every server runs alone, on free loopback ports and in a directory of its own.

// A test that cannot set its scene stops with the reason: that is what unwrap does here.
#![allow(clippy::unwrap_used)]

mod arrows;
mod cli;
mod conformance;
mod corpus;
mod door;
mod durability;
mod examples;
#[path = "../generate/lake/mod.rs"]
mod generated;
mod harness;
mod http;
mod latency;
mod maintenance;
mod oracle;
mod private;
mod protocols;
mod quality;
mod query;
mod races;
mod readers;
mod redaction;
mod replay;
mod replicas;
mod s3;
mod secrets;
mod sql;
mod store;
mod telemetry;
mod truth;
