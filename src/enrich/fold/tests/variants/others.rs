//! Metrics alone, and other agents.

use serde_json::json;

use super::*;

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
