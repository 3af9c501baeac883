//! Running sessions, folded from their facts when they are asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{Array, Date32Array, RecordBatch, new_null_array};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use super::access::Access;
use super::error::Refused;
use super::files::Files;
use super::options::QueryOptions;
use super::tables::{schema, sessions};
use crate::clock::Clock;
use crate::model::{Fact, Kind, Status};
use crate::sink::lake::seal::{Recheck, running};
use crate::sink::lake::{Block, LakeError, Table, TableKind, fact_bytes};

/// What folding needs.
#[derive(Clone)]
pub struct Lively {
    pub files: Arc<Files>,
    pub recheck: Option<Recheck>,
    pub clock: Clock,
    pub options: QueryOptions,
}

impl std::fmt::Debug for Lively {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lively(..)")
    }
}

/// `live_events` or `live_sessions`.
#[derive(Debug)]
pub struct LiveTable {
    kind: TableKind,
    access: Access,
    lively: Lively,
    schema: SchemaRef,
}

impl LiveTable {
    pub fn new(kind: TableKind, access: Access, lively: Lively) -> LiveTable {
        LiveTable { kind, access, lively, schema: schema(kind) }
    }

    /// As [`super::tables::LakeTable::reads_content`].
    pub fn reads_content(&self, column: &str) -> bool {
        self.access.reads_content(self.kind, column)
    }

    /// The rows of the sessions that run; with `wanted`, of those among them.
    async fn fold(&self, wanted: Option<Vec<String>>) -> Result<Vec<RecordBatch>, Error> {
        let facts = self.lively.files.lake().existing(&self.access.workspace, TableKind::Facts).await?;
        let Some(facts) = facts else { return Ok(Vec::new()) };
        let gathered = self.gather(&facts, wanted).await?;
        let folded = running(gathered, self.access.workspace.clone(), self.lively.recheck.clone()).await?;
        let blocks = match self.kind {
            TableKind::Sessions => folded.sessions,
            _ => folded.events,
        };
        Ok(blocks.iter().map(|block| self.shown(block)).collect::<Result<_>>()?)
    }

    async fn gather(&self, facts: &Table, wanted: Option<Vec<String>>) -> Result<HashMap<String, Vec<Fact>>, Error> {
        let options = &self.lively.options;
        let active = self.active(facts).await?;
        let active: HashSet<String> = match wanted {
            Some(wanted) => wanted.into_iter().filter(|id| active.contains(id)).collect(),
            None => active,
        };
        if active.len() > options.live_sessions {
            let (most, are) = (options.live_sessions, active.len());
            let text =
                format!("{are} sessions run, and a live table shows {most} at a time: add WHERE session_id = '...'");
            return Err(Error::Refused(Refused::Live(text)));
        }
        let tags = facts.session_tags(&active);
        let (mut found, mut bytes) = (HashMap::<String, Vec<_>>::new(), 0usize);
        for file in facts.files().await?.into_iter().filter(|file| file.may_hold(&tags)) {
            let mut read = facts.read_facts(&file, Some(&active)).await?;
            if let Some(tombstones) = self.lively.files.tombstones(&self.access.workspace) {
                read = tombstones.sift(&self.access.workspace, read).kept;
            }
            for fact in read {
                bytes += fact_bytes(&fact);
                if bytes > options.live_bytes {
                    let text = "the running sessions are too large to be folded now: add WHERE session_id = '...'";
                    return Err(Error::Refused(Refused::Live(text.to_owned())));
                }
                if let Some(id) = fact.session_id.clone() {
                    found.entry(id).or_default().push(fact);
                }
            }
        }
        Ok(found)
    }

    /// The sessions that had a fact within the idle timeout and did not end.
    async fn active(&self, facts: &Table) -> Result<HashSet<String>, Error> {
        let now = self.lively.clock.now();
        let since = now - i64::try_from(self.lively.options.idle_timeout.as_micros()).unwrap_or(i64::MAX / 4);
        let first = since.div_euclid(86_400_000_000);
        let (mut active, mut ended) = (HashSet::new(), HashSet::new());
        for file in facts.files().await?.into_iter().filter(|file| i64::from(file.date) >= first) {
            for seen in facts.read_seen(&file).await?.into_iter().filter(|seen| seen.received_at >= since) {
                let Some(id) = seen.session_id else { continue };
                if seen.kind == Kind::SessionEnd {
                    ended.insert(id.clone());
                }
                active.insert(id);
            }
        }
        // An end does not end a session that went on after it: what is stored as running runs.
        if let Some(sessions) = self.lively.files.lake().existing(&self.access.workspace, TableKind::Sessions).await? {
            for file in sessions.files().await? {
                for session in sessions.read_sessions(&file, Some(&ended)).await? {
                    if session.status == Status::Running {
                        ended.remove(&session.session_id);
                    }
                }
            }
        }
        active.retain(|id| !ended.contains(id));
        Ok(active)
    }

    /// As statements see it: the partition last, hidden columns NULL.
    fn shown(&self, block: &Block) -> Result<RecordBatch> {
        let batch = block.batch();
        let days: Arc<dyn Array> = Arc::new(Date32Array::from(vec![block.date(); batch.num_rows()]));
        let columns = self.schema.fields().iter().map(|field| {
            let hidden = self.kind.columns().any(|c| c.name == field.name() && !self.access.shows(c));
            if field.name() == self.kind.partition() {
                return Ok(Arc::clone(&days));
            }
            match batch.column_by_name(field.name()).filter(|_| !hidden) {
                Some(column) => Ok(datafusion::arrow::compute::cast(column, field.data_type())?),
                None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            }
        });
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns.collect::<Result<Vec<Arc<dyn Array>>>>()?)?)
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Lake(#[from] LakeError),
    #[error(transparent)]
    Engine(#[from] DataFusionError),
    #[error(transparent)]
    Refused(Refused),
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> DataFusionError {
        match error {
            Error::Engine(error) => error,
            Error::Refused(refused) => DataFusionError::External(Box::new(refused)),
            Error::Lake(error) => DataFusionError::External(Box::new(error)),
        }
    }
}

#[async_trait]
impl TableProvider for LiveTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.fold(filters.iter().find_map(sessions)).await?;
        let scan = MemorySourceConfig::try_new_exec(&[batches], Arc::clone(&self.schema), projection.cloned())?;
        Ok(scan)
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match sessions(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }
}
