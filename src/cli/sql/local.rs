//! The lake's files, read by this process.

use anyhow::Context;

use super::failed;
use crate::cli::failure::Failure;
use crate::cli::options::ConfigArgs;
use crate::cli::sessions::open_lake;
use crate::clock::Clock;
use crate::model::Workspace;
use crate::query::{Access, Bounds, Engine, QueryOptions, Results, Session, Sources};
use crate::sink::lake::tombstones::{TombstoneStore, Tombstones};
use crate::sink::lake::{Lake, LakeError};

/// Asks one statement of the lake that the configuration names.
pub async fn ask(
    config: &ConfigArgs,
    workspace: Workspace,
    statement: &str,
    bounds: Bounds,
) -> Result<Results, Failure> {
    let config = config.load()?;
    let lake = open_lake(&config).await?;
    // Where a lake on S3 is asked there is no data directory to spill into.
    let spill = std::env::temp_dir().join(format!("sessionlake-sql-{}", std::process::id()));
    let options = QueryOptions {
        deadline: bounds.deadline,
        idle_timeout: config.idle_timeout,
        ..QueryOptions::within(4 * config.memory_limit_bytes, spill)
    };
    let tombstones = tombstones(&lake).await?;
    let sources = Sources { lake, tombstones, recheck: None, audit: None };
    let engine = Engine::new(sources, options, Clock::system()).context("cannot set SQL up")?;
    let session = Session::open(engine, Access::whole(workspace)).map_err(failed)?;
    let mut statements = session.parse(statement).map_err(failed)?;
    let statement = statements.pop().filter(|_| statements.is_empty());
    let Some(statement) = statement else { return Err(Failure::Usage("write one statement".to_owned())) };
    let text = statement.to_string();
    let plan = session.plan(statement).await.map_err(failed)?;
    session.run(plan, text, bounds).await.map_err(failed)
}

/// What must not be shown any more, as the lake says now. A lake that nobody wrote to yet has none.
async fn tombstones(lake: &Lake) -> Result<Option<Tombstones>, Failure> {
    let key = match lake.existing_key().await {
        Ok(key) => key,
        Err(LakeError::NoKey) => return Ok(None),
        Err(error) => return Err(anyhow::Error::new(error).context("cannot read the lake's key").into()),
    };
    let tombstones = Tombstones::new(key);
    let store = TombstoneStore::new(lake);
    for (workspace, names) in store.all().await.context("cannot read the lake's tombstones")? {
        tombstones.add(&workspace, names);
    }
    Ok(Some(tombstones))
}
