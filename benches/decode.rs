//! Reading an OTLP request: the borrowed view alone, and normalised to facts.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sessionlake::enrich::normalise::normalise;
use sessionlake::model::otlp::view;

fn decode(c: &mut Criterion) {
    for (name, request) in [("logs100", common::logs100()), ("content100", common::content100())] {
        let mut group = c.benchmark_group("decode");
        group.throughput(Throughput::Elements(common::RECORDS as u64));
        group.bench_function(format!("view/{name}"), |b| {
            b.iter(|| {
                let mut attributes = 0;
                view::logs(&request, &mut |_, record| attributes += record.attributes.len()).expect("well-formed");
                black_box(attributes)
            });
        });
        let batch = common::batch(request);
        let key = common::key();
        group.bench_function(format!("facts/{name}"), |b| {
            b.iter(|| normalise(black_box(&batch), &key, "bench").expect("well-formed").len());
        });
        group.finish();
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
