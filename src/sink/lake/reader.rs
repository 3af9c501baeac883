//! Parquet files to rows.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, TryStreamExt, future};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, ArrowReaderOptions, RowFilter};
use parquet::arrow::async_reader::{AsyncFileReader, ParquetRecordBatchStreamBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::decode::{self, Batch};
use super::error::LakeError;
use super::heavy;
use super::row::Row;
use super::store::Store;
use super::table::{TableFile, TableKind};
use super::tags::Gathered;
use crate::model::{FactId, Kind, LakeKey};

const SESSION: &str = "session_id";
const FACT_ID: &str = "fact_id";
/// Covers the footer of almost every file, so that opening one is a single read.
const FOOTER_HINT: usize = 64 << 10;
/// Rows decoded at a time.
pub(super) const BATCH_ROWS: usize = 2048;

type Reader = ParquetRecordBatchStreamBuilder<Ranges>;

/// A file as ranges of bytes.
struct Ranges {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for Ranges {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.store.get_range(&self.path, range).map_err(external).boxed()
    }

    /// The store joins ranges that lie close to each other into one request.
    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let size = self.size;
        let metadata =
            ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(Some(FOOTER_HINT));
        async move { metadata.load_and_finish(self, size).await.map(Arc::new) }.boxed()
    }
}

/// The rows of a file; with `sessions`, only theirs. Decoding is CPU work: it runs on the threads for blocking work,
/// which ask the runtime for the bytes they need.
pub(super) async fn read<R: Row + 'static>(
    store: &Store,
    path: Path,
    file: &TableFile,
    sessions: Option<&HashSet<String>>,
) -> Result<Vec<R>, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let (sessions, date) = (sessions.cloned().map(Arc::new), file.date);
    let runtime = tokio::runtime::Handle::current();
    heavy::run(move || runtime.block_on(rows(reader, path, date, sessions))).await?
}

/// The rows of a file as a stream of batches in the table's present schema, in the file's order.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch, LakeError>>;

/// Opens a file whole; batches have so many rows at most.
pub(super) async fn batches(
    store: &Store,
    path: Path,
    kind: TableKind,
    file: &TableFile,
    rows: usize,
) -> Result<Batches, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let name = path.to_string();
    let failed = move |source| LakeError::Parquet { file: name.clone(), source };
    let builder = filled(Reader::new(reader).await.map_err(failed.clone())?).with_batch_size(rows);
    let batches = builder.build().map_err(failed.clone())?.map_err(failed);
    Ok(batches.and_then(move |batch| future::ready(decode::conform(path.as_ref(), kind, &batch))).boxed())
}

/// What a fact says about which session is to be sealed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub session_id: Option<String>,
    pub kind: Kind,
    /// UTC microseconds.
    pub received_at: i64,
}

/// Whether a file holds a row of any of these sessions.
pub(super) async fn holds(
    store: &Store,
    path: Path,
    file: &TableFile,
    sessions: &HashSet<String>,
) -> Result<bool, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let failed = |source| LakeError::Parquet { file: path.to_string(), source };
    let builder = Reader::new(reader).await.map_err(failed)?.with_batch_size(BATCH_ROWS);
    let mask = ProjectionMask::columns(builder.parquet_schema(), [SESSION]);
    let builder = only(builder, Arc::new(sessions.clone())).map_err(failed)?.with_projection(mask);
    let mut batches = builder.build().map_err(failed)?;
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        if batch.num_rows() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Some columns of a file, as they are stored.
async fn columns(
    reader: Ranges,
    path: &Path,
    names: &[&str],
) -> Result<impl Stream<Item = Result<RecordBatch, LakeError>> + Unpin + use<>, LakeError> {
    let name = path.to_string();
    let failed = move |source| LakeError::Parquet { file: name.clone(), source };
    let builder = Reader::new(reader).await.map_err(failed.clone())?.with_batch_size(BATCH_ROWS);
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
    Ok(builder.with_projection(mask).build().map_err(failed.clone())?.map_err(failed))
}

/// The tags of a file's sessions.
pub(super) async fn session_tags(
    store: &Store,
    path: Path,
    file: &TableFile,
    key: &LakeKey,
) -> Result<Vec<u64>, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let (runtime, gathered) = (tokio::runtime::Handle::current(), Gathered::new(key.clone()));
    heavy::run(move || runtime.block_on(tags(reader, path, gathered))).await?
}

async fn tags(reader: Ranges, path: Path, mut gathered: Gathered) -> Result<Vec<u64>, LakeError> {
    let mut batches = columns(reader, &path, &[SESSION]).await?;
    while let Some(batch) = batches.try_next().await? {
        let ids = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
        gathered.add(ids.as_string());
    }
    Ok(gathered.finish())
}

/// As [`read`], three columns only.
pub(super) async fn seen(store: &Store, path: Path, file: &TableFile) -> Result<Vec<Seen>, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let runtime = tokio::runtime::Handle::current();
    heavy::run(move || runtime.block_on(seen_rows(reader, path))).await?
}

async fn seen_rows(reader: Ranges, path: Path) -> Result<Vec<Seen>, LakeError> {
    let mut batches = columns(reader, &path, &decode::SEEN).await?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        rows.extend(decode::seen(path.as_ref(), &batch)?);
    }
    Ok(rows)
}

