//! Writing facts to a Parquet file of a local lake, syncs included.

mod common;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sessionlake::model::Workspace;
use sessionlake::sink::lake::{Lake, LakeOptions, TableKind};

fn encode(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let dir = tempfile::tempdir().expect("a directory");
    let options = LakeOptions { url: dir.path().display().to_string(), ..LakeOptions::default() };
    let lake = runtime.block_on(Lake::open(&options)).expect("a lake");
    let table = runtime.block_on(lake.table(&Workspace::default(), TableKind::Facts, &common::key())).expect("a table");
    for (name, request) in [("logs100", common::logs100()), ("content100", common::content100())] {
        // As many as a flush gathers; what they are named does not matter to the encoder.
        let facts: Vec<_> = std::iter::repeat_n(common::facts(request), 20).flatten().collect();
        let mut group = c.benchmark_group("encode");
        group.sample_size(20);
        group.throughput(Throughput::Elements(facts.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| runtime.block_on(table.write_facts(&facts)).expect("written").len());
        });
        group.finish();
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
