//! `sessionlake hold`: of what is held nothing is deleted.

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Failure;
use super::options::{self, ConfigArgs};
use super::render::numbers::rfc3339;
use super::sessions::open_lake;
use super::{json, terminal};
use crate::clock::Clock;
use crate::sink::lake::{Hold as Held, HoldSubject, Holds};

/// Legal holds: what is held is not deleted, by retention, erasure or anything else.
///
/// Holds are kept in the lake and bind every replica; a running server needs no restart. What was deleted before a hold
/// is not brought back by it.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake hold add --user ada@acme.example --reason 'case 2026-17'")]
pub struct Hold {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    Remove(Remove),
    List(List),
}

/// Hold a session, a user's sessions or a project's
#[derive(Debug, Args)]
#[command(
    after_help = "Example: sessionlake hold add --session 0b5e5b0a-7d0c-4c53-9a6e-6a1d5a3f1c77 --reason 'case 17'"
)]
struct Add {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Why; anybody who lists holds reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Exactly one of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SubjectArgs {
    /// A session by its whole id
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// All sessions of a user: address, id or account id
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All sessions of a project: its directory
    #[arg(long, value_name = "DIR")]
    project: Option<String>,
}

impl SubjectArgs {
    fn subject(self) -> HoldSubject {
        match self {
            SubjectArgs { session: Some(name), .. } => HoldSubject::Session(name),
            SubjectArgs { user: Some(name), .. } => HoldSubject::User(name),
            SubjectArgs { project, .. } => HoldSubject::Project(project.unwrap_or_default()),
        }
    }
}

/// End a hold, by the id that `hold list` shows
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake hold remove 5f0c1c8e9a7b3d21")]
struct Remove {
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    place: PlaceArgs,
}

/// List holds
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake hold list --workspace acme --json")]
struct List {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
struct PlaceArgs {
    /// The workspace that is meant
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
    #[command(flatten)]
    config: ConfigArgs,
}

impl PlaceArgs {
    async fn open(&self) -> Result<Holds, Failure> {
        let workspace = options::workspace(&self.workspace)?;
        let lake = open_lake(&self.config.load()?).await?;
        let holds = Holds::open(&lake, &workspace).await;
        Ok(holds.context("cannot open the lake's holds: has 'sessionlake serve' run on it?")?)
    }
}

impl Hold {
    pub async fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Add(command) => command.run().await,
            Command::Remove(command) => command.run().await,
            Command::List(command) => command.run().await,
        }
    }
}

impl Add {
    async fn run(self) -> Result<(), Failure> {
        let holds = self.place.open().await?;
        let by = std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
        let hold = Held { subject: self.subject.subject(), reason: self.reason, by, at: Clock::system().now() };
        let id = holds.id(&hold.subject);
        let added = holds.add(&hold).await.context("the hold is not added")?;
        eprintln!("{}", if added { "Held from now on; the hold's id:" } else { "It was held already; the hold's id:" });
        terminal::print(&format!("{id}\n"))
    }
}

impl Remove {
    async fn run(self) -> Result<(), Failure> {
        if self.id.len() != 16 || !self.id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Failure::Usage("an id is 16 hex digits: 'sessionlake hold list' shows them".to_owned()));
        }
        if !self.place.open().await?.remove(&self.id).await.context("the hold is not removed")? {
            return Err(anyhow!("there is no hold {}: 'sessionlake hold list' shows what there is", self.id).into());
        }
        eprintln!("Not held any more: retention may delete it within hours.");
        Ok(())
    }
}

impl List {
    async fn run(self) -> Result<(), Failure> {
        let holds = self.place.open().await?.all().await.context("the holds cannot be read")?;
        if self.json {
            return terminal::print(&json::text(
                &holds.iter().map(|(id, hold)| described(id, hold)).collect::<Value>(),
            ));
        }
        if holds.is_empty() {
            eprintln!("nothing is held");
        }
        let line = |(id, hold): &(String, Held)| {
            let (of, name) = hold.subject.parts();
            let (name, reason) = (name.escape_debug(), hold.reason.escape_debug());
            format!("{id}  {of:<7}  {name}  since {}  by {}: {reason}\n", rfc3339(hold.at), hold.by.escape_debug())
        };
        terminal::print(&holds.iter().map(line).collect::<String>())
    }
}

fn described(id: &str, hold: &Held) -> Value {
    let (of, name) = hold.subject.parts();
    json!({"id": id, "of": of, "name": name, "reason": hold.reason, "by": hold.by, "at": rfc3339(hold.at)})
}
