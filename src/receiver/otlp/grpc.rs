//! OTLP/gRPC: the three unary `Export` methods.
//!
//! The framing (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) is read here and not by tonic's `Streaming`,
//! which sets aside what a frame claims to hold before any budget is asked, answers an oversized message with
//! OUT_OF_RANGE, which OTLP clients retry for ever, and undecodable bytes with INTERNAL. One message in, one out, it is
//! five bytes of header.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::post;
use axum::{Extension, Router};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};

use super::success;
use crate::auth::Caller;
use crate::model::Signal;
use crate::receiver::body::{self, Reader};
use crate::receiver::config::Limits;
use crate::receiver::encoding::{Encoding, Held};
use crate::receiver::intake::{Accepted, Intake};
use crate::receiver::media_type;
use crate::receiver::refusal::Refusal;
use crate::receiver::replies::{self, Format};
use crate::telemetry::Transport;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const CONTENT_GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const ACCEPTED_ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");

/// Compressed flag and length.
const HEADER_BYTES: usize = 5;

/// The three services. Any other service or method is UNIMPLEMENTED.
pub fn router(intake: Intake, limits: Limits) -> Router {
    let unknown = || async { replies::refuse_grpc(&Refusal::UnknownMethod) };
    let export = |signal| post(move |state, caller, request| export(signal, state, caller, request)).fallback(unknown);
    Router::new()
        .route("/opentelemetry.proto.collector.logs.v1.LogsService/Export", export(Signal::Logs))
        .route("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", export(Signal::Metrics))
        .route("/opentelemetry.proto.collector.trace.v1.TraceService/Export", export(Signal::Traces))
        .fallback(unknown)
        .with_state((intake, limits))
}

async fn export(
    signal: Signal,
    State((intake, limits)): State<(Intake, Limits)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    if !matches!(media_type(&parts.headers).as_str(), "application/grpc" | "application/grpc+proto") {
        return replies::refuse_text(&Refusal::MediaType { expected: "application/grpc" });
    }
    let most = limits.body_bytes.saturating_add(HEADER_BYTES);
    let mut reader = Reader::new(&parts.headers, body, limits, most);
    let taken = async {
        reader.count_against(intake.permit(&caller)?);
        let message = message(&intake, &parts.headers, reader, limits).await?;
        intake.otlp(caller, signal, Transport::Grpc, message).await
    };
    let mut response = match taken.await {
        Ok(accepted) => accept(signal, &accepted),
        Err(refusal) => replies::refuse_grpc(&refusal),
    };
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED_ENCODINGS);
    response
}

/// The one message of a unary call, decompressed.
async fn message(intake: &Intake, headers: &HeaderMap, mut reader: Reader, limits: Limits) -> Result<Held, Refusal> {
    let limit = limits.body_bytes;
    let encoding = Encoding::of(headers.get_all(GRPC_ENCODING), limits.encodings)?;
    let (compressed, length) = header(reader.fill(HEADER_BYTES).await?)?;
    if length > limit {
        return Err(Refusal::TooLarge { limit });
    }
    let Held { bytes, permit } = reader.finish().await?;
    let bytes = bytes.slice(HEADER_BYTES..);
    if bytes.len() < length {
        return Err(Refusal::Cut);
    }
    if bytes.len() > length {
        return Err(Refusal::Frame("more than one message in a unary call"));
    }
    let held = Held { bytes, permit };
    match (compressed, encoding) {
        (false, _) => Ok(held),
        (true, Encoding::Identity) => Err(Refusal::Frame("compressed flag without grpc-encoding")),
        (true, encoding) => body::decode(intake, encoding, held, limit).await,
    }
}

fn header(read: &[u8]) -> Result<(bool, usize), Refusal> {
    let Some((flag, length)) = read.split_first() else { return Err(Refusal::Frame("no message")) };
    let length = length.first_chunk::<4>().ok_or(Refusal::Cut)?;
    let compressed = match flag {
        0 => false,
        1 => true,
        _ => return Err(Refusal::Frame("compressed flag is neither 0 nor 1")),
    };
    Ok((compressed, u32::from_be_bytes(*length) as usize))
}

fn accept(signal: Signal, accepted: &Accepted) -> Response {
    let message = success::body(signal, Format::Protobuf, accepted.partial.as_ref());
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, CONTENT_GRPC);
    response
}
