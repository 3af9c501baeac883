//! Rows in columns, on their way to a file.
//!
//! A fact or an event as a struct takes two kilobytes in twenty allocations. In columns it takes less than half of that,
//! and what it took before is free for the next ones at once. What a file holds beside the rows that are replaced stays
//! in columns from file to file.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{filter_record_batch, interleave_record_batch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::PutPayload;

use super::encode;
use super::error::LakeError;
use super::log;
use super::parquet::{FileWriter, Shape};
use super::reader::{self, BATCH_ROWS, Batches};
use super::row::{Row, day_of};
use super::stats::FileStats;
use super::{NewFile, Table, TableFile, TableKind, heavy};
use crate::model::Fact;

/// Rows and bytes (about) of the pieces that a file is written in.
const PIECE_ROWS: usize = 4096;
const PIECE_BYTES: usize = 4 << 20;
/// Rows of a block, about.
const BLOCK_ROWS: usize = 1024;
/// Files put at the same time: on S3 that is mostly waiting.
const CONCURRENT: usize = 8;

/// Rows of one table in columns, in any order.
#[derive(Clone, Debug)]
pub struct Block {
    batch: RecordBatch,
    /// The partition: days since 1970-01-01; `None`: each row's own, that of its `received_at`.
    date: Option<i32>,
}

impl Block {
    /// Facts of any days.
    pub fn of(facts: &[Fact]) -> Result<Block, LakeError> {
        #[cfg(test)]
        super::testing::meet_poison(facts)?;
        Ok(Block { batch: encode::facts(&facts.iter().collect::<Vec<_>>())?, date: None })
    }

    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// Bytes that it takes in memory.
    pub fn bytes(&self) -> usize {
        self.batch.get_array_memory_size()
    }

    /// The rows in the schema of their files.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The partition of all its rows: days since 1970-01-01. `None`: each row has its own.
    pub fn date(&self) -> Option<i32> {
        self.date
    }

    /// These rows of it.
    #[must_use]
    pub fn part(&self, rows: Range<usize>) -> Block {
        Block { batch: self.batch.slice(rows.start, rows.len()), date: self.date }
    }

    /// A text column's values; none where there is no such column.
    pub fn texts(&self, column: &str) -> Option<&StringArray> {
        self.batch.column_by_name(column)?.as_string_opt::<i32>()
    }

    /// The rows chosen.
    pub fn only(&self, rows: &BooleanArray) -> Result<Block, LakeError> {
        Ok(Block { batch: filter_record_batch(&self.batch, rows)?, date: self.date })
    }
}

/// Rows that become blocks as they come.
pub struct Blocks<R> {
    /// By partition.
    rows: BTreeMap<i32, Vec<R>>,
    blocks: Vec<Block>,
}

impl<R> Default for Blocks<R> {
    fn default() -> Blocks<R> {
        Blocks { rows: BTreeMap::new(), blocks: Vec::new() }
    }
}

