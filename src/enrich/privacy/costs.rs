//! What stays of a private session where an administrator wants totals to be right: what its model calls cost, and
//! nothing that tells whose they were.
//!
//! A cost becomes a log record of a made-up session, one per day (`private-2026-11-25`), with model, tokens and cost, and a
//! time cut to the hour. A number made from the fact's id by the lake's key keeps two calls of the same cost apart, and one
//! call that is delivered twice together; nobody without the key finds the call by it.

use chrono::DateTime;

use crate::model::otlp::wire::{put_bytes, put_fixed64, put_varint_field};
use crate::model::{Fact, LakeKey, Source};

const MICROS_PER_HOUR: i64 = 3_600_000_000;
/// `InstrumentationScope.name` by which the records are read as a client's.
const SCOPE: &str = "com.anthropic.claude_code.events";

/// The session that costs of a time go to.
fn anonymous_session(micros: i64) -> String {
    let day = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    format!("private-{}", day.format("%Y-%m-%d"))
}

/// An `ExportLogsServiceRequest` of what the facts cost; `None`: nothing. The same facts give the same bytes.
pub fn anonymous(facts: &[Fact], key: &LakeKey) -> Option<Vec<u8>> {
    let costs = |fact: &&Fact| fact.source == Source::OtlpLog && fact.columns.cost_usd.is_some();
    let records: Vec<Vec<u8>> = facts.iter().filter(costs).map(|fact| record(fact, key)).collect();
    if records.is_empty() {
        return None;
    }
    let (mut scope, mut scope_logs) = (Vec::new(), Vec::new());
    put_bytes(&mut scope, 1, SCOPE.as_bytes());
    put_bytes(&mut scope_logs, 1, &scope);
    records.iter().for_each(|record| put_bytes(&mut scope_logs, 2, record));
    let (mut resource_logs, mut request) = (Vec::new(), Vec::new());
    put_bytes(&mut resource_logs, 2, &scope_logs);
    put_bytes(&mut request, 1, &resource_logs);
    Some(request)
}

/// `LogRecord{time_unix_nano = 1, attributes = 6, event_name = 12}`.
fn record(fact: &Fact, key: &LakeKey) -> Vec<u8> {
    let hour = fact.time.div_euclid(MICROS_PER_HOUR).saturating_mul(MICROS_PER_HOUR).max(0);
    let mut out = Vec::new();
    put_fixed64(&mut out, 1, (hour as u64).saturating_mul(1000));
    let columns = &fact.columns;
    let mut put = |name: &str, value: &[u8]| put_bytes(&mut out, 6, &attribute(name, value));
    put("session.id", &text(&anonymous_session(hour)));
    if let Some(model) = &columns.model {
        put("model", &text(model));
    }
    if let Some(nanos) = columns.cost_usd {
        put("cost_usd", &text(&crate::model::money::dollars(nanos)));
    }
    let counts = [
        ("input_tokens", columns.input_tokens),
        ("output_tokens", columns.output_tokens),
        ("cache_read_tokens", columns.cache_read_tokens),
        ("cache_creation_tokens", columns.cache_creation_tokens),
    ];
    for (name, count) in counts {
        if let Some(count) = count {
            put(name, &integer(count));
        }
    }
    let [a, b, c, d, e, f, g, h, ..] = key.name("private cost", &[&fact.fact_id.0]);
    put("sessionlake.private", &integer(i64::from_le_bytes([a, b, c, d, e, f, g, h])));
    put_bytes(&mut out, 12, b"claude_code.api_request");
    out
}

/// `KeyValue{key = 1, value = 2}`.
fn attribute(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, name.as_bytes());
    put_bytes(&mut out, 2, value);
    out
}

/// `AnyValue{string_value = 1}`.
fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, value.as_bytes());
    out
}

/// `AnyValue{int_value = 3}`.
fn integer(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint_field(&mut out, 3, value as u64);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::normalise::normalise;
    use crate::model::{Batch, Columns, Envelope, FactId, Kind, Signal};

    fn fact(n: u8) -> Fact {
        let columns = Columns {
            user_email: Some("someone@example.com".into()),
            content: Some("what was said".into()),
            request_id: Some("req_1".into()),
            model: Some("m-1".into()),
            cost_usd: Some(5_674_000),
            input_tokens: Some(12),
            output_tokens: Some(40),
            ..Columns::default()
        };
        Fact {
            fact_id: FactId([n; 16]),
            session_id: Some("secret-session".into()),
            source: Source::OtlpLog,
            kind: Kind::ModelCall,
            name: "api_request".into(),
            sequence: Some(7),
            time: 1_795_346_577_123_456,
            end_time: None,
            received_at: 1_795_346_578_000_000,
            writer: "w".into(),
            policy: "p".into(),
            columns,
        }
    }

    fn again(request: Vec<u8>, key: &LakeKey) -> Vec<Fact> {
        let envelope = Envelope {
            workspace: "default".into(),
            principal: None,
            received_at: 1,
            signal: Signal::Logs,
            policy: "p".into(),
            hits: Vec::new(),
        };
        normalise(&Batch { envelope, payload: request.into() }, key, "w").unwrap()
    }

    #[test]
    fn costs_stay_exact_and_nothing_else_does() {
        let key = LakeKey::new([3; 32]);
        let request = anonymous(&[fact(1), fact(2), Fact { source: Source::OtlpMetric, ..fact(3) }], &key).unwrap();
        for hidden in ["someone", "what was said", "req_1", "secret-session"] {
            assert!(!request.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
        }
        let facts = again(request.clone(), &key);
        assert_eq!(facts.len(), 2);
        assert_ne!(facts[0].fact_id, facts[1].fact_id, "equal costs are two");
        assert_eq!(again(request, &key)[0].fact_id, facts[0].fact_id, "and one that comes twice is one");
        let one = &facts[0];
        assert_eq!(one.session_id.as_deref(), Some("private-2026-11-22"));
        assert_eq!((one.time % MICROS_PER_HOUR, one.kind), (0, Kind::ModelCall));
        let columns = &one.columns;
        assert_eq!(
            (columns.cost_usd, columns.input_tokens, columns.output_tokens),
            (Some(5_674_000), Some(12), Some(40))
        );
        assert_eq!(columns.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn what_cost_nothing_leaves_nothing() {
        let free = Fact { columns: Columns::default(), ..fact(1) };
        assert_eq!(anonymous(&[free], &LakeKey::new([0; 32])), None);
    }
}
