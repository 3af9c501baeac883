//! `sessionlake sql`: a question to the lake, without a server.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::arrow::{csv, json};
use datafusion::parquet::arrow::ArrowWriter;

use super::failure::Failure;
use super::options::ConfigArgs;
use super::render::safe::clean;
use super::sessions::open_lake;
use crate::clock::Clock;
use crate::model::Workspace;
use crate::query::{Access, Bounds, Engine, QueryOptions, Refused, Results, Session};

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
        let engine = Engine::new(lake, options, None, None, Clock::system()).context("cannot set SQL up")?;
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

fn failed(refused: Refused) -> Failure {
    Failure::Failed(anyhow!("{refused}"))
}

async fn write(format: Format, path: Option<&std::path::Path>, results: Results) -> Result<(), Failure> {
    let to: Box<dyn Write + Send> = match path {
        Some(path) => Box::new(File::create(path).with_context(|| format!("cannot create {}", path.display()))?),
        None => Box::new(io::stdout()),
    };
    match format {
        Format::Table => table(to, results).await,
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().with_header(true).build(to);
            // Rows of a result without rows have a header all the same.
            let empty = RecordBatch::new_empty(flat(&results.schema)?);
            writer.write(&empty).map_err(anyhow::Error::new)?;
            each(results, |batch| Ok(writer.write(&batch)?)).await
        }
        Format::Json => {
            let mut writer = json::LineDelimitedWriter::new(to);
            each(results, |batch| Ok(writer.write(&batch)?)).await
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(to, results.schema.clone(), None).map_err(anyhow::Error::new)?;
            each(results, |batch| Ok(writer.write(&batch)?)).await?;
            writer.close().map_err(anyhow::Error::new)?;
            Ok(())
        }
    }
}

/// CSV has no lists.
fn flat(schema: &SchemaRef) -> anyhow::Result<SchemaRef> {
    match schema.fields().iter().find(|field| field.data_type().is_nested()) {
        Some(field) => {
            bail!("column {} is a list, which CSV has not: choose --format json, or other columns", field.name())
        }
        None => Ok(schema.clone()),
    }
}

async fn each(mut results: Results, mut write: impl FnMut(RecordBatch) -> anyhow::Result<()>) -> Result<(), Failure> {
    while let Some(batch) = results.next().await.map_err(failed)? {
        write(batch)?;
    }
    Ok(())
}

async fn table(mut to: Box<dyn Write + Send>, mut results: Results) -> Result<(), Failure> {
    let (mut batches, mut rows, schema) = (Vec::new(), 0, results.schema.clone());
    while let Some(batch) = results.next().await.map_err(failed)? {
        let left = TABLE_ROWS - rows;
        rows += batch.num_rows().min(left);
        batches.push(batch.slice(0, batch.num_rows().min(left)));
        if rows == TABLE_ROWS {
            break;
        }
    }
    let text = pretty_format_batches_with_schema(schema, &batches).map_err(anyhow::Error::new)?;
    // What agents wrote may steer a terminal.
    for line in text.to_string().lines() {
        writeln!(to, "{}", clean(line))?;
    }
    let rows = if rows == TABLE_ROWS { format!("{rows} rows, the rest is left out") } else { format!("{rows} rows") };
    Ok(writeln!(to, "({rows})")?)
}
