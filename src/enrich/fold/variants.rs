//! Sessions that no capture shows: what the client's documentation and the network can produce, built by hand.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::tests::{RECEIVED, batch, comparable, envelope, facts_of_batch, fold_all, of_kind, raw_hook};
use super::{Folded, fold};
use crate::model::{Event, Fact, Joined, Kind, LakeKey, RecordHits, Signal, Source, Status};
use crate::receiver::otlp::json::to_protobuf;

const SESSION: &str = "5e55";
/// Event time 0 of the built sessions, in milliseconds.
const T0: i64 = 1_790_000_000_000;

fn attributes(object: &Value) -> Value {
    let value = |v: &Value| match v {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(n) if n.is_i64() => json!({"intValue": n}),
        other => json!({"doubleValue": other}),
    };
    object.as_object().unwrap().iter().map(|(k, v)| json!({"key": k, "value": value(v)})).collect()
}

fn otlp(signal: Signal, scope: &str, service: &str, records: (&str, &str, Value)) -> Vec<Fact> {
    let (resources, scopes, (list, ..)) = match signal {
        Signal::Logs => ("resourceLogs", "scopeLogs", &records),
        Signal::Metrics => ("resourceMetrics", "scopeMetrics", &records),
        _ => ("resourceSpans", "scopeSpans", &records),
    };
    let body = json!({resources: [{
        "resource": {"attributes": attributes(&json!({"service.name": service}))},
        scopes: [{"scope": {"name": scope}, *list: [records.2]}],
    }]});
    let payload = to_protobuf(signal, body.to_string().as_bytes()).unwrap();
    let identity = LakeKey::new([7; 32]).name("record", &[&payload]);
    let hits = vec![RecordHits { index: 0, identity, redactions: vec![] }];
    facts_of_batch(&batch(signal, payload, RECEIVED, hits))
}

fn with(own: Value, common: Value) -> Value {
    let mut all: Map<String, Value> = common.as_object().unwrap().clone();
    all.extend(own.as_object().unwrap().clone());
    Value::Object(all)
}

/// The client's log event number `sequence`, `ms` after the start.
fn log(name: &str, sequence: i64, ms: i64, own: Value) -> Vec<Fact> {
    let time = chrono::DateTime::from_timestamp_millis(T0 + ms).unwrap().to_rfc3339();
    let common = json!({"session.id": SESSION, "prompt.id": "p1", "event.name": name, "event.sequence": sequence,
        "event.timestamp": time});
    let record = json!({"timeUnixNano": format!("{}", (T0 + ms) * 1_000_000), "traceId": "0af7651916cd43dd8448eb211c80319c",
        "body": {"stringValue": format!("claude_code.{name}")}, "attributes": attributes(&with(own, common))});
    otlp(Signal::Logs, "com.anthropic.claude_code.events", "claude-code", ("logRecords", "", record))
}

fn span(name: &str, id: i64, parent: i64, (from, to): (i64, i64), own: Value) -> Vec<Fact> {
    let nanos = |ms: i64| format!("{}", (T0 + ms) * 1_000_000);
    let record = json!({"name": format!("claude_code.{name}"), "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": format!("{id:016x}"), "parentSpanId": format!("{parent:016x}"), "startTimeUnixNano": nanos(from),
        "endTimeUnixNano": nanos(to), "attributes": attributes(&with(own, json!({"session.id": SESSION})))});
    otlp(Signal::Traces, "com.anthropic.claude_code.tracing", "claude-code", ("spans", "", record))
}

fn request(sequence: i64, ms: i64, id: &str) -> Vec<Fact> {
    let own = json!({"request_id": id, "cost_usd_micros": 1000, "input_tokens": 3, "output_tokens": 5, "model": "m"});
    log("api_request", sequence, ms, own)
}

fn response(sequence: i64, ms: i64, id: &str, text: &str) -> Vec<Fact> {
    log("assistant_response", sequence, ms, json!({"request_id": id, "response": text, "response_length": text.len()}))
}

/// A hook in an envelope, `ms` after the start.
fn hook(id: &str, ms: i64, name: &str, own: Value) -> Vec<Fact> {
    let common = json!({"session_id": SESSION, "hook_event_name": name, "prompt_id": "p1", "cwd": "/w"});
    envelope(id, (T0 + ms) * 1000, "hook", SESSION, &with(own, common))
}

/// A hook without a clock that arrives as the `n`-th.
fn raw(n: i64, name: &str, own: Value) -> Vec<Fact> {
    let common = json!({"session_id": SESSION, "hook_event_name": name, "prompt_id": "p1", "cwd": "/w"});
    raw_hook(&with(own, common), RECEIVED + n * 1000)
}

