//! `sessionlake connect hooks`: settings that make the client post every hook event here.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::failure::Failure;
use super::super::json;
use super::{TokenArg, endpoint};

/// Print settings that make Claude Code post its hook events here.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake connect hooks --json > .claude/settings.json")]
pub struct Hooks {
    /// Where the client reaches this collector over HTTP
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    endpoint: String,
    #[command(flatten)]
    token: TokenArg,
    /// Print only the settings (JSON)
    #[arg(long)]
    json: bool,
}

/// Every event that can be posted over HTTP, and after how many seconds the client goes on without us. SessionStart
/// and Setup cannot. What the user waits for at the keyboard gets less.
const EVENTS: [(&str, u8); 31] = [
    ("UserPromptSubmit", 2),
    ("UserPromptExpansion", 2),
    ("MessageDisplay", 2),
    ("PreToolUse", 5),
    ("PostToolUse", 5),
    ("PostToolUseFailure", 5),
    ("PostToolBatch", 5),
    ("PermissionRequest", 5),
    ("PermissionDenied", 5),
    ("Notification", 5),
    ("Stop", 5),
    ("StopFailure", 5),
    ("SubagentStart", 5),
    ("SubagentStop", 5),
    ("PreCompact", 5),
    ("PostCompact", 5),
    ("PreModelSwitch", 5),
    ("PostModelSwitch", 5),
    ("TeammateIdle", 5),
    ("TaskCreated", 5),
    ("TaskCompleted", 5),
    ("Elicitation", 5),
    ("ElicitationResult", 5),
    ("ConfigChange", 5),
    ("WorktreeCreate", 5),
    ("WorktreeRemove", 5),
    ("InstructionsLoaded", 5),
    ("CwdChanged", 5),
    ("FileChanged", 5),
    ("DirectoryAdded", 5),
    ("SessionEnd", 5),
];

impl Hooks {
    pub fn text(&self) -> Result<String, Failure> {
        let settings = json::text(&settings(endpoint(&self.endpoint)?, self.token.bearer()?.as_deref()));
        if self.json {
            return Ok(settings);
        }
        Ok(format!(
            "# Merge this into ~/.claude/settings.json, a project's .claude/settings.json, or managed settings.\n\
             # A collector that is down costs nothing but the hook's timeout: the client goes on.\n\
             # Where authentication is on: --token TOKEN adds the header that it takes.\n{settings}"
        ))
    }
}

fn settings(endpoint: &str, bearer: Option<&str>) -> Value {
    let hook = |timeout: u8| {
        let mut hook = json!({"type": "http", "url": format!("{endpoint}/v1/hooks"), "timeout": timeout});
        if let Some(bearer) = bearer {
            hook["headers"] = json!({"Authorization": bearer});
        }
        json!([{"hooks": [hook]}])
    };
    let hooks: Map<String, Value> =
        EVENTS.iter().map(|(event, timeout)| ((*event).to_owned(), hook(*timeout))).collect();
    json!({ "hooks": hooks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_posts_here_within_a_short_time() {
        let command = Hooks { endpoint: "https://c.example.com:4318/".into(), token: TokenArg::default(), json: true };
        let settings: Value = serde_json::from_str(&command.text().unwrap()).unwrap();
        let hooks = settings["hooks"].as_object().unwrap();
        assert_eq!(hooks.len(), EVENTS.len());
        for event in ["SessionEnd", "Stop", "UserPromptSubmit", "PreToolUse", "SubagentStop"] {
            let hook = &hooks[event][0]["hooks"][0];
            assert_eq!((&hook["type"], &hook["url"]), (&json!("http"), &json!("https://c.example.com:4318/v1/hooks")));
            assert!(hook["timeout"].as_u64().unwrap() <= 5);
        }
        assert!(!hooks.contains_key("SessionStart") && !hooks.contains_key("Setup"));
    }

    #[test]
    fn a_token_goes_into_every_hook() {
        let settings = settings("https://c.example.com", Some("Bearer slk_x"));
        let hooks = settings["hooks"].as_object().unwrap();
        assert!(hooks.values().all(|hook| hook[0]["hooks"][0]["headers"]["Authorization"] == "Bearer slk_x"));
    }

    #[test]
    fn the_start_of_the_text_to_paste() {
        let text =
            Hooks { endpoint: "http://127.0.0.1:4318".into(), token: TokenArg::default(), json: false }.text().unwrap();
        insta::assert_snapshot!(text.lines().take(17).collect::<Vec<_>>().join("\n"), @r#"
        # Merge this into ~/.claude/settings.json, a project's .claude/settings.json, or managed settings.
        # A collector that is down costs nothing but the hook's timeout: the client goes on.
        # Where authentication is on: --token TOKEN adds the header that it takes.
        {
          "hooks": {
            "UserPromptSubmit": [
              {
                "hooks": [
                  {
                    "type": "http",
                    "url": "http://127.0.0.1:4318/v1/hooks",
                    "timeout": 2
                  }
                ]
              }
            ],
            "UserPromptExpansion": [
        "#);
    }
}