#[expect(private_bounds, reason = "the rows are those of the three tables")]
impl<R: Row> Blocks<R> {
    pub fn add(&mut self, row: R) -> Result<(), LakeError> {
        let date = row.date();
        let rows = self.rows.entry(date).or_default();
        rows.push(row);
        if rows.len() >= BLOCK_ROWS {
            self.blocks.push(block(date, &rows.iter().collect::<Vec<_>>())?);
            // Their place is kept for the next ones.
            rows.clear();
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<Block>, LakeError> {
        for (date, rows) in self.rows.iter().filter(|(_, rows)| !rows.is_empty()) {
            self.blocks.push(block(*date, &rows.iter().collect::<Vec<_>>())?);
        }
        Ok(self.blocks)
    }
}

fn block<R: Row>(date: i32, rows: &[&R]) -> Result<Block, LakeError> {
    Ok(Block { batch: R::encode(rows)?, date: Some(date) })
}

impl Table {
    pub(super) async fn write<R: Row>(&self, rows: &[R]) -> Result<Vec<NewFile>, LakeError> {
        let mut days: BTreeMap<i32, Vec<&R>> = BTreeMap::new();
        rows.iter().for_each(|row| days.entry(row.date()).or_default().push(row));
        let blocks = days.iter().map(|(date, rows)| block(*date, rows)).collect::<Result<_, _>>()?;
        self.write_blocks(blocks, None).await
    }

    /// Writes rows, sorted and cut by partition, to new files; `sessions`: so many sessions in a file at most.
    pub async fn write_blocks(&self, blocks: Vec<Block>, sessions: Option<usize>) -> Result<Vec<NewFile>, LakeError> {
        let kind = self.place.kind;
        let files = heavy::run(move || encoded(kind, &blocks, sessions.unwrap_or(usize::MAX))).await??;
        stream::iter(files).map(|file| self.put(file)).buffered(CONCURRENT).try_collect().await
    }

    async fn put(&self, new: Encoded) -> Result<NewFile, LakeError> {
        let (size, written) = (new.bytes.content_length() as u64, self.clock.now());
        self.place.store.put(&self.place.file(&new.path), new.bytes).await?;
        let sessions = self.tags(&new.sessions);
        let file = TableFile { path: new.path, size, date: new.date, sessions, lasting: false };
        Ok(NewFile { file, rows: new.rows, stats: new.stats.json(), written })
    }

    /// A file's rows but those of `sessions`; `None`: it has none of them.
    pub async fn rows_beside(
        &self,
        file: &TableFile,
        sessions: Arc<HashSet<String>>,
    ) -> Result<Option<Vec<Block>>, LakeError> {
        let (path, date) = (self.place.file(&file.path), file.date);
        let batches = reader::batches(&self.place.store, path, self.place.kind, file, BATCH_ROWS).await?;
        let runtime = tokio::runtime::Handle::current();
        heavy::run(move || runtime.block_on(beside(batches, date, &sessions))).await?
    }
}

async fn beside(mut batches: Batches, date: i32, sessions: &HashSet<String>) -> Result<Option<Vec<Block>>, LakeError> {
    let (mut blocks, mut met) = (Vec::new(), false);
    while let Some(batch) = batches.try_next().await? {
        let block = Block { batch, date: Some(date) };
        let ids = block.texts(SESSION).ok_or_else(|| missing(SESSION))?;
        let others: BooleanArray = ids.iter().map(|id| Some(id.is_none_or(|id| !sessions.contains(id)))).collect();
        met |= others.true_count() < block.rows();
        if others.true_count() > 0 {
            blocks.push(block.only(&others)?);
        }
    }
    Ok(met.then_some(blocks))
}

const SESSION: &str = "session_id";

/// What a table's files are sorted by: the session, then a number (facts: the time; events: `seq`), then a text (facts:
/// the id).
struct Keys<'a> {
    /// `None`: the table's rows are of no session.
    session: Option<&'a StringArray>,
    number: Option<&'a ScalarBuffer<i64>>,
    id: Option<&'a StringArray>,
}

impl<'a> Keys<'a> {
    fn of(kind: TableKind, block: &'a Block) -> Result<Keys<'a>, LakeError> {
        let (number, id) = match kind {
            TableKind::Facts => (Some("time"), Some("fact_id")),
            TableKind::Events => (Some("seq"), None),
            TableKind::Sessions => (None, None),
            TableKind::Audit => (Some("time"), Some("request_id")),
        };
        let text = |name| block.texts(name).ok_or_else(|| missing(name));
        let number = number.map(|name| numbers(block, name).ok_or_else(|| missing(name))).transpose()?;
        let session = (kind != TableKind::Audit).then(|| text(SESSION)).transpose()?;
        Ok(Keys { session, number, id: id.map(text).transpose()? })
    }

    fn session(&self, row: usize) -> Option<&'a str> {
        self.session.filter(|session| session.is_valid(row)).map(|session| session.value(row))
    }

    fn key(&self, row: usize) -> (Option<&'a str>, Option<i64>, Option<&'a str>) {
        (self.session(row), self.number.map(|numbers| numbers[row]), self.id.map(|ids| ids.value(row)))
    }
}

/// A column of numbers or times.
fn numbers<'a>(block: &'a Block, name: &str) -> Option<&'a ScalarBuffer<i64>> {
    let column = block.batch.column_by_name(name)?;
    match column.as_primitive_opt::<Int64Type>() {
        Some(numbers) => Some(numbers.values()),
        None => Some(column.as_primitive_opt::<TimestampMicrosecondType>()?.values()),
    }
}

