//! From a statement's text to rows, within limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::access::Access;
use super::audit::{Audit, Read, State};
use super::engine::Engine;
use super::error::Refused;
use super::live::LiveTable;
use super::search_path;
use super::tables::LakeTable;

/// Statements in one text.
const MOST_STATEMENTS: usize = 64;
/// Batches that wait for a client who reads slowly.
const AHEAD: usize = 2;

/// One role in one workspace. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    engine: Engine,
    access: Access,
    context: SessionContext,
    parser: PostgresCompatibilityParser,
}

impl Drop for Inner {
    /// The catalog holds schemas that hold the list of catalogs: nobody but this would let go of them.
    fn drop(&mut self) {
        let Some(catalog) = self.context.catalog(self.access.workspace.as_str()) else { return };
        for schema in catalog.schema_names() {
            // A schema that cannot be taken out is one that holds nothing.
            let _ = catalog.deregister_schema(&schema, true);
        }
    }
}

/// When a statement stops whether or not it is done.
pub struct Bounds {
    /// From its start until its last row is taken.
    pub deadline: Duration,
    /// Resolves when somebody cancels it.
    pub cancel: BoxFuture<'static, ()>,
}

impl Session {
    /// # Errors
    /// When the catalog cannot be set up: a fault of our own.
    pub fn open(engine: Engine, access: Access) -> Result<Session, Refused> {
        let context = engine.context(&access)?;
        Ok(Session(Arc::new(Inner { engine, access, context, parser: PostgresCompatibilityParser::new() })))
    }

    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The statements in a text.
    ///
    /// # Errors
    /// When it is no SQL, too long, or too many statements.
    pub fn parse(&self, text: &str) -> Result<Vec<Statement>, Refused> {
        let most = self.0.engine.options().text;
        if text.len() > most {
            return Err(Refused::TooLong(most));
        }
        let mut statements = self.0.parser.parse(text).map_err(|error| Refused::Syntax(error.to_string()))?;
        statements.iter_mut().for_each(search_path::fill);
        match statements.len() > MOST_STATEMENTS {
            true => Err(Refused::TooMany(MOST_STATEMENTS)),
            false => Ok(statements),
        }
    }

    /// What a statement means.
    ///
    /// # Errors
    /// When it names what is not there, or does anything but read.
    pub async fn plan(&self, statement: Statement) -> Result<LogicalPlan, Refused> {
        if !matches!(
            statement,
            Statement::Query(_)
                | Statement::Explain { .. }
                | Statement::ShowTables { .. }
                | Statement::ShowColumns { .. }
        ) {
            return Err(Refused::ReadOnly);
        }
        let seconds = self.0.engine.options().deadline;
        // A long text's plan takes much memory that nobody counts: few are made at a time.
        let engine = &self.0.engine;
        let _turn = timeout(engine.options().patience, engine.planning().acquire()).await.map_err(|_| Refused::Busy)?;
        let state = self.0.context.state();
        let planned = timeout(seconds, state.statement_to_plan(Parsed::Statement(Box::new(statement)))).await;
        let plan = planned.map_err(|_| Refused::Deadline { seconds: seconds.as_secs() })??;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|_| Refused::ReadOnly)?;
        Ok(plan)
    }

    /// Runs a plan of [`Self::plan`] once it is its turn. `text`: the statement, for the audit table. Rows are made as
    /// they are taken, on a task of their own, which ends with the deadline whether they are taken or not.
    ///
    /// # Errors
    /// When it cannot begin: too many others run, a limit is reached, or its read cannot be recorded.
    pub async fn run(&self, plan: LogicalPlan, text: String, bounds: Bounds) -> Result<Results, Refused> {
        let until = Instant::now() + bounds.deadline;
        let late = || Refused::Deadline { seconds: bounds.deadline.as_secs() };
        let permits = self.turn().await?;
        let mut cancel = bounds.cancel;
        let begin = self.begin(&plan, text);
        let (stream, read) = tokio::select! {
            () = &mut cancel => return Err(Refused::Canceled),
            begun = timeout_at(until, begin) => begun.map_err(|_| late())??,
        };
        let schema = stream.schema();
        let (rows, taken) = mpsc::channel(AHEAD);
        let (end, outcome) = oneshot::channel();
        let given = Arc::new(AtomicU64::new(0));
        let pump = Pump { session: self.clone(), plan, stream, rows, given: Arc::clone(&given), _permits: permits };
        let (engine, seconds) = (self.0.engine.clone(), bounds.deadline.as_secs());
        tokio::spawn(async move {
            let ended = tokio::select! {
                () = cancel => Err(Refused::Canceled),
                ended = timeout_at(until, pump.run()) => ended.unwrap_or(Err(Refused::Deadline { seconds })),
            };
            let rows = given.load(Ordering::Relaxed);
            let state = if ended.is_ok() { State::Done { rows } } else { State::Stopped { rows } };
            // Whoever asked may have gone.
            let _ = end.send(ended);
            if let (Some(audit), Some(read)) = (engine.audit(), read)
                && let Err(error) = audit.keep(Read { state, ..read }).await
            {
                tracing::warn!(error, "the end of a read could not be recorded; its beginning is");
            }
        });
        Ok(Results { schema, taken, outcome })
    }

    /// Waits for a place among the queries that run.
    async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2], Refused> {
        let engine = &self.0.engine;
        let admitted = Arc::clone(engine.admitted()).try_acquire_owned().map_err(|_| Refused::Busy)?;
        let running = timeout(engine.options().patience, Arc::clone(engine.running()).acquire_owned()).await;
        let running = running.map_err(|_| Refused::Busy)?.map_err(|_| Refused::Busy)?;
        Ok([running, admitted])
    }

    async fn begin(
        &self,
        plan: &LogicalPlan,
        text: String,
    ) -> Result<(SendableRecordBatchStream, Option<Read>), Refused> {
        let plan = self.0.context.state().optimize(plan)?;
        let read = match self.0.engine.audit().filter(|_| reads_content(&plan)) {
            Some(audit) => Some(self.record(audit, text).await.map_err(|error| {
                tracing::error!(error, "a read of content was refused: it could not be recorded");
                Refused::Unrecorded
            })?),
            None => None,
        };
        Ok((self.execute(&plan).await?, read))
    }

    async fn record(&self, audit: &Audit, text: String) -> Result<Read, String> {
        let Access { workspace, principal, .. } = self.0.access.clone();
        let read = Read::begun(workspace, principal, text)?;
        audit.keep(read.clone()).await?;
        Ok(read)
    }

    async fn execute(&self, optimised: &LogicalPlan) -> Result<SendableRecordBatchStream, Refused> {
        let state = self.0.context.state();
        let physical = state.query_planner().create_physical_plan(optimised, &state).await?;
        Ok(execute_stream(physical, self.0.context.task_ctx())?)
    }
}

