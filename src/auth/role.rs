//! What a token is for.

use serde::{Deserialize, Serialize};

/// A token's role in its workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sends telemetry and hooks; reads nothing.
    Ingest,
    /// Reads structure, times and costs, no content.
    Viewer,
    /// Reads everything.
    Reader,
    /// Reads everything, and who read what.
    Auditor,
    /// May do all of it.
    Admin,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To send telemetry and hooks.
    Ingest,
    /// To read structure, times and costs.
    Read,
    /// To read what people and agents wrote.
    ReadContent,
    /// To read who read what.
    ReadAudit,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Ingest, Role::Viewer, Role::Reader, Role::Auditor, Role::Admin];

    /// The name on the command line and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Viewer => "viewer",
            Role::Reader => "reader",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub fn may(self, permission: Permission) -> bool {
        match permission {
            Permission::Ingest => matches!(self, Role::Ingest | Role::Admin),
            Permission::Read => self != Role::Ingest,
            Permission::ReadContent => matches!(self, Role::Reader | Role::Auditor | Role::Admin),
            Permission::ReadAudit => matches!(self, Role::Auditor | Role::Admin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_what() {
        let may = |asks: Permission| -> Vec<Role> { Role::ALL.into_iter().filter(|role| role.may(asks)).collect() };
        assert_eq!(may(Permission::Read), [Role::Viewer, Role::Reader, Role::Auditor, Role::Admin]);
        assert_eq!(may(Permission::ReadContent), [Role::Reader, Role::Auditor, Role::Admin]);
        assert_eq!(may(Permission::ReadAudit), [Role::Auditor, Role::Admin]);
    }

    #[test]
    fn only_who_is_meant_to_send_may_send() {
        let senders: Vec<Role> = Role::ALL.into_iter().filter(|role| role.may(Permission::Ingest)).collect();
        assert_eq!(senders, [Role::Ingest, Role::Admin]);
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
    }
}