fn line(ms: i64, uuid: &str, own: Value) -> Vec<Fact> {
    let time = chrono::DateTime::from_timestamp_millis(T0 + ms).unwrap().to_rfc3339();
    let common = json!({"sessionId": SESSION, "uuid": uuid, "timestamp": time});
    envelope(&format!("line-{uuid}"), RECEIVED, "transcript", SESSION, &with(own, common))
}

fn prompt() -> Vec<Fact> {
    log("user_prompt", 1, 0, json!({"prompt": "Do it", "prompt_length": "5", "message.uuid": "u1"}))
}

fn one(folded: &Folded, kind: Kind) -> &Event {
    let found = of_kind(folded, kind);
    assert_eq!(found.len(), 1, "{kind:?}: {found:#?}");
    found[0]
}

fn gaps(folded: &Folded) -> Vec<&str> {
    folded.session.gaps.iter().map(|g| g.kind.as_str()).collect()
}

fn failed_turn() -> Vec<Vec<Fact>> {
    let text = "API Error: 400 bad request";
    vec![
        prompt(),
        span("llm_request", 2, 1, (10, 800), json!({"success": false, "attempt": 3, "error": "400"})),
        span("llm_request", 3, 1, (801, 900), json!({"success": false, "attempt": 6, "error": "400"})),
        log("api_error", 2, 900, json!({"error": "400 bad request", "status_code": "undefined", "duration_ms": 890})),
        log("api_retries_exhausted", 3, 901, json!({"total_attempts": 6, "total_retry_duration_ms": 890})),
        hook("f", 903, "StopFailure", json!({"error": "invalid_request", "last_assistant_message": text})),
        hook("d", 902, "MessageDisplay", json!({"message_id": "m", "index": 0, "final": true, "delta": text})),
        line(0, "u1", json!({"type": "user", "promptId": "p1", "message": {"content": "Do it"}})),
        line(
            902,
            "u2",
            json!({"type": "assistant", "parentUuid": "u1", "isApiErrorMessage": true,
            "message": {"id": "x", "model": "<synthetic>", "content": [{"type": "text", "text": text}]}}),
        ),
    ]
}

#[test]
fn a_failed_request_is_one_error_however_many_tell_of_it() {
    let all = failed_turn();
    let folded = fold_all(&all.concat());
    let error = one(&folded, Kind::Error);
    assert_eq!((folded.session.errors, folded.session.model_calls, error.joined), (1, 0, Joined::Inferred));
    assert_eq!(gaps(&folded), [""; 0]);
    // whatever part of it is there: each source alone, and all but one
    for i in 1..all.len() {
        let alone = fold_all(&[all[0].clone(), all[i].clone()].concat());
        let expected = i64::from(i != 7);
        assert_eq!((alone.session.errors, alone.session.model_calls), (expected, 0), "{i}: {:#?}", alone.events);
        let without: Vec<Fact> = all.iter().enumerate().filter(|(n, _)| *n != i).flat_map(|(_, f)| f.clone()).collect();
        assert_eq!((fold_all(&without).session.errors, fold_all(&without).session.model_calls), (1, 0), "without {i}");
    }
}

#[test]
fn a_span_that_failed_and_a_second_attempt_that_did_not_are_two_things() {
    let facts = [
        prompt(),
        span("llm_request", 2, 1, (10, 20), json!({"success": false, "error": "529"})),
        request(2, 50, "r1"),
        response(3, 51, "r1", "Done"),
        span("llm_request", 3, 1, (25, 50), json!({"success": true, "request_id": "r1", "output_tokens": 5})),
    ];
    let folded = fold_all(&facts.concat());
    assert_eq!((folded.session.model_calls, folded.session.errors), (1, 1));
}

#[test]
fn a_denied_call_is_a_denial_and_no_error_whoever_says_so() {
    let input = json!({"command": "rm"});
    let asked = [
        hook("a", 10, "PreToolUse", json!({"tool_name": "Bash", "tool_input": input, "tool_use_id": "t1"})),
        hook("b", 11, "PermissionRequest", json!({"tool_name": "Bash", "tool_input": input})),
    ];
    let denials = [
        log("tool_decision", 3, 12, json!({"decision": "reject", "tool_name": "Bash", "tool_use_id": "t1"})),
        hook(
            "c",
            12,
            "PermissionDenied",
            json!({"tool_name": "Bash", "tool_input": input, "tool_use_id": "t1", "reason": "no"}),
        ),
        line(
            13,
            "u3",
            json!({"type": "user", "promptId": "p1", "permissionDecision": {"decision": "reject"},
            "message": {"content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": "no"}]}}),
        ),
    ];
    for which in 1..8usize {
        let mut facts = [prompt(), asked.concat()].concat();
        denials.iter().enumerate().filter(|(i, _)| which >> i & 1 == 1).for_each(|(_, f)| facts.extend(f.clone()));
        let folded = fold_all(&facts);
        let session = &folded.session;
        assert_eq!((session.denials, session.errors, session.tool_calls), (1, 0, 1), "{which}: {:#?}", folded.events);
        assert!(!gaps(&folded).contains(&"tool_without_result"), "{which}");
        let call = one(&folded, Kind::ToolCall).event_id.clone();
        assert!(of_kind(&folded, Kind::Permission).iter().all(|p| p.parent_event_id.as_ref() == Some(&call)));
    }
}

