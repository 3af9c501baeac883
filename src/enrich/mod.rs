//! Telemetry to facts, and facts to events and sessions. Pure: no I/O, no clock.

pub mod fold;
pub mod normalise;