/// Makes a statement's rows.
struct Pump {
    session: Session,
    plan: LogicalPlan,
    stream: SendableRecordBatchStream,
    rows: mpsc::Sender<RecordBatch>,
    /// Rows that were taken.
    given: Arc<AtomicU64>,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Pump {
    async fn run(mut self) -> Result<(), Refused> {
        let mut fresh = true;
        loop {
            let next = tokio::select! {
                // Nobody waits for the rest.
                () = self.rows.closed() => return Ok(()),
                next = self.stream.next() => next,
            };
            match next {
                None => return Ok(()),
                Some(Ok(batch)) => {
                    fresh = false;
                    let rows = batch.num_rows() as u64;
                    if self.rows.send(batch).await.is_err() {
                        return Ok(());
                    }
                    self.given.fetch_add(rows, Ordering::Relaxed);
                }
                // A file was merged or erased between the list and the read: the newest list has others.
                Some(Err(error)) if fresh && is_gone(&error) => {
                    fresh = false;
                    let inner = &self.session.0;
                    inner.engine.files().expire(&inner.access.workspace).await;
                    let plan = inner.context.state().optimize(&self.plan)?;
                    self.stream = self.session.execute(&plan).await?;
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
    }
}

fn is_gone(error: &DataFusionError) -> bool {
    let gone = |error: &object_store::Error| matches!(error, object_store::Error::NotFound { .. });
    match error.find_root() {
        DataFusionError::ObjectStore(error) => gone(error),
        // The reader of Parquet wraps what the store said.
        other => other.to_string().contains("not found"),
    }
}

/// A statement's rows.
pub struct Results {
    pub schema: SchemaRef,
    taken: mpsc::Receiver<RecordBatch>,
    outcome: oneshot::Receiver<Result<(), Refused>>,
}

impl Results {
    /// The next rows; `None` after the last ones.
    ///
    /// # Errors
    /// When the statement failed or was stopped.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>, Refused> {
        if let Some(batch) = self.taken.recv().await {
            return Ok(Some(batch));
        }
        // A task that panicked says nothing.
        match (&mut self.outcome).await {
            Ok(outcome) => outcome.map(|()| None),
            Err(_) => Err(Refused::Broken),
        }
    }
}

/// Whether a plan reads a column of content that its role is shown.
fn reads_content(plan: &LogicalPlan) -> bool {
    let mut reads = false;
    // The visitor itself cannot fail.
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && scan_reads_content(scan)
        {
            reads = true;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    reads
}

fn scan_reads_content(scan: &TableScan) -> bool {
    let Ok(provider) = source_as_provider(&scan.source) else { return false };
    let provider = provider.as_ref() as &dyn std::any::Any;
    let is_content = |column: &str| {
        let stored = provider.downcast_ref::<LakeTable>().is_some_and(|table| table.reads_content(column));
        stored || provider.downcast_ref::<LiveTable>().is_some_and(|table| table.reads_content(column))
    };
    let projected = scan.projected_schema.fields().iter().any(|field| is_content(field.name()));
    projected || scan.filters.iter().flat_map(|filter| filter.column_refs()).any(|column| is_content(&column.name))
}
