//! `sessionlake token create`.

use clap::Args;

use super::super::failure::Failure;
use super::super::options::{self, ConfigArgs};
use super::{randomness, show, store};
use crate::auth::{Role, Wanted};
use crate::clock::Clock;
use crate::config::duration;
use crate::run::random;

/// Create a token and show it, once
///
/// The token alone goes to stdout. Roles: ingest sends and reads nothing; viewer reads structure and cost, no content;
/// reader reads content; auditor reads who read what as well; admin may do all of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sessionlake token create --workspace acme --role ingest --name laptops --expires 90d
  TOKEN=$(sessionlake token create --workspace acme --role reader --data-dir /var/lib/sessionlake)")]
pub struct Create {
    /// The workspace that the token's holder sends to and reads from
    #[arg(long, value_name = "NAME")]
    workspace: String,
    /// ingest, viewer, reader, auditor or admin
    #[arg(long, value_name = "ROLE", value_parser = role)]
    role: Role,
    /// Name, unique in its workspace; it appears as 'principal' in the tables [default: role and id]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Tokens of one group count as one principal: sessions may come from any of them
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// How long it is good, as in 90d or 12h [default: for ever]
    #[arg(long, value_name = "DURATION")]
    expires: Option<String>,
    /// Print the token and what is known of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

fn role(text: &str) -> Result<Role, String> {
    let names = Role::ALL.map(Role::as_str).join(", ");
    Role::parse(text).ok_or_else(|| format!("write one of: {names}"))
}

/// UTC microseconds at which something that lasts that long from `now` is over.
pub fn end(flag: &str, text: &str, now: i64) -> Result<i64, Failure> {
    let lasts = duration(text, "1s", "36500d").map_err(|help| Failure::Usage(format!("{flag} '{text}': {help}")))?;
    Ok(now.saturating_add(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX)))
}

impl Create {
    pub fn run(self) -> Result<(), Failure> {
        let now = Clock::system().now();
        let expires_at = self.expires.as_deref().map(|text| end("--expires", text, now)).transpose()?;
        let wanted = Wanted {
            workspace: options::workspace(&self.workspace)?,
            role: self.role,
            name: self.name,
            group: self.group,
            expires_at,
        };
        let created = store(&self.config)?.create(wanted, randomness()?, random()?, now);
        let (secret, entry) = created.map_err(anyhow::Error::new)?;
        show(&secret, &entry, now, self.json)
    }
}
