//! `information_schema`, with `columns` as PostgreSQL has it: its names of types, and `udt_name`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, Int32Builder, RecordBatch, StringBuilder};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::information_schema::{INFORMATION_SCHEMA, InformationSchemaProvider};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::{DataFusionError, Result};
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;

const COLUMNS: &str = "columns";

/// The engine's `information_schema`, but for `columns`.
#[derive(Debug)]
pub struct Information {
    name: String,
    catalog: Arc<dyn CatalogProvider>,
    others: InformationSchemaProvider,
}

impl Information {
    /// Of the catalog `name` of a list.
    pub fn new(name: &str, catalog: Arc<dyn CatalogProvider>, list: Arc<dyn CatalogProviderList>) -> Information {
        Information { name: name.to_owned(), catalog, others: InformationSchemaProvider::new(list) }
    }

    async fn columns(&self) -> Result<MemTable> {
        let mut rows = Rows::default();
        for schema_name in self.catalog.schema_names().into_iter().filter(|name| name != INFORMATION_SCHEMA) {
            let Some(schema) = self.catalog.schema(&schema_name) else { continue };
            for table in schema.table_names() {
                let Some(provider) = schema.table(&table).await? else { continue };
                for (place, field) in (1..).zip(provider.schema().fields()) {
                    rows.add([&self.name, &schema_name, &table], place, field)?;
                }
            }
        }
        let batch = rows.finish()?;
        MemTable::try_new(batch.schema(), vec![vec![batch]])
    }
}

#[async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        self.others.table_names()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match name.eq_ignore_ascii_case(COLUMNS) {
            true => Ok(Some(Arc::new(self.columns().await?))),
            false => self.others.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.others.table_exist(name)
    }
}

/// The columns' texts, in the standard's order; the ordinal is a number.
const TEXTS: [&str; 8] = [
    "table_catalog",
    "table_schema",
    "table_name",
    "column_name",
    "is_nullable",
    "data_type",
    "udt_schema",
    "udt_name",
];
const NUMBERS: [&str; 3] = ["ordinal_position", "numeric_precision", "numeric_scale"];

#[derive(Default)]
struct Rows {
    texts: [StringBuilder; TEXTS.len()],
    numbers: [Int32Builder; NUMBERS.len()],
}

impl Rows {
    fn add(&mut self, [catalog, schema, table]: [&str; 3], place: i32, field: &Field) -> Result<()> {
        let pg = into_pg_type(field.data_type()).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        let texts = [catalog, schema, table, field.name(), nullable, standard(&pg), "pg_catalog", pg.name()];
        self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.append_value(text));
        let (precision, scale) = match field.data_type() {
            DataType::Decimal128(precision, scale) => (Some(i32::from(*precision)), Some(i32::from(*scale))),
            _ => (None, None),
        };
        let numbers = [Some(place), precision, scale];
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.append_option(number));
        Ok(())
    }

    fn finish(mut self) -> Result<RecordBatch> {
        let texts = self.texts.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let numbers = self.numbers.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
        let columns: Vec<ArrayRef> = texts.chain(numbers).collect();
        Ok(RecordBatch::try_new(schema(), columns)?)
    }
}

fn schema() -> SchemaRef {
    let texts = TEXTS.map(|name| Field::new(name, DataType::Utf8, true));
    let numbers = NUMBERS.map(|name| Field::new(name, DataType::Int32, true));
    Arc::new(Schema::new(texts.into_iter().chain(numbers).collect::<Vec<_>>()))
}

/// The name of a type as `data_type` has it (PostgreSQL's documentation, "columns").
fn standard(pg: &Type) -> &str {
    match *pg {
        Type::BOOL => "boolean",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::TIME => "time without time zone",
        Type::VARCHAR => "character varying",
        Type::CHAR => "\"char\"",
        // An array's type is named `_` and its elements' type.
        _ if pg.name().starts_with('_') => "ARRAY",
        _ => pg.name(),
    }
}
