//! `/live` (the process runs) and `/ready` (it can take data).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// How a component is, and what a person should know or do about it.
#[derive(Debug)]
struct Check {
    state: State,
    detail: Option<String>,
}

/// The shared record of how the components are. Cheap to clone.
#[derive(Clone)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Check>>>);

impl Health {
    /// Every named component is starting.
    pub fn new(components: &[&'static str]) -> Health {
        let starting = |name: &&'static str| (*name, Check { state: State::Starting, detail: None });
        Health(Arc::new(Mutex::new(components.iter().map(starting).collect())))
    }

    pub fn set(&self, component: &'static str, state: State) {
        self.put(component, Check { state, detail: None });
    }

    /// A state with what a person should know or do about it: no content, no secrets.
    pub fn explain(&self, component: &'static str, state: State, detail: String) {
        self.put(component, Check { state, detail: Some(detail) });
    }

    /// A process that stops does not become anything else.
    fn put(&self, component: &'static str, check: Check) {
        let mut components = self.components();
        if components.get(component).is_none_or(|known| known.state != State::Stopping) {
            components.insert(component, check);
        }
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<&'static str, Check>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worst state of all components.
    pub fn state(&self) -> State {
        self.components().values().map(|check| check.state).max().unwrap_or(State::Ok)
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
        let components = self.components();
        let checks: Map<String, Value> =
            components.iter().map(|(name, check)| ((*name).to_owned(), json!(check.state.as_str()))).collect();
        let detail = |(name, check): (&&str, &Check)| Some(((*name).to_owned(), json!(check.detail.as_ref()?)));
        let details: Map<String, Value> = components.iter().filter_map(detail).collect();
        match details.is_empty() {
            true => json!({"status": status, "checks": checks}),
            false => json!({"status": status, "checks": checks, "details": details}),
        }
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
        health.explain("journal", State::Failed, "disk full: free some space".to_owned());
        let expected = r#"{"status":"failed","checks":{"journal":"failed","lake":"degraded"},"details":{"journal":"disk full: free some space"}}"#;
        assert_eq!(ready(&health).await, (StatusCode::SERVICE_UNAVAILABLE, expected.to_owned()));
        health.set("journal", State::Ok);
        assert_eq!(ready(&health).await.1, r#"{"status":"degraded","checks":{"journal":"ok","lake":"degraded"}}"#);
    }

    #[tokio::test]
    async fn what_stops_does_not_become_ready_again() {
        let health = Health::new(&["journal"]);
        health.set("journal", State::Stopping);
        health.set("journal", State::Ok);
        assert_eq!(ready(&health).await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
