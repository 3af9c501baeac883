//! Rows as PostgreSQL's messages.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion_postgres::arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use datafusion_postgres::pgwire::api::portal::Format;
use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::future::BoxFuture;
use futures::stream;

use crate::query::Results;
use crate::query::error::Refused;

/// The columns as the client is told of them.
pub fn fields(schema: &SchemaRef, format: &Format, options: FormatOptions) -> PgWireResult<Arc<Vec<FieldInfo>>> {
    Ok(Arc::new(arrow_schema_to_pg_fields(schema, format, Some(Arc::new(options)))?))
}

type Encoded = Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send + Sync>;
type Begin = BoxFuture<'static, Result<Results, Refused>>;

struct Sending {
    begin: Option<Begin>,
    results: Option<Results>,
    encoded: Option<Encoded>,
    fields: Arc<Vec<FieldInfo>>,
    rows_left: u64,
    bytes_left: u64,
    limits: (u64, u64),
}

/// A statement that begins when its first row is asked for: of several statements in one text, one runs at a time.
pub fn response(begin: Begin, fields: Arc<Vec<FieldInfo>>, limits: (u64, u64)) -> QueryResponse {
    let (rows_left, bytes_left) = limits;
    let sending = Sending {
        begin: Some(begin),
        results: None,
        encoded: None,
        fields: Arc::clone(&fields),
        rows_left,
        bytes_left,
        limits,
    };
    QueryResponse::new(fields, stream::try_unfold(sending, Sending::next))
}

impl Sending {
    async fn next(mut self) -> PgWireResult<Option<(DataRow, Sending)>> {
        loop {
            if let Some(row) = self.encoded.as_mut().and_then(Iterator::next) {
                let row = row?;
                self.count(row.data.len() as u64)?;
                return Ok(Some((row, self)));
            }
            if let Some(begin) = self.begin.take() {
                self.results = Some(begin.await?);
            }
            let Some(results) = self.results.as_mut() else { return Ok(None) };
            match results.next().await? {
                Some(batch) => self.encoded = Some(encode_recordbatch(Arc::clone(&self.fields), batch)),
                None => return Ok(None),
            }
        }
    }

    fn count(&mut self, bytes: u64) -> Result<(), Refused> {
        let (rows, most) = self.limits;
        self.rows_left = self.rows_left.checked_sub(1).ok_or_else(|| Refused::TooLarge(format!("{rows} rows")))?;
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or_else(|| Refused::TooLarge(format!("{} MiB", most >> 20)))?;
        Ok(())
    }
}
