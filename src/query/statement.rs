//! From a statement's text to rows, within limits.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArguments, Statement, visit_expressions};
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::access::Access;
use super::audit::{Audit, Read};
use super::engine::Engine;
use super::error::Refused;
use super::growth;
use super::live::LiveTable;
use super::search_path;
use super::tables::LakeTable;
use super::work::{Results, Work};

/// Statements in one text.
const MOST_STATEMENTS: usize = 64;
/// Of a function, as in PostgreSQL: a call with thousands takes long to be understood.
const MOST_ARGUMENTS: usize = 100;
/// Batches that wait for a client who reads slowly.
pub(super) const AHEAD: usize = 2;

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
        if visit_expressions(&statements, calls_with_too_many).is_break() {
            return Err(Refused::TooManyArguments(MOST_ARGUMENTS));
        }
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
        let late = |wait: Duration| Refused::Deadline { seconds: wait.as_secs() };
        // A long text's plan takes much memory that nobody counts: few are made at a time, where rows are made.
        let (engine, state) = (&self.0.engine, self.0.context.state());
        let (patience, deadline) = (engine.options().patience, engine.options().deadline);
        let turn = Arc::clone(engine.planning()).acquire_owned();
        let turn = timeout(patience, turn).await.map_err(|_| Refused::Busy)?;
        let planned = engine.compute().spawn(async move {
            let _turn = turn;
            state.statement_to_plan(Parsed::Statement(Box::new(statement))).await
        });
        let planned = timeout(deadline, planned).await.map_err(|_| late(deadline))?;
        let plan = planned.map_err(|_| Refused::Broken)??;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan).map_err(|_| Refused::ReadOnly)?;
        Ok(plan)
    }

    /// Runs a plan of [`Self::plan`] once it is its turn. `text`: the statement, for the audit table. It runs on a task of
    /// its own, where rows are made as they are taken. Deadline and cancellation are heard here, whatever that task does.
    ///
    /// # Errors
    /// When it cannot begin: too many others run, a limit is reached, or its read cannot be recorded.
    pub async fn run(&self, plan: LogicalPlan, text: String, bounds: Bounds) -> Result<Results, Refused> {
        let (rows, taken) = mpsc::channel(AHEAD);
        let (begun, mut begins) = oneshot::channel();
        let (end, ends) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (tell, mut outcome) = oneshot::channel();
        let work = Work { session: self.clone(), plan, text, rows, given: Arc::default() };
        self.0.engine.compute().spawn(work.run(begun, stopped, end));
        tokio::spawn(async move {
            let ended = tokio::select! {
                () = bounds.cancel => Err(Refused::Canceled),
                () = sleep(bounds.deadline) => Err(Refused::Deadline { seconds: bounds.deadline.as_secs() }),
                // A task that panicked says nothing.
                ended = ends => ended.unwrap_or(Err(Refused::Broken)),
            };
            drop::<oneshot::Sender<()>>(stop);
            // Whoever asked may have gone.
            let _ = tell.send(ended);
        });
        let early = tokio::select! {
            biased;
            Ok(schema) = &mut begins => return Ok(Results::of(schema, taken, outcome)),
            ended = &mut outcome => ended.unwrap_or(Err(Refused::Broken)),
        };
        // It may have begun and ended before anybody looked.
        early?;
        let schema = begins.await.map_err(|_| Refused::Broken)?;
        Ok(Results::ended(schema, taken, outcome))
    }

    /// Waits for a place among the queries that run.
    pub(super) async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2], Refused> {
        let engine = &self.0.engine;
        let admitted = Arc::clone(engine.admitted()).try_acquire_owned().map_err(|_| Refused::Busy)?;
        let running = timeout(engine.options().patience, Arc::clone(engine.running()).acquire_owned()).await;
        let running = running.map_err(|_| Refused::Busy)?.map_err(|_| Refused::Busy)?;
        Ok([running, admitted])
    }

    pub(super) async fn begin(
        &self,
        plan: &LogicalPlan,
        text: String,
    ) -> Result<(SendableRecordBatchStream, Option<Read>), Refused> {
        let plan = self.optimised(plan)?;
        let read = match self.0.engine.audit().filter(|_| reads_content(&plan)) {
            Some(audit) => Some(self.record(audit, text).await.map_err(|error| {
                tracing::error!(error, "a read of content was refused: it could not be recorded");
                Refused::Unrecorded
            })?),
            None => None,
        };
        Ok((self.execute(&plan).await?, read))
    }

    pub(super) fn optimised(&self, plan: &LogicalPlan) -> Result<LogicalPlan, Refused> {
        let plan = self.0.context.state().optimize(&growth::shared(plan.clone())?)?;
        growth::within_bounds(&plan)?;
        Ok(plan)
    }

    /// The lists of files are read anew the next time.
    pub(super) async fn forget_files(&self) {
        self.0.engine.files().expire(&self.0.access.workspace).await;
    }

    async fn record(&self, audit: &Audit, text: String) -> Result<Read, String> {
        let Access { workspace, principal, .. } = self.0.access.clone();
        let read = Read::begun(workspace, principal, text)?;
        audit.keep(read.clone()).await?;
        Ok(read)
    }

    pub(super) async fn execute(&self, optimised: &LogicalPlan) -> Result<SendableRecordBatchStream, Refused> {
        let state = self.0.context.state();
        let physical = state.query_planner().create_physical_plan(optimised, &state).await?;
        Ok(execute_stream(physical, self.0.context.task_ctx())?)
    }
}

fn calls_with_too_many(expr: &Expr) -> ControlFlow<()> {
    match expr {
        Expr::Function(Function { args: FunctionArguments::List(list), .. }) if list.args.len() > MOST_ARGUMENTS => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
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
