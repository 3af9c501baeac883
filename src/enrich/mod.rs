//! Telemetry to facts, and facts to events and sessions. Pure: no I/O, no clock.

mod columns;
pub mod fold;
mod mapping;
pub mod normalise;
pub mod privacy;