#[test]
fn a_call_that_the_client_rejected_has_its_result() {
    let result = json!({"tool_name": "Bash", "tool_input": {"command": "sleep 60"}, "tool_use_id": "t9",
        "tool_response": "Blocked: sleep 60"});
    let folded = fold_all(&[prompt(), hook("a", 5, "PostToolBatch", json!({"tool_calls": [result]}))].concat());
    assert_eq!(one(&folded, Kind::ToolCall).columns.tool_output.as_deref(), Some("Blocked: sleep 60"));
    assert!(!gaps(&folded).contains(&"tool_without_result"));
}

#[test]
fn an_empty_batch_is_kept() {
    assert_eq!(hook("a", 5, "PostToolBatch", json!({"tool_calls": []})).len(), 1);
    assert_eq!(hook("a", 5, "PostToolBatch", json!({"tool_calls": ["x", {"tool_use_id": "t"}]})).len(), 2);
}

fn compacted() -> Vec<Vec<Fact>> {
    let summary = "The summary.";
    vec![
        prompt(),
        hook("1", 10, "PreCompact", json!({"trigger": "auto", "custom_instructions": ""})),
        log(
            "api_request",
            2,
            500,
            json!({"request_id": "rc", "cost_usd_micros": 7, "query_source": "compact", "duration_ms": 400}),
        ),
        hook(
            "2",
            501,
            "SubagentStop",
            json!({"agent_id": "fork", "agent_type": "", "last_assistant_message": summary}),
        ),
        hook("3", 502, "PostCompact", json!({"trigger": "auto", "compact_summary": summary})),
        hook("4", 503, "SessionStart", json!({"source": "compact", "model": "m"})),
        log("compaction", 3, 504, json!({"trigger": "auto", "success": "true", "pre_tokens": "9", "post_tokens": "1"})),
        line(505, "u5", json!({"type": "system", "subtype": "compact_boundary", "content": "Conversation compacted"})),
        line(506, "u6", json!({"type": "user", "isCompactSummary": true, "message": {"content": summary}})),
        request(4, 600, "r2"),
        response(5, 601, "r2", "Done"),
        hook("5", 602, "Stop", json!({"last_assistant_message": "Done"})),
        hook("6", 603, "SessionEnd", json!({"reason": "other"})),
    ]
}

#[test]
fn a_compaction_is_one_event_and_its_request_no_riddle() {
    let folded = fold_all(&compacted().concat());
    let session = &folded.session;
    assert_eq!(one(&folded, Kind::Compaction).columns.content.as_deref(), Some("The summary."));
    assert_eq!((session.model_calls, session.prompt_count, session.status), (2, 1, Status::Ended));
    assert_eq!(of_kind(&folded, Kind::Subagent).len(), 0);
    assert_eq!(gaps(&folded), [""; 0]);
    let quiet: Vec<Fact> = compacted().concat().into_iter().filter(|f| f.name != "SubagentStop").collect();
    assert_eq!(gaps(&fold_all(&quiet)), [""; 0]);
}

#[test]
fn what_a_fork_copied_is_shown_and_not_counted() {
    let from = json!({"forkedFrom": {"sessionId": "0ld", "messageUuid": "o1"}});
    let hour = 3_600_000;
    let copied = |ms: i64, uuid: &str, own: Value| line(ms - 48 * hour, uuid, with(own, from.clone()));
    let facts = [
        copied(0, "o1", json!({"type": "user", "promptId": "p0", "message": {"content": "Before"}})),
        copied(
            1,
            "o2",
            json!({"type": "assistant", "parentUuid": "o1", "requestId": "r0",
            "message": {"id": "m0", "usage": {"output_tokens": 9}, "content": [{"type": "text", "text": "Old"}]}}),
        ),
        copied(2, "o3", json!({"type": "user", "isCompactSummary": true, "message": {"content": "Old summary"}})),
        compacted().concat(),
    ];
    let folded = fold_all(&facts.concat());
    let session = &folded.session;
    assert_eq!((session.model_calls, session.prompt_count, session.output_tokens), (2, 1, Some(5)));
    assert_eq!((session.start_time, session.date), ((T0) * 1000, (T0 / 86_400_000) as i32));
    assert_eq!((session.parent_session_id.as_deref(), session.parent_relation.as_deref()), (Some("0ld"), Some("fork")));
    let own: Vec<_> = of_kind(&folded, Kind::Compaction).into_iter().filter(|e| !e.inherited).collect();
    assert_eq!(own.iter().map(|e| e.columns.content.as_deref()).collect::<Vec<_>>(), [Some("The summary.")]);
}

