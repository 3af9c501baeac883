//! One file to new files: a batch of rows at a time, a row group of the new file in memory.

use std::collections::{BTreeSet, HashMap};

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use futures::TryStreamExt;

use super::{Judge, Verdict};
use crate::sink::lake::decode::Batch;
use crate::sink::lake::maintain::{Form, Outputs};
use crate::sink::lake::reader::{self, BATCH_ROWS, Batches};
use crate::sink::lake::row::Row;
use crate::sink::lake::{LakeError, NewFile, Table, TableFile, heavy, log};

/// What became of a file's rows.
#[derive(Default)]
pub struct Copied {
    pub new: Vec<NewFile>,
    pub dropped: usize,
    pub replaced: usize,
    pub moved_to: BTreeSet<String>,
    /// Rows dropped or replaced, by session; empty where nobody asked.
    pub of_sessions: HashMap<String, usize>,
}

/// Copies what `judge` leaves of a file; `None`: it leaves everything. Nothing is written before the first row that
/// changes: most files have none. `by_session`: whether to count by session.
pub async fn copy<R: Row + 'static>(
    table: &Table,
    file: &TableFile,
    judge: &Judge<R>,
    by_session: bool,
) -> Result<Option<Copied>, LakeError> {
    let runtime = tokio::runtime::Handle::current();
    let (first, reader) = (batches(table, file).await?, FileReader::new(file, judge));
    let look = runtime.clone();
    if !heavy::run(move || look.block_on(reader.changes(first))).await?? {
        return Ok(None);
    }
    let form = Form::of(R::KIND, file.date, table.today(), file.size);
    let outputs = Outputs::new(table.place.clone(), table.clock.clone(), table.key.clone(), file.date, form);
    let (again, reader) = (batches(table, file).await?, FileReader::new(file, judge));
    let copying = Copying { reader, outputs, by_session, moved: Vec::new(), copied: Copied::default() };
    let (mut copied, moved) = heavy::run(move || runtime.block_on(copying.run(again))).await??;
    copied.moved_to.extend(moved.iter().filter_map(|row| row.session().map(str::to_owned)));
    copied.new.extend(table.write(&moved).await?);
    Ok(Some(copied))
}

async fn batches(table: &Table, file: &TableFile) -> Result<Batches, LakeError> {
    let place = &table.place;
    reader::batches(&place.store, place.file(&file.path), place.kind, file, BATCH_ROWS).await
}

/// Shows a file's rows to the judge.
struct FileReader<R> {
    path: String,
    date: i32,
    judge: Judge<R>,
}

impl<R: Row> FileReader<R> {
    fn new(file: &TableFile, judge: &Judge<R>) -> FileReader<R> {
        FileReader { path: file.path.clone(), date: file.date, judge: judge.clone() }
    }

    fn judged(&self, batch: &RecordBatch) -> Result<Vec<(R, Verdict<R>)>, LakeError> {
        let rows = R::decode(&Batch::new(&self.path, R::KIND, batch)?, self.date)?;
        let judged = rows.into_iter().map(|row| {
            let verdict = (self.judge)(&row);
            (row, verdict)
        });
        Ok(judged.collect())
    }

    /// Whether any row is not kept as it is.
    async fn changes(self, mut batches: Batches) -> Result<bool, LakeError> {
        while let Some(batch) = batches.try_next().await? {
            if self.judged(&batch)?.iter().any(|(_, verdict)| !matches!(verdict, Verdict::Keep)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

struct Copying<R> {
    reader: FileReader<R>,
    outputs: Outputs,
    by_session: bool,
    /// Rows that are of another session or day now.
    moved: Vec<R>,
    copied: Copied,
}

impl<R: Row> Copying<R> {
    async fn run(mut self, batches: Batches) -> Result<(Copied, Vec<R>), LakeError> {
        if let Err(error) = self.take_all(batches).await {
            self.outputs.discard().await;
            return Err(error);
        }
        self.copied.new = self.outputs.finish().await?;
        Ok((self.copied, self.moved))
    }

    async fn take_all(&mut self, mut batches: Batches) -> Result<(), LakeError> {
        while let Some(batch) = batches.try_next().await? {
            let bytes = batch.get_array_memory_size();
            let left = self.left(batch)?;
            if left.num_rows() > 0 {
                self.outputs.write(&left, bytes).await?;
            }
        }
        Ok(())
    }

    /// The rows of a batch that stay, replaced ones in their places.
    fn left(&mut self, batch: RecordBatch) -> Result<RecordBatch, LakeError> {
        let judged = self.reader.judged(&batch)?;
        let (count, mut picks, mut replaced) = (judged.len(), Vec::with_capacity(judged.len()), Vec::new());
        for (at, (row, verdict)) in judged.into_iter().enumerate() {
            if self.by_session && !matches!(verdict, Verdict::Keep) {
                *self.copied.of_sessions.entry(row.session().unwrap_or_default().to_owned()).or_default() += 1;
            }
            match verdict {
                Verdict::Keep => picks.push((0, at)),
                Verdict::Drop => self.copied.dropped += 1,
                Verdict::Replace(new) => {
                    self.copied.replaced += 1;
                    if new.session() == row.session() && log::clamp_day(new.date()) == self.reader.date {
                        picks.push((1, replaced.len()));
                        replaced.push(*new);
                    } else {
                        self.moved.push(*new);
                    }
                }
            }
        }
        if picks.len() == count && replaced.is_empty() {
            return Ok(batch);
        }
        let replaced = R::encode(&replaced.iter().collect::<Vec<_>>())?;
        Ok(interleave_record_batch(&[&batch, &replaced], &picks)?)
    }
}
