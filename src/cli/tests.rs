use clap::{CommandFactory, Parser};
use insta::assert_snapshot;

use super::*;

/// The long help of a command, named by its path.
fn help(path: &[&str]) -> String {
    let mut arguments = vec!["sessionlake"];
    arguments.extend(path);
    arguments.push("--help");
    Cli::try_parse_from(arguments).unwrap_err().render().to_string()
}

#[test]
fn the_commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_an_example() {
    fn check(command: &clap::Command) {
        if command.get_name() != "help" && command.get_name() != "sessionlake" {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}

#[test]
fn help_of_everything() {
    assert_snapshot!(help(&[]), @r#"
    Records what AI agents do: receives their OpenTelemetry data and hooks, redacts secrets, joins
    both by session, and writes Delta Lake tables of Parquet files.

    Usage: sessionlake <COMMAND>

    Commands:
      serve     Run the collector: receive, redact, keep, join
      demo      See it work: a recorded session goes through the real collector into real tables
      validate  Check configuration files without starting anything
      sessions  List, show and replay recorded sessions
      sql       Ask the lake, or a server, in SQL
      redact    Redact text: from standard input or files to standard output
      erase     Forget sessions for good: in tables, journals, logs and older versions
      connect   Print the settings that make a client send to this collector
      token     Create, list, rotate and revoke tokens
      maintain  Seal sessions and keep the tables good: few large files, checkpoints, no orphans
      hold      Legal holds: what is held is not deleted, by retention, erasure or anything else
      reredact  Redact stored sessions anew, by the rules in force now
      help      Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Start here: sessionlake demo
    "#);
}

#[test]
fn help_of_serve() {
    assert_snapshot!(help(&["serve"]), @r#"
    Run the collector: receive, redact, keep, join

    Everything has a default: OTLP gRPC on 127.0.0.1:4317, OTLP HTTP and hooks on 127.0.0.1:4318,
    data in ./sessionlake-data. Logs go to stderr. SIGTERM or Ctrl-C stops it after what was
    accepted is written.

    Usage: sessionlake serve [OPTIONS]

    Options:
          --config <FILE>
              Configuration file (YAML); several are laid over each other, from left to right

          --set <PATH=VALUE>
              One configuration value at a dotted path, as in exporters.lake.flush_interval=1s

          --data-dir <DIR>
              Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]

          --lake <URL>
              The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake serve
      sessionlake serve --config collector.yaml --lake s3://acme-sessions/prod
      sessionlake serve --set receivers.otlp.protocols.http.endpoint=127.0.0.1:0
    "#);
}

#[test]
fn help_of_demo() {
    assert_snapshot!(help(&["demo"]), @r#"
    See it work: a recorded session goes through the real collector into real tables

    Starts a collector on free loopback ports with a data directory of its own, sends it a recorded
    session as the agent would have, shows the session as a timeline with what each reply cost, and
    says how to query the tables.

    Usage: sessionlake demo [OPTIONS]

    Options:
          --keep
              Leave the collector running until Ctrl-C, to send sessions of your own

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake demo
      sessionlake demo --keep
    "#);
}

#[test]
fn help_of_validate() {
    assert_snapshot!(help(&["validate"]), @r#"
    Check configuration files without starting anything

    Exit code 0 and a summary when they are good; 64 and every error with its file, line and column when not.

    Usage: sessionlake validate [OPTIONS] --config <FILE>

    Options:
          --config <FILE>
              Configuration file (YAML); several are laid over each other, from left to right

          --set <PATH=VALUE>
              One configuration value at a dotted path, as in exporters.lake.flush_interval=1s

          --json
              Print the summary as JSON

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake validate --config collector.yaml
      sessionlake validate --config base.yaml --config production.yaml --set memory_limit_mib=1024
    "#);
}

#[test]
fn help_of_sessions() {
    assert_snapshot!(help(&["sessions"]), @r#"
    List, show and replay recorded sessions.

    Reads the tables of the lake directly, whether or not a collector is running.

    Usage: sessionlake sessions <COMMAND>

    Commands:
      list    List sessions, the newest first
      show    Show a session's summary: cost, models, tools, prompts, redactions, and what is missing
      replay  Replay a session step by step: prompts, replies with their cost beside them, tool calls with their outcome
      help    Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Example: sessionlake sessions list --lake s3://acme-sessions/prod --limit 10
    "#);
}

#[test]
fn help_of_sessions_list() {
    assert_snapshot!(help(&["sessions", "list"]), @r#"
    List sessions, the newest first

    Usage: sessionlake sessions list [OPTIONS]

    Options:
          --config <FILE>     Configuration file (YAML); several are laid over each other, from left to right
          --set <PATH=VALUE>  One configuration value at a dotted path, as in exporters.lake.flush_interval=1s
          --data-dir <DIR>    Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]
          --lake <URL>        The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]
          --workspace <NAME>  The workspace whose sessions are meant [default: default]
          --limit <N>         Sessions shown at most [default: 50]
          --json              Print a JSON array, one object per session
      -h, --help              Print help

    Examples:
      sessionlake sessions list
      sessionlake sessions list --lake s3://acme-sessions/prod --json | jq '.[].cost_usd'
    "#);
}

#[test]
fn help_of_sessions_show() {
    assert_snapshot!(help(&["sessions", "show"]), @r#"
    Show a session's summary: cost, models, tools, prompts, redactions, and what is missing

    Usage: sessionlake sessions show [OPTIONS] <ID>

    Arguments:
      <ID>  The session's id, or the start of it

    Options:
          --config <FILE>     Configuration file (YAML); several are laid over each other, from left to right
          --set <PATH=VALUE>  One configuration value at a dotted path, as in exporters.lake.flush_interval=1s
          --data-dir <DIR>    Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]
          --lake <URL>        The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]
          --workspace <NAME>  The workspace whose sessions are meant [default: default]
          --full              Show prompts whole
          --json              Print the session's row as JSON
      -h, --help              Print help

    Examples:
      sessionlake sessions show 9ffbc996
      sessionlake sessions show 9ffbc996 --json | jq .gaps
    "#);
}

#[test]
fn help_of_sessions_replay() {
    assert_snapshot!(help(&["sessions", "replay"]), @r#"
    Replay a session step by step: prompts, replies with their cost beside them, tool calls with their outcome

    Usage: sessionlake sessions replay [OPTIONS] <ID>

    Arguments:
      <ID>  The session's id, or the start of it

    Options:
          --config <FILE>     Configuration file (YAML); several are laid over each other, from left to right
          --set <PATH=VALUE>  One configuration value at a dotted path, as in exporters.lake.flush_interval=1s
          --data-dir <DIR>    Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]
          --lake <URL>        The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]
          --workspace <NAME>  The workspace whose sessions are meant [default: default]
          --full              Show texts whole instead of their first lines
          --json              Print the session's row and all its events as JSON
      -h, --help              Print help

    Examples:
      sessionlake sessions replay 9ffbc996
      sessionlake sessions replay 9ffbc996 --full | less -R
    "#);
}

#[test]
fn help_of_connect() {
    assert_snapshot!(help(&["connect"]), @r#"
    Print the settings that make a client send to this collector

    Usage: sessionlake connect <COMMAND>

    Commands:
      claude-code     Print what makes Claude Code export its telemetry here
      cowork          Print what to enter in Cowork's admin settings, so that Cowork sends its telemetry here
      otel-collector  Print an exporter block that makes an OpenTelemetry Collector pass telemetry on to this one
      hooks           Print settings that make Claude Code post its hook events here
      help            Print this message or the help of the given subcommand(s)

    Options:
      -h, --help  Print help

    Example: sessionlake connect claude-code --endpoint https://collector.example.com:4318
    "#);
}

#[test]
fn help_of_connect_claude_code() {
    assert_snapshot!(help(&["connect", "claude-code"]), @r#"
    Print what makes Claude Code export its telemetry here

    Usage: sessionlake connect claude-code [OPTIONS]

    Options:
          --endpoint <URL>       Where the client reaches this collector [default: http://127.0.0.1:4318, or :4317 with grpc]
          --protocol <PROTOCOL>  How the client encodes and sends [default: http/protobuf] [possible values: grpc, http/protobuf, http/json]
          --token <TOKEN>        The token to send, where authentication is on; 'sessionlake token create --role ingest' makes one
          --json                 Print only the managed settings (JSON)
          --env                  Print only the export lines for a shell
      -h, --help                 Print help

    Examples:
      eval "$(sessionlake connect claude-code --env)"
      sessionlake connect claude-code --endpoint https://collector.example.com:4318 --json > managed-settings.json
    "#);
}

#[test]
fn help_of_connect_hooks() {
    assert_snapshot!(help(&["connect", "hooks"]), @r#"
    Print settings that make Claude Code post its hook events here

    Usage: sessionlake connect hooks [OPTIONS]

    Options:
          --endpoint <URL>  Where the client reaches this collector over HTTP [default: http://127.0.0.1:4318]
          --token <TOKEN>   The token to send, where authentication is on; 'sessionlake token create --role ingest' makes one
          --json            Print only the settings (JSON)
      -h, --help            Print help

    Example: sessionlake connect hooks --json > .claude/settings.json
    "#);
}

#[test]
fn help_of_connect_otel_collector() {
    assert_snapshot!(help(&["connect", "otel-collector"]), @r#"
    Print an exporter block that makes an OpenTelemetry Collector pass telemetry on to this one

    Usage: sessionlake connect otel-collector [OPTIONS]

    Options:
          --endpoint <URL>  Where that collector reaches this one over HTTP [default: http://127.0.0.1:4318]
          --token <TOKEN>   The token to send, where authentication is on; 'sessionlake token create --role ingest' makes one
          --json            Print the block as JSON, which is YAML too
      -h, --help            Print help

    Example: sessionlake connect otel-collector --endpoint https://sessionlake.example.com:4318
    "#);
}

#[test]
fn a_missing_command_gets_help_that_is_no_error_message() {
    let error = Cli::try_parse_from(["sessionlake", "sessions"]).unwrap_err();
    let failure = Failure::usage(&error);
    assert!(failure.to_string().starts_with("List, show and replay recorded sessions"), "{failure}");
    assert_eq!(failure.exit_code(), std::process::ExitCode::from(64));
}

#[test]
fn bad_usage_says_error_once() {
    let error = Cli::try_parse_from(["sessionlake", "serve", "--nope"]).unwrap_err();
    assert_snapshot!(Failure::usage(&error), @r#"
    error: unexpected argument '--nope' found

    Usage: sessionlake serve [OPTIONS]

    For more information, try '--help'.
    "#);
}

#[test]
fn help_of_redact() {
    assert_snapshot!(help(&["redact"]), @r#"
    Redact text: from standard input or files to standard output

    Applies the rules that a collector with the same flags would apply to a string in an event. Text
    that is JSON, or holds JSON, base64 or escapes, is read as such. With --jsonl, lines that are no
    JSON object with a text are told on standard error by number and left out; the exit code is then 1.

    Usage: sessionlake redact [OPTIONS] [FILE]...
           sessionlake redact <COMMAND>

    Commands:
      check    Check rule files and run the tests in them
      rules    List the shipped packs and their rules
      dry-run  Tell what the rules would change in stored sessions
      diff     Tell what two rule files do differently
      help     Print this message or the help of the given subcommand(s)

    Arguments:
      [FILE]...
              Files to read; none, or -: standard input

    Options:
          --config <FILE>
              Configuration file (YAML); several are laid over each other, from left to right

          --set <PATH=VALUE>
              One configuration value at a dotted path, as in exporters.lake.flush_interval=1s

          --data-dir <DIR>
              Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]

          --lake <URL>
              The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]

          --rules <FILE>
              Rule file (YAML) instead of those that the configuration names; several are merged

          --packs <NAMES>
              Packs in force instead of those that the rule files name, separated by commas

          --explain
              Print what was found instead: place, rule, bytes, action; never the value

          --jsonl
              Read {"id": .., "text": ..} lines; write {"id", "text", "spans"}, spans in characters of the input text

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake redact < build.log
      sessionlake redact --explain --packs secrets/default,pii/structured notes.txt
      sessionlake redact --jsonl --config collector.yaml < texts.jsonl
      sessionlake redact check rules.yaml
    "#);
}

#[test]
fn help_of_redact_check() {
    assert_snapshot!(help(&["redact", "check"]), @r#"
    Check rule files and run the tests in them

    Exit code 0 and a summary when they are good; 64 and every error with its file, line and column when not.

    Usage: sessionlake redact check <FILE>...

    Arguments:
      <FILE>...
              Rule files (YAML), merged as a collector would merge them

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake redact check rules.yaml
      sessionlake redact check company.yaml payments.yaml
    "#);
}

#[test]
fn help_of_redact_rules() {
    assert_snapshot!(help(&["redact", "rules"]), @r#"
    List the shipped packs and their rules

    Usage: sessionlake redact rules [OPTIONS]

    Options:
          --json  Print a JSON array, one object per pack
      -h, --help  Print help

    Examples:
      sessionlake redact rules
      sessionlake redact rules --json | jq -r '.[].rules[].id'
    "#);
}

#[test]
fn help_of_redact_dry_run() {
    assert_snapshot!(help(&["redact", "dry-run"]), @r#"
    Tell what the rules would change in stored sessions

    Stored sessions were redacted when they arrived: what is counted here is what these rules would
    hide beyond that. Nothing is changed.

    Usage: sessionlake redact dry-run [OPTIONS]

    Options:
          --config <FILE>
              Configuration file (YAML); several are laid over each other, from left to right

          --set <PATH=VALUE>
              One configuration value at a dotted path, as in exporters.lake.flush_interval=1s

          --data-dir <DIR>
              Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]

          --lake <URL>
              The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]

          --rules <FILE>
              Rule file (YAML) instead of those that the configuration names; several are merged

          --packs <NAMES>
              Packs in force instead of those that the rule files name, separated by commas

          --workspace <NAME>
              The workspace whose sessions are meant
              
              [default: default]

          --since <DURATION>
              Only events since so long ago, as in 7d or 12h
              
              [default: 7d]

          --json
              Print JSON

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake redact dry-run --since 7d --rules new-rules.yaml
      sessionlake redact dry-run --lake s3://acme-sessions/prod --workspace payments --packs pii/structured
    "#);
}

#[test]
fn help_of_redact_diff() {
    assert_snapshot!(help(&["redact", "diff"]), @r#"
    Tell what two rule files do differently

    Lists rules that were added, removed and changed; with --text, counts each rule's hits on files,
    with --stored on the lake's sessions.

    Usage: sessionlake redact diff [OPTIONS] <OLD> <NEW>

    Arguments:
      <OLD>
              The rule file in force

      <NEW>
              The rule file to compare it with

    Options:
          --text <FILE>
              Count hits on this file as well; -: standard input

          --stored
              Count hits on stored sessions as well

          --workspace <NAME>
              The workspace whose sessions are meant
              
              [default: default]

          --since <DURATION>
              Only events since so long ago, as in 7d or 12h
              
              [default: 7d]

          --config <FILE>
              Configuration file (YAML); several are laid over each other, from left to right

          --set <PATH=VALUE>
              One configuration value at a dotted path, as in exporters.lake.flush_interval=1s

          --data-dir <DIR>
              Directory of the journal, and of the lake unless that is elsewhere [default: ./sessionlake-data]

          --lake <URL>
              The lake: s3://bucket/prefix, file:///path or a directory [default: <data dir>/lake]

          --json
              Print JSON

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      sessionlake redact diff rules.yaml new-rules.yaml
      sessionlake redact diff rules.yaml new-rules.yaml --text build.log
      sessionlake redact diff rules.yaml new-rules.yaml --stored --since 30d
    "#);
}