#[test]
fn a_counter_shared_by_two_sessions_has_no_holes() {
    let facts = [log("user_prompt", 51, 0, json!({"prompt": "x"})), request(52, 5, "r1")];
    assert!(!gaps(&fold_all(&facts.concat())).contains(&"sequence"));
}

#[test]
fn a_resumed_session_with_a_killed_first_run_has_ended_when_its_last_run_has() {
    let second = |name: &str, sequence: i64, ms: i64| {
        log(name, sequence, ms, json!({"prompt.id": "p2", "prompt": "Again", "request_id": "r2", "cost_usd_micros": 5}))
    };
    let mut facts = [prompt(), request(2, 10, "r1"), second("user_prompt", 0, 9000), second("api_request", 1, 9100)];
    // the hook has no clock, and ours is behind the client's
    let end = raw_hook(
        &json!({"session_id": SESSION, "hook_event_name": "SessionEnd", "prompt_id": "p2", "reason": "other"}),
        T0 * 1000,
    );
    assert_eq!(fold_all(&facts.concat()).session.status, Status::Running);
    facts[0].extend(end);
    assert_eq!(fold_all(&facts.concat()).session.status, Status::Ended);
    // an end of the first run only
    let first = raw(3, "SessionEnd", json!({"reason": "other"}));
    let running = [prompt(), request(2, 10, "r1"), first, second("user_prompt", 0, 9000)].concat();
    assert_eq!(fold_all(&running).session.status, Status::Running);
}

#[test]
fn a_message_shown_line_by_line_is_one_reply_however_it_is_forwarded() {
    let lines = ["One\n", "Two\n", "Three"];
    let text = "One\nTwo\nThree";
    let show = |n: usize| json!({"message_id": "m", "index": n, "final": n == 2, "delta": lines[n]});
    let mut facts = vec![prompt(), request(2, 40, "r1")];
    for n in 0..3 {
        let at = 10 + n as i64;
        facts.push(hook(&format!("a{n}"), at, "MessageDisplay", show(n)));
        facts.push(hook(&format!("b{n}"), at + 1, "MessageDisplay", show(n)));
        facts.push(raw(9 - n as i64, "MessageDisplay", show(n)));
    }
    facts.push(hook("s", 50, "Stop", json!({"last_assistant_message": text})));
    facts.push(raw(1, "Stop", json!({"last_assistant_message": text})));
    let folded = fold_all(&facts.concat());
    assert_eq!(one(&folded, Kind::ModelCall).columns.content.as_deref(), Some(text));
    // a line that was lost does not pass for the whole
    let lossy: Vec<Fact> = facts
        .concat()
        .into_iter()
        .filter(|f| f.columns.content.as_deref() != Some("Two\n") && f.name != "Stop")
        .chain(response(3, 41, "r1", text))
        .collect();
    assert_eq!(one(&fold_all(&lossy), Kind::ModelCall).columns.content.as_deref(), Some(text));
}

#[test]
fn a_doubled_end_does_not_end_a_run_that_goes_on() {
    let mut facts = vec![prompt(), hook("e1", 20, "SessionEnd", json!({"reason": "other"}))];
    facts.push(hook("e2", 21, "SessionEnd", json!({"reason": "other"})));
    facts.push(raw(5, "SessionEnd", json!({"reason": "other"})));
    facts.push(log("user_prompt", 0, 9000, json!({"prompt": "Again", "prompt.id": "p2"})));
    let folded = fold_all(&facts.concat());
    assert_eq!((of_kind(&folded, Kind::SessionEnd).len(), folded.session.status), (1, Status::Running));
}

#[test]
fn the_blocks_of_one_reply_stay_together() {
    let show = |id: &str, text: &str| json!({"message_id": id, "index": 0, "final": true, "delta": text});
    let hooks = [
        hook("a", 10, "MessageDisplay", show("zz", "First.")),
        hook("b", 20, "MessageDisplay", show("aa", "Second.")),
        hook("s", 50, "Stop", json!({"last_assistant_message": "First.\n\nSecond."})),
    ];
    let logs = [request(2, 40, "r1"), response(3, 41, "r1", "First.\n\nSecond.")];
    for facts in
        [hooks.concat(), [hooks.concat(), logs.concat()].concat(), [hooks[..2].concat(), logs.concat()].concat()]
    {
        let folded = fold_all(&[prompt(), facts].concat());
        let content = one(&folded, Kind::ModelCall).columns.content.clone().unwrap();
        assert_eq!(content.split_whitespace().collect::<Vec<_>>(), ["First.", "Second."]);
    }
}