fn missing(name: &str) -> LakeError {
    ArrowError::SchemaError(format!("rows without a column {name}")).into()
}

/// A row by the number of its block and its place there.
type Place = (usize, usize);

/// The rows of each day, sorted.
fn sorted(blocks: &[Block], keys: &[Keys<'_>]) -> Result<BTreeMap<i32, Vec<Place>>, LakeError> {
    let mut days: BTreeMap<i32, Vec<Place>> = BTreeMap::new();
    for (number, block) in blocks.iter().enumerate() {
        match block.date {
            Some(date) => {
                days.entry(log::clamp_day(date)).or_default().extend((0..block.rows()).map(|row| (number, row)))
            }
            None => {
                let received = numbers(block, "received_at").ok_or_else(|| missing("received_at"))?;
                for (row, at) in received.iter().enumerate() {
                    days.entry(log::clamp_day(day_of(*at))).or_default().push((number, row));
                }
            }
        }
    }
    let key = |(block, row): Place| keys[block].key(row);
    days.values_mut().for_each(|places| places.sort_unstable_by(|a, b| key(*a).cmp(&key(*b))));
    Ok(days)
}

/// A file's bytes, and what is said of it.
struct Encoded {
    date: i32,
    path: String,
    bytes: PutPayload,
    rows: usize,
    stats: FileStats,
    /// Sorted, each once.
    sessions: Vec<String>,
}

/// The files of all days.
fn encoded(kind: TableKind, blocks: &[Block], most: usize) -> Result<Vec<Encoded>, LakeError> {
    let keys = blocks.iter().map(|block| Keys::of(kind, block)).collect::<Result<Vec<_>, _>>()?;
    let source = Source { kind, batches: blocks.iter().map(|block| &block.batch).collect(), keys: &keys };
    let mut files = Vec::new();
    for (date, places) in sorted(blocks, &keys)? {
        for (sessions, places) in source.by_sessions(&places, most) {
            files.push(source.encode(date, places, sessions)?);
        }
    }
    Ok(files)
}

/// Blocks that files are made of.
struct Source<'a> {
    kind: TableKind,
    batches: Vec<&'a RecordBatch>,
    keys: &'a [Keys<'a>],
}

impl Source<'_> {
    /// Cuts sorted rows into parts of at most `most` sessions each.
    fn by_sessions<'p>(&self, places: &'p [Place], most: usize) -> Vec<(Vec<String>, &'p [Place])> {
        let (mut parts, mut start, mut sessions) = (Vec::new(), 0, Vec::<String>::new());
        for (at, (block, row)) in places.iter().enumerate() {
            let Some(session) = self.keys[*block].session(*row) else { continue };
            if sessions.last().is_some_and(|last| last == session) {
                continue;
            }
            if sessions.len() == most {
                parts.push((std::mem::take(&mut sessions), &places[start..at]));
                start = at;
            }
            sessions.push(session.to_owned());
        }
        parts.push((sessions, &places[start..]));
        parts
    }

    fn encode(&self, date: i32, places: &[Place], sessions: Vec<String>) -> Result<Encoded, LakeError> {
        let path = log::new_path(self.kind, date);
        let mut writer = FileWriter::new(&path, self.kind, Shape::hot(places.len()))?;
        let mut stats = FileStats::new(self.kind);
        let row_bytes: Vec<usize> =
            self.batches.iter().map(|batch| batch.get_array_memory_size() / batch.num_rows().max(1)).collect();
        for (piece, bytes) in pieces(places, &row_bytes) {
            let piece = interleave_record_batch(&self.batches, piece)?;
            stats.add(&piece);
            writer.write(&piece, bytes)?;
        }
        Ok(Encoded { date, path, bytes: writer.finish()?, rows: places.len(), stats, sessions })
    }
}

