//! Compactions, forks, resumes, queued messages, subagents.

use serde_json::{Value, json};

use super::*;

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
fn a_doubled_end_does_not_end_a_run_that_goes_on() {
    let mut facts = vec![prompt(), hook("e1", 20, "SessionEnd", json!({"reason": "other"}))];
    facts.push(hook("e2", 21, "SessionEnd", json!({"reason": "other"})));
    facts.push(raw(5, "SessionEnd", json!({"reason": "other"})));
    facts.push(log("user_prompt", 0, 9000, json!({"prompt": "Again", "prompt.id": "p2"})));
    let folded = fold_all(&facts.concat());
    assert_eq!((of_kind(&folded, Kind::SessionEnd).len(), folded.session.status), (1, Status::Running));
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
