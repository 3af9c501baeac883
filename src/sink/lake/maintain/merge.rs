//! Sorted files to one sorted file, with a batch of each in memory.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use futures::TryStreamExt;
use uuid::Uuid;

use crate::sink::lake::layout::file_schema;
use crate::sink::lake::parquet::{FileWriter, GROUP_BYTES};
use crate::sink::lake::reader::Batches;
use crate::sink::lake::stats::FileStats;
use crate::sink::lake::{LakeError, NewFile, Table, TableFile, TableKind, heavy, log};

/// Rows and bytes (about) of the pieces that the new file is written in.
const PIECE_ROWS: usize = 4096;
const PIECE_BYTES: usize = 8 << 20;

impl Table {
    /// Writes the rows of files of one partition to one new file. Each was written by this program, or another that
    /// sorts as it does; otherwise the new file is less well sorted than it could be, and nothing else.
    pub async fn merge(&self, files: &[Arc<TableFile>]) -> Result<NewFile, LakeError> {
        let mut sources = Vec::with_capacity(files.len());
        for file in files {
            sources.push(self.batches(file).await?);
        }
        let (kind, date) = (self.place.kind, files.first().map_or(0, |file| file.date));
        let path = format!("{}={}/part-{}.zstd.parquet", kind.partition(), log::day_name(date), Uuid::new_v4());
        let written = self.clock.now();
        let (name, runtime) = (path.clone(), tokio::runtime::Handle::current());
        let merged = heavy::run(move || runtime.block_on(Merge::new(&name, kind, sources)?.run())).await??;
        let size = merged.bytes.len() as u64;
        self.place.store.put(&self.place.file(&path), merged.bytes.into()).await?;
        let file = TableFile { path, size, date, sessions: united(files) };
        Ok(NewFile { file, rows: merged.rows, stats: merged.stats.json(), written })
    }
}

fn united(files: &[Arc<TableFile>]) -> Option<Arc<[u64]>> {
    let mut tags = BTreeSet::new();
    for file in files {
        tags.extend(file.sessions.as_ref()?.iter());
    }
    Some(tags.into_iter().collect())
}

/// The columns that files of a table are sorted by.
fn order(kind: TableKind) -> &'static [&'static str] {
    match kind {
        TableKind::Facts => &["session_id", "time", "fact_id"],
        TableKind::Events => &["session_id", "seq"],
        TableKind::Sessions => &["session_id"],
        TableKind::Audit => &["time", "request_id"],
    }
}

/// A file being read.
struct Source {
    batches: Batches,
    /// Where its present batch is among those held.
    held: usize,
    keys: Rows,
    next: usize,
}

struct Merge {
    kind: TableKind,
    converter: RowConverter,
    sources: Vec<Source>,
    /// The next row of each source that has one.
    heads: BinaryHeap<Reverse<(OwnedRow, usize)>>,
    /// Batches that rows were picked of.
    held: Vec<RecordBatch>,
    /// Batch and row, in the order of the new file.
    picked: Vec<(usize, usize)>,
    picked_bytes: usize,
    group_bytes: usize,
    writer: FileWriter,
    merged: Merged,
}

struct Merged {
    bytes: Vec<u8>,
    rows: usize,
    stats: FileStats,
}

impl Merge {
    fn new(name: &str, kind: TableKind, batches: Vec<Batches>) -> Result<Merge, LakeError> {
        let schema = file_schema(kind);
        let types = order(kind).iter().filter_map(|name| schema.field_with_name(name).ok());
        let converter = RowConverter::new(types.map(|field| SortField::new(field.data_type().clone())).collect())?;
        let empty = |batches| Source { batches, held: 0, keys: converter.empty_rows(0, 0), next: 0 };
        Ok(Merge {
            kind,
            sources: batches.into_iter().map(empty).collect(),
            converter,
            heads: BinaryHeap::new(),
            held: Vec::new(),
            picked: Vec::new(),
            picked_bytes: 0,
            group_bytes: 0,
            // Small files become one that is hot still.
            writer: FileWriter::new(name, kind, 0)?,
            merged: Merged { bytes: Vec::new(), rows: 0, stats: FileStats::new(kind) },
        })
    }

    async fn run(mut self) -> Result<Merged, LakeError> {
        for source in 0..self.sources.len() {
            self.advance(source).await?;
        }
        while let Some(Reverse((_, source))) = self.heads.pop() {
            self.pick(source);
            if self.picked.len() >= PIECE_ROWS || self.picked_bytes >= PIECE_BYTES {
                self.write()?;
            }
            self.advance(source).await?;
        }
        self.write()?;
        self.merged.bytes = self.writer.finish()?;
        Ok(self.merged)
    }

    /// Makes a source's next row its head, from its next batch if need be.
    async fn advance(&mut self, source: usize) -> Result<(), LakeError> {
        while self.sources[source].next >= self.sources[source].keys.num_rows() {
            let Some(batch) = self.sources[source].batches.try_next().await? else { return Ok(()) };
            let keys = order(self.kind).iter().filter_map(|name| batch.column_by_name(name).cloned());
            let keys = self.converter.convert_columns(&keys.collect::<Vec<_>>())?;
            let held = self.held.len();
            self.held.push(batch);
            let state = &mut self.sources[source];
            (state.held, state.keys, state.next) = (held, keys, 0);
        }
        let state = &self.sources[source];
        self.heads.push(Reverse((state.keys.row(state.next).owned(), source)));
        Ok(())
    }

    fn pick(&mut self, source: usize) {
        let state = &mut self.sources[source];
        self.picked.push((state.held, state.next));
        state.next += 1;
        let batch = &self.held[state.held];
        self.picked_bytes += batch.get_array_memory_size() / batch.num_rows().max(1);
    }

    /// Writes what was picked, and lets go of the batches that are read to their end.
    fn write(&mut self) -> Result<(), LakeError> {
        if !self.picked.is_empty() {
            let batch = interleave_record_batch(&self.held.iter().collect::<Vec<_>>(), &self.picked)?;
            self.merged.stats.add(&batch);
            self.merged.rows += batch.num_rows();
            self.writer.write(&batch)?;
        }
        self.group_bytes += self.picked_bytes;
        if self.group_bytes >= GROUP_BYTES {
            self.writer.cut()?;
            self.group_bytes = 0;
        }
        self.picked.clear();
        self.picked_bytes = 0;
        let mut held = Vec::new();
        for source in self.sources.iter_mut().filter(|source| source.next < source.keys.num_rows()) {
            held.push(self.held[source.held].clone());
            source.held = held.len() - 1;
        }
        self.held = held;
        Ok(())
    }
}
