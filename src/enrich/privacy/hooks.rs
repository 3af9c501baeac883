//! What a hook envelope says.

use serde_json::Value;

use super::Said;
use super::command::{is_name, is_private};

/// Hooks that tell what the user typed.
const PROMPTS: [&str; 2] = ["UserPromptSubmit", "UserPromptExpansion"];

/// Reads an envelope as it arrived: `{"kind","session_id","data"}`.
pub fn hook(envelope: &Value) -> Said {
    let data = &envelope["data"];
    let text = |value: &'_ Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let named = [
        &envelope["session_id"],
        &data["session_id"],
        // A transcript's line names its own session, which a copy's envelope does not.
        &data["sessionId"],
        &data["forkedFrom"]["sessionId"],
    ];
    let mut sessions: Vec<String> = Vec::new();
    for session in named.into_iter().filter_map(text) {
        if !sessions.contains(&session) {
            sessions.push(session);
        }
    }
    Said { sessions, asks: asks(envelope), users: Vec::new(), project: text(&data["cwd"]) }
}

fn asks(envelope: &Value) -> bool {
    let data = &envelope["data"];
    let event = data["hook_event_name"].as_str().unwrap_or_default();
    envelope["kind"] == "hook"
        && PROMPTS.contains(&event)
        && (data["prompt"].as_str().is_some_and(is_private) || data["command_name"].as_str().is_some_and(is_name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(data: Value) -> Said {
        hook(&json!({"kind": "hook", "data": data}))
    }

    #[test]
    fn what_the_user_typed_asks_whether_it_was_submitted_or_expanded() {
        let asks = |data: Value| said(data).asks;
        assert!(asks(json!({"hook_event_name": "UserPromptSubmit", "prompt": "/private x", "session_id": "s"})));
        assert!(asks(json!({"hook_event_name": "UserPromptExpansion", "command_name": "p:private", "prompt": "x"})));
        assert!(!asks(json!({"hook_event_name": "UserPromptSubmit", "prompt": "what does /private do?"})));
        assert!(!asks(json!({"hook_event_name": "PostToolUse", "prompt": "/private"})));
        assert!(!hook(&json!({"kind": "transcript", "data": {"prompt": "/private"}})).asks);
        assert!(!said(Value::Null).asks);
    }

    #[test]
    fn a_line_that_a_fork_copied_belongs_to_its_parent_as_well() {
        let line = json!({"kind": "transcript", "session_id": "child", "data": {"sessionId": "parent"}});
        assert_eq!(hook(&line).sessions, ["child", "parent"]);
        let line = json!({"kind": "transcript", "data": {"sessionId": "c", "forkedFrom": {"sessionId": "p"}}});
        assert_eq!(hook(&line).sessions, ["c", "p"]);
        let said = said(json!({"session_id": "s", "cwd": "/w"}));
        assert_eq!((said.session(), said.project.as_deref()), (Some("s"), Some("/w")));
    }
}
