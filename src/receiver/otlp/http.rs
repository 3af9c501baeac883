//! OTLP/HTTP: protobuf and JSON, by default on `/v1/logs`, `/v1/metrics` and `/v1/traces`.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};

use super::{json, success};
use crate::auth::Caller;
use crate::model::Signal;
use crate::receiver::body::{Reader, receive};
use crate::receiver::config::{Limits, Paths};
use crate::receiver::encoding::Held;
use crate::receiver::intake::{Accepted, Intake};
use crate::receiver::refusal::Refusal;
use crate::receiver::replies::{self, Format};
use crate::telemetry::Transport;

const EXPECTED: &str = "application/x-protobuf or application/json";

/// The routes of the three signals. Other methods get 405 with `Allow`.
pub fn router(intake: Intake, limits: Limits, paths: &Paths) -> Router {
    let export = |signal| post(move |state, caller, request| export(signal, state, caller, request));
    Router::new()
        .route(&paths.logs, export(Signal::Logs))
        .route(&paths.metrics, export(Signal::Metrics))
        .route(&paths.traces, export(Signal::Traces))
        .with_state((intake, limits))
}

async fn export(
    signal: Signal,
    State((intake, limits)): State<(Intake, Limits)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut reader = Reader::new(&parts.headers, body, limits, limits.body_bytes);
    let Some(format) = Format::of(&parts.headers) else {
        reader.discard().await;
        return replies::refuse_text(&Refusal::MediaType { expected: EXPECTED });
    };
    match receive(&intake, &caller, &parts.headers, &mut reader).await {
        Ok(held) => match take(&intake, caller, signal, format, held).await {
            Ok(accepted) => accept(signal, format, &accepted),
            Err(refusal) => replies::refuse_http(&refusal, format),
        },
        Err(refusal) => {
            reader.discard().await;
            replies::refuse_http(&refusal, format)
        }
    }
}

async fn take(
    intake: &Intake,
    caller: Caller,
    signal: Signal,
    format: Format,
    held: Held,
) -> Result<Accepted, Refusal> {
    let protobuf = match format {
        Format::Protobuf => held,
        Format::Json => transcode(intake, signal, held).await?,
    };
    intake.otlp(caller, signal, Transport::Http, protobuf).await
}

async fn transcode(intake: &Intake, signal: Signal, held: Held) -> Result<Held, Refusal> {
    let Held { bytes, permit } = held;
    if bytes.is_empty() {
        // What an exporter with nothing to say sends; the specification asks for success.
        return Ok(Held { bytes, permit });
    }
    let protobuf = intake.workers().run(bytes.len(), move || json::to_protobuf(signal, &bytes)).await??;
    Ok(Held { bytes: protobuf.into(), permit })
}

fn accept(signal: Signal, format: Format, accepted: &Accepted) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, format.content_type())], success::body(signal, format, accepted.partial.as_ref()))
        .into_response()
}
