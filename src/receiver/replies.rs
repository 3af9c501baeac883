//! What a client is told, in its protocol's words: the OTLP specification's "OTLP/HTTP Response" and "Failures"
//! sections, and google.rpc's `Status`, `BadRequest` and `RetryInfo`. Encoded by hand: three small messages, whose
//! JSON form generated code gets wrong (`rejectedLogRecords` is a string).

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tonic::Code;

use super::media_type;
use super::refusal::{BadLines, Refusal};
use crate::auth::Denied;
use crate::journal::AppendError;
use crate::model::otlp::wire::{put_bytes, put_varint_field};

/// The encoding of a request, and so of its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// By a request's content type; `None`: neither.
    pub fn of(headers: &HeaderMap) -> Option<Format> {
        match media_type(headers).as_str() {
            "application/x-protobuf" => Some(Format::Protobuf),
            "application/json" => Some(Format::Json),
            _ => None,
        }
    }

    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        })
    }
}

/// How a refusal is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub http: StatusCode,
    pub grpc: Code,
    /// `Some`: the same request may succeed after that time.
    pub retry: Option<Duration>,
}

/// The one table from refusals to answers. A transient refusal has a code that clients retry (HTTP 429, 502, 503, 504;
/// gRPC UNAVAILABLE with RetryInfo); every other code makes them drop the data, so it is only for what can never
/// succeed. RESOURCE_EXHAUSTED without RetryInfo is final.
pub fn answer(refusal: &Refusal) -> Answer {
    match refusal {
        Refusal::Denied(Denied::Role(_)) => refused(StatusCode::FORBIDDEN, Code::PermissionDenied),
        Refusal::Denied(Denied::TooMany { seconds }) => Answer {
            http: StatusCode::TOO_MANY_REQUESTS,
            grpc: Code::ResourceExhausted,
            retry: Some(Duration::from_secs(*seconds)),
        },
        Refusal::Workspace => refused(StatusCode::FORBIDDEN, Code::PermissionDenied),
        Refusal::Denied(_) => refused(StatusCode::UNAUTHORIZED, Code::Unauthenticated),
        Refusal::MediaType { .. } => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument),
        Refusal::Encoding => refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented),
        Refusal::Compressed(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::Json(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::Protobuf(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::Frame(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::Hook(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::Lines(_) => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::TooLarge { .. } => refused(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
        Refusal::Busy => later(1),
        Refusal::Quota { after } => Answer { http: StatusCode::TOO_MANY_REQUESTS, retry: Some(*after), ..later(1) },
        Refusal::Rejected { .. } => refused(StatusCode::BAD_REQUEST, Code::InvalidArgument),
        Refusal::TooSlow => refused(StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
        Refusal::Cut => refused(StatusCode::BAD_REQUEST, Code::Cancelled),
        Refusal::UnknownMethod => refused(StatusCode::NOT_FOUND, Code::Unimplemented),
        Refusal::UnknownPath => refused(StatusCode::NOT_FOUND, Code::Unimplemented),
        Refusal::HttpMethod => refused(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented),
        Refusal::Journal(AppendError::Full { .. } | AppendError::DiskFull { .. }) => later(10),
        Refusal::Journal(AppendError::TooLarge(_)) => refused(StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
        Refusal::Journal(AppendError::Failed(_)) => later(5),
        Refusal::Journal(AppendError::Closed) | Refusal::NotNoted(_) => later(5),
        Refusal::Panicked => refused(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
    }
}

fn refused(http: StatusCode, grpc: Code) -> Answer {
    Answer { http, grpc, retry: None }
}

fn later(seconds: u64) -> Answer {
    let retry = Some(Duration::from_secs(seconds));
    Answer { http: StatusCode::SERVICE_UNAVAILABLE, grpc: Code::Unavailable, retry }
}

/// The reply to a refused HTTP request, with a `google.rpc.Status` in the request's encoding.
pub fn refuse_http(refusal: &Refusal, format: Format) -> Response {
    let answer = answer(refusal);
    let body = match format {
        Format::Protobuf => status_protobuf(answer, refusal),
        Format::Json => status_json(answer, refusal).to_string().into_bytes(),
    };
    let mut response = (answer.http, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, format.content_type());
    with_advice(response, answer)
}

/// What HTTP says in headers: when to come back, and how to say who one is.
fn with_advice(mut response: Response, answer: Answer) -> Response {
    if let Some(after) = answer.retry {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    if answer.http == StatusCode::UNAUTHORIZED {
        for scheme in ["Bearer realm=\"sessionlake\"", "Basic realm=\"sessionlake\", charset=\"UTF-8\""] {
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
    }
    response
}

/// The reply where the request's encoding is unknown.
pub fn refuse_text(refusal: &Refusal) -> Response {
    let answer = answer(refusal);
    let text = (answer.http, [(CONTENT_TYPE, "text/plain; charset=utf-8")], refusal.to_string()).into_response();
    with_advice(text, answer)
}

/// The reply to a request for a path that there is not.
pub async fn not_found(headers: HeaderMap) -> Response {
    refuse(&Refusal::UnknownPath, Format::of(&headers))
}

/// The reply to a request with a method other than those that the path has, which `Allow` names.
pub async fn method_not_allowed(headers: HeaderMap) -> Response {
    refuse(&Refusal::HttpMethod, Format::of(&headers))
}

fn refuse(refusal: &Refusal, format: Option<Format>) -> Response {
    format.map_or_else(|| refuse_text(refusal), |format| refuse_http(refusal, format))
}

/// The reply to a refused gRPC request: headers only, details in `grpc-status-details-bin`.
pub fn refuse_grpc(refusal: &Refusal) -> Response {
    let answer = answer(refusal);
    let details = Bytes::from(status_protobuf(answer, refusal));
    tonic::Status::with_details(answer.grpc, refusal.to_string(), details).into_http::<Body>()
}

/// `google.rpc.Status{code = 1, message = 2, details = 3}`.
fn status_protobuf(answer: Answer, refusal: &Refusal) -> Vec<u8> {
    let mut status = Vec::new();
    put_varint_field(&mut status, 1, answer.grpc as u64);
    put_bytes(&mut status, 2, refusal.to_string().as_bytes());
    if let Some((name, detail)) = detail_protobuf(answer, refusal) {
        let mut any = Vec::new();
        put_bytes(&mut any, 1, type_url(name).as_bytes());
        put_bytes(&mut any, 2, &detail);
        put_bytes(&mut status, 3, &any);
    }
    status
}

/// `RetryInfo{retry_delay = 1 {seconds = 1}}` or `BadRequest{field_violations = 1 {field = 1, description = 2}}`.
fn detail_protobuf(answer: Answer, refusal: &Refusal) -> Option<(&'static str, Vec<u8>)> {
    let (mut inner, mut detail) = (Vec::new(), Vec::new());
    let name = if let Some(after) = answer.retry {
        put_varint_field(&mut inner, 1, after.as_secs());
        "RetryInfo"
    } else if answer.http == StatusCode::BAD_REQUEST {
        put_bytes(&mut inner, 1, b"body");
        put_bytes(&mut inner, 2, refusal.to_string().as_bytes());
        "BadRequest"
    } else {
        return None;
    };
    put_bytes(&mut detail, 1, &inner);
    Some((name, detail))
}

fn status_json(answer: Answer, refusal: &Refusal) -> Value {
    let message = refusal.to_string();
    let mut status = json!({"code": answer.grpc as i32, "message": message});
    if let Some(after) = answer.retry {
        let retry_delay = format!("{}s", after.as_secs());
        status["details"] = json!([{"@type": type_url("RetryInfo"), "retryDelay": retry_delay}]);
    } else if answer.http == StatusCode::BAD_REQUEST {
        let violations = json!([{"field": "body", "description": message}]);
        status["details"] = json!([{"@type": type_url("BadRequest"), "fieldViolations": violations}]);
    }
    if let Refusal::Lines(lines) = refusal {
        status["rejected"] = rejected_lines(lines);
    }
    status
}

fn type_url(name: &str) -> String {
    format!("type.googleapis.com/google.rpc.{name}")
}

/// The lines of a hooks request that were refused, each by number.
pub fn rejected_lines(lines: &BadLines) -> Value {
    lines.listed.iter().map(|bad| json!({"line": bad.line, "error": bad.error})).collect()
}
