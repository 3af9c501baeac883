//! OTLP on the wire: the message table, a reader and writer of protobuf, and borrowed views of what a request holds.

pub mod check;
pub mod extent;
pub mod filter;
pub mod identity;
pub mod schema;
pub mod value;
pub mod view;
pub mod wire;

#[cfg(test)]
pub(crate) mod testing;
