//! `POST /v1/hooks`: one hook input as the client's http hooks send it, or envelopes, one a line.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::body::{Reader, receive};
use super::config::Limits;
use super::encoding::Held;
use super::gate::Notice;
use super::hook_json;
use super::intake::Intake;
use super::media_type;
use super::refusal::{BadLines, Refusal};
use super::replies::{self, Format};
use crate::auth::Caller;

const EXPECTED: &str = "application/json or application/x-ndjson";

/// The route for hooks.
pub fn router(intake: Intake, limits: Limits) -> Router {
    Router::new().route("/v1/hooks", post(hooks)).with_state((intake, limits))
}

/// What a body holds.
#[derive(Clone, Copy)]
enum Shape {
    /// One hook input.
    Hook,
    /// One envelope a line.
    Lines,
}

async fn hooks(
    State((intake, limits)): State<(Intake, Limits)>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut reader = Reader::new(&parts.headers, body, limits, limits.body_bytes);
    let shape = match media_type(&parts.headers).as_str() {
        "application/json" => Shape::Hook,
        "application/x-ndjson" | "application/jsonl" => Shape::Lines,
        _ => {
            reader.discard().await;
            return replies::refuse_text(&Refusal::MediaType { expected: EXPECTED });
        }
    };
    match receive(&intake, &caller, &parts.headers, &mut reader).await {
        Ok(held) => match take(&intake, caller, shape, held).await {
            Ok((rejected, notice)) => accepted(&rejected, notice),
            Err(refusal) => replies::refuse_http(&refusal, Format::Json),
        },
        Err(refusal) => {
            reader.discard().await;
            replies::refuse_http(&refusal, Format::Json)
        }
    }
}

/// A JSON object always, because the client reads a hook's reply as a decision. `decision: block` stops the prompt before
/// it goes to the model, and shows the reason to the user.
fn accepted(rejected: &BadLines, notice: Option<Notice>) -> Response {
    let mut body = match rejected.count {
        0 => json!({}),
        count => json!({"rejected": replies::rejected_lines(rejected), "rejected_count": count}),
    };
    if let Some(notice) = notice {
        body["decision"] = json!("block");
        body["reason"] = json!(notice.sentence());
    }
    (StatusCode::OK, [(CONTENT_TYPE, Format::Json.content_type())], body.to_string()).into_response()
}

async fn take(
    intake: &Intake,
    caller: Caller,
    shape: Shape,
    held: Held,
) -> Result<(BadLines, Option<Notice>), Refusal> {
    let Held { bytes, mut permit } = held;
    permit.cover(hook_json::parsed_size(&bytes))?;
    let parse = move || match shape {
        Shape::Hook => raw_hook(&bytes).map(|envelope| (vec![envelope], BadLines::default())),
        Shape::Lines => Ok(envelopes(&bytes)),
    };
    let (envelopes, bad) = intake.workers().run(permit.bytes(), parse).await??;
    let nothing_good = envelopes.is_empty() && bad.count > 0;
    let accepted = intake.hooks(caller, envelopes, bad.count, permit).await?;
    if nothing_good { Err(Refusal::Lines(bad)) } else { Ok((bad, accepted.notice)) }
}

pub(crate) fn raw_hook(body: &[u8]) -> Result<Value, Refusal> {
    match hook_json::parse(body) {
        Some(data @ Value::Object(_)) => Ok(json!({"kind": "hook", "data": data})),
        Some(_) => Err(Refusal::Hook("not a JSON object")),
        None => Err(Refusal::Hook("not JSON")),
    }
}

/// The good lines, and the bad ones by number. Blank lines are nothing.
pub(crate) fn envelopes(body: &[u8]) -> (Vec<Value>, BadLines) {
    let (mut good, mut bad) = (Vec::new(), BadLines::default());
    for (number, line) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match envelope(line) {
            Ok(envelope) => good.push(envelope),
            Err(error) => bad.add(number, error),
        }
    }
    (good, bad)
}

fn envelope(line: &[u8]) -> Result<Value, &'static str> {
    let value = hook_json::parse(line).ok_or("not JSON")?;
    let fields = value.as_object().ok_or("not a JSON object")?;
    check(fields)?;
    Ok(value)
}

/// `null` is the same as absent. Kinds and hook events that nobody knows yet are kept.
fn check(fields: &Map<String, Value>) -> Result<(), &'static str> {
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    if !field("id").is_some_and(is_text) {
        return Err("id must be a string that is not empty");
    }
    if !field("kind").is_some_and(is_text) {
        return Err("kind must be a string that is not empty");
    }
    if !field("data").is_some_and(Value::is_object) {
        return Err("data must be an object");
    }
    if !field("session_id").is_none_or(Value::is_string) {
        return Err("session_id must be a string");
    }
    if !field("seq").is_none_or(Value::is_i64) {
        return Err("seq must be an integer");
    }
    let is_time = |value: &Value| value.as_str().is_some_and(|at| DateTime::parse_from_rfc3339(at).is_ok());
    if !field("at").is_none_or(is_time) {
        return Err("at must be an RFC 3339 time");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> &'static str {
        envelope(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_envelope_is_kept_as_it_is_whatever_its_kind() {
        let line = r#"{"id":"a","seq":7,"at":"2026-08-01T10:00:00.123+02:00","kind":"new","session_id":null,"data":{"x":[1]},"more":1}"#;
        assert_eq!(envelope(line.as_bytes()).unwrap().to_string(), line);
    }

    #[test]
    fn each_broken_promise_is_named() {
        assert_eq!(reason("{"), "not JSON");
        assert_eq!(reason("[1]"), "not a JSON object");
        assert_eq!(reason(r#"{"id":"","kind":"hook","data":{}}"#), "id must be a string that is not empty");
        assert_eq!(reason(r#"{"kind":"hook","data":{}}"#), "id must be a string that is not empty");
        assert_eq!(reason(r#"{"id":"a","kind":3,"data":{}}"#), "kind must be a string that is not empty");
        assert_eq!(reason(r#"{"id":"a","kind":"hook","data":"{}"}"#), "data must be an object");
        assert_eq!(reason(r#"{"id":"a","kind":"hook","data":{},"session_id":1}"#), "session_id must be a string");
        assert_eq!(reason(r#"{"id":"a","kind":"hook","data":{},"seq":1.5}"#), "seq must be an integer");
        assert_eq!(reason(r#"{"id":"a","kind":"hook","data":{},"at":"today"}"#), "at must be an RFC 3339 time");
    }

    #[test]
    fn bad_lines_go_by_their_number_and_blank_ones_count_as_lines() {
        let body =
            b"\n{\"id\":\"a\",\"kind\":\"hook\",\"data\":{}}\r\n \nnope\n{\"id\":\"b\",\"kind\":\"hook\",\"data\":{}}";
        let (good, bad) = envelopes(body);
        assert_eq!(good.len(), 2);
        assert_eq!(bad.listed, [super::super::refusal::BadLine { line: 4, error: "not JSON" }]);
    }

    #[test]
    fn the_list_of_bad_lines_is_bounded() {
        let (good, bad) = envelopes(&b"x\n".repeat(5000));
        assert!(good.is_empty());
        assert_eq!((bad.count, bad.listed.len()), (5000, BadLines::LISTED));
    }
}
