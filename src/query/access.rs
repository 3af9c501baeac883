//! Who reads what.

use crate::auth::{Login, Permission, Role};
use crate::model::Workspace;
use crate::sink::lake::TableKind;
use crate::sink::lake::schema::Column;

/// What a session may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub workspace: Workspace,
    pub role: Role,
    /// Who is written into the audit table.
    pub principal: Option<String>,
}

impl Access {
    /// Everything of a workspace: who can read the lake's files needs nobody's leave.
    pub fn whole(workspace: Workspace) -> Access {
        Access { workspace, role: Role::Admin, principal: None }
    }

    /// Whether a column's values are shown; otherwise it is NULL.
    pub fn shows(&self, column: &Column) -> bool {
        !column.is_content() || self.role.may(Permission::ReadContent)
    }

    /// Whether a table's column holds content, and its values are shown.
    pub fn reads_content(&self, kind: TableKind, column: &str) -> bool {
        kind.columns().any(|known| known.name == column && known.is_content() && self.shows(known))
    }

    /// Whether a table is there at all.
    pub fn has(&self, kind: TableKind) -> bool {
        self.role.may(match kind {
            TableKind::Audit => Permission::ReadAudit,
            _ => Permission::Read,
        })
    }
}

impl From<&Login> for Access {
    fn from(login: &Login) -> Access {
        Access { workspace: login.workspace.clone(), role: login.role, principal: login.principal.clone() }
    }
}
