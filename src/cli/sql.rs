//! `sessionlake sql`: a question to the lake, without a server.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use super::failure::Failure;
use super::options::ConfigArgs;
use super::render::safe::clean;
use super::sessions::open_lake;
use crate::clock::Clock;
use crate::model::Workspace;
use crate::query::{Access, Bounds, Engine, QueryOptions, Refused, Results, Session, Sources, output};
use crate::sink::lake::tombstones::{TombstoneStore, Tombstones};
use crate::sink::lake::{Lake, LakeError};

/// Ask the lake in SQL
///
/// Reads the tables of the lake directly, whether or not a collector is running: events, sessions,
/// facts, live_events, live_sessions. The same SQL is answered over PostgreSQL's protocol by
/// `sessionlake serve`.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake sql \"SELECT project, sum(cost_usd) FROM sessions GROUP BY project ORDER BY 2 DESC\"
  sessionlake sql --lake s3://acme-sessions/prod --format csv -o costs.csv \"SELECT * FROM sessions\""
)]
pub struct Sql {
    /// One SELECT
    statement: String,
    #[command(flatten)]
    config: ConfigArgs,
    /// The workspace that is asked
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    /// How rows are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Where to, instead of stdout
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long the answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Lines and columns, for people; at most 10,000 rows
    Table,
    /// With a header
    Csv,
    /// One object a line
    Json,
    Parquet,
}

/// A table is laid out as a whole.
const TABLE_ROWS: usize = 10_000;

impl Sql {
    pub async fn run(self) -> Result<(), Failure> {
        let workspace = Workspace::parse(&self.workspace).map_err(|error| Failure::Usage(error.to_string()))?;
        if matches!(self.format, Format::Parquet) && self.output.is_none() {
            return Err(Failure::Usage("Parquet is no text: give a file with --output".to_owned()));
        }
        let config = self.config.load()?;
        let lake = open_lake(&config).await?;
        // Where a lake on S3 is asked there is no data directory to spill into.
        let spill = std::env::temp_dir().join(format!("sessionlake-sql-{}", std::process::id()));
        let options = QueryOptions {
            deadline: Duration::from_secs(self.timeout),
            idle_timeout: config.idle_timeout,
            ..QueryOptions::within(4 * config.memory_limit_bytes, spill)
        };
        let tombstones = tombstones(&lake).await?;
        let sources = Sources { lake, tombstones, recheck: None, audit: None };
        let engine = Engine::new(sources, options, Clock::system()).context("cannot set SQL up")?;
        let session = Session::open(engine, Access::whole(workspace)).map_err(failed)?;
        let mut statements = session.parse(&self.statement).map_err(failed)?;
        let statement = statements.pop().filter(|_| statements.is_empty());
        let Some(statement) = statement else { return Err(Failure::Usage("write one statement".to_owned())) };
        let text = statement.to_string();
        let plan = session.plan(statement).await.map_err(failed)?;
        let deadline = session.engine().options().deadline;
        let bounds = Bounds { deadline, cancel: Box::pin(std::future::pending()) };
        let results = session.run(plan, text, bounds).await.map_err(failed)?;
        write(self.format, self.output.as_deref(), results).await
    }
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

fn failed(refused: Refused) -> Failure {
    Failure::Failed(anyhow!("{refused}"))
}

async fn write(format: Format, path: Option<&Path>, results: Results) -> Result<(), Failure> {
    let mut to: Box<dyn Write + Send> = match path {
        Some(path) => Box::new(File::create(path).with_context(|| format!("cannot create {}", path.display()))?),
        None => Box::new(io::stdout()),
    };
    let format = match format {
        Format::Csv => output::Format::Csv,
        Format::Json => output::Format::Json,
        Format::Parquet => output::Format::Parquet,
        Format::Table => {
            let (text, rows, more) = output::table(results, TABLE_ROWS).await.map_err(failed)?;
            // What agents wrote may steer a terminal.
            for line in text.lines() {
                writeln!(to, "{}", clean(line))?;
            }
            let rest = if more { ", the rest is left out" } else { "" };
            return Ok(writeln!(to, "({rows} rows{rest})")?);
        }
    };
    Ok(output::write(format, to, results).await.map_err(anyhow::Error::new)?)
}
