//! `sessionlake token`: who may send and read, by tokens. No server is needed; a running one notices within a second.

mod change;
mod create;
mod list;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Failure;
use super::options::ConfigArgs;
use super::render::numbers::rfc3339;
use super::{json, terminal};
use crate::auth::entry::Entry;
use crate::auth::store::Store;
use crate::auth::{Randomness, Token as Secret};
use crate::run::random;

/// Create, list, rotate and revoke tokens.
///
/// A token belongs to one workspace and has one role. The data directory keeps hashes only: a token is shown once.
/// Tokens are in force where the configuration says auth: {enabled: true}; a running server notices changes within
/// a second.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake token create --workspace acme --role ingest --name laptops")]
pub struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    List(list::List),
    Rotate(change::Rotate),
    Revoke(change::Revoke),
}

impl Token {
    pub fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Create(command) => command.run(),
            Command::List(command) => command.run(),
            Command::Rotate(command) => command.run(),
            Command::Revoke(command) => command.run(),
        }
    }
}

/// The store that a configuration means.
fn store(config: &ConfigArgs) -> Result<Store, Failure> {
    Ok(Store::new(&config.load()?.data_dir))
}

fn randomness() -> Result<Randomness, Failure> {
    Ok(Randomness { token: random()?, salt: random()? })
}

/// A token without its secret, as JSON.
fn described(entry: &Entry, now: i64) -> Value {
    json!({
        "id": entry.id,
        "name": entry.name,
        "group": entry.group,
        "workspace": entry.workspace.as_str(),
        "role": entry.role.as_str(),
        "status": entry.standing(now).as_str(),
        "created_at": rfc3339(entry.created_at),
        "expires_at": entry.expires_at.map(rfc3339),
        "revoked_at": entry.revoked_at.map(rfc3339),
    })
}

/// Shows a new token, this once: alone on stdout, so that a script can take it, with what to know about it on stderr.
fn show(secret: &Secret, entry: &Entry, now: i64, as_json: bool) -> Result<(), Failure> {
    if as_json {
        let mut shown = json!({"token": secret.reveal()});
        if let (Value::Object(shown), Value::Object(rest)) = (&mut shown, described(entry, now)) {
            shown.extend(rest);
        }
        return terminal::print(&json::text(&shown));
    }
    let ends = entry.expires_at.map_or("never expires".to_owned(), |end| format!("expires {}", rfc3339(end)));
    eprintln!(
        "Token {} '{}': {} in workspace {}, {ends}. It is not shown again:",
        entry.id,
        entry.name,
        entry.role.as_str(),
        entry.workspace
    );
    terminal::print(&format!("{}\n", secret.reveal()))
}
