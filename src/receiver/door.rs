//! Lets a request in before anything of its body is read.

use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;

use super::body::Reader;
use super::claims;
use super::config::Limits;
use super::intake::Intake;
use super::refusal::Refusal;
use super::replies::{self, Format};
use super::{Peer, media_type};
use crate::auth::{Door, Permission};
use crate::telemetry::metrics::Claim;

/// How much of a refused body is read on, so that the client gets to the reply: most exports are smaller.
const DISCARD_BYTES: usize = 1 << 20;

#[derive(Clone)]
struct Guard {
    door: Door,
    intake: Intake,
    limits: Limits,
}

/// Puts `door` before every route of a router that takes data in; what it admits carries its
/// [`Caller`](crate::auth::Caller), which the routes ask for: without a door they take nothing.
pub fn behind(door: Door, router: Router, intake: &Intake, limits: Limits) -> Router {
    let guard = Guard { door, intake: intake.clone(), limits };
    router.layer(from_fn_with_state(guard, admit))
}

async fn admit(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    if *request.method() == Method::OPTIONS {
        // A browser asks without a token whether it may ask with one. Nothing is taken in by this method.
        return next.run(request).await;
    }
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    match guard.door.admit(request.headers(), peer, Permission::Ingest) {
        Ok(caller) => {
            let another = claims::in_headers(request.headers(), &caller.workspace);
            if let Err(refusal) = guard.intake.claimed(Claim::Header, another) {
                return guard.refuse(&refusal, request).await;
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(denied) => guard.refuse(&Refusal::Denied(denied), request).await,
    }
}

impl Guard {
    /// In the words of the protocol that was spoken.
    async fn refuse(&self, refusal: &Refusal, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let media_type = media_type(&parts.headers);
        if media_type.starts_with("application/grpc") {
            return replies::refuse_grpc(refusal);
        }
        Reader::new(&parts.headers, body, self.limits, DISCARD_BYTES).discard().await;
        match media_type.as_str() {
            "application/x-protobuf" => replies::refuse_http(refusal, Format::Protobuf),
            "application/json" | "application/x-ndjson" | "application/jsonl" => {
                replies::refuse_http(refusal, Format::Json)
            }
            _ => replies::refuse_text(refusal),
        }
    }
}
