//! Rows as PostgreSQL's messages.

use std::sync::Arc;

use datafusion_postgres::pgwire::api::results::{FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::data::DataRow;
use futures::future::BoxFuture;
use futures::stream;

use super::encode::Encoder;
use crate::query::Results;
use crate::query::error::Refused;
use crate::query::settings::Rows;

type Begin = BoxFuture<'static, Result<Results, Refused>>;

struct Sending {
    begin: Option<Begin>,
    /// While there are more.
    results: Option<Results>,
    encoder: Encoder,
    rows_left: u64,
    bytes_left: u64,
    limits: (u64, u64),
}

/// A statement that begins when its first row is asked for: of several statements in one text, one runs at a time.
pub fn response(begin: Begin, rows: Rows, fields: Arc<Vec<FieldInfo>>, limits: (u64, u64)) -> QueryResponse {
    let (rows_left, bytes_left) = limits;
    let encoder = Encoder::new(rows, Arc::clone(&fields));
    let sending = Sending { begin: Some(begin), results: None, encoder, rows_left, bytes_left, limits };
    QueryResponse::new(fields, stream::try_unfold(sending, Sending::next))
}

impl Sending {
    async fn next(mut self) -> PgWireResult<Option<(DataRow, Sending)>> {
        loop {
            if let Some(begin) = self.begin.take() {
                let results = begin.await?;
                let first = self.encoder.begin(&results.schema)?;
                self.results = Some(results);
                if let Some(first) = first {
                    return Ok(Some((first, self)));
                }
            }
            if let Some((row, rows)) = self.encoder.next()? {
                self.count(rows, row.data.len() as u64)?;
                return Ok(Some((row, self)));
            }
            let Some(results) = self.results.as_mut() else { return Ok(None) };
            match results.next().await? {
                Some(batch) => self.encoder.give(batch),
                None => {
                    self.results = None;
                    return Ok(self.encoder.end()?.map(|last| (last, self)));
                }
            }
        }
    }

    fn count(&mut self, rows: u64, bytes: u64) -> Result<(), Refused> {
        let (most_rows, most) = self.limits;
        let left = self.rows_left.checked_sub(rows);
        self.rows_left = left.ok_or_else(|| Refused::TooLarge(format!("{most_rows} rows")))?;
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or_else(|| Refused::TooLarge(format!("{} MiB", most >> 20)))?;
        Ok(())
    }
}
