//! The commands as their users see them.

use std::fs;
use std::process::{Command, Output};

use serde_json::Value;

use crate::corpus::{self, Hooks};
use crate::harness::{Setup, binary, root};
use crate::query::Lake;
use crate::replay;

fn run(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_command_has_help_with_an_example() {
    let commands: [&[&str]; 19] = [
        &["serve"],
        &["demo"],
        &["validate"],
        &["sessions", "list"],
        &["sessions", "show"],
        &["sessions", "replay"],
        &["redact"],
        &["redact", "check"],
        &["redact", "rules"],
        &["redact", "dry-run"],
        &["redact", "diff"],
        &["connect", "claude-code"],
        &["connect", "otel-collector"],
        &["connect", "hooks"],
        &["connect", "cowork"],
        &["token", "create"],
        &["token", "list"],
        &["token", "rotate"],
        &["token", "revoke"],
    ];
    for command in commands {
        let output = run(&[command, &["--help"]].concat());
        assert!(output.status.success(), "{command:?}: {}", stderr(&output));
        let help = stdout(&output);
        assert!(
            help.contains("Example") && help.contains(&format!("sessionlake {}", command[0])),
            "{command:?}: {help}"
        );
    }
    assert!(run(&["--help"]).status.success());
}

#[test]
fn bad_usage_and_bad_configuration_exit_with_64() {
    assert_eq!(run(&["no-such-command"]).status.code(), Some(64));
    assert_eq!(run(&["serve", "--no-such-option"]).status.code(), Some(64));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.yaml");
    fs::write(&file, "receivers:\n  otlp:\n    protocols:\n      http:\n        endpont: 127.0.0.1:4318\n").unwrap();
    let output = run(&["validate", "--config", file.to_str().unwrap()]);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(64), "{error}");
    for expected in ["bad.yaml", "endpont", "endpoint", "5", "^"] {
        assert!(error.contains(expected), "{expected:?} is not in:\n{error}");
    }
    assert_eq!(run(&["serve", "--config", file.to_str().unwrap()]).status.code(), Some(64));
}

#[test]
fn a_good_configuration_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("good.yaml");
    fs::write(&file, "processors:\n  sessions:\n    idle_timeout: 10m\nexporters:\n  lake: {flush_interval: 5s}\n")
        .unwrap();
    let output = run(&["validate", "--config", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
}

/// Configuration that the README shows must be valid.
#[test]
fn the_configuration_in_the_readme_is_valid() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let file = dir.path().join("readme.yaml");
        fs::write(&file, block).unwrap();
        let output = run(&["validate", "--config", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}\n{block}", stderr(&output));
    }
}

#[test]
fn connect_prints_what_to_paste() {
    let claude = stdout(&run(&["connect", "claude-code"]));
    for expected in ["CLAUDE_CODE_ENABLE_TELEMETRY", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_LOGS_EXPORTER"] {
        assert!(claude.contains(expected), "{claude}");
    }
    let hooks = stdout(&run(&["connect", "hooks"]));
    for expected in ["/v1/hooks", "PostToolUse", "SessionEnd", "UserPromptSubmit", "timeout"] {
        assert!(hooks.contains(expected), "{hooks}");
    }
    let collector = stdout(&run(&["connect", "otel-collector"]));
    assert!(collector.contains("exporters:") && collector.contains("endpoint"), "{collector}");
}

#[test]
fn sessions_are_listed_shown_and_replayed() {
    let session = corpus::fixture("content-on");
    let id = session.session_id();
    let server = Setup::default().idle("3s").start();
    corpus::send(&server, &session.requests(Hooks::Raw));
    corpus::send_marker(&server, "marker");
    replay::read(&Lake::of(&server), std::slice::from_ref(&id), "marker");
    let data_dir = server.data_dir().display().to_string();
    let command = |arguments: &[&str]| {
        let output = run(&[arguments, &["--data-dir", data_dir.as_str()]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert!(command(&["sessions", "list"]).contains(&id[..8]));
    let listed: Value = serde_json::from_str(&command(&["sessions", "list", "--json"])).unwrap();
    assert!(listed.to_string().contains(&id));
    let shown = command(&["sessions", "show", &id]);
    assert!(shown.contains("0.0244"), "its cost: {shown}");
    let replayed = command(&["sessions", "replay", &id]);
    assert!(
        replayed.contains("Check the project and write a summary.") && replayed.contains("Now I write the summary.")
    );
    assert!(!replayed.contains("AKIAIOSFODNN7EXAMPLE"));
    let missing = run(&["sessions", "show", "no-such-session", "--data-dir", &data_dir]);
    assert_eq!(missing.status.code(), Some(1), "{}", stderr(&missing));
}

/// The demo explains itself, shows costs beside replies, and ends by itself.
#[test]
fn the_demo_shows_a_session_with_its_costs() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(binary()).arg("demo").current_dir(dir.path()).output().unwrap();
    let shown = stdout(&output);
    assert!(output.status.success(), "{shown}\n{}", stderr(&output));
    for expected in ["$0.0", "duckdb", "delta_scan"] {
        assert!(shown.contains(expected), "{expected:?} is not in:\n{shown}");
    }
    assert!(!shown.contains("AKIAIOSFODNN7EXAMPLE"), "{shown}");
}
