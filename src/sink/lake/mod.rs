//! The lake: Delta tables of Parquet files, on a local directory or an S3-compatible store.

pub mod append;
mod backoff;
pub mod seal;
pub mod table;
#[cfg(test)]
mod testing;
mod weight;

pub use table::{Change, CommitChanges, Lake, LakeError, LakeOptions, NewFile, Table, TableFile, TableKind};
