//! Asks who comes in, and counts who does not.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use super::credentials::{Shown, shown};
use super::failures::Failures;
use super::{Caller, Permission, Role, Tokens};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// Why somebody is not let in. Says nothing that its token does not prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("no token: send the header 'Authorization: Bearer <token>'")]
    Missing,
    #[error("what Authorization holds is no token: send 'Bearer <token>', or 'Basic' with the token as password")]
    Malformed,
    #[error("the token is not known here")]
    Unknown,
    #[error("the token was revoked")]
    Revoked,
    #[error("the token has expired")]
    Expired,
    #[error("a token with the role {} may not do this", .0.as_str())]
    Role(Role),
    #[error("too many wrong tokens from this address: try again in {seconds} s")]
    TooMany { seconds: u64 },
}

impl Denied {
    /// As the metric names it.
    fn reason(self) -> &'static str {
        match self {
            Denied::Missing => "missing",
            Denied::Malformed => "malformed",
            Denied::Unknown => "unknown",
            Denied::Revoked => "revoked",
            Denied::Expired => "expired",
            Denied::Role(_) => "role",
            Denied::TooMany { .. } => "rate_limited",
        }
    }

    /// Whether it was a guess: whoever shows a token that once was good knows its secret.
    fn is_guess(self) -> bool {
        matches!(self, Denied::Malformed | Denied::Unknown)
    }
}

/// The door of a server. Cheap to clone.
#[derive(Clone)]
pub struct Door(Option<Arc<Guard>>);

pub(super) struct Guard {
    tokens: Tokens,
    failures: Failures,
    clock: Clock,
    metrics: Metrics,
}

impl Door {
    /// Authentication is off: whoever reaches the listener is the default caller.
    pub fn open() -> Door {
        Door(None)
    }

    pub fn guarded(tokens: Tokens, clock: Clock, metrics: Metrics) -> Door {
        Door(Some(Arc::new(Guard { tokens, failures: Failures::default(), clock, metrics })))
    }

    pub(super) fn guard(&self) -> Option<&Guard> {
        self.0.as_deref()
    }

    /// Who sends, by what the request's `Authorization` proves.
    ///
    /// # Errors
    /// When it proves nothing that permits what is asked for, or its address guesses too much.
    pub fn admit(&self, headers: &HeaderMap, peer: IpAddr, asks: Permission) -> Result<Caller, Denied> {
        let Some(guard) = &self.0 else { return Ok(Caller::default()) };
        guard.admit(headers, peer, asks).inspect_err(|denied| guard.metrics.auth_failures.add(denied.reason(), 1))
    }
}

impl Guard {
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now()
    }

    /// Counts a login that failed.
    pub(super) fn refuse(&self, denied: Denied, peer: IpAddr) -> Denied {
        let limited = if denied.is_guess() { self.failures.count(peer, self.now()) } else { None };
        let denied = limited.map_or(denied, |seconds| Denied::TooMany { seconds });
        self.metrics.auth_failures.add(denied.reason(), 1);
        denied
    }

    fn admit(&self, headers: &HeaderMap, peer: IpAddr, asks: Permission) -> Result<Caller, Denied> {
        let now = self.clock.now();
        let denied = match shown(headers) {
            Shown::Nothing => Denied::Missing,
            Shown::Garbage => Denied::Malformed,
            Shown::Token(token) => match self.tokens.check(&token, asks, now) {
                Ok(caller) => return Ok(caller),
                Err(denied) => denied,
            },
        };
        let limited = if denied.is_guess() { self.failures.count(peer, now) } else { None };
        Err(limited.map_or(denied, |seconds| Denied::TooMany { seconds }))
    }
}
