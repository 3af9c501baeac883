//! The lake: Delta tables of Parquet files, on a local directory or an S3-compatible store.

pub mod append;
pub mod seal;
pub mod table;

pub use table::{Change, CommitChanges, Lake, LakeError, LakeOptions, NewFile, Table, TableFile, TableKind};
