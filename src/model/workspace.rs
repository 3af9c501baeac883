//! The unit of access, retention and erasure.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A workspace's name: 1 to 63 of `a-z`, `0-9`, `-`, `_`, starting with a letter or digit. Safe as a path segment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Workspace(String);

/// The name cannot be a workspace.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no workspace name: use 1 to 63 of a-z, 0-9, '-' and '_', starting with a letter or digit")]
pub struct WorkspaceError(String);

impl Workspace {
    pub fn parse(name: &str) -> Result<Workspace, WorkspaceError> {
        let mut chars = name.chars();
        let starts = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
        if starts && rest && name.len() <= 63 {
            Ok(Workspace(name.to_owned()))
        } else {
            Err(WorkspaceError(name.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Workspace {
    type Error = WorkspaceError;

    fn try_from(name: String) -> Result<Workspace, WorkspaceError> {
        Workspace::parse(&name)
    }
}

impl From<Workspace> for String {
    fn from(workspace: Workspace) -> String {
        workspace.0
    }
}

/// The workspace in force while authentication is off.
impl Default for Workspace {
    fn default() -> Workspace {
        Workspace("default".to_owned())
    }
}

impl fmt::Display for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
