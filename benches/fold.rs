//! Folding a session's facts to its events.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sessionlake::enrich::fold::fold;

fn fold_sessions(c: &mut Criterion) {
    for (name, request) in [("logs100", common::logs100()), ("content100", common::content100())] {
        let facts = common::facts(request);
        let session = facts[0].session_id.clone().expect("generated records name a session");
        let mut group = c.benchmark_group("fold");
        group.throughput(Throughput::Elements(facts.len() as u64));
        group.bench_function(name, |b| b.iter(|| fold(&session, black_box(&facts), false).events.len()));
        group.finish();
    }
}

criterion_group!(benches, fold_sessions);
criterion_main!(benches);
