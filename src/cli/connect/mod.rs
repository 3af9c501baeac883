//! `sessionlake connect`: the settings to paste on the other side.

mod claude_code;
mod cowork;
mod hooks;
mod otel_collector;

use clap::{Args, Subcommand};

use super::failure::Failure;
use super::terminal;
use crate::auth::Token;

/// Print the settings that make a client send to this collector.
#[derive(Debug, Args)]
#[command(after_help = "Example: sessionlake connect claude-code --endpoint https://collector.example.com:4318")]
pub struct Connect {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    ClaudeCode(claude_code::ClaudeCode),
    Cowork(cowork::Cowork),
    OtelCollector(otel_collector::OtelCollector),
    Hooks(hooks::Hooks),
}

impl Connect {
    pub fn run(self) -> Result<(), Failure> {
        terminal::print(&match self.command {
            Command::ClaudeCode(command) => command.text()?,
            Command::Cowork(command) => command.text()?,
            Command::OtelCollector(command) => command.text()?,
            Command::Hooks(command) => command.text()?,
        })
    }
}

/// The endpoint without a slash at its end.
fn endpoint(url: &str) -> Result<&str, Failure> {
    let parsed = url::Url::parse(url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    let plain = url.chars().all(|c| c.is_ascii_graphic() && !"'\"\\$`".contains(c));
    match parsed {
        Some(_) if plain => Ok(url.trim_end_matches('/')),
        _ => Err(Failure::Usage(format!(
            "--endpoint '{}' is no URL: write http://host:port or https://host:port",
            url.escape_debug()
        ))),
    }
}

/// The flag that every client has.
#[derive(Debug, Default, Args)]
pub struct TokenArg {
    /// The token to send, where authentication is on; 'sessionlake token create --role ingest' makes one
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

impl TokenArg {
    /// What `Authorization` is to hold.
    fn bearer(&self) -> Result<Option<String>, Failure> {
        let Some(text) = &self.token else { return Ok(None) };
        match Token::parse(text) {
            Some(token) => Ok(Some(format!("Bearer {}", token.reveal()))),
            None => Err(Failure::Usage("--token is no whole token: its checksum is wrong".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_that_no_shell_or_file_can_misread() {
        assert_eq!(endpoint("https://c.example.com:4318/").unwrap(), "https://c.example.com:4318");
        for bad in ["localhost:4318", "ftp://x", "http://x/'; rm", "http://x/$(id)", "http://x\n", ""] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