#[test]
fn a_long_reply_is_whole_when_one_source_has_it_whole() {
    let whole = "x".repeat(70_000);
    let cut = format!("{}[TRUNCATED - Content exceeds 60KB limit]", &whole[..61_440]);
    let mut facts = vec![prompt(), request(2, 40, "r1"), response(3, 41, "r1", &cut)];
    let folded = fold_all(&facts.concat());
    assert_eq!(one(&folded, Kind::ModelCall).columns.truncated.len(), 1);
    facts.push(raw(1, "Stop", json!({"last_assistant_message": whole})));
    let folded = fold_all(&facts.concat());
    let call = one(&folded, Kind::ModelCall);
    assert_eq!((call.columns.content.as_deref(), call.columns.truncated.len()), (Some(whole.as_str()), 0));
}

#[test]
fn a_command_output_that_was_cut_says_so() {
    let call = |stdout: usize| {
        let response = json!({"stdout": "y".repeat(stdout), "stderr": ""});
        hook("a", 1, "PostToolUse", json!({"tool_name": "Bash", "tool_use_id": "t", "tool_response": response}))
    };
    assert_eq!(one(&fold_all(&call(30_000)), Kind::ToolCall).columns.truncated[0].column, "tool_output");
    assert!(one(&fold_all(&call(29_999)), Kind::ToolCall).columns.truncated.is_empty());
}

#[test]
fn messages_that_share_a_prompt_id_are_prompts_each() {
    let told = |content: bool| {
        let say = |text: &str| if content { text.to_owned() } else { "<REDACTED>".to_owned() };
        [
            log("user_prompt", 1, 0, json!({"prompt": say("First"), "message.uuid": "zz"})),
            log("user_prompt", 2, 9, json!({"prompt": say("Second"), "message.uuid": "aa"})),
        ]
    };
    let hooks = [
        hook("1", 0, "UserPromptSubmit", json!({"prompt": "First"})),
        hook("2", 8, "UserPromptSubmit", json!({"prompt": "Second"})),
    ];
    for facts in [
        told(true).concat(),
        hooks.concat(),
        [told(true), hooks.clone()].concat().concat(),
        [told(false), hooks.clone()].concat().concat(),
    ] {
        let folded = fold_all(&facts);
        let texts: Vec<_> = folded.session.prompts.iter().map(|p| p.text.as_str()).collect();
        assert_eq!((folded.session.prompt_count, texts), (2, vec!["First", "Second"]));
    }
}

#[test]
fn an_old_client_without_request_ids_has_one_call_per_request() {
    let facts = [
        log("user_prompt", 1, 0, json!({"prompt": "Do it"})),
        log("api_request", 2, 10, json!({"request_id": "r1", "cost_usd": "0.001", "input_tokens": "3"})),
        log("assistant_response", 3, 11, json!({"response": "Done"})),
        log("tool_result", 4, 12, json!({"tool_name": "Bash", "tool_use_id": "t1", "success": "true"})),
        log("api_request", 5, 20, json!({"request_id": "r2", "cost_usd": "0.002"})),
        hook("s", 11, "MessageDisplay", json!({"message_id": "m", "index": 0, "delta": "Done"})),
    ];
    let folded = fold_all(&facts.concat());
    assert_eq!((folded.session.model_calls, folded.session.cost_usd), (2, Some(3_000_000)));
    assert_eq!(gaps(&folded), [""; 0]);
    assert!(of_kind(&folded, Kind::ModelCall).iter().any(|c| c.columns.content.as_deref() == Some("Done")));
}

#[test]
fn lines_that_the_client_wrote_are_no_prompts_of_a_human() {
    let say = |uuid: &str, text: &str| line(1, uuid, json!({"type": "user", "message": {"content": text}}));
    let texts = [
        "<local-command-stdout>ok</local-command-stdout>",
        "[Request interrupted by user for tool use]",
        "<task-notification>\n<task-id>a</task-id></task-notification>",
        "A human wrote this",
    ];
    let facts: Vec<Fact> = texts.iter().enumerate().flat_map(|(i, text)| say(&format!("u{i}"), text)).collect();
    assert_eq!(fold_all(&facts).session.prompt_count, 1);
}