/// Cuts into pieces, with about how many bytes each takes. `row_bytes`: what a row of each block takes.
fn pieces<'p>(places: &'p [Place], row_bytes: &[usize]) -> Vec<(&'p [Place], usize)> {
    let (mut pieces, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, (block, _)) in places.iter().enumerate() {
        if at > start && (at - start >= PIECE_ROWS || bytes + row_bytes[*block] > PIECE_BYTES) {
            pieces.push((&places[start..at], bytes));
            (start, bytes) = (at, 0);
        }
        bytes += row_bytes[*block];
    }
    if start < places.len() {
        pieces.push((&places[start..], bytes));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;
    use crate::sink::lake::testing::{TestLake, fact};

    /// Sealing finds a session's facts by the order in a file, and a day's by its partition.
    #[tokio::test]
    async fn facts_of_several_blocks_are_sorted_into_a_file_for_each_day() {
        let lake = TestLake::new().await;
        let table = lake.table(TableKind::Facts).await;
        let day = 86_400_000_000;
        let facts = |session: &str, numbers: std::ops::Range<u64>, at: i64| -> Vec<Fact> {
            numbers.map(|n| fact(session, n, Kind::Prompt, at + n as i64)).collect()
        };
        let blocks = [
            facts("b", 5000..10_000, 0),
            facts("a", 0..10, day),
            [facts("b", 0..5000, 0), facts("a", 0..7, 0)].concat(),
        ];
        let blocks = blocks.map(|facts| Block::of(&facts).unwrap());
        let tail = blocks[1].part(8..10);
        let files = table.write_blocks(blocks.into_iter().chain([tail]).collect(), None).await.unwrap();
        let found: Vec<_> = files.iter().map(|new| (new.file.date, new.rows)).collect();
        assert_eq!(found, [(0, 10_007), (1, 12)]);
        let tags = |sessions: &[&str]| {
            let mut tags: Vec<u64> = sessions.iter().map(|session| table.session_tag(session)).collect();
            tags.sort_unstable();
            tags
        };
        assert_eq!(files[0].file.listed(), Some(&*tags(&["a", "b"])));
        assert_eq!(files[1].file.listed(), Some(&*tags(&["a"])));
        let read = table.read_facts(&files[0].file, None).await.unwrap();
        assert_eq!(read.len(), 10_007);
        assert!(read.is_sorted_by_key(|fact| (fact.session_id.clone(), fact.time, fact.fact_id)));
        assert_eq!(read[0], facts("a", 0..1, 0)[0], "as it was");
    }

    /// Where a running session ends, its file is written anew: few others may stand in it.
    #[tokio::test]
    async fn files_are_cut_by_sessions_and_keep_the_rows_beside_those_that_go() {
        let lake = TestLake::new().await;
        let table = lake.table(TableKind::Facts).await;
        let facts: Vec<Fact> = (0..50).map(|n| fact(&format!("s{}", n % 5), n, Kind::Prompt, n as i64)).collect();
        let files = table.write_blocks(vec![Block::of(&facts).unwrap()], Some(2)).await.unwrap();
        assert_eq!(files.iter().map(|new| new.rows).collect::<Vec<_>>(), [20, 20, 10]);
        let named = |names: &[&str]| Arc::new(names.iter().map(|name| (*name).to_owned()).collect::<HashSet<String>>());
        let beside = table.rows_beside(&files[0].file, named(&["s1", "s4"])).await.unwrap().unwrap();
        assert_eq!(beside.iter().map(Block::rows).sum::<usize>(), 10);
        assert!(beside.iter().all(|block| block.texts(SESSION).unwrap().iter().all(|id| id == Some("s0"))));
        assert!(table.rows_beside(&files[0].file, named(&["s4"])).await.unwrap().is_none());
    }

    #[test]
    fn pieces_end_by_rows_and_by_bytes() {
        let places: Vec<Place> = (0..10_000).map(|row| (0, row)).collect();
        let lengths = |bytes| pieces(&places, &[bytes]).iter().map(|(piece, _)| piece.len()).collect::<Vec<_>>();
        assert_eq!(lengths(1), [PIECE_ROWS, PIECE_ROWS, 10_000 - 2 * PIECE_ROWS]);
        assert_eq!(lengths(PIECE_BYTES + 1).len(), 10_000, "one row at least");
    }
}
