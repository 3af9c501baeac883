//! Nonsense, disorder and size.

use proptest::prelude::*;
use serde_json::json;

use super::*;

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
