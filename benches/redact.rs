//! Scanning a request with the built-in rules; one record in fifty holds a secret.

mod common;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sessionlake::model::Signal;
use sessionlake::redaction::Redactor;

fn redact(c: &mut Criterion) {
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

criterion_group!(benches, redact);
criterion_main!(benches);
