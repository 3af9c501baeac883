//! Who read content: told before the first row goes out.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::model::{Workspace, hex};

/// A statement that reads content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Of this statement: 32 hex digits.
    pub id: String,
    pub state: State,
    pub workspace: Workspace,
    pub principal: Option<String>,
    /// The statement as it was sent: it may hold what nobody redacted yet.
    pub statement: String,
}

/// How far a read is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was read yet.
    Begun,
    /// All rows were given.
    Done { rows: u64 },
    /// It failed, or was cut off, after some rows.
    Stopped { rows: u64 },
}

impl Read {
    /// A read that begins now.
    ///
    /// # Errors
    /// When there is no randomness for its name.
    pub fn begun(workspace: Workspace, principal: Option<String>, statement: String) -> Result<Read, String> {
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| error.to_string())?;
        Ok(Read { id: hex(&name), state: State::Begun, workspace, principal, statement })
    }
}

/// What keeps the record; a read that it cannot keep is refused. The error says why, for the log.
#[derive(Clone)]
pub struct Audit(Arc<Keep>);

type Keep = dyn Fn(Read) -> BoxFuture<'static, Result<(), String>> + Send + Sync;

impl Audit {
    pub fn new(keep: impl Fn(Read) -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static) -> Audit {
        Audit(Arc::new(keep))
    }

    /// # Errors
    /// When the record is not durable.
    pub async fn keep(&self, read: Read) -> Result<(), String> {
        (self.0)(read).await
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit(..)")
    }
}
