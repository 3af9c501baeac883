//! Workspaces that a sender names although its token decides: they have no effect, and are counted.

use axum::http::HeaderMap;
use serde_json::Value;

use crate::model::Workspace;
use crate::model::otlp::view::{AnyValue, KeyValue};
use crate::model::otlp::wire::{WireError, entries};

/// Headers that servers of other makes choose a tenant by.
const HEADERS: [&str; 4] = ["x-sessionlake-workspace", "x-workspace", "x-scope-orgid", "x-tenant-id"];
/// The same as members of `baggage`, as resource attributes, and as fields of a hook envelope.
const NAMES: [&str; 4] = ["workspace", "sessionlake.workspace", "tenant", "tenant.id"];

/// Whether a header or the baggage (W3C) names another workspace.
pub fn in_headers(headers: &HeaderMap, workspace: &Workspace) -> bool {
    let other = |value: &str| value.trim() != workspace.as_str();
    let named = HEADERS.iter().flat_map(|name| headers.get_all(*name)).filter_map(|value| value.to_str().ok());
    let baggage = headers.get_all("baggage").iter().filter_map(|value| value.to_str().ok());
    let members = baggage.flat_map(|list| list.split(',')).filter_map(|member| member.split_once('='));
    let claimed = members.filter(|(name, _)| NAMES.contains(&name.trim())).map(|(_, value)| value);
    named.chain(claimed.map(|value| value.split(';').next().unwrap_or_default())).any(other)
}

/// Whether a resource of an OTLP request names another workspace. What is no such request names none: it is refused
/// elsewhere.
pub fn in_otlp(request: &[u8], workspace: &Workspace) -> bool {
    let other = |attribute: KeyValue<'_>| {
        NAMES.contains(&attribute.key) && attribute.value != AnyValue::Str(workspace.as_str())
    };
    any_resource_attribute(request, &other).unwrap_or(false)
}

/// `Export*ServiceRequest.resource_* = 1`, of each `resource = 1`, of it `attributes = 1`: the same for all signals.
fn any_resource_attribute(request: &[u8], test: &dyn Fn(KeyValue<'_>) -> bool) -> Result<bool, WireError> {
    for group in messages(request) {
        for resource in messages(group?) {
            for attribute in messages(resource?) {
                if test(KeyValue::shallow(attribute?)?) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// The messages in field 1.
fn messages(message: &[u8]) -> impl Iterator<Item = Result<&[u8], WireError>> {
    entries(message).filter(|entry| entry.as_ref().is_ok_and(|e| e.number == 1) || entry.is_err()).map(|e| e?.bytes())
}

/// Whether a hook envelope names another workspace.
pub fn in_envelopes(envelopes: &[Value], workspace: &Workspace) -> bool {
    let named = envelopes.iter().flat_map(|envelope| NAMES.iter().filter_map(|name| envelope.get(*name)));
    named.filter(|value| !value.is_null()).any(|value| value.as_str() != Some(workspace.as_str()))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use prost::Message;
    use serde_json::json;

    use super::*;

    fn workspace() -> Workspace {
        Workspace::parse("a").unwrap()
    }

    fn claims(name: &'static str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        in_headers(&headers, &workspace())
    }

    #[test]
    fn headers_and_baggage_that_name_another_workspace_are_noticed() {
        assert!(claims("x-scope-orgid", "b") && claims("x-sessionlake-workspace", "b"));
        assert!(claims("baggage", "user=x, workspace = b;p=1"));
        assert!(
            !claims("x-scope-orgid", "a") && !claims("baggage", "workspace=a;p=1,user=b") && !claims("x-user", "b")
        );
    }

    fn request(key: &str, value: &str) -> Vec<u8> {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
        let attributes = vec![KeyValue { key: key.to_owned(), value, ..KeyValue::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        let good = ResourceLogs::default();
        let claim = ResourceLogs { resource, ..ResourceLogs::default() };
        ExportLogsServiceRequest { resource_logs: vec![good, claim] }.encode_to_vec()
    }

    #[test]
    fn a_resource_that_names_another_workspace_is_noticed() {
        assert!(in_otlp(&request("workspace", "b"), &workspace()));
        assert!(!in_otlp(&request("workspace", "a"), &workspace()));
        assert!(!in_otlp(&request("workspace.host_paths", "b"), &workspace()), "Cowork sends it");
        assert!(!in_otlp(b"\xff\xff", &workspace()));
    }

    #[test]
    fn an_envelope_that_names_another_workspace_is_noticed() {
        assert!(in_envelopes(&[json!({"id": "1"}), json!({"workspace": "b"})], &workspace()));
        assert!(in_envelopes(&[json!({"workspace": 7})], &workspace()));
        assert!(!in_envelopes(&[json!({"workspace": "a"}), json!({"workspace": null})], &workspace()));
    }
}
