//! One file to new files: a batch of rows at a time, a part of the new file in memory.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use futures::TryStreamExt;
use object_store::path::Path;
use uuid::Uuid;

use super::{Judge, Verdict};
use crate::clock::Clock;
use crate::model::LakeKey;
use crate::sink::lake::decode::Batch;
use crate::sink::lake::parquet::{FileWriter, GROUP_BYTES, GROUP_ROWS};
use crate::sink::lake::row::Row;
use crate::sink::lake::stats::FileStats;
use crate::sink::lake::store::Store;
use crate::sink::lake::table::{MAX_TAGS, session_tag};
use crate::sink::lake::{LakeError, NewFile, Table, TableFile, heavy, log};

/// A new file ends at about that many bytes: it is in memory until it is written.
const PART_BYTES: usize = 32 << 20;

/// Larger files become files that are large enough for filters.
const LARGE_BYTES: u64 = 4 << 20;

/// What became of a file's rows.
#[derive(Default)]
pub struct Copied {
    pub new: Vec<NewFile>,
    pub dropped: usize,
    pub replaced: usize,
    pub moved_to: BTreeSet<String>,
}

/// Copies what `judge` leaves of a file; `None`: it leaves everything.
pub async fn copy<R: Row + 'static>(
    table: &Table,
    file: &TableFile,
    judge: &Judge<R>,
) -> Result<Option<Copied>, LakeError> {
    let mut copying = Copying {
        to: Destination {
            store: table.place.store.clone(),
            root: table.place.root.clone(),
            key: table.key.clone(),
            clock: table.clock.clone(),
            date: file.date,
            filters: file.size > LARGE_BYTES,
        },
        judge: judge.clone(),
        part: None,
        moved: Vec::new(),
        copied: Copied::default(),
    };
    let (name, mut batches) = (file.path.clone(), table.batches(file).await?);
    let runtime = tokio::runtime::Handle::current();
    let work = async move {
        while let Some(batch) = batches.try_next().await? {
            copying.take(&name, batch).await?;
        }
        copying.finish().await
    };
    let (copied, moved) = heavy::run(move || runtime.block_on(work)).await??;
    let mut copied = match copied {
        Some(copied) => copied,
        None => return Ok(None),
    };
    copied.moved_to.extend(moved.iter().filter_map(|row| row.session().map(str::to_owned)));
    copied.new.extend(table.write(&moved).await?);
    Ok(Some(copied))
}

/// Deletes files that no commit names. Nothing depends on it: what is left is an orphan like any other.
pub async fn discard(table: &Table, paths: &[String]) {
    for path in paths {
        let _ = table.place.store.delete(&table.place.file(path)).await;
    }
}

/// Where new files of a partition go.
struct Destination {
    store: Store,
    root: Path,
    key: LakeKey,
    clock: Clock,
    date: i32,
    filters: bool,
}

struct Copying<R> {
    to: Destination,
    judge: Judge<R>,
    part: Option<Part>,
    /// Rows that are of another session or day now.
    moved: Vec<R>,
    copied: Copied,
}

impl<R: Row> Copying<R> {
    async fn take(&mut self, name: &str, batch: RecordBatch) -> Result<(), LakeError> {
        let left = self.left(name, batch)?;
        if left.num_rows() == 0 {
            return Ok(());
        }
        let part = match &mut self.part {
            Some(part) => part,
            none => none.insert(Part::new::<R>(&self.to)?),
        };
        part.write(&self.to.key, &left)?;
        if part.writer.size() >= PART_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    /// The rows of a batch that stay, replaced ones in their places.
    fn left(&mut self, name: &str, batch: RecordBatch) -> Result<RecordBatch, LakeError> {
        let rows = R::decode(&Batch::new(name, R::KIND, &batch)?, self.to.date)?;
        let (mut picks, mut replaced) = (Vec::with_capacity(rows.len()), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            match (self.judge)(row) {
                Verdict::Keep => picks.push((0, at)),
                Verdict::Drop => self.copied.dropped += 1,
                Verdict::Replace(new) => {
                    self.copied.replaced += 1;
                    if new.session() == row.session() && log::clamp_day(new.date()) == self.to.date {
                        picks.push((1, replaced.len()));
                        replaced.push(*new);
                    } else {
                        self.moved.push(*new);
                    }
                }
            }
        }
        if picks.len() == rows.len() && replaced.is_empty() {
            return Ok(batch);
        }
        let replaced = R::encode(&replaced.iter().collect::<Vec<_>>())?;
        Ok(interleave_record_batch(&[&batch, &replaced], &picks)?)
    }

    async fn write(&mut self) -> Result<(), LakeError> {
        if let Some(part) = self.part.take() {
            self.copied.new.push(part.put(&self.to).await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(Option<Copied>, Vec<R>), LakeError> {
        if self.copied.dropped == 0 && self.copied.replaced == 0 {
            for new in &self.copied.new {
                let path = new.file.path.split('/').fold(self.to.root.clone(), |root, part| root.join(part));
                self.to.store.delete(&path).await?;
            }
            return Ok((None, Vec::new()));
        }
        self.write().await?;
        Ok((Some(self.copied), self.moved))
    }
}

/// A new file in memory.
struct Part {
    path: String,
    writer: FileWriter,
    stats: FileStats,
    tags: BTreeSet<u64>,
    rows: usize,
    group: (usize, usize),
}

impl Part {
    fn new<R: Row>(to: &Destination) -> Result<Part, LakeError> {
        let path = format!("{}={}/part-{}.zstd.parquet", R::KIND.partition(), log::day_name(to.date), Uuid::new_v4());
        let rows = if to.filters { usize::MAX } else { 0 };
        let writer = FileWriter::new(&path, R::KIND, rows)?;
        Ok(Part { path, writer, stats: FileStats::new(R::KIND), tags: BTreeSet::new(), rows: 0, group: (0, 0) })
    }

    fn write(&mut self, key: &LakeKey, batch: &RecordBatch) -> Result<(), LakeError> {
        if let Some(ids) = batch.column_by_name("session_id").and_then(|column| column.as_string_opt::<i32>()) {
            let mut last = None;
            for id in ids.iter().flatten().filter(|id| last.replace(*id) != Some(*id)) {
                self.tags.insert(session_tag(key, id));
            }
        }
        self.stats.add(batch);
        self.rows += batch.num_rows();
        self.writer.write(batch)?;
        self.group.0 += batch.num_rows();
        self.group.1 += batch.get_array_memory_size();
        if self.group.0 >= GROUP_ROWS || self.group.1 >= GROUP_BYTES {
            self.writer.cut()?;
            self.group = (0, 0);
        }
        Ok(())
    }

    async fn put(self, to: &Destination) -> Result<NewFile, LakeError> {
        let (bytes, written) = (self.writer.finish()?, to.clock.now());
        let size = bytes.len() as u64;
        let path = self.path.split('/').fold(to.root.clone(), |root, part| root.join(part));
        to.store.put(&path, bytes.into()).await?;
        let sessions = (self.tags.len() <= MAX_TAGS).then(|| self.tags.into_iter().collect());
        let file = TableFile { path: self.path, size, date: to.date, sessions };
        Ok(NewFile { file, rows: self.rows, stats: self.stats.json(), written })
    }
}
