//! What the records of an OTLP request say.

use super::Said;
use super::command::{is_name, is_private};
use crate::enrich::normalise::otlp::{find_text, session, table};
use crate::model::Signal;
use crate::model::otlp::view::{self, KeyValue, Place};
use crate::model::otlp::wire::WireError;

/// Attributes that name a user.
const USERS: [&str; 4] = ["user.email", "user.id", "enduser.id", "user.account_uuid"];
/// Attributes that name the directory that an agent works in.
const PROJECTS: [&str; 3] = ["cwd", "project", "workspace.current_dir"];

/// Each record's word, in wire order.
///
/// # Errors
/// The bytes are no such request.
pub fn records(signal: Signal, request: &[u8]) -> Result<Vec<Said>, WireError> {
    let mut all = Vec::new();
    match signal {
        Signal::Logs => view::logs(request, &mut |place, record| {
            let name = crate::enrich::normalise::logs::event_name(record);
            let mut said = said(&place, name, &record.attributes, record.trace_id);
            let short = table(&place, name, &record.attributes).short_name(name);
            said.asks = short == "user_prompt" && asks(&place, &record.attributes);
            all.push(said);
        })?,
        Signal::Traces => view::spans(request, &mut |place, span| {
            all.push(said(&place, span.name, &span.attributes, span.trace_id));
        })?,
        Signal::Metrics => view::points(request, &mut |place, metric, point| {
            all.push(said(&place, metric.name, &point.attributes, &[]));
        })?,
        Signal::Hooks | Signal::Audit => {}
    }
    Ok(all)
}

fn said<'a>(place: &Place<'a, '_>, name: &str, attributes: &[KeyValue<'a>], trace: &[u8]) -> Said {
    let text = |name: &&str| find_text(place, attributes, name).map(str::to_owned);
    let table = table(place, name, attributes);
    Said {
        sessions: session(table, place, attributes, trace).into_iter().collect(),
        asks: false,
        users: USERS.iter().filter_map(text).collect(),
        project: PROJECTS.iter().find_map(text),
    }
}

fn asks<'a>(place: &Place<'a, '_>, attributes: &[KeyValue<'a>]) -> bool {
    let text = |name: &str| find_text(place, attributes, name);
    ["prompt", "prompt_text"].into_iter().filter_map(text).any(is_private) || text("command_name").is_some_and(is_name)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message;

    use super::*;

    fn said(event: &str, attributes: &[(&str, &str)]) -> Said {
        let attribute = |(key, value): &(&str, &str)| KeyValue {
            key: (*key).to_owned(),
            value: Some(AnyValue { value: Some(any_value::Value::StringValue((*value).to_owned())) }),
            ..KeyValue::default()
        };
        let attributes = [("event.name", event), ("session.id", "s")].iter().chain(attributes).map(attribute).collect();
        let body = AnyValue { value: Some(any_value::Value::StringValue(format!("claude_code.{event}"))) };
        let record = LogRecord { attributes, body: Some(body), ..LogRecord::default() };
        let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        let request = ExportLogsServiceRequest { resource_logs }.encode_to_vec();
        records(Signal::Logs, &request).unwrap().remove(0)
    }

    #[test]
    fn a_prompt_asks_by_its_text_or_by_the_commands_name() {
        assert!(said("user_prompt", &[("prompt", "/private")]).asks);
        assert!(said("user_prompt", &[("prompt", "<REDACTED>"), ("command_name", "capture:private")]).asks);
        assert!(!said("user_prompt", &[("prompt", "about /private")]).asks);
        assert!(!said("user_prompt", &[("prompt", "<REDACTED>"), ("command_name", "custom")]).asks);
        assert!(!said("tool_result", &[("prompt", "/private")]).asks);
    }

    #[test]
    fn a_record_names_its_session_and_its_user() {
        let said = said("api_request", &[("user.email", "a@b.c"), ("user.id", "u1")]);
        assert_eq!((said.sessions, said.users), (vec!["s".to_owned()], vec!["a@b.c".to_owned(), "u1".to_owned()]));
    }
}
