//! What is kept of a token.

use serde::{Deserialize, Serialize};

use super::Role;
use crate::model::Workspace;

/// A token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Also stands in the token.
    pub id: String,
    /// Unique in its workspace among the tokens that are not over, but for the one that a rotation replaces.
    pub name: String,
    /// Tokens of one group are one principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    pub workspace: Workspace,
    pub role: Role,
    /// UTC microseconds.
    pub created_at: i64,
    /// UTC microseconds; `None`: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// UTC microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<i64>,
    /// Keyed BLAKE3 of the token, hex.
    pub hash: String,
    /// See [`super::scram::verifier`].
    pub scram: String,
}

/// Whether a token is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    Expired,
    Revoked,
}

impl Standing {
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Active => "active",
            Standing::Expired => "expired",
            Standing::Revoked => "revoked",
        }
    }
}

impl Entry {
    /// Whether the token is good at `now`, UTC microseconds.
    pub fn standing(&self, now: i64) -> Standing {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Standing::Revoked,
            (None, Some(end)) if end <= now => Standing::Expired,
            _ => Standing::Active,
        }
    }

    /// Whom its holder counts as.
    pub fn principal(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.name)
    }
}

/// What a new token shall be.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub workspace: Workspace,
    pub role: Role,
    /// `None`: role and id.
    pub name: Option<String>,
    pub group: Option<String>,
    /// UTC microseconds.
    pub expires_at: Option<i64>,
}

/// Randomness for one token.
pub struct Randomness {
    pub token: [u8; 30],
    pub salt: [u8; 16],
}
