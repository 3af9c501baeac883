//! Speaks the protocols. Knows nothing of storage.

pub mod otlp;
