//! Checkpoints: the state of a table at a version in one file, so that nobody replays what came before.
//!
//! The library says what belongs in one. Ours differ from its own in two things, for those who read the table: the tags of
//! files, by far most of the bytes, which every reader of Delta would read and only we need, are a column of their own;
//! and what only later protocols know, and no row has a value of, is not there. A version checksum goes with it: where one
//! is, the table's schema is read from it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StructArray, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use bytes::Bytes;
use delta_kernel::engine::arrow_conversion::TryFromArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::schema::StructType;
use delta_kernel::{EngineData, Snapshot};
use deltalake_core::DeltaTableError;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;
use tokio::runtime::Handle;

use super::error::LakeError;
use super::log::{self, LoggedTags, State};
use super::place::Place;
use super::table::TableFile;

/// The tags of the file that a row adds, as JSON: beside `add`, whose own `tags` are null.
const TAGS: &str = "sessionlake_tags";
const ADD: &str = "add";
/// What checkpoints have had from the first version of the protocol on: no reader has to do without.
const ALWAYS: &[&str] = &[
    "txn",
    ADD,
    "remove",
    "metaData",
    "protocol",
    // Members of `add`.
    "path",
    "partitionValues",
    "size",
    "modificationTime",
    "dataChange",
    "stats",
    "tags",
];
const SUFFIX: &str = ".checkpoint.parquet";

/// The files of a table by their path in the log.
type Files = BTreeMap<String, TableFile>;
/// The tags of files by their path in the log.
type FileTags = HashMap<String, LoggedTags>;

fn location(place: &Place, version: i64) -> Path {
    place.log.clone().join(format!("{version:020}{SUFFIX}"))
}

/// The version of a checkpoint in one file; `None`: it is none.
pub(super) fn version_of(path: &Path) -> Option<i64> {
    log::version_before(path, SUFFIX)
}

/// Writes a checkpoint of a state, its checksum, and the hint by which it is found.
///
/// # Errors
/// The log cannot be read, the store does not take the file, or the library sees other files than the state has: a
/// checkpoint would then hide what is there.
pub(super) async fn write(place: &Place, state: &State) -> Result<(), LakeError> {
    let (place, version, files, runtime) = (place.clone(), state.version, state.files.clone(), Handle::current());
    tokio::task::spawn_blocking(move || write_now(&place, version, &files, &runtime)).await?
}

/// The library waits for the store on this thread.
fn write_now(place: &Place, version: i64, files: &Files, runtime: &Handle) -> Result<(), LakeError> {
    let failed = |error: delta_kernel::Error| place.error(error.into());
    let engine = place.logs.engine(None);
    let root = place.logs.transaction_url(None).map_err(|e| place.error(e))?;
    let snapshot = Snapshot::builder_for(root).at_version(version.unsigned_abs()).build(&*engine).map_err(failed)?;
    let writer = snapshot.clone().create_checkpoint_writer(&*engine).map_err(failed)?;
    let batches = writer.checkpoint_data(&*engine).map_err(failed)?;
    let batches = batches.map(|rows| arranged(rows?.apply_selection_vector()?, files)).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(failed)?;
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    let rows = lean(&concat_batches(&schema, &batches)?)?;
    let (_, add) = added(&rows)?;
    let (library, ours) = (add.len() - add.null_count(), files.len());
    if library != ours {
        let message = format!("at version {version} the library sees {library} files, and we see {ours}");
        return Err(place.error(DeltaTableError::Generic(message)));
    }
    let path = location(place, version);
    let bytes = encoded(&rows).map_err(|source| LakeError::Parquet { file: path.to_string(), source })?;
    let hint = json!({
        "version": version,
        "size": rows.num_rows(),
        "sizeInBytes": bytes.len(),
        "numOfAddFiles": library,
        // With it readers begin without a look at the file's footer.
        "checkpointSchema": StructType::try_from_arrow(rows.schema_ref().as_ref())?,
    });
    runtime.block_on(async {
        place.store.put(&path, bytes.into()).await?;
        place.hint_at(version, hint.to_string().into()).await
    })?;
    if let Err(error) = snapshot.write_checksum(&*engine) {
        tracing::debug!(table = place.name, version, %error, "no version checksum is written");
    }
    Ok(())
}

