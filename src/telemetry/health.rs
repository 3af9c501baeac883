//! `/live` (the process runs) and `/ready` (it can take data).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

/// How a component is. Ordered from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Ok,
    /// Works, but a person should look.
    Degraded,
    Starting,
    Stopping,
    Failed,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Degraded => "degraded",
            State::Starting => "starting",
            State::Stopping => "stopping",
            State::Failed => "failed",
        }
    }

    fn is_ready(self) -> bool {
        self <= State::Degraded
    }
}

/// The shared record of how the components are. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, State>>>);

impl Health {
    /// Every named component is starting.
    pub fn new(components: &[&'static str]) -> Health {
        Health(Arc::new(Mutex::new(components.iter().map(|name| (*name, State::Starting)).collect())))
    }

    pub fn set(&self, component: &'static str, state: State) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(component, state);
    }

    /// The worst state of all components.
    pub fn state(&self) -> State {
        let components = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        components.values().copied().max().unwrap_or(State::Ok)
    }

    /// `GET /live` and `GET /ready`.
    pub fn router(&self) -> Router {
        let health = self.clone();
        let live = || async { reply(StatusCode::OK, &json!({"status": "ok"})) };
        Router::new().route("/live", get(live)).route("/ready", get(move || async move { health.ready() }))
    }

    fn ready(&self) -> Response {
        let status = if self.state().is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        reply(status, &self.report())
    }

    fn report(&self) -> Value {
        let status = self.state().as_str();
        let components = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let checks: Map<String, Value> =
            components.iter().map(|(name, state)| ((*name).to_owned(), json!(state.as_str()))).collect();
        json!({"status": status, "checks": checks})
    }
}

fn reply(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn ready(health: &Health) -> (StatusCode, String) {
        let response = health.ready();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_follows_the_worst_component() {
        let health = Health::new(&["journal", "lake"]);
        health.set("journal", State::Ok);
        let expected = r#"{"status":"starting","checks":{"journal":"ok","lake":"starting"}}"#;
        assert_eq!(ready(&health).await, (StatusCode::SERVICE_UNAVAILABLE, expected.to_owned()));
        health.set("lake", State::Degraded);
        let expected = r#"{"status":"degraded","checks":{"journal":"ok","lake":"degraded"}}"#;
        assert_eq!(ready(&health).await, (StatusCode::OK, expected.to_owned()));
        health.set("journal", State::Failed);
        assert_eq!(ready(&health).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
