//! `sessionlake token rotate` and `sessionlake token revoke`.

use clap::Args;

use super::super::failure::Failure;
use super::super::options::{self, ConfigArgs};
use super::super::{json, terminal};
use super::create::end;
use super::{described, randomness, show, store};
use crate::auth::Token;
use crate::auth::store::Which;
use crate::auth::token::PREFIX;
use crate::clock::Clock;

/// Replace a token's secret: a new token with the same name, role and workspace
///
/// The old one is over at once, unless --overlap gives its holders time.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake token rotate laptops --workspace acme --overlap 24h")]
pub struct Rotate {
    #[command(flatten)]
    which: Chosen,
    /// How long the old token stays good beside the new one, as in 24h
    #[arg(long, value_name = "DURATION")]
    overlap: Option<String>,
    /// Print the new token and what is known of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// End a token at once
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake token revoke laptops --workspace acme")]
pub struct Revoke {
    #[command(flatten)]
    which: Chosen,
    /// Print what is known of the token as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Which token is meant.
#[derive(Debug, Args)]
struct Chosen {
    /// The token's id or name
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Its workspace, where the name alone is not unique
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
}

impl Chosen {
    /// The text may be a whole token: whoever pastes one means it, and it must not be repeated in an error.
    fn which(self) -> Result<Which, Failure> {
        let text = match Token::parse(&self.token) {
            Some(token) => token.id().to_owned(),
            None if self.token.starts_with(PREFIX) => {
                return Err(Failure::Usage("this is no whole token: give its id or its name".to_owned()));
            }
            None => self.token,
        };
        Ok(Which { text, workspace: self.workspace.as_deref().map(options::workspace).transpose()? })
    }
}

impl Rotate {
    pub fn run(self) -> Result<(), Failure> {
        let now = Clock::system().now();
        let until = self.overlap.as_deref().map(|text| end("--overlap", text, now)).transpose()?;
        let rotated = store(&self.config)?.rotate(&self.which.which()?, randomness()?, until, now);
        let (secret, entry) = rotated.map_err(anyhow::Error::new)?;
        show(&secret, &entry, now, self.json)
    }
}

impl Revoke {
    pub fn run(self) -> Result<(), Failure> {
        let now = Clock::system().now();
        let entry = store(&self.config)?.revoke(&self.which.which()?, now).map_err(anyhow::Error::new)?;
        terminal::print(&match self.json {
            true => json::text(&described(&entry, now)),
            false => format!("revoked {} '{}' of workspace {}\n", entry.id, entry.name, entry.workspace),
        })
    }
}
