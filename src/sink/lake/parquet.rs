//! Arrow to Parquet files.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use object_store::{PutPayload, PutPayloadMut};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ArrowSchemaConverter, ArrowWriter};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::error::LakeError;
use super::layout::file_schema;
use super::schema::{Column, Type};
use super::table::TableKind;

/// Measured: groups of 8,000 to 16,000 rows scan best.
const GROUP_ROWS: usize = 16_000;
/// Bytes of text after which a group ends before it has all its rows: bounds what a reader must hold of one group.
const GROUP_BYTES: usize = 64 << 20;
/// Rows from which on a file gets bloom filters. Smaller files are hot ones, of few sessions, that live for minutes:
/// the session tags in the log choose among them without opening any, and a filter costs more than reading them.
const BLOOM_ROWS: usize = 20_000;
/// Whoever puts files together holds a page of each column of each of them: pages of files that are put together soon
/// are small.
const HOT_PAGE: usize = 128 << 10;
/// Of files that stay: a writer holds a page of each column, its compressed form, and tables for a compressor by the
/// page's size.
const LASTING_PAGE: usize = 256 << 10;
/// Columns whose values hardly come twice in a group, all of about one length: a dictionary would be as long as they
/// are, and lengths among them keep them from being compressed well.
const IDS: &[&str] = &["fact_id", "event_id", "trace_id", "span_id", "request_id", "tool_use_id"];
/// Content that is the same in all records of a process.
const REPEATED: &[&str] = &["resource"];
/// Zstandard's level of files that are put together soon: quicker, with 32 KiB of tables for a column instead of 384.
const HOT_LEVEL: i32 = 1;
/// Of files that stay. Measured: 6 makes source code 11 % smaller and words without sense not at all, and is three to
/// five times as slow; putting files together was mostly that.
const LASTING_LEVEL: i32 = 3;
/// Bytes of the pieces that a file's bytes gather in.
const PIECE: usize = 1 << 20;
/// A filter that is wrong once in a hundred times takes 1.2 bytes a value.
const BLOOM_FPP: f64 = 0.01;

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Whether ids get bloom filters.
    pub blooms: bool,
    /// Bytes of a page, before compression.
    pub page: usize,
    /// Zstandard's level.
    pub level: i32,
    /// Whether numbers and lengths are written as differences: smaller, and a mebibyte of memory for each such column.
    pub deltas: bool,
}

impl Shape {
    /// Of a file that is put together with others soon.
    pub fn hot(rows: usize) -> Shape {
        Shape { blooms: rows > BLOOM_ROWS, page: HOT_PAGE, level: HOT_LEVEL, deltas: false }
    }

    /// Of a file that stays.
    pub fn lasting() -> Shape {
        Shape { blooms: true, page: LASTING_PAGE, level: LASTING_LEVEL, deltas: true }
    }
}

/// A file being written to memory, one row group after the other.
pub(super) struct FileWriter {
    writer: ArrowWriter<Pieces>,
    name: Arc<str>,
    /// What the rows of the present group take, about.
    group_bytes: usize,
}

impl FileWriter {
    pub fn new(name: &str, kind: TableKind, shape: Shape) -> Result<FileWriter, LakeError> {
        let name: Arc<str> = name.into();
        let properties = properties(kind, shape).map_err(|e| failed(&name, e))?;
        // Without Arrow's own schema beside Parquet's: it says nothing more, and weighs kilobytes in every file.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Pieces::default(), file_schema(kind), options);
        Ok(FileWriter { writer: writer.map_err(|e| failed(&name, e))?, name, group_bytes: 0 })
    }

    /// Adds rows that take about `bytes` in memory to the row group. A group ends when it has all its rows, or many bytes.
    pub fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), LakeError> {
        self.writer.write(batch).map_err(|e| failed(&self.name, e))?;
        let (rows, of_group) = (batch.num_rows().max(1), self.writer.in_progress_rows());
        self.group_bytes = match of_group > rows {
            true => self.group_bytes + bytes,
            // The group before ended with some of these rows.
            false => bytes * of_group / rows,
        };
        if self.group_bytes >= GROUP_BYTES {
            self.writer.flush().map_err(|e| failed(&self.name, e))?;
            self.group_bytes = 0;
        }
        Ok(())
    }

    /// What is written of the file's bytes, and was not taken yet.
    pub fn take(&mut self) -> PutPayload {
        std::mem::take(self.writer.inner_mut()).0.freeze()
    }

    /// The file's bytes, as far as they were not taken.
    pub fn finish(self) -> Result<PutPayload, LakeError> {
        Ok(self.writer.into_inner().map_err(|e| failed(&self.name, e))?.0.freeze())
    }
}

/// Where a file's bytes gather: in pieces, because one long buffer is copied whenever it gets too small, and held until
/// the last of its bytes is stored.
struct Pieces(PutPayloadMut);

