//! `sessionlake sql`: a question to the lake itself, or to a running server.

mod local;
mod server;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use self::server::ServerArgs;
use super::failure::Failure;
use super::options::ConfigArgs;
use super::render::safe::clean;
use crate::model::Workspace;
use crate::query::{Bounds, Refused, Results, output};

/// Ask the lake, or a server, in SQL
///
/// Reads the tables of the lake directly, whether or not a collector is running: events, sessions,
/// facts, live_events, live_sessions. With --server the same SQL is asked of a running
/// `sessionlake serve` over PostgreSQL's protocol, as the token's role; the output is the same.
/// Rows come as they are made; Ctrl-C and --timeout stop the statement wherever it runs.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  sessionlake sql \"SELECT project, sum(cost_usd) FROM sessions GROUP BY project ORDER BY 2 DESC\"
  sessionlake sql --lake s3://acme-sessions/prod --format csv -o costs.csv \"SELECT * FROM sessions\"
  SESSIONLAKE_TOKEN=slk_... sessionlake sql --server lake.example.com --workspace acme \"SELECT ...\""
)]
pub struct Sql {
    /// One SELECT
    statement: String,
    #[command(flatten)]
    server: ServerArgs,
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
    /// How long the answer may take, in seconds; a server has a limit of its own, 60
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

/// More is as good as no limit, and a time that clocks can hold.
const LONGEST: u64 = 365 * 24 * 3600;

impl Sql {
    pub async fn run(self) -> Result<(), Failure> {
        let workspace = Workspace::parse(&self.workspace).map_err(|error| Failure::Usage(error.to_string()))?;
        if matches!(self.format, Format::Parquet) && self.output.is_none() {
            return Err(Failure::Usage("Parquet is no text: give a file with --output".to_owned()));
        }
        let deadline = Duration::from_secs(self.timeout.min(LONGEST));
        let bounds = Bounds { deadline, cancel: Box::pin(interrupted()) };
        let results = match &self.server.server {
            Some(address) => server::ask(&self.server, address, workspace, &self.statement, bounds).await?,
            None => local::ask(&self.config, workspace, &self.statement, bounds).await?,
        };
        write(self.format, self.output.as_deref(), results).await
    }
}

/// Ctrl-C. Where it cannot be heard it ends the process, as ever.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
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
