//! Who may do what: tokens, and the door that asks for them.
//!
//! A [`token`] is a random text that names itself. The data directory keeps what proves one, never the text
//! ([`store`]). [`Tokens`] is the store as a running server knows it, and follows the file. [`Door`] reads a request's
//! `Authorization`, asks [`Tokens`], and slows down who guesses ([`failures`]).
//!
//! The token alone decides the workspace: nothing that a payload or another header says can.

mod credentials;
mod door;
pub mod entry;
mod failures;
mod login;
pub mod role;
pub mod scram;
pub mod store;
pub mod token;
mod tokens;

#[cfg(test)]
mod tests;

pub use door::{Denied, Door};
pub use entry::{Entry, Randomness, Standing, Wanted};
pub use login::{Attempt, Login};
pub use role::{Permission, Role};
pub use token::Token;
pub use tokens::Tokens;

use crate::model::Workspace;

/// Who sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    pub workspace: Workspace,
    /// The token's group, or its name; `None` while authentication is off.
    pub principal: Option<String>,
}
