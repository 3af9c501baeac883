//! Who read content: told before the first row goes out.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;

use crate::model::Workspace;

/// A statement that is about to read content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub workspace: Workspace,
    pub principal: Option<String>,
    /// The statement as it was sent: it may hold what nobody redacted yet.
    pub statement: String,
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
