//! What can go wrong with a lake.

use deltalake_core::DeltaTableError;
use tokio::task::JoinError;

/// Names places and versions, never content.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("'{url}' is no lake location: {reason}")]
    Location { url: String, reason: String },
    #[error("storage option '{key}' is not known for {url}")]
    Option { url: String, key: String },
    #[error("{path}: {source}")]
    Store { path: String, source: object_store::Error },
    #[error("the log of {table}: {source}")]
    Log { table: String, source: Box<DeltaTableError> },
    #[error("{table} needs a newer writer (Delta writer version {version}); this one knows up to 2")]
    Protocol { table: String, version: i32 },
    #[error(
        "{table} has columns that this version does not know ({columns}): a newer version of sessionlake wrote it; update \
         this one"
    )]
    Newer { table: String, columns: String },
    #[error("{table}: {path}, to be removed, is gone already")]
    Conflict { table: String, path: String },
    #[error("{table}: transaction '{id}' is at {present}, this change carries {ours}: another writer has taken over")]
    Fenced { table: String, id: String, ours: i64, present: i64 },
    #[error("{table}: no commit got through in {seconds} s, others were always faster")]
    Contended { table: String, seconds: u64 },
    #[error("{file}: {source}")]
    Parquet { file: String, source: parquet::errors::ParquetError },
    #[error("{file}: column '{column}' does not hold what the schema says")]
    Column { file: String, column: String },
    #[error("{file} has {found} bytes, and the log says {expected}")]
    Length { file: String, found: u64, expected: u64 },
    #[error("rows do not fit the schema: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("the lake's key (_sessionlake/keys/facts) is not 64 hex digits")]
    BadKey,
    #[error("the lake has tables but no key (_sessionlake/keys/facts)")]
    NoKey,
    #[error("{table}: {path} was uploaded too long ago and may be cleaned away: write it again")]
    Stale { table: String, path: String },
    #[error(
        "{path} is no legal hold that this version understands: nothing is deleted until it is put right or removed"
    )]
    BadHold { path: String },
    #[error(
        "{sessions} of these sessions in workspace {workspace} are under a legal hold: 'sessionlake hold list' shows why"
    )]
    Held { workspace: String, sessions: usize },
    #[error("a task of the lake {}", if *panicked { "panicked" } else { "was stopped" })]
    Task { panicked: bool },
    #[error("the log entry made for {table} is none: {source}")]
    Entry { table: String, source: Box<DeltaTableError> },
}

impl From<JoinError> for LakeError {
    /// Without a panic's message, which may quote what it was about.
    fn from(error: JoinError) -> LakeError {
        LakeError::Task { panicked: error.is_panic() }
    }
}

impl LakeError {
    pub(super) fn store(path: impl ToString, source: object_store::Error) -> LakeError {
        LakeError::Store { path: path.to_string(), source }
    }

    pub(super) fn log(table: &str, source: DeltaTableError) -> LakeError {
        LakeError::Log { table: table.to_owned(), source: Box::new(source) }
    }

    /// Whether the same call may succeed later, without anybody changing the request: the store is away, refuses the
    /// credentials (they may be rotated under us), is full, or others were faster.
    pub fn is_transient(&self) -> bool {
        match self {
            LakeError::Store { source, .. } => store_is_transient(source),
            LakeError::Log { source, .. } => comes_from_transient(source.as_ref()),
            LakeError::Parquet { source, .. } => comes_from_transient(source),
            LakeError::Contended { .. } | LakeError::Task { .. } => true,
            LakeError::Location { .. }
            | LakeError::Option { .. }
            | LakeError::Protocol { .. }
            | LakeError::Conflict { .. }
            | LakeError::Newer { .. }
            | LakeError::Fenced { .. }
            | LakeError::Column { .. }
            | LakeError::Length { .. }
            | LakeError::Arrow(_)
            | LakeError::Entry { .. }
            | LakeError::BadKey
            | LakeError::NoKey
            | LakeError::BadHold { .. }
            | LakeError::Held { .. }
            | LakeError::Stale { .. } => false,
        }
    }
}

fn store_is_transient(error: &object_store::Error) -> bool {
    use object_store::Error;
    matches!(
        error,
        Error::Generic { .. }
            | Error::JoinError { .. }
            | Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
    )
}

/// Delta's kernel and the Parquet reader wrap the store's errors: the store's own error decides wherever it is.
fn comes_from_transient(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.find_map(|error| error.downcast_ref::<object_store::Error>()).is_some_and(store_is_transient)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: "away".into() }
    }

    fn gone() -> object_store::Error {
        object_store::Error::NotFound { path: "x".into(), source: "404".into() }
    }

    #[test]
    fn the_store_decides_what_is_transient_wherever_it_is() {
        let wrapped = |e: object_store::Error| {
            let parquet = parquet::errors::ParquetError::External(Box::new(e));
            LakeError::Parquet { file: "f".into(), source: parquet }
        };
        let logged = |source: object_store::Error| LakeError::log("t", DeltaTableError::ObjectStore { source });
        for (error, transient) in [
            (LakeError::store("p", away()), true),
            (LakeError::store("p", gone()), false),
            (wrapped(away()), true),
            (wrapped(gone()), false),
            (logged(away()), true),
            (logged(gone()), false),
            (LakeError::log("t", DeltaTableError::NotInitialized), false),
        ] {
            assert_eq!(error.is_transient(), transient, "{error}");
        }
    }
}