#[test]
fn two_agents_at_once_stand_under_two_calls_and_replies_that_only_their_end_tells_are_theirs() {
    let task = json!({"description": "Same", "prompt": "Same"});
    let mut facts = vec![prompt()];
    for n in 1..=2 {
        let (agent, tool) = (format!("a{n}"), format!("t{n}"));
        facts.push(hook(
            &format!("p{n}"),
            n,
            "PreToolUse",
            json!({"tool_name": "Agent", "tool_use_id": tool, "tool_input": task}),
        ));
        facts.push(hook(&format!("s{n}"), 10 + n, "SubagentStart", json!({"agent_id": agent, "agent_type": "x"})));
        facts.push(log(
            "api_request",
            10 + n,
            30 + n,
            json!({"request_id": format!("r{n}"), "cost_usd_micros": 5, "agent_id": agent}),
        ));
        // by then the session was at another prompt
        facts.push(hook(
            &format!("e{n}"),
            40 + n,
            "SubagentStop",
            json!({"agent_id": agent, "agent_type": "x",
            "prompt_id": "p2", "last_assistant_message": format!("Answer {n}")}),
        ));
    }
    let folded = fold_all(&facts.concat());
    assert_eq!(folded.session.model_calls, 2);
    let parents: std::collections::BTreeSet<_> =
        of_kind(&folded, Kind::Subagent).iter().map(|a| a.parent_event_id.clone().unwrap()).collect();
    assert_eq!(parents.len(), 2);
    for (call, n) in of_kind(&folded, Kind::ModelCall).iter().zip(1..) {
        assert_eq!(call.columns.agent_id, Some(format!("a{n}")));
        assert_eq!(call.columns.content, Some(format!("Answer {n}")));
    }
}

fn metric(ms: i64, temporality: i64, value: Value, own: Value) -> Vec<Fact> {
    let point = with(
        value,
        json!({"startTimeUnixNano": format!("{}", T0 * 1_000_000),
        "timeUnixNano": format!("{}", (T0 + ms) * 1_000_000),
        "attributes": attributes(&with(own, json!({"session.id": SESSION})))}),
    );
    let metric = json!({"name": "claude_code.token.usage", "unit": "tokens",
        "sum": {"aggregationTemporality": temporality, "isMonotonic": true, "dataPoints": [point]}});
    otlp(Signal::Metrics, "com.anthropic.claude_code", "claude-code", ("metrics", "", metric))
}

#[test]
fn a_session_of_metrics_alone_has_neither_cost_nor_gaps() {
    let facts: Vec<Fact> =
        (1..4).flat_map(|n| metric(n, 1, json!({"asDouble": 5.5}), json!({"type": "input"}))).collect();
    let folded = fold_all(&facts);
    let session = &folded.session;
    assert_eq!((session.events, session.cost_usd, session.model_calls, gaps(&folded).len()), (3, None, 0, 0));
}

#[test]
fn a_cumulative_series_of_integers_counts_once() {
    let point = |n: i64, of: &str| metric(n, 2, json!({"asInt": n.to_string()}), json!({"type": of}));
    let facts: Vec<Fact> = (1..4).flat_map(|n| [point(n, "input"), point(10 * n, "output")].concat()).collect();
    let folded = fold_all(&facts);
    let values: Vec<_> = of_kind(&folded, Kind::Metric).iter().map(|e| e.columns.metric_value.unwrap()).collect();
    assert_eq!(values, [3.0, 30.0]);
}

