//! Logins that name a user and prove a token without showing it (SCRAM).

use std::net::IpAddr;

use super::door::Denied;
use super::scram::{Exchange, ScramError};
use super::{Permission, Role};
use crate::model::Workspace;

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub workspace: Workspace,
    /// The token's group, or its name; `None` while authentication is off.
    pub principal: Option<String>,
    pub role: Role,
    /// The token's id; `None` while authentication is off.
    pub token: Option<String>,
}

/// A login under way.
pub struct Attempt {
    exchange: Exchange,
    token: Option<String>,
    peer: IpAddr,
}

impl super::Door {
    /// Whether nobody has to log in.
    pub fn is_open(&self) -> bool {
        self.guard().is_none()
    }

    /// Begins the login of a user (a token's name or id) to a workspace by the client's first message; gives the
    /// server's. A user that is not known gets an answer like any other. `random`: for the nonce.
    ///
    /// # Errors
    /// When the message is no SCRAM.
    pub fn begin(
        &self,
        (workspace, user): (&str, &str),
        client_first: &str,
        peer: IpAddr,
        random: [u8; 18],
    ) -> Result<(Attempt, String), Denied> {
        let guard = self.guard().ok_or(Denied::Missing)?;
        let (verifier, token) = guard.tokens().verifier(workspace, user, guard.now());
        let begun = Exchange::begin(client_first, verifier, random);
        let (exchange, first) = begun.map_err(|_| guard.refuse(Denied::Malformed, peer))?;
        Ok((Attempt { exchange, token, peer }, first))
    }

    /// Checks the client's last message; gives the server's.
    ///
    /// # Errors
    /// When it proves no token that may do what is asked for.
    pub fn finish(&self, attempt: Attempt, client_final: &str, asks: Permission) -> Result<(Login, String), Denied> {
        let guard = self.guard().ok_or(Denied::Missing)?;
        let Attempt { exchange, token, peer } = attempt;
        let proved = exchange.finish(client_final).map_err(|error| match error {
            ScramError::Malformed => Denied::Malformed,
            ScramError::Wrong => Denied::Unknown,
        });
        let last = proved.map_err(|denied| guard.refuse(denied, peer))?;
        // A decoy is never proved: there is a token.
        let token = token.ok_or_else(|| guard.refuse(Denied::Unknown, peer))?;
        let login = guard.tokens().standing(&token, asks, guard.now()).map_err(|denied| guard.refuse(denied, peer))?;
        Ok((login, last))
    }

    /// Whether the token that somebody logged in with is still good.
    ///
    /// # Errors
    /// When it is over, or gone.
    pub fn still(&self, login: &Login, asks: Permission) -> Result<(), Denied> {
        match (self.guard(), &login.token) {
            (Some(guard), Some(token)) => guard.tokens().standing(token, asks, guard.now()).map(|_| ()),
            _ => Ok(()),
        }
    }
}
