//! The lake: Delta tables of Parquet files, on a local directory or an S3-compatible store.
//!
//! ```text
//! schema   every column, once          layout   the Arrow and Delta schemas and the dump made from it
//! encode   rows -> Arrow               decode   Arrow -> rows          blocks   facts in columns on their way to a file
//! parquet  Arrow -> file               reader   file -> Arrow          stats    what a commit says of a file
//! store    where the bytes go          local    synced local files     log      commits as JSON, state by replay
//! lease    who may remove files
//! open     the lake                    place    reading a table's log  commit   once, whatever fails
//! additions  what the log's entries added, in memory           checkpoint  a state in one file
//! evolve   columns that an older table lacks, or a newer one has beyond ours
//! table    the tables, their files and their rows       tags     which sessions a file has rows of
//! append   journal -> facts            seal     facts -> events, sessions      maintain  many files -> few
//! rewrite  rows that are dropped or replaced, and what still held them
//! bucket   an S3 bucket's older versions of objects, and uploads that were never finished
//! orders   what is to be redacted anew
//! holds    what is never deleted
//! marks    facts that are to be redacted anew
//! audit    receipts of all that
//! tombstones  sessions that nothing is kept of         forget   taking them out of everything
//! ```

mod additions;
pub mod append;
pub mod audit;
mod backoff;
mod blocks;
mod bucket;
mod checkpoint;
mod commit;
mod decode;
mod encode;
mod error;
mod evolve;
#[cfg(test)]
mod fault_tests;
pub mod forget;
mod heavy;
mod holds;
mod layout;
mod lease;
mod local;
mod log;
mod maintain;
mod marks;
mod open;
mod orders;
mod parquet;
mod place;
mod reader;
mod rewrite;
mod row;
#[cfg(test)]
mod samples;
pub mod schema;
pub mod seal;
mod stats;
pub mod store;
pub mod table;
pub mod tags;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tombstones;
mod upload;
mod weight;

pub use blocks::{Block, Blocks};
pub use error::LakeError;
pub use heavy::MOST as HEAVY_JOBS;
pub use holds::{Hold, HoldSubject, Holds};
pub use layout::{dump, file_schema};
pub use lease::{Fence, Lease, Leases};
pub use maintain::Done;
pub use marks::{Mark, Marks};
pub use orders::{Reredacted, Reredaction, Reredactions};
pub use rewrite::{Anew, Erased, Erasure, Gone, Keep, Purged, Retention, Retentions, Rewritten};
pub use rewrite::{drop_files, erase_sessions, purge};
pub use store::LakeOptions;
pub use table::{Change, CommitChanges, Lake, NewFile, Table, TableFile, TableKind};
pub use tags::Tags;
pub use weight::fact as fact_bytes;
