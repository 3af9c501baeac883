//! What a record says that decides whether it may be kept: its sessions, its user, its project, and `/private`.
//!
//! Read before redaction, which may hide the very words that ask to be left out.

mod command;
mod costs;
mod hooks;
mod otlp;
mod rules;

pub use command::is_private;
pub use costs::anonymous;
pub use hooks::hook;
pub use otlp::records;
pub use rules::Rules;

/// What one record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The session that it belongs to, and those that it was copied from: a forked session's transcript begins with its
    /// parent's lines.
    pub sessions: Vec<String>,
    /// Its user asks for the session to be private.
    pub asks: bool,
    /// Names of its user: e-mail address, user id.
    pub users: Vec<String>,
    /// The directory that its agent works in.
    pub project: Option<String>,
}

impl Said {
    /// The session that it belongs to.
    pub fn session(&self) -> Option<&str> {
        self.sessions.first().map(String::as_str)
    }
}
