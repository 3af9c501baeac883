//! Speaks the protocols: reads a request within its bounds, hands it to [`Intake`], and answers in the protocol's own
//! words. Knows nothing of storage beyond the journal's promise.

mod activity;
pub mod body;
pub mod budget;
mod claims;
pub mod config;
mod connection;
mod cors;
pub mod door;
pub mod encoding;
pub mod gate;
mod heads;
mod hook_json;
pub mod hooks;
pub mod intake;
pub mod otlp;
mod quota;
pub mod refusal;
pub mod replies;
pub mod serve;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

pub use config::{Cors, Limits, Paths};
pub use gate::{Admitted, Gate, NotNoted, Notice, Passage};
pub use intake::{Intake, IntakeLimits};
pub use quota::QuotaOptions;
pub use refusal::Refusal;
pub use serve::{Peer, Port, Protocol, serve};

/// The routes of the HTTP port: OTLP and hooks.
pub fn http_router(intake: Intake, limits: Limits, paths: &Paths, cors: &Cors) -> Router {
    let routes = otlp::http::router(intake.clone(), limits, paths).merge(hooks::router(intake, limits));
    let routes = routes.fallback(replies::not_found).method_not_allowed_fallback(replies::method_not_allowed);
    cors::allow(routes, cors)
}

/// The content type without parameters, in lower case; empty when there is none.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
