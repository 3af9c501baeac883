//! SQL over the lake: DataFusion's engine, PostgreSQL's protocol, roles below every plan.
//!
//! ```text
//! wire      sockets, TLS, login, PostgreSQL's messages       statement  text -> what may run, within limits
//! engine    what all sessions share: memory, spill, files    access     who reads what
//! tables    a Delta table as DataFusion sees it              files      a table's list of files, at most a second old
//! live      running sessions, folded when they are asked for functions  what PostgreSQL has and DataFusion lacks
//! output    rows as files                                    error      every refusal with its SQLSTATE
//! yielding  joins that give way to deadlines                 work       a statement that runs, and its rows
//! growth    what may become of texts in one step             guarded    functions that hold it
//! sizes     how large values are                             stand_ins  functions for `||` and a window's value
//! windows   what they keep, counted
//! remote    the same rows from a server                      ipc        rows as Arrow's messages, between the two
//! ```
//!
//! A role's limits are below the plan: a viewer's tables do not have the content columns, what the statement sees under
//! their names are NULL literals. No filter, join or error message can reach what is not there. A workspace's tables are
//! the only ones in the session's catalog. Nothing is written, and no file or URL can be named.

mod access;
mod audit;
mod buried;
mod columns;
mod engine;
mod error;
mod files;
mod functions;
mod growth;
mod guarded;
mod ipc;
mod live;
mod memory;
mod options;
pub mod output;
pub mod remote;
mod search_path;
mod settings;
mod sizes;
mod stand_ins;
mod statement;
mod tables;
mod windows;
mod wire;
mod work;
mod yielding;

pub use access::Access;
pub use audit::{Audit, Read, State};
pub use engine::{Engine, Sources};
pub use error::Refused;
pub use options::QueryOptions;
pub use statement::{Bounds, Session};
pub use wire::{Server, ServerOptions};
pub use work::Results;
