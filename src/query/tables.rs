//! A Delta table as DataFusion sees it.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, AsArray, Date32Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::{Column as Place, Literal};
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use datafusion::scalar::ScalarValue;
use object_store::ObjectMeta;

use super::access::Access;
use super::buried;
use super::files::{DataFile, Files};
use crate::sink::lake::{TableKind, file_schema};

/// What the one store of the engine is registered as.
pub const STORE: &str = "sessionlake://lake";

/// The column that tombstones are about.
pub const SESSION_ID: &str = "session_id";

/// Footers of almost all files are smaller: one read opens a file.
const FOOTER_HINT: usize = 64 << 10;

/// One table of a workspace, for one role.
#[derive(Debug)]
pub struct LakeTable {
    kind: TableKind,
    access: Access,
    files: Arc<Files>,
    /// As statements see it: all columns, the partition last.
    schema: SchemaRef,
    /// What is read: the columns that the role may see, and the partition. The others are not in it, so that nothing
    /// can read them.
    stored: TableSchema,
}

impl LakeTable {
    pub fn new(kind: TableKind, access: Access, files: Arc<Files>) -> LakeTable {
        let schema = schema(kind);
        let partition = Arc::new(Field::new(kind.partition(), DataType::Date32, true));
        let shown: HashSet<&str> = kind.columns().filter(|c| access.shows(c)).map(|c| c.name).collect();
        let fields =
            schema.fields().iter().filter(|f| f.name() != kind.partition() && shown.contains(f.name().as_str()));
        let stored = Schema::new(fields.cloned().collect::<Vec<_>>());
        let stored = TableSchema::builder(Arc::new(stored)).with_table_partition_cols(vec![partition]).build();
        LakeTable { kind, access, files, schema, stored }
    }

    /// Whether a column's values are content that this role is shown.
    pub fn reads_content(&self, column: &str) -> bool {
        self.access.reads_content(self.kind, column)
    }

    fn is_hidden(&self, column: &str) -> bool {
        self.stored.table_schema().field_with_name(column).is_err()
    }

    /// The files that the filters leave.
    async fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<DataFile>> {
        let sessions = filters.iter().find_map(sessions);
        let files = self.files.list(&self.access.workspace, self.kind, sessions.as_deref()).await;
        let files = files.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let partition = self.kind.partition();
        let on_day = |filter: &&Expr| filter.column_refs().iter().all(|column| column.name == partition);
        let mut kept = files;
        for filter in filters.iter().filter(on_day).filter(|filter| !filter.column_refs().is_empty()) {
            kept = on_days(state, partition, filter, kept)?;
        }
        Ok(kept)
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: Vec<DataFile>,
        columns: Vec<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // A scan of no files has no partitions, which the planner refuses below a sort.
        if files.is_empty() {
            let schema = self.stored.table_schema().project(&columns)?;
            return Ok(Arc::new(EmptyExec::new(Arc::new(schema))));
        }
        let files = files.into_iter().map(partitioned).collect();
        let groups = FileGroup::new(files).split_files(state.config().target_partitions().max(1));
        let options = state.config_options().execution.parquet.clone();
        let source = ParquetSource::new(self.stored.clone())
            .with_table_parquet_options(datafusion::config::TableParquetOptions {
                global: options,
                ..Default::default()
            })
            .with_metadata_size_hint(FOOTER_HINT);
        let url = ObjectStoreUrl::parse(STORE)?;
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(columns))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.chosen(state, filters).await?;
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let names = wanted.iter().map(|column| self.schema.field(*column).name().as_str());
        let stored = self.stored.table_schema();
        let places: Vec<Option<usize>> = names.map(|name| stored.index_of(name).ok()).collect();
        let mut columns: Vec<usize> = places.iter().flatten().copied().collect();
        let erased = files.iter().any(|file| file.buried);
        let id = stored.index_of(SESSION_ID).ok().filter(|id| erased && !columns.contains(id));
        columns.extend(id);
        let mut scan = self.scan_files(state, files, columns)?;
        if let Some(tombstones) = self.files.tombstones(&self.access.workspace).filter(|_| erased) {
            scan = buried::left_out(state, scan, tombstones, &self.access.workspace)?;
        }
        if places.iter().all(Option::is_some) && id.is_none() {
            return Ok(scan);
        }
        let mut next = 0;
        let mut shown = Vec::with_capacity(wanted.len());
        for (column, place) in wanted.iter().zip(&places) {
            let field = self.schema.field(*column);
            let expr: Arc<dyn PhysicalExpr> = match place {
                Some(_) => {
                    next += 1;
                    Arc::new(Place::new(field.name(), next - 1))
                }
                None => Arc::new(Literal::new(ScalarValue::try_from(field.data_type())?)),
            };
            shown.push(ProjectionExpr { expr, alias: field.name().clone() });
        }
        Ok(Arc::new(ProjectionExec::try_new(shown, scan)?))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let hidden = |filter: &&Expr| filter.column_refs().iter().any(|column| self.is_hidden(&column.name));
        let support = |filter| match hidden(filter) {
            true => TableProviderFilterPushDown::Unsupported,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }
}

/// A table's columns as SQL has them: in the schema's order, the partition last. Nullable all of them, because older
/// files lack newer columns; texts as views, which scan faster.
pub fn schema(kind: TableKind) -> SchemaRef {
    let stored = file_schema(kind);
    let fields = stored.fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 => Field::new(field.name(), DataType::Utf8View, true),
        other => Field::new(field.name(), other.clone(), true),
    });
    let partition = Field::new(kind.partition(), DataType::Date32, true);
    Arc::new(Schema::new(fields.chain([partition]).collect::<Vec<_>>()))
}

fn partitioned(file: DataFile) -> PartitionedFile {
    let meta = ObjectMeta {
        location: file.location,
        // A name is written once: its time says nothing.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: file.size,
        e_tag: None,
        version: None,
    };
    PartitionedFile::new_from_meta(meta).with_partition_values(vec![ScalarValue::Date32(Some(file.date))])
}

/// Leaves the files whose day fits a filter on the day alone.
fn on_days(state: &dyn Session, partition: &str, filter: &Expr, files: Vec<DataFile>) -> Result<Vec<DataFile>> {
    let schema = Arc::new(Schema::new(vec![Field::new(partition, DataType::Date32, true)]));
    let unqualified = filter.clone();
    let expr = state.create_physical_expr(unqualified, &DFSchema::try_from(schema.as_ref().clone())?)?;
    let days = Date32Array::from_iter_values(files.iter().map(|file| file.date));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(days)])?;
    let fits = expr.evaluate(&batch)?.into_array(files.len())?;
    let Some(fits) = fits.as_boolean_opt() else { return Ok(files) };
    let kept = files.into_iter().enumerate().filter(|(n, _)| fits.is_valid(*n) && fits.value(*n));
    Ok(kept.map(|(_, file)| file).collect())
}

/// The ids that a filter `session_id = '...'` or `session_id IN (...)` leaves.
pub fn sessions(filter: &Expr) -> Option<Vec<String>> {
    let is_id = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == SESSION_ID);
    let text = |expr: &Expr| match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_owned),
        _ => None,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_id(left) => text(right).map(|id| vec![id]),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_id(right) => text(left).map(|id| vec![id]),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut either = sessions(left)?;
            either.extend(sessions(right)?);
            Some(either)
        }
        Expr::InList(list) if !list.negated && is_id(&list.expr) => list.list.iter().map(text).collect(),
        _ => None,
    }
}
