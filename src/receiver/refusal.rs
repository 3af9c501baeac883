//! Why a request was not taken. One fact each; what the client is told about it stands in [`super::replies`].

use std::time::Duration;

use crate::auth::Denied;
use crate::journal::AppendError;
use crate::model::otlp::wire::WireError;
use crate::receiver::gate::NotNoted;
use crate::receiver::otlp::json::JsonError;

/// A request that was not taken. No message holds any of its content.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Only in strict mode: otherwise such a claim is counted and has no effect.
    #[error("the request names another workspace than its token's: send no workspace, or use that one's token")]
    Workspace,
    #[error("content type must be {expected}")]
    MediaType { expected: &'static str },
    #[error("content encoding must be one of gzip, zstd, deflate, identity, and only one")]
    Encoding,
    #[error("body is not valid {0}")]
    Compressed(&'static str),
    #[error("body is no OTLP/JSON export request: {0}")]
    Json(#[from] JsonError),
    #[error("body is no OTLP export request: {0}")]
    Protobuf(#[from] WireError),
    #[error("gRPC framing: {0}")]
    Frame(&'static str),
    #[error("body is no hook input: {0}")]
    Hook(&'static str),
    #[error("none of the lines is an envelope")]
    Lines(BadLines),
    #[error("request needs more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("too many bytes are in flight")]
    Busy,
    #[error("the workspace has sent more than its quota")]
    Quota { after: Duration },
    #[error("none of the {count} records can be taken, the first because: {fault}")]
    Rejected { count: u64, fault: WireError },
    #[error("body arrived too slowly")]
    TooSlow,
    #[error("body ended early")]
    Cut,
    #[error("no such service or method")]
    UnknownMethod,
    #[error(
        "no such path: OTLP is taken on /v1/logs, /v1/metrics and /v1/traces unless configured otherwise, hooks on /v1/hooks"
    )]
    UnknownPath,
    #[error("requests here are POST")]
    HttpMethod,
    #[error(transparent)]
    NotNoted(#[from] NotNoted),
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// A fault of ours that this request provokes; its message could quote content, so it is not kept.
    #[error("internal error")]
    Panicked,
}

/// Lines of a hooks request that were refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    /// The first [`BadLines::LISTED`] of them.
    pub listed: Vec<BadLine>,
    pub count: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    pub error: &'static str,
}

impl BadLines {
    /// A reply names at most that many: a body of nothing but line breaks and dashes must not make a larger reply.
    pub const LISTED: usize = 100;

    pub fn add(&mut self, line: u64, error: &'static str) {
        self.count += 1;
        if self.listed.len() < Self::LISTED {
            self.listed.push(BadLine { line, error });
        }
    }
}
