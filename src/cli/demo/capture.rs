//! The recorded session: requests as an agent sent them, in the order in which they arrived. Hooks and the transcript
//! carry the time at which they happened, as the client in the agent's VM would send them.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// One request a line.
const SESSION: &str = include_str!("../../../assets/demo/session.ndjson");

pub const SESSION_ID: &str = "9ffbc996-316e-5f2d-a628-342a8493e797";

/// A recorded request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub path: String,
    pub content_type: String,
    /// What is in it, for people.
    pub what: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
}

impl Request {
    pub fn body(&self) -> Result<Vec<u8>> {
        match (&self.body, &self.body_base64) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(encoded)) => STANDARD.decode(encoded).context("the recording is damaged"),
            (None, None) => Ok(Vec::new()),
        }
    }
}

/// The requests in order.
pub fn requests() -> Result<Vec<Request>> {
    SESSION.lines().map(|line| serde_json::from_str(line).context("the recording is damaged")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_has_every_kind_of_request_and_ends_the_session_last() {
        let requests = requests().unwrap();
        for path in ["/v1/logs", "/v1/metrics", "/v1/traces", "/v1/hooks"] {
            let bodies = requests.iter().filter(|r| r.path == path).map(|r| r.body().unwrap());
            assert!(bodies.clone().count() > 3 && bodies.clone().all(|body| !body.is_empty()), "{path}");
        }
        assert_eq!(requests.last().map(|r| r.what.as_str()), Some("SessionEnd"));
    }

    #[test]
    fn every_hook_line_is_an_envelope_of_the_session() {
        let hooks: Vec<Request> = requests().unwrap().into_iter().filter(|r| r.path == "/v1/hooks").collect();
        let lines: Vec<String> =
            hooks.iter().flat_map(|r| r.body.as_deref().unwrap_or_default().lines().map(str::to_owned)).collect();
        for (i, line) in lines.iter().enumerate() {
            let envelope: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(envelope["session_id"], SESSION_ID);
            assert_eq!(envelope["seq"], i as u64 + 1);
        }
        assert!(lines.len() > 40, "{}", lines.len());
    }
}
