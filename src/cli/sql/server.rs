//! A running server, asked over PostgreSQL's protocol.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Args;

use super::failed;
use crate::auth::Token;
use crate::cli::failure::Failure;
use crate::model::Workspace;
use crate::query::remote::{Encryption, Remote, RemoteError};
use crate::query::{Bounds, Refused, Results};
use crate::tls::client::ClientTls;

/// Where the server listens unless something else is said.
const PORT: u16 = 4320;

/// The token, where no file is given: arguments are shown to everybody on the machine.
const TOKEN: &str = "SESSIONLAKE_TOKEN";

/// A token is shorter, with whatever stands around it.
const TOKEN_FILE: u64 = 4 << 10;

/// Which server, and how it is trusted.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// Ask a running server instead of the lake; the port is 4320 unless it is given
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with_all = ["config", "set", "data_dir", "lake"])]
    pub server: Option<String>,
    /// File with the token, where the server wants one; otherwise the variable SESSIONLAKE_TOKEN
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of who signs the server's, instead of the machine's authorities
    #[arg(long, value_name = "FILE", requires = "server")]
    ca_file: Option<PathBuf>,
    /// Speak in the clear: rows can be read on the way, and the server may be another
    #[arg(long, requires = "server", conflicts_with = "ca_file")]
    no_tls: bool,
}

/// Asks one statement of a server.
pub async fn ask(
    args: &ServerArgs,
    address: &str,
    workspace: Workspace,
    statement: &str,
    bounds: Bounds,
) -> Result<Results, Failure> {
    let (host, port) = place(address)?;
    let (encryption, token) = (args.encryption(&host)?, args.token()?);
    let remote = Remote { host, port, encryption, workspace, token };
    remote.run(statement, bounds).await.map_err(|refused| advised(refused, &remote))
}

impl ServerArgs {
    fn encryption(&self, host: &str) -> Result<Encryption, Failure> {
        if self.no_tls {
            return Ok(Encryption::None);
        }
        match (ClientTls::open(self.ca_file.as_deref()), is_loopback(host)) {
            (Ok(tls), true) if self.ca_file.is_none() => Ok(Encryption::Offered(Arc::new(tls))),
            (Ok(tls), _) => Ok(Encryption::Required(Arc::new(tls))),
            // A machine without authorities asks itself in the clear.
            (Err(_), true) if self.ca_file.is_none() => Ok(Encryption::None),
            (Err(error), _) => Err(anyhow::Error::new(error).context("the server cannot be checked").into()),
        }
    }

    fn token(&self) -> Result<Option<Token>, Failure> {
        let (text, source) = match &self.token_file {
            Some(path) => (read(path)?, path.display().to_string()),
            None => match std::env::var(TOKEN) {
                Ok(text) if !text.trim().is_empty() => (text, TOKEN.to_owned()),
                _ => return Ok(None),
            },
        };
        match Token::parse(text.trim()) {
            Some(token) => Ok(Some(token)),
            None => Err(Failure::Usage(format!("{source} holds no whole token: its checksum is wrong"))),
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(TOKEN_FILE).read_to_string(&mut text));
    read.with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

/// `host`, `host:port`, `[address]`, `[address]:port`.
fn place(text: &str) -> Result<(String, u16), Failure> {
    let wrong = || Failure::Usage(format!("--server '{}' is no HOST or HOST:PORT", text.escape_debug()));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            (host, port.strip_prefix(':').or(port.is_empty().then_some("")).ok_or_else(wrong)?)
        }
        // An address of IPv6 without brackets has no port.
        None if text.parse::<IpAddr>().is_ok() => (text, ""),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let plain = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c));
    let port = if port.is_empty() { Some(PORT) } else { port.parse().ok().filter(|port| *port > 0) };
    match port.filter(|_| plain) {
        Some(port) => Ok((host.to_owned(), port)),
        None => Err(wrong()),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The failure, with what can be done about it.
fn advised(refused: Refused, remote: &Remote) -> Failure {
    let Refused::Remote(error) = &refused else { return failed(refused) };
    let workspace = remote.workspace.as_str();
    let advice = match error.as_ref() {
        RemoteError::Unreachable { .. } => "is `sessionlake serve` running there, and is extensions.sql on?".to_owned(),
        RemoteError::NoTls { .. } => "--no-tls asks in the clear".to_owned(),
        RemoteError::Handshake { source, .. } if source.to_string().contains("UnknownIssuer") => {
            "--ca-file FILE names who signs its certificate".to_owned()
        }
        RemoteError::NoToken => format!("put it into {TOKEN}, or into a file that --token-file names"),
        RemoteError::Said { sqlstate, .. } if sqlstate == "28P01" => {
            format!("is it a token of the workspace {workspace} (--workspace), and not revoked?")
        }
        _ => return failed(refused),
    };
    Failure::Failed(anyhow!("{refused}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_or_an_address_and_maybe_a_port() {
        let places = ["lake.example.com", "localhost:5432", "127.0.0.1", "[::1]:99", "[::1]", "::1"].map(|text| {
            let (host, port) = place(text).unwrap();
            format!("{host} {port}")
        });
        let expected = ["lake.example.com 4320", "localhost 5432", "127.0.0.1 4320", "::1 99", "::1 4320", "::1 4320"];
        assert_eq!(places, expected);
        for wrong in ["", ":4320", "a:b", "a:0", "a:70000", "a b", "http://a", "a/b", "[::1", "[::1]x", "user@a"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_loopback_may_be_asked_in_the_clear_unasked() {
        for (host, loopback) in
            [("127.0.0.1", true), ("::1", true), ("localhost", true), ("localhost.example.com", false)]
        {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }
}
