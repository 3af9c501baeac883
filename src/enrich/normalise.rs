//! Telemetry to facts, through mapping tables.

use crate::model::{Batch, Fact, LakeKey};

/// A batch that cannot be normalised: it is set aside, the journal goes on.
#[derive(Debug, thiserror::Error)]
pub enum NormaliseError {
    #[error("payload is no OTLP request: {0}")]
    Otlp(#[from] crate::model::otlp::wire::WireError),
}

/// The facts of a batch, in wire order. `writer` is the journal's id.
pub fn normalise(batch: &Batch, key: &LakeKey, writer: &str) -> Result<Vec<Fact>, NormaliseError> {
    let _ = (batch, key, writer);
    todo!()
}
