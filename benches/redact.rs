//! Redaction: requests as an agent sends them with the built-in rules, and texts of several kinds with secrets and PII
//! together. One record in fifty holds a secret.

mod common;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sessionlake::model::Signal;
use sessionlake::redaction::rules::{Find, Origin, PolicySetSpec, RegexSpec, RuleSpec, Severity};
use sessionlake::redaction::{PolicySet, Redactor};

fn requests(c: &mut Criterion) {
    let redactor = Redactor::builtin(common::key());
    for (name, request) in [("logs100", common::logs100()), ("content100", common::content100())] {
        let mut group = c.benchmark_group("redact");
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_function(name, |b| {
            b.iter_batched(
                || (common::delivery(), request.clone()),
                |(delivery, request)| redactor.redact_otlp(delivery, Signal::Logs, request).expect("well-formed"),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}

/// This project's own sources and documents: about 64 KiB.
fn source() -> String {
    let parts = [
        include_str!("../src/redaction/otlp.rs"),
        include_str!("../src/redaction/pairs.rs"),
        include_str!("../src/model/otlp/schema.rs"),
        include_str!("../README.md"),
        include_str!("../ARCHITECTURE.md"),
    ];
    let mut text = parts.concat();
    text.truncate(text.floor_char_boundary(64 << 10));
    text
}

fn texts(c: &mut Criterion) {
    let source = source();
    let json =
        serde_json::json!({ "tool_response": { "stdout": source }, "tool_input": { "command": "cat" } }).to_string();
    let dense = "token secret password api_key auth bearer sk- ghp_ 4111 ".repeat((1 << 20) / 55);
    let both = redactor(0);
    let customers = redactor(100);
    let cases = [
        ("source", &source, &both),
        ("json in json", &json, &both),
        ("one line dense in keywords", &dense, &both),
        ("source, 100 rules more", &source, &customers),
    ];
    let mut group = c.benchmark_group("secrets and pii");
    for (name, text, redactor) in cases {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| redactor.redact_text(text)));
    }
    group.finish();
}

/// Both shipped packs and so many rules as customers write them.
fn redactor(rules: usize) -> Redactor {
    let mut spec = PolicySetSpec::builtin(&["secrets/default", "pii/structured"]).expect("they are shipped");
    spec.rules = (0..rules).map(customer_rule).collect();
    let policies = PolicySet::compile(&spec, common::key()).unwrap_or_else(|errors| panic!("{errors:?}"));
    Redactor::new(policies, common::key())
}

fn customer_rule(n: usize) -> RuleSpec {
    let pattern = format!(r"\bacme{n:03}[-_][A-Z0-9]{{8,16}}\b");
    RuleSpec {
        id: format!("customer-{n}"),
        description: "A customer's own ids".to_owned(),
        severity: Severity::Medium,
        find: Find::Regex(RegexSpec { pattern, ..RegexSpec::default() }),
        validators: Vec::new(),
        allow: Default::default(),
        action: None,
        mode: None,
        scope: Default::default(),
        origin: Origin::default(),
    }
}

criterion_group!(benches, requests, texts);
criterion_main!(benches);
