//! Every refusal, with its SQLSTATE (PostgreSQL's Appendix A).

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};

use super::remote::RemoteError;

/// Why a statement is not answered.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Syntax(String),
    #[error("{}", without_context(.0))]
    Engine(Box<DataFusionError>),
    #[error("this is read-only: SELECT, EXPLAIN and SHOW are answered, nothing else")]
    ReadOnly,
    #[error("{0}")]
    Setting(String),
    #[error("the statement is longer than {0} bytes")]
    TooLong(usize),
    #[error("one query may hold {0} statements at most")]
    TooMany(usize),
    #[error("cannot pass more than {0} arguments to a function")]
    TooManyArguments(usize),
    #[error("too many statements are prepared and not closed: close some of them first")]
    TooManyPrepared,
    #[error("too many queries run and wait already: try again later")]
    Busy,
    #[error(
        "canceling statement due to statement timeout ({seconds} s): narrow the time range, or select fewer columns"
    )]
    Deadline { seconds: u64 },
    #[error("canceling statement due to user request")]
    Canceled,
    #[error("the result has more than {0}: add LIMIT, a filter or an aggregate")]
    TooLarge(String),
    #[error("this read of content could not be recorded in the audit table, so it is refused: try again later")]
    Unrecorded,
    #[error("{0}")]
    Live(String),
    /// Another server's answer.
    #[error(transparent)]
    Remote(Box<RemoteError>),
    #[error("the query stopped for a reason that is in the server's log")]
    Broken,
}

impl Refused {
    pub fn sqlstate(&self) -> &str {
        match self {
            Refused::Syntax(_) => "42601",
            Refused::Engine(error) => engine(error),
            Refused::ReadOnly => "25006",
            Refused::Setting(_) => "42704",
            Refused::TooLong(_) | Refused::TooMany(_) | Refused::TooLarge(_) | Refused::Live(_) => "54000",
            Refused::TooManyArguments(_) => "54023",
            Refused::Busy | Refused::TooManyPrepared => "53300",
            Refused::Deadline { .. } | Refused::Canceled => "57014",
            Refused::Unrecorded => "58030",
            Refused::Remote(error) => match error.as_ref() {
                RemoteError::Said { sqlstate, .. } => sqlstate,
                _ => "08006",
            },
            Refused::Broken => "XX000",
        }
    }
}

/// Which rule of the engine found it says nothing to whoever asked.
fn without_context(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, error) => without_context(error),
        error => error,
    }
}

fn engine(error: &DataFusionError) -> &str {
    match error.find_root() {
        DataFusionError::SQL(..) => "42601",
        DataFusionError::SchemaError(error, _) => match **error {
            SchemaError::FieldNotFound { .. } => "42703",
            SchemaError::AmbiguousReference { .. } => "42702",
            _ => "42P10",
        },
        DataFusionError::Plan(text) if text.contains("not found") => "42P01",
        DataFusionError::Plan(_) => "42601",
        DataFusionError::ResourcesExhausted(_) => "53200",
        DataFusionError::NotImplemented(_) => "0A000",
        DataFusionError::ArrowError(error, _) if spills_too_much(error) => "53200",
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => "22000",
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => "58030",
        DataFusionError::External(error) => error.downcast_ref::<Refused>().map_or("58030", Refused::sqlstate),
        _ => "XX000",
    }
}

/// What is written to a full spill directory fails as if the disk did.
fn spills_too_much(error: &ArrowError) -> bool {
    matches!(error, ArrowError::IoError(text, _) if text.contains("exceeded the allowable limit"))
}

impl From<DataFusionError> for Refused {
    fn from(error: DataFusionError) -> Refused {
        Refused::Engine(Box::new(error))
    }
}

impl From<Refused> for PgWireError {
    fn from(refused: Refused) -> PgWireError {
        let info = ErrorInfo::new("ERROR".to_owned(), refused.sqlstate().to_owned(), refused.to_string());
        PgWireError::UserError(Box::new(info))
    }
}