impl Default for Pieces {
    fn default() -> Pieces {
        Pieces(PutPayloadMut::new().with_block_size(PIECE))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(name: &str, source: ParquetError) -> LakeError {
    LakeError::Parquet { file: name.to_owned(), source }
}

fn properties(kind: TableKind, shape: Shape) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(shape.level)?))
        // A column of a group is a page or a few: an index of pages helps no reader to leave any out, and in a file of
        // few rows it weighs as much as they do.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_data_page_size_limit(shape.page)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_created_by(concat!("sessionlake ", env!("CARGO_PKG_VERSION")).to_owned());
    let leaves = ArrowSchemaConverter::new().convert(&file_schema(kind))?;
    for leaf in leaves.columns() {
        let root = leaf.path().parts().first().map(String::as_str).unwrap_or_default();
        if let Some(column) = kind.columns().find(|column| column.name == root) {
            builder = column_properties(builder, column, leaf.path().clone(), shape);
        }
    }
    Ok(builder.build())
}

fn column_properties(
    mut builder: WriterPropertiesBuilder,
    column: &Column,
    leaf: ColumnPath,
    shape: Shape,
) -> WriterPropertiesBuilder {
    let dictionary = has_dictionary(column);
    builder = builder.set_column_dictionary_enabled(leaf.clone(), dictionary);
    match column.ty {
        Type::Time if shape.deltas => {
            builder = builder.set_column_encoding(leaf.clone(), Encoding::DELTA_BINARY_PACKED)
        }
        Type::Text if !dictionary && shape.deltas => {
            builder = builder.set_column_encoding(leaf.clone(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        }
        _ => {}
    }
    if column.is_content() {
        // Statistics would carry the first bytes of prompts and results in the clear, beside the compressed pages.
        return builder.set_column_statistics_enabled(leaf, EnabledStatistics::None);
    }
    if column.has_bloom() && shape.blooms {
        return builder
            .set_column_bloom_filter_enabled(leaf.clone(), true)
            .set_column_bloom_filter_fpp(leaf.clone(), BLOOM_FPP)
            .set_column_bloom_filter_max_ndv(leaf, GROUP_ROWS as u64);
    }
    builder
}

/// Whether values come again often enough in a group. Measured: amounts are a third larger with a dictionary, and read
/// more slowly.
fn has_dictionary(column: &Column) -> bool {
    let alone = IDS.contains(&column.name) || (column.is_content() && !REPEATED.contains(&column.name));
    let amount = !column.unit.is_empty() || column.ty == Type::Real;
    !alone && !amount && column.ty != Type::Time
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    use super::*;
    use crate::model::Event;
    use crate::sink::lake::row::Row;
    use crate::sink::lake::samples;

    #[test]
    fn large_files_have_bloom_filters_on_ids_alone_and_groups_of_the_right_size() {
        let events: Vec<Event> = (0..40_000).map(|n| samples::bare_event("s", n)).collect();
        let mut writer = FileWriter::new("test", TableKind::Events, Shape::hot(events.len())).unwrap();
        for part in events.chunks(4096) {
            writer.write(&Event::encode(&part.iter().collect::<Vec<_>>()).unwrap(), 1).unwrap();
        }
        let reader = SerializedFileReader::new(Bytes::from(writer.finish().unwrap())).unwrap();
        let groups = reader.metadata().row_groups();
        assert_eq!(groups.iter().map(|group| group.num_rows()).collect::<Vec<_>>(), [16_000, 16_000, 8_000]);
        for group in groups {
            let with: Vec<&str> = group
                .columns()
                .iter()
                .filter(|chunk| chunk.bloom_filter_offset().is_some())
                .map(|chunk| chunk.column_path().parts()[0].as_str())
                .collect();
            assert_eq!(with, ["session_id", "event_id", "tool_use_id", "user_email"]);
            assert!(group.columns().iter().all(|c| matches!(c.compression(), Compression::ZSTD(_))));
        }
    }

    /// Rows that a group had all its rows without are not counted with the next one.
    #[test]
    fn groups_end_by_rows_or_by_bytes() {
        let groups = |bytes: usize| -> Vec<i64> {
            let mut writer = FileWriter::new("test", TableKind::Events, Shape::hot(0)).unwrap();
            let events: Vec<Event> = (0..4000).map(|n| samples::bare_event("s", n)).collect();
            let part = Event::encode(&events.iter().collect::<Vec<_>>()).unwrap();
            (0..10).for_each(|_| writer.write(&part, bytes).unwrap());
            let reader = SerializedFileReader::new(Bytes::from(writer.finish().unwrap())).unwrap();
            reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect()
        };
        assert_eq!(groups(GROUP_BYTES / 5), [16_000, 16_000, 8_000]);
        assert_eq!(groups(GROUP_BYTES / 2), [8_000; 5]);
        assert_eq!(groups(2 * GROUP_BYTES), [4_000; 10]);
    }
}
