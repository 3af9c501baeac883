//! What a record says of itself before it is redacted: whose it is, of which tool, from which event. Only to choose its
//! policy by; nothing of it is kept.

use serde_json::Value;

use super::rules::Subject;
use crate::model::Workspace;
use crate::model::otlp::schema::{self, Message};
use crate::model::otlp::wire::{Entry, Value as Wire, entries};

/// Of an OTLP record, with the resource it belongs to; without a record, of the resource alone.
pub fn of_record(workspace: &Workspace, resource: &[u8], record: Option<(&'static Message, &[u8])>) -> Subject {
    let mut subject = Subject { workspace: workspace.as_str().to_owned(), ..Subject::default() };
    attributes(&schema::RESOURCE, resource, &mut subject);
    if let Some((message, bytes)) = record {
        attributes(message, bytes, &mut subject);
    }
    subject.complete();
    subject
}

/// Of a hook envelope.
pub fn of_hook(envelope: &Value, workspace: &Workspace) -> Subject {
    let mut subject = Subject { workspace: workspace.as_str().to_owned(), ..Subject::default() };
    let data = envelope.get("data").and_then(Value::as_object);
    for (key, value) in data.into_iter().flatten() {
        if let Some(text) = value.as_str() {
            subject.note(key, text);
        }
    }
    subject.complete();
    subject
}

/// Takes note of the string attributes of a message, and of an event's name.
fn attributes(message: &'static Message, bytes: &[u8], subject: &mut Subject) {
    for entry in entries(bytes).map_while(Result::ok) {
        let (Some(field), Wire::Bytes(value)) = (message.field(entry.number), entry.value) else { continue };
        match field.json_name {
            "attributes" => {
                if let Some((key, text)) = pair(value) {
                    subject.note(key, text);
                }
            }
            "eventName" | "name" => {
                if let Ok(name) = std::str::from_utf8(value) {
                    subject.note("event.name", name);
                }
            }
            _ => {}
        }
    }
}

/// A `KeyValue` whose value is a string.
fn pair(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = |bytes: &[u8], number: u32| {
        let found = entries(bytes).map_while(Result::ok).filter(|entry| entry.number == number).last();
        match found {
            Some(Entry { range, value: Wire::Bytes(inner), .. }) => Some(range.end - inner.len()..range.end),
            _ => None,
        }
    };
    let key = std::str::from_utf8(&bytes[text(bytes, 1)?]).ok()?;
    let value = &bytes[text(bytes, 2)?];
    Some((key, std::str::from_utf8(&value[text(value, 1)?]).ok()?))
}

impl Subject {
    /// Takes note of an attribute or a hook's member.
    fn note(&mut self, key: &str, value: &str) {
        let value = || Some(value.to_owned()).filter(|value| !value.is_empty());
        match key {
            "user.email" | "user.id" | "user.account_uuid" | "user_email" | "enduser.id" => self.users.extend(value()),
            "cwd" | "project" | "project.path" | "workspace.host_paths" => self.project = value(),
            "service.name" | "client" | "gen_ai.agent.name" => self.agent = value(),
            "tool_name" | "tool.name" | "gen_ai.tool.name" => self.tool = value(),
            "mcp_server" | "mcp_server_name" | "mcp.server.name" => self.mcp_server = value(),
            "hook_event_name" | "event.name" => self.event = value(),
            _ => {}
        }
    }

    /// The server of an MCP tool stands in its name: `mcp__server__tool`.
    fn complete(&mut self) {
        let server = self.tool.as_deref().and_then(|tool| tool.strip_prefix("mcp__")?.split("__").next());
        self.mcp_server = self.mcp_server.take().or(server.map(str::to_owned));
    }
}