/// The ids of a file's facts.
pub(super) async fn fact_ids(store: &Store, path: Path, file: &TableFile) -> Result<Vec<FactId>, LakeError> {
    let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
    let mut batches = columns(reader, &path, &[FACT_ID]).await?;
    let mut found = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        let ids = batch.column_by_name(FACT_ID).and_then(|ids| ids.as_string_opt::<i32>());
        let ids = ids.ok_or_else(|| LakeError::Column { file: path.to_string(), column: FACT_ID.to_owned() })?;
        found.extend(ids.iter().flatten().filter_map(FactId::parse));
    }
    Ok(found)
}

async fn rows<R: Row>(
    reader: Ranges,
    path: Path,
    date: i32,
    sessions: Option<Arc<HashSet<String>>>,
) -> Result<Vec<R>, LakeError> {
    let failed = |source| LakeError::Parquet { file: path.to_string(), source };
    let mut builder = filled(Reader::new(reader).await.map_err(failed)?).with_batch_size(BATCH_ROWS);
    if let Some(sessions) = sessions {
        builder = only(builder, sessions).map_err(failed)?;
    }
    let mut batches = builder.build().map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await.map_err(failed)? {
        rows.extend(R::decode(&Batch::new(path.as_ref(), R::KIND, &batch)?, date)?);
    }
    Ok(rows)
}

/// Leaves out columns without a value, which a small file has many of: for each one that is read a decompressor is set
/// up, whatever is in it.
fn filled(builder: Reader) -> Reader {
    let schema = builder.parquet_schema();
    let groups = builder.metadata().row_groups();
    let is_null = |group: &RowGroupMetaData, leaf: usize| {
        let chunk = group.column(leaf);
        let nulls = chunk.statistics().and_then(Statistics::null_count_opt);
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(chunk.num_values()))
    };
    // A list without items counts as a null among its items; a struct is read with all of its members or not at all.
    let is_plain = |leaf: usize| {
        let column = schema.column(leaf);
        column.max_rep_level() == 0 && column.max_def_level() == 1 && column.path().parts().len() == 1
    };
    let empty = |leaf: &usize| is_plain(*leaf) && groups.iter().all(|group| is_null(group, *leaf));
    let mask = ProjectionMask::leaves(schema, (0..schema.num_columns()).filter(|leaf| !empty(leaf)));
    builder.with_projection(mask)
}

/// Leaves out row groups whose range of session ids holds none of `sessions`, and decodes the other columns of the
/// rest only where the session matches.
fn only(builder: Reader, sessions: Arc<HashSet<String>>) -> Result<Reader, ParquetError> {
    let groups = candidates(&builder, &sessions)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [SESSION]);
    let wanted = ArrowPredicateFn::new(mask, move |batch: RecordBatch| {
        let ids = arrow::compute::cast(batch.column(0), &DataType::Utf8)?;
        Ok(ids
            .as_string::<i32>()
            .iter()
            .map(|id| Some(id.is_some_and(|id| sessions.contains(id))))
            .collect::<BooleanArray>())
    });
    Ok(builder.with_row_groups(groups).with_row_filter(RowFilter::new(vec![Box::new(wanted)])))
}

fn candidates(builder: &Reader, sessions: &HashSet<String>) -> Result<Vec<usize>, ParquetError> {
    let metadata = builder.metadata().row_groups();
    let ranges = StatisticsConverter::try_new(SESSION, builder.schema(), builder.parquet_schema())?;
    let (low, high) = (ranges.row_group_mins(metadata)?, ranges.row_group_maxes(metadata)?);
    let (Some(low), Some(high)) = (low.as_string_opt::<i32>(), high.as_string_opt::<i32>()) else {
        return Ok((0..metadata.len()).collect());
    };
    // Cut statistics are still bounds: a minimum is cut, a maximum is cut and raised.
    let may_hold = |group: &usize| {
        low.is_null(*group)
            || high.is_null(*group)
            || sessions.iter().any(|id| (low.value(*group)..=high.value(*group)).contains(&id.as_str()))
    };
    Ok((0..metadata.len()).filter(may_hold).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Fact;
    use crate::sink::lake::testing::{TestLake, fact};

    #[tokio::test]
    async fn columns_without_a_value_are_not_read_and_come_back_as_nulls() {
        let lake = TestLake::new().await;
        let mut traced = fact("a", 1, Kind::Prompt, 0);
        traced.columns.trace_id = Some("0af7651916cd43dd8448eb211c80319c".to_owned());
        lake.append(&[fact("a", 0, Kind::Prompt, 0), traced.clone()]).await;
        let table = lake.table(TableKind::Facts).await;
        let file = table.files().await.unwrap().pop().unwrap();
        let (store, path) = (&table.place.store, table.location(&file));
        let reader = Ranges { store: store.root.clone(), path: path.clone(), size: file.size };
        let batches = filled(Reader::new(reader).await.unwrap()).build().unwrap();
        let read: Vec<&str> = batches.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let (some, none) = (["session_id", "content", "trace_id", "truncated"], ["span_id", "end_time", "cost_usd"]);
        assert!(
            some.iter().all(|name| read.contains(name)) && !none.iter().any(|name| read.contains(name)),
            "{read:?}"
        );
        let rows = super::read::<Fact>(store, path, &file, None).await.unwrap();
        assert_eq!(rows, [fact("a", 0, Kind::Prompt, 0), traced]);
    }
}