/// Rows of the library's, with the tags of files in their own column.
fn arranged(rows: Box<dyn EngineData>, files: &Files) -> Result<RecordBatch, delta_kernel::Error> {
    let rows = RecordBatch::from(ArrowEngineData::try_from_engine_data(rows)?);
    Ok(with_tags(&rows, files)?)
}

fn with_tags(rows: &RecordBatch, files: &Files) -> Result<RecordBatch, ArrowError> {
    let (at, add) = added(rows)?;
    let paths = add.column_by_name("path").and_then(|paths| paths.as_string_opt::<i32>()).ok_or_else(no_add)?;
    let of_row = |row| log::tags(add.is_valid(row).then(|| files.get(paths.value(row)))??);
    let own: StringArray = (0..rows.num_rows()).map(|row| serde_json::to_string(&of_row(row)?).ok()).collect();
    let members = add.fields().iter().zip(add.columns()).map(|(field, member)| match field.name().as_str() {
        "tags" => new_null_array(field.data_type(), add.len()),
        _ => member.clone(),
    });
    let mut columns = rows.columns().to_vec();
    columns[at] = Arc::new(StructArray::try_new(add.fields().clone(), members.collect(), add.nulls().cloned())?);
    columns.push(Arc::new(own));
    let own = Field::new(TAGS, DataType::Utf8, true).into();
    let fields: Vec<_> = rows.schema().fields().iter().cloned().chain([own]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

/// Where `add` is among the columns, and what it holds.
fn added(rows: &RecordBatch) -> Result<(usize, &StructArray), ArrowError> {
    let at = rows.schema().index_of(ADD)?;
    Ok((at, rows.column(at).as_struct_opt().ok_or_else(no_add)?))
}

fn no_add() -> ArrowError {
    ArrowError::SchemaError("a checkpoint without 'add'".to_owned())
}

/// Without what no row has a value of and readers do without: columns, and members of `add`.
fn lean(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let kept = |name: &str, values: &ArrayRef| ALWAYS.contains(&name) || values.null_count() < values.len();
    let (at, add) = added(rows)?;
    let members = add.fields().iter().zip(add.columns()).filter(|(field, member)| kept(field.name(), member));
    let (fields, members): (Vec<FieldRef>, Vec<ArrayRef>) = members.map(|(f, m)| (f.clone(), m.clone())).unzip();
    let add: ArrayRef = Arc::new(StructArray::try_new(fields.into(), members, add.nulls().cloned())?);
    let schema = rows.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(rows.columns())
        .enumerate()
        .filter(|(_, (field, column))| kept(field.name(), column));
    RecordBatch::try_from_iter_with_nullable(columns.map(|(column, (field, values))| {
        let values = if column == at { &add } else { values };
        (field.name(), values.clone(), field.is_nullable())
    }))
}

/// As the library's, the file is not compressed, but for the tags: readers take longer to unpack so few rows than to read
/// them.
fn encoded(rows: &RecordBatch) -> Result<Bytes, ParquetError> {
    let properties = WriterProperties::builder()
        .set_column_compression(TAGS.into(), Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_column_dictionary_enabled(TAGS.into(), false)
        .set_column_statistics_enabled(TAGS.into(), EnabledStatistics::None)
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options)?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}

/// The tags of files that a checkpoint has in a column of their own; none where it is not ours, or is not there.
///
/// # Errors
/// The store cannot be read, or the file is damaged.
pub(super) async fn tags(place: &Place, version: i64) -> Result<FileTags, LakeError> {
    let path = location(place, version);
    let Some(bytes) = place.store.read(&path).await? else { return Ok(FileTags::new()) };
    decoded(bytes).map_err(|source| LakeError::Parquet { file: path.to_string(), source })
}

fn decoded(bytes: Bytes) -> Result<FileTags, ParquetError> {
    let file = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    if file.schema().column_with_name(TAGS).is_none() {
        return Ok(FileTags::new());
    }
    let columns = ProjectionMask::columns(file.parquet_schema(), ["add.path", TAGS]);
    let mut tags = FileTags::new();
    for rows in file.with_projection(columns).build()? {
        let rows = rows?;
        let of = |column: Option<&ArrayRef>| column.and_then(|column| column.as_string_opt::<i32>().cloned());
        let add = rows.column_by_name(ADD).and_then(|add| add.as_struct_opt());
        let (paths, own) = (of(add.and_then(|add| add.column_by_name("path"))), of(rows.column_by_name(TAGS)));
        let (Some(paths), Some(own)) = (paths, own) else { continue };
        let rows = paths.iter().zip(&own).filter_map(|(path, tags)| path.zip(tags));
        tags.extend(rows.filter_map(|(path, tags)| Some((path.to_owned(), serde_json::from_str(tags).ok()?))));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use deltalake_core::DeltaTable;
    use deltalake_core::checkpoints::create_checkpoint;

    use super::*;
    use crate::model::Kind;
    use crate::sink::lake::TableKind;
    use crate::sink::lake::maintain::Form;
    use crate::sink::lake::testing::{TestLake, fact};

    async fn append(lake: &TestLake, sessions: &[&str]) {
        let facts: Vec<_> = sessions.iter().map(|session| fact(session, 1, Kind::Prompt, 0)).collect();
        lake.append(&facts).await;
    }

    async fn files(lake: &TestLake) -> Vec<TableFile> {
        lake.table(TableKind::Facts).await.files().await.unwrap()
    }

    async fn rows(lake: &TestLake) -> (RecordBatch, serde_json::Value) {
        let table = lake.table(TableKind::Facts).await;
        let (store, version) = (&table.place.store, table.state.base.unwrap());
        let bytes = store.read(&location(&table.place, version)).await.unwrap().unwrap();
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap().next().unwrap().unwrap();
        let checksum = store.read(&table.place.log.clone().join(format!("{version:020}.crc"))).await.unwrap().unwrap();
        (rows, serde_json::from_slice(&checksum).unwrap())
    }

    #[tokio::test]
    async fn readers_find_neither_tags_nor_empty_columns_and_a_checksum() {
        let lake = TestLake::new().await;
        append(&lake, &["a"]).await;
        append(&lake, &["b"]).await;
        lake.merge_days(Form::Final).await;
        append(&lake, &["c"]).await;
        let before = files(&lake).await;
        lake.table(TableKind::Facts).await.checkpoint().await.unwrap();
        let (rows, checksum) = rows(&lake).await;
        let columns: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(columns, ["add", "remove", "metaData", "protocol", "txn", TAGS]);
        let add = rows.column(0).as_struct();
        assert_eq!(add.len() - add.null_count(), 2);
        assert_eq!(add.column_by_name("tags").unwrap().null_count(), add.len());
        let removed = rows.column(1);
        assert_eq!(removed.len() - removed.null_count(), 2, "until they are deleted");
        assert_eq!((&checksum["numFiles"], &checksum["numMetadata"]), (&2.into(), &1.into()));
        let size: u64 = before.iter().map(|file| file.size).sum();
        assert_eq!(checksum["tableSizeBytes"], size);
        assert_eq!(files(&lake).await, before);
        let hint = std::fs::read(lake.dir.path().join("lake/default/facts/_delta_log/_last_checkpoint")).unwrap();
        let hint: serde_json::Value = serde_json::from_slice(&hint).unwrap();
        assert_eq!((&hint["numOfAddFiles"], &hint["size"]), (&2.into(), &rows.num_rows().into()));
        assert_eq!(hint["checkpointSchema"]["fields"].as_array().map(Vec::len), Some(columns.len()));
    }

    /// What one checkpoint has in a column of its own is not in any entry of the log that the next one is made from.
    #[tokio::test]
    async fn tags_go_from_one_checkpoint_to_the_next() {
        let lake = TestLake::new().await;
        append(&lake, &["a", "b"]).await;
        lake.merge_days(Form::Final).await;
        for session in ["c", "d"] {
            lake.table(TableKind::Facts).await.checkpoint().await.unwrap();
            append(&lake, &[session]).await;
        }
        let before = files(&lake).await;
        lake.table(TableKind::Facts).await.checkpoint().await.unwrap();
        assert_eq!(files(&lake).await, before);
        assert_eq!(before.iter().filter_map(|file| file.listed()).map(<[u64]>::len).sum::<usize>(), 4);
        assert_eq!(before.iter().filter(|file| file.lasting).count(), 1);
    }

    #[tokio::test]
    async fn without_the_hint_and_the_first_entries_the_newest_checkpoint_is_found() {
        let lake = TestLake::new().await;
        append(&lake, &["a"]).await;
        lake.table(TableKind::Facts).await.checkpoint().await.unwrap();
        append(&lake, &["b"]).await;
        let before = files(&lake).await;
        let log = lake.dir.path().join("lake/default/facts/_delta_log");
        std::fs::remove_file(log.join("_last_checkpoint")).unwrap();
        std::fs::remove_file(log.join(format!("{:020}.json", 0))).unwrap();
        assert_eq!(files(&lake).await, before);
    }

    /// Whoever was slow must not send readers back to entries that are gone by now.
    #[tokio::test]
    async fn the_hint_never_goes_back() {
        let lake = TestLake::new().await;
        append(&lake, &["a"]).await;
        let slow = lake.table(TableKind::Facts).await;
        append(&lake, &["b"]).await;
        lake.table(TableKind::Facts).await.checkpoint().await.unwrap();
        slow.checkpoint().await.unwrap();
        assert_eq!(slow.place.checkpoint().await.unwrap(), Some(slow.version() + 1));
    }

    /// As another writer makes them, and we did in the past.
    #[tokio::test]
    async fn a_checkpoint_of_the_librarys_own_form_is_read() {
        let lake = TestLake::new().await;
        append(&lake, &["a", "b"]).await;
        let table = lake.table(TableKind::Facts).await;
        let mut library = DeltaTable::new(table.place.logs.clone());
        library.load().await.unwrap();
        create_checkpoint(&library, None).await.unwrap();
        let before = files(&lake).await;
        assert!(table.state.base.is_none() && lake.table(TableKind::Facts).await.state.base.is_some());
        assert_eq!(before[0].listed().map(<[u64]>::len), Some(2));
    }

    /// The library reads the log again; a file that it misses would be hidden from everybody.
    #[tokio::test]
    async fn nothing_is_written_where_the_library_sees_other_files() {
        let lake = TestLake::new().await;
        append(&lake, &["a"]).await;
        let mut table = lake.table(TableKind::Facts).await;
        table.state.files.clear();
        let error = table.checkpoint().await.unwrap_err();
        assert!(error.to_string().contains("the library sees 1 files, and we see 0"), "{error}");
        assert!(lake.table(TableKind::Facts).await.state.base.is_none());
    }

    #[test]
    fn names() {
        let version = |name: &str| version_of(&Path::from(format!("t/_delta_log/{name}")));
        assert_eq!(version("00000000000000000042.checkpoint.parquet"), Some(42));
        for other in [
            "00000000000000000042.json",
            "00000000000000000042.checkpoint.0000000001.0000000002.parquet",
            "42.checkpoint.parquet",
            "_last_checkpoint",
        ] {
            assert_eq!(version(other), None);
        }
    }
}
