//! What all sessions share.

use std::sync::{Arc, OnceLock};

use datafusion::catalog::information_schema::INFORMATION_SCHEMA;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use datafusion_postgres::datafusion_pg_functions;
use object_store::ObjectStore;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::Url;

use super::access::Access;
use super::audit::Audit;
use super::columns::Information;
use super::files::Files;
use super::functions;
use super::growth::Growth;
use super::live::{LiveTable, Lively};
use super::memory::Share;
use super::options::QueryOptions;
use super::tables::{LakeTable, STORE};
use super::windows::Windows;
use super::yielding::Yielding;
use crate::clock::Clock;
use crate::model::Workspace;
use crate::sink::lake::seal::Recheck;
use crate::sink::lake::tombstones::Tombstones;
use crate::sink::lake::{Lake, LakeError, TableKind};

/// Where rows come from, and who is told.
pub struct Sources {
    pub lake: Lake,
    /// What must not be shown any more.
    pub tombstones: Option<Tombstones>,
    /// The second pass of redaction, for what is folded here.
    pub recheck: Option<Recheck>,
    /// Is told of every read of content. `None`: who reads the lake's files needs no leave.
    pub audit: Option<Audit>,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    files: Arc<Files>,
    options: QueryOptions,
    /// Of all sessions: memory is cut into shares of it.
    runtime: RuntimeEnv,
    memory: Arc<GreedyMemoryPool>,
    /// Places for queries that run, and for those that run or wait.
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// Places for statements that are being understood.
    planning: Arc<Semaphore>,
    audit: Option<Audit>,
    recheck: Option<Recheck>,
    clock: Clock,
    compute: OnceLock<Handle>,
}

impl Engine {
    /// An engine over a lake. Empties the spill directory.
    ///
    /// # Errors
    /// When the spill directory cannot be emptied and made.
    pub fn new(sources: Sources, options: QueryOptions, clock: Clock) -> Result<Engine> {
        let Sources { lake, tombstones, recheck, audit } = sources;
        empty(&options)?;
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![options.spill_dir.clone()]))
            .with_max_temp_directory_size(options.spill);
        let store = Arc::new(OneStore(lake.objects()));
        let runtime =
            RuntimeEnvBuilder::new().with_disk_manager_builder(disk).with_object_store_registry(store).build()?;
        let running = Arc::new(Semaphore::new(options.running));
        let admitted = Arc::new(Semaphore::new(options.running + options.waiting));
        let planning = Arc::new(Semaphore::new(options.running));
        let memory = Arc::new(GreedyMemoryPool::new(options.memory));
        let files = Arc::new(Files::new(lake, tombstones));
        Ok(Engine(Arc::new(Shared {
            files,
            options,
            runtime,
            memory,
            running,
            admitted,
            planning,
            audit,
            recheck,
            clock,
            compute: OnceLock::new(),
        })))
    }

    /// Plans are made, and run, on these threads from now on: a step of theirs may take long, and whoever waits for it,
    /// for its deadline or for a login is heard all the same.
    pub fn compute_on(&self, threads: Handle) {
        // The first ones stay.
        let _ = self.0.compute.set(threads);
    }

    pub(super) fn compute(&self) -> Handle {
        self.0.compute.get().cloned().unwrap_or_else(Handle::current)
    }

    pub fn options(&self) -> &QueryOptions {
        &self.0.options
    }

    pub(super) fn files(&self) -> &Files {
        &self.0.files
    }

    pub(super) fn running(&self) -> &Arc<Semaphore> {
        &self.0.running
    }

    pub(super) fn admitted(&self) -> &Arc<Semaphore> {
        &self.0.admitted
    }

    pub(super) fn planning(&self) -> &Arc<Semaphore> {
        &self.0.planning
    }

    pub(super) fn audit(&self) -> Option<&Audit> {
        self.0.audit.as_ref()
    }

    /// Whether a workspace has a table.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn has(&self, workspace: &Workspace) -> Result<bool, LakeError> {
        Ok(self.0.files.lake().workspaces().await?.contains(workspace))
    }

    /// A context that knows one workspace's tables as one role sees them.
    ///
    /// # Errors
    /// When the catalog cannot be set up: a fault of our own.
    pub fn context(&self, access: &Access) -> Result<SessionContext> {
        let shared = &self.0;
        let share = Arc::new(Share::of(&shared.memory, shared.options.session_memory));
        let runtime = Arc::new(RuntimeEnv { memory_pool: share, ..shared.runtime.clone() });
        let name = access.workspace.as_str();
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema("public", self.tables(access)?)?;
        let state = SessionStateBuilder::new()
            .with_config(config(name))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_analyzer_rule(Arc::new(Growth { most: shared.options.session_memory / 2 }))
            .with_physical_optimizer_rule(Arc::new(Yielding))
            .with_physical_optimizer_rule(Arc::new(Windows))
            .build();
        let context = SessionContext::new_with_state(state);
        let catalog: Arc<dyn CatalogProvider> = Arc::new(catalog);
        context.register_catalog(name, Arc::clone(&catalog));
        let list = Arc::clone(context.state().catalog_list());
        let information = Information::new(name, Arc::clone(&catalog), list);
        catalog.register_schema(INFORMATION_SCHEMA, Arc::new(information))?;
        let mut functions = context.clone();
        datafusion_pg_functions::register_all(&mut functions);
        functions::install(&context);
        setup_pg_catalog(&context, name, EmptyContextProvider).map_err(|error| *error)?;
        Ok(context)
    }

    fn tables(&self, access: &Access) -> Result<Arc<MemorySchemaProvider>> {
        let schema = MemorySchemaProvider::new();
        for kind in TableKind::ALL.into_iter().filter(|kind| access.has(*kind)) {
            let table = LakeTable::new(kind, access.clone(), Arc::clone(&self.0.files));
            schema.register_table(kind.name().to_owned(), Arc::new(table))?;
        }
        for kind in [TableKind::Events, TableKind::Sessions] {
            let table = LiveTable::new(kind, access.clone(), self.lively());
            schema.register_table(format!("live_{}", kind.name()), Arc::new(table))?;
        }
        Ok(Arc::new(schema))
    }

    fn lively(&self) -> Lively {
        let shared = &self.0;
        Lively {
            files: Arc::clone(&shared.files),
            recheck: shared.recheck.clone(),
            clock: shared.clock.clone(),
            options: shared.options.clone(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.options.spill_dir) {
            tracing::warn!(%error, "the directory of spilled queries could not be removed");
        }
    }
}

/// What a process that was killed left behind goes first.
fn empty(options: &QueryOptions) -> Result<()> {
    match std::fs::remove_dir_all(&options.spill_dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    crate::private::create_dir(&options.spill_dir)?;
    Ok(())
}

fn config(database: &str) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_default_catalog_and_schema(database, "public")
        .with_create_default_catalog_and_schema(false)
        // A schema of the catalog: ours.
        .with_information_schema(false);
    let options = config.options_mut();
    // Content is decoded only in rows that the other filters leave.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    options.execution.time_zone = Some("UTC".to_owned());
    config
}

/// The lake's store and no other: no URL leads anywhere else.
#[derive(Debug)]
struct OneStore(Arc<dyn ObjectStore>);

impl ObjectStoreRegistry for OneStore {
    fn register_store(&self, _url: &Url, _store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        match url.as_str().trim_end_matches('/') {
            STORE => Ok(Arc::clone(&self.0)),
            _ => Err(DataFusionError::Plan("there are no files here but the lake's tables".to_owned())),
        }
    }
}
