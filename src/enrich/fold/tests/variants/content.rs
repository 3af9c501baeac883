//! Replies and outputs: in pieces, in blocks, cut, or told by few.

use serde_json::json;

use super::*;

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

#[test]
fn prompts_that_share_a_trace_have_their_own_spans_and_calls() {
    let mut facts = Vec::new();
    for n in 1..=3i64 {
        let (at, prompt, request) = (n * 1000, format!("p{n}"), format!("r{n}"));
        let own = |more| with(more, json!({"prompt.id": prompt}));
        facts.push(log("user_prompt", 10 * n, at, own(json!({"prompt": format!("Do {n}"), "message.uuid": prompt}))));
        facts.push(log("api_request", 10 * n + 1, at + 800, own(json!({"request_id": request, "cost_usd_micros": n}))));
        facts.push(span("interaction", 10 * n, 0, (at, at + 900), json!({"user_prompt": format!("Do {n}")})));
        let call = json!({"request_id": request, "success": true});
        facts.push(span("llm_request", 10 * n + 1, 10 * n, (at + 1, at + 800), call));
        let shown = own(json!({"message_id": prompt, "index": 0, "final": true, "delta": format!("Did {n}")}));
        facts.push(hook(&prompt, at + 700, "MessageDisplay", with(json!({"prompt_id": prompt}), shown)));
    }
    let folded = fold_all(&facts.concat());
    assert_eq!((folded.session.prompt_count, folded.session.model_calls), (3, 3));
    for (call, n) in of_kind(&folded, Kind::ModelCall).iter().zip(1..) {
        let said = (call.columns.content.clone(), call.columns.cost_usd, call.columns.prompt_id.clone());
        assert_eq!(said, (Some(format!("Did {n}")), Some(n * 1000), Some(format!("p{n}"))));
    }
}
