//! Requests that failed and calls that were not allowed.

use serde_json::json;

use super::*;

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
