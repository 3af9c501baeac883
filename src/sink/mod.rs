//! Where acknowledged telemetry goes.

pub mod lake;
