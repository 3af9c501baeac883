//! OTLP over gRPC and HTTP.

pub mod grpc;
pub mod http;
pub mod json;
mod success;