#[test]
fn a_log_inside_a_span_of_another_sdk_is_that_spans_call() {
    let ids = json!({"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "00f067aa0ba902b7"});
    let time = format!("{}", T0 * 1_000_000);
    let chat = with(
        json!({"name": "chat m", "startTimeUnixNano": time, "endTimeUnixNano": time,
        "attributes": attributes(&json!({"gen_ai.operation.name": "chat", "gen_ai.conversation.id": SESSION,
            "gen_ai.response.id": "resp", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 7,
            "gen_ai.usage.cache_read.input_tokens": 60}))}),
        ids.clone(),
    );
    let details = with(
        json!({"timeUnixNano": time, "eventName": "gen_ai.client.inference.operation.details",
        "attributes": attributes(&json!({"gen_ai.conversation.id": SESSION, "gen_ai.output.messages": "[\"Hi\"]"}))}),
        ids,
    );
    let facts = [
        otlp(Signal::Traces, "sdk", "app", ("spans", "", chat)),
        otlp(Signal::Logs, "sdk", "app", ("logRecords", "", details)),
    ]
    .concat();
    let folded = fold_all(&facts);
    let call = one(&folded, Kind::ModelCall);
    assert_eq!((call.columns.input_tokens, call.columns.cache_read_tokens), (Some(40), Some(60)));
    assert_eq!(call.columns.content.as_deref(), Some("[\"Hi\"]"));
}

#[test]
fn rows_of_other_agents_are_kept_with_all_they_say() {
    let record = json!({"timeUnixNano": "1", "attributes": attributes(&json!({"event.name": "codex.tool_result",
        "conversation.id": SESSION, "arguments": "{}", "output": "done", "input_token_count": "12"}))});
    let facts = otlp(Signal::Logs, "codex_otel", "codex_cli_rs", ("logRecords", "", record));
    let folded = fold_all(&facts);
    let attributes = one(&folded, Kind::Other).columns.attributes.clone().unwrap();
    assert!(["arguments", "done", "input_token_count"].iter().all(|said| attributes.contains(said)), "{attributes}");
}

#[test]
fn hostile_numbers_spoil_no_sum_and_no_time() {
    let mut facts = vec![prompt(), request(2, 10, "good")];
    let numbers = [
        json!(-1),
        json!(1e308),
        json!("inf"),
        json!("NaN"),
        json!("9223372036854775808"),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("x"),
        json!("1e400"),
    ];
    for (n, hostile) in numbers.into_iter().enumerate() {
        let own = json!({"request_id": format!("r{n}"), "cost_usd": hostile, "cost_usd_micros": hostile,
            "input_tokens": hostile, "output_tokens": hostile, "duration_ms": hostile, "ttft_ms": hostile,
            "response_length": hostile});
        facts.push(log("api_request", 3, 20 + n as i64, own.clone()));
        facts.push(log(
            "tool_result",
            if n % 2 == 0 { i64::MIN } else { i64::MAX },
            20,
            with(json!({"tool_use_id": "t"}), own),
        ));
        facts.push(hook(&format!("h{n}"), 30, "PostToolUse", json!({"tool_use_id": "t", "duration_ms": hostile})));
        facts.push(hook(
            &format!("d{n}"),
            30,
            "MessageDisplay",
            json!({"index": hostile, "delta": "x", "final": hostile}),
        ));
    }
    let folded = fold_all(&facts.concat());
    let session = &folded.session;
    assert_eq!((session.cost_usd, session.input_tokens, session.output_tokens), (Some(1_000_000), Some(3), Some(5)));
    assert_eq!(session.start_time, T0 * 1000);
}

#[test]
fn hostile_ids_and_attributes_fold() {
    let long = "i".repeat(10_240);
    let mut facts = Vec::new();
    for id in ["", long.as_str(), "}\"", "p1"] {
        facts.push(hook(
            &format!("h{id}"),
            1,
            "SubagentStop",
            json!({"agent_id": id, "prompt_id": id, "agent_type": id,
            "last_assistant_message": id, "tool_use_id": id}),
        ));
        facts.push(line(2, id, json!({"type": "assistant", "parentUuid": id, "requestId": id,
            "message": {"id": id, "content": [{"type": "tool_use", "id": id, "input": {"agentId": id}}, {"type": "text"}]}})));
        facts.push(span("tool", 5, 5, (9, 1), json!({"tool_use_id": id, "success": "maybe"})));
    }
    let mut facts = facts.concat();
    for (fact, attributes) in facts.iter_mut().zip(["[1]", "null", "{", "\"x\"", ""].into_iter().cycle()) {
        fact.columns.attributes = Some(attributes.to_owned());
        (fact.time, fact.end_time) = (i64::MIN, Some(i64::MAX));
    }
    let last = facts.len() - 1;
    (facts[last].time, facts[last].sequence) = (i64::MAX, Some(i64::MIN));
    let folded = fold_all(&facts);
    assert_eq!(folded.events.iter().map(|e| e.fact_ids.len()).sum::<usize>(), {
        let mut ids: Vec<_> = facts.iter().map(|f| f.fact_id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    });
}

#[test]
fn spans_and_hooks_meet_without_any_log() {
    let turn = |n: i64, text: &str, told: &str| {
        let at = n * 1000;
        let prompt = json!(format!("p{n}"));
        let in_trace = |facts: Vec<Fact>| {
            facts.into_iter().map(move |mut fact| {
                fact.columns.trace_id = Some(format!("{n:032x}"));
                fact
            })
        };
        let spans = [
            span("interaction", 10 * n, 0, (at, at + 900), json!({"user_prompt": told})),
            span(
                "llm_request",
                10 * n + 1,
                10 * n,
                (at + 1, at + 800),
                json!({"request_id": format!("r{n}"), "success": true, "output_tokens": 5}),
            ),
        ];
        let hooks = [
            hook(&format!("u{n}"), at + 1, "UserPromptSubmit", json!({"prompt": text, "prompt_id": prompt})),
            hook(
                &format!("s{n}"),
                at + 801,
                "Stop",
                json!({"last_assistant_message": format!("Re {text}"), "prompt_id": prompt}),
            ),
        ];
        (in_trace(spans.concat()).collect::<Vec<_>>(), hooks.concat())
    };
    for told in [["One", "Two"], ["<REDACTED>", "<REDACTED>"]] {
        let turns = [turn(1, "One", told[0]), turn(2, "Two", told[1])];
        let spans: Vec<Fact> = turns.iter().flat_map(|(spans, _)| spans.clone()).collect();
        let alone = fold_all(&spans);
        assert_eq!((alone.session.prompt_count, alone.session.model_calls), (2, 2));
        assert!(of_kind(&alone, Kind::ModelCall).iter().all(|c| c.parent_event_id.is_some()));
        let both: Vec<Fact> = turns.into_iter().flat_map(|(spans, hooks)| [spans, hooks].concat()).collect();
        let folded = fold_all(&both);
        assert_eq!((folded.session.prompt_count, folded.session.model_calls), (2, 2));
        let said: Vec<_> =
            of_kind(&folded, Kind::ModelCall).iter().map(|c| c.columns.content.clone().unwrap()).collect();
        assert_eq!(said, ["Re One", "Re Two"]);
        assert!(of_kind(&folded, Kind::Prompt).iter().all(|p| p.joined == Joined::Inferred));
    }
}

/// Everything above in one session.
fn everything() -> Vec<Fact> {
    let show =
        |n: i64| json!({"message_id": "m", "index": n, "final": n == 1, "delta": if n == 0 { "a\n" } else { "b" }});
    let more = [
        hook("x1", 950, "MessageDisplay", show(0)),
        hook("x2", 951, "MessageDisplay", show(1)),
        hook("y1", 950, "MessageDisplay", show(0)),
        raw(1, "Stop", json!({"last_assistant_message": "a\nb"})),
        raw(2, "UserPromptSubmit", json!({"prompt": "Do it"})),
        raw(3, "PermissionRequest", json!({"tool_name": "Bash", "tool_input": {"command": "rm"}})),
        metric(3, 2, json!({"asInt": "4"}), json!({"type": "input"})),
        metric(4, 2, json!({"asInt": "5"}), json!({"type": "input"})),
        span("interaction", 1, 0, (0, 990), json!({"user_prompt": "Do it"})),
    ];
    [failed_turn().concat(), compacted().concat(), more.concat()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn order_duplicates_and_missing_parts_change_only_what_they_should(
        seed in any::<u64>(),
        kept in prop::collection::vec(any::<bool>(), 60),
    ) {
        let facts: Vec<Fact> = everything().into_iter().zip(kept.into_iter().cycle()).filter(|(_, k)| *k).map(|(f, _)| f).collect();
        prop_assume!(!facts.is_empty());
        let expected = fold_all(&facts);
        let mut mixed = [facts.clone(), facts.clone()].concat();
        mixed.sort_by_cached_key(|f| blake3::hash(&[&f.fact_id.0[..], &seed.to_le_bytes()].concat()).to_hex().to_string());
        prop_assert_eq!(comparable(&fold_all(&mixed)), comparable(&expected));
        let mut used: Vec<_> = expected.events.iter().flat_map(|e| e.fact_ids.clone()).collect();
        let mut given: Vec<_> = facts.iter().map(|f| f.fact_id).collect();
        used.sort_unstable();
        given.sort_unstable();
        given.dedup();
        prop_assert_eq!(used, given, "every fact is in exactly one event");
    }
}

/// One prompt, everything in it: the worst that a session can look like. Quadratic steps would take minutes.
#[test]
fn a_large_session_folds_in_time_that_grows_with_it() {
    let template = everything();
    let mut facts = Vec::new();
    for n in 0..20_000i64 {
        let mut fact = template[n as usize % template.len()].clone();
        fact.fact_id = crate::model::FactId(LakeKey::new([1; 32]).name("n", &[&n.to_le_bytes()]));
        let mine = |id: &mut Option<String>| *id = id.take().map(|id| format!("{id}-{}", n / 10));
        mine(&mut fact.columns.request_id);
        mine(&mut fact.columns.tool_use_id);
        mine(&mut fact.columns.content);
        fact.columns.attributes = fact
            .columns
            .attributes
            .map(|a| a.replace("\"m\"", &format!("\"m{n}\"")).replace("\"u1\"", &format!("\"u{n}\"")));
        fact.time += n * 1000;
        facts.push(fact);
    }
    let started = std::time::Instant::now();
    let folded = fold(SESSION, &facts, true);
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
    eprintln!("{} facts, {} events: {:?}", facts.len(), folded.events.len(), started.elapsed());
    assert!(folded.events.iter().any(|e| e.sources.contains(&Source::Hook)));
}
