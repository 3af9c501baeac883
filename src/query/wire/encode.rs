//! The forms that rows go out in.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldInfo};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use crate::query::ipc;
use crate::query::settings::Rows;

/// The columns as the client is told of them.
///
/// # Errors
/// When PostgreSQL has nothing like a column's type.
pub fn fields(
    rows: Rows,
    schema: &Schema,
    format: &Format,
    options: Option<FormatOptions>,
) -> PgWireResult<Vec<FieldInfo>> {
    match rows {
        Rows::Postgres => arrow_schema_to_pg_fields(schema, format, options.map(Arc::new)),
        Rows::Arrow => Ok(vec![FieldInfo::new("arrow".to_owned(), None, None, Type::BYTEA, format.format_for(0))]),
    }
}

type Encoded = Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send + Sync>;

/// Makes PostgreSQL's rows of what a statement gives.
pub struct Encoder {
    fields: Arc<Vec<FieldInfo>>,
    form: Form,
}

enum Form {
    /// A row is a row.
    Values(Option<Encoded>),
    /// A row is one of Arrow's messages.
    Arrow(Option<Box<ipc::Encoder>>),
}

impl Encoder {
    pub fn new(rows: Rows, fields: Arc<Vec<FieldInfo>>) -> Encoder {
        let form = match rows {
            Rows::Postgres => Form::Values(None),
            Rows::Arrow => Form::Arrow(None),
        };
        Encoder { fields, form }
    }

    /// What goes out before all rows.
    pub fn begin(&mut self, schema: &SchemaRef) -> PgWireResult<Option<DataRow>> {
        let Form::Arrow(encoder) = &mut self.form else { return Ok(None) };
        let begun = encoder.insert(Box::new(ipc::Encoder::new(schema).map_err(broken)?)).columns();
        self.message(begun).map(Some)
    }

    /// Rows to go out next; those before were all taken.
    pub fn give(&mut self, batch: RecordBatch) {
        match &mut self.form {
            Form::Values(encoded) => *encoded = Some(encode_recordbatch(Arc::clone(&self.fields), batch)),
            Form::Arrow(encoder) => encoder.iter_mut().for_each(|encoder| encoder.give(batch.clone())),
        }
    }

    /// The next message, and how many rows are in it; `None` when all that was given is out.
    pub fn next(&mut self) -> PgWireResult<Option<(DataRow, u64)>> {
        let (message, rows) = match &mut self.form {
            Form::Values(encoded) => {
                return encoded.as_mut().and_then(Iterator::next).map(|row| Ok((row?, 1))).transpose();
            }
            Form::Arrow(Some(encoder)) => match encoder.rows().map_err(broken)? {
                Some(message) => message,
                None => return Ok(None),
            },
            Form::Arrow(None) => return Ok(None),
        };
        Ok(Some((self.message(message)?, rows)))
    }

    /// What goes out behind all rows.
    pub fn end(&mut self) -> PgWireResult<Option<DataRow>> {
        let Form::Arrow(encoder) = &mut self.form else { return Ok(None) };
        let Some(mut encoder) = encoder.take() else { return Ok(None) };
        self.message(encoder.end().map_err(broken)?).map(Some)
    }

    fn message(&self, bytes: Vec<u8>) -> PgWireResult<DataRow> {
        let mut encoder = DataRowEncoder::new(Arc::clone(&self.fields));
        encoder.encode_field(&bytes)?;
        Ok(encoder.take_row())
    }
}

fn broken(error: ArrowError) -> PgWireError {
    PgWireError::ApiError(Box::new(error))
}
