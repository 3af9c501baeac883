//! Sorted files to sorted files, with a few rows of each in memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use futures::TryStreamExt;

use super::choose::Form;
use super::handle::Handle;
use super::output::Outputs;
use crate::clock::Clock;
use crate::model::LakeKey;
use crate::sink::lake::layout::file_schema;
use crate::sink::lake::place::Place;
use crate::sink::lake::reader::{self, Batches};
use crate::sink::lake::{LakeError, NewFile, Table, TableFile, TableKind, heavy};

/// Rows and bytes (about) of the pieces that new files are written in.
const PIECE_ROWS: usize = 2048;
const PIECE_BYTES: usize = 4 << 20;
/// Rows that are read of all sources together.
const ROWS_HELD: usize = 4096;

/// What a merge needs of a table: it follows no log, so that it can go on beside whoever does.
#[derive(Clone)]
pub struct Merger {
    place: Place,
    clock: Clock,
    key: LakeKey,
}

impl Merger {
    pub fn of(table: &Table) -> Merger {
        Merger { place: table.place.clone(), clock: table.clock.clone(), key: table.key.clone() }
    }

    /// Writes the rows of files of one partition to new files, each sorted and about [`super::output::TARGET`] at most.
    /// The files were written by this program, or another that sorts as it does; otherwise the new ones are less well
    /// sorted than they could be, and nothing else. `None`: it was told to stop.
    ///
    /// # Errors
    /// A file cannot be read, or none written. What was written is taken away again.
    pub async fn merge(
        &self,
        files: &[Arc<TableFile>],
        form: Form,
        handle: Handle,
    ) -> Result<Option<Vec<NewFile>>, LakeError> {
        let rows = (ROWS_HELD / files.len().max(1)).clamp(128, 1024);
        let mut sources = Vec::with_capacity(files.len());
        for file in files {
            let path = self.place.file(&file.path);
            sources.push(reader::batches(&self.place.store, path, self.place.kind, file, rows).await?);
        }
        let date = files.first().map_or(0, |file| file.date);
        let outputs = Outputs::new(self.place.clone(), self.clock.clone(), self.key.clone(), date, form);
        let (kind, runtime) = (self.place.kind, tokio::runtime::Handle::current());
        heavy::run(move || runtime.block_on(Merge::new(kind, sources, outputs, handle)?.run())).await?
    }
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
    /// Bytes of a row of it, about.
    row_bytes: usize,
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
    /// Batch and row, in the order of the new files.
    picked: Vec<(usize, usize)>,
    picked_bytes: usize,
    outputs: Outputs,
    handle: Handle,
}

impl Merge {
    fn new(kind: TableKind, batches: Vec<Batches>, outputs: Outputs, handle: Handle) -> Result<Merge, LakeError> {
        let schema = file_schema(kind);
        let types = order(kind).iter().filter_map(|name| schema.field_with_name(name).ok());
        let converter = RowConverter::new(types.map(|field| SortField::new(field.data_type().clone())).collect())?;
        let empty = |batches| Source { batches, held: 0, keys: converter.empty_rows(0, 0), row_bytes: 0, next: 0 };
        Ok(Merge {
            kind,
            sources: batches.into_iter().map(empty).collect(),
            converter,
            heads: BinaryHeap::new(),
            held: Vec::new(),
            picked: Vec::new(),
            picked_bytes: 0,
            outputs,
            handle,
        })
    }

    async fn run(mut self) -> Result<Option<Vec<NewFile>>, LakeError> {
        match self.write_all().await {
            Ok(true) => self.outputs.finish().await.map(Some),
            Ok(false) => {
                self.outputs.discard().await;
                Ok(None)
            }
            Err(error) => {
                self.outputs.discard().await;
                Err(error)
            }
        }
    }

    /// `false`: it was told to stop.
    async fn write_all(&mut self) -> Result<bool, LakeError> {
        for source in 0..self.sources.len() {
            self.advance(source).await?;
        }
        while let Some(Reverse((_, source))) = self.heads.pop() {
            self.pick(source);
            if self.picked.len() >= PIECE_ROWS || self.picked_bytes >= PIECE_BYTES {
                if self.handle.is_stopped() {
                    return Ok(false);
                }
                self.write().await?;
            }
            self.advance(source).await?;
        }
        self.write().await?;
        Ok(true)
    }

    /// Makes a source's next row its head, from its next batch if need be.
    async fn advance(&mut self, source: usize) -> Result<(), LakeError> {
        while self.sources[source].next >= self.sources[source].keys.num_rows() {
            let Some(batch) = self.sources[source].batches.try_next().await? else { return Ok(()) };
            let keys = order(self.kind).iter().filter_map(|name| batch.column_by_name(name).cloned());
            let keys = self.converter.convert_columns(&keys.collect::<Vec<_>>())?;
            let state = &mut self.sources[source];
            state.row_bytes = batch.get_array_memory_size() / batch.num_rows().max(1);
            (state.held, state.keys, state.next) = (self.held.len(), keys, 0);
            self.held.push(batch);
        }
        let state = &self.sources[source];
        self.heads.push(Reverse((state.keys.row(state.next).owned(), source)));
        Ok(())
    }

    fn pick(&mut self, source: usize) {
        let state = &mut self.sources[source];
        self.picked.push((state.held, state.next));
        self.picked_bytes += state.row_bytes;
        state.next += 1;
    }

    /// Writes what was picked, and lets go of the batches that are read to their end.
    async fn write(&mut self) -> Result<(), LakeError> {
        if !self.picked.is_empty() {
            let batch = interleave_record_batch(&self.held.iter().collect::<Vec<_>>(), &self.picked)?;
            self.outputs.write(&batch, self.picked_bytes).await?;
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
