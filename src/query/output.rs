//! Rows as files: for `sessionlake sql`.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, LargeStringArray, RecordBatch, StringArray, StringViewArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::arrow::{csv, json};
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;

use super::{Refused, Results};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// With a header; has no lists. A text that a spreadsheet would take for a formula gets a `'` in front.
    Csv,
    /// One object a line.
    Json,
    Parquet,
}

/// Why rows are not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("column {0} is a list, which CSV has not: choose JSON, or other columns")]
    List(String),
    #[error("cannot write the rows")]
    Arrow(#[from] ArrowError),
    #[error("cannot write the rows")]
    Parquet(#[from] datafusion::parquet::errors::ParquetError),
}

/// Writes all rows.
///
/// # Errors
/// When the statement fails, or writing does.
pub async fn write(format: Format, to: Box<dyn Write + Send>, mut results: Results) -> Result<(), WriteError> {
    match format {
        Format::Csv => {
            if let Some(list) = results.schema.fields().iter().find(|field| field.data_type().is_nested()) {
                return Err(WriteError::List(list.name().clone()));
            }
            let mut writer = csv::WriterBuilder::new().with_header(true).build(to);
            // Rows of a result without rows have a header all the same.
            writer.write(&RecordBatch::new_empty(results.schema.clone()))?;
            while let Some(batch) = results.next().await? {
                writer.write(&without_formulas(&batch)?)?;
            }
        }
        Format::Json => {
            let mut writer = json::LineDelimitedWriter::new(to);
            while let Some(batch) = results.next().await? {
                writer.write(&batch)?;
            }
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(to, results.schema.clone(), None)?;
            while let Some(batch) = results.next().await? {
                writer.write(&batch)?;
            }
            writer.close()?;
        }
    }
    Ok(())
}

/// Texts that begin as formulas do are shown as they are by spreadsheets when a quotation mark stands before them: what
/// was said in a session must not run on the desk of who reads it (owasp.org, "CSV Injection").
fn without_formulas(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(|column| match column.data_type() {
        DataType::Utf8 => Arc::new(column.as_string::<i32>().iter().map(inert).collect::<StringArray>()) as ArrayRef,
        DataType::LargeUtf8 => Arc::new(column.as_string::<i64>().iter().map(inert).collect::<LargeStringArray>()),
        DataType::Utf8View => Arc::new(column.as_string_view().iter().map(inert).collect::<StringViewArray>()),
        _ => column.clone(),
    });
    RecordBatch::try_new(batch.schema(), columns.collect())
}

fn inert(text: Option<&str>) -> Option<String> {
    let text = text?;
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    Some(if formula { format!("'{text}") } else { text.to_owned() })
}

/// The first `most` rows as a table for people; how many, and whether there are more.
///
/// # Errors
/// When the statement fails.
pub async fn table(mut results: Results, most: usize) -> Result<(String, usize, bool), Refused> {
    let (mut batches, mut rows, schema) = (Vec::new(), 0, results.schema.clone());
    while let Some(batch) = results.next().await? {
        let kept = batch.num_rows().min(most - rows);
        batches.push(batch.slice(0, kept));
        rows += kept;
        if kept < batch.num_rows() {
            break;
        }
    }
    let text = pretty_format_batches_with_schema(schema, &batches).map_err(DataFusionError::from)?;
    Ok((text.to_string(), rows, rows == most))
}
