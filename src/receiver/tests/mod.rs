//! The receiver from outside: over loopback sockets, with a real redactor and journal behind it.

mod connections;
mod door;
mod grpc;
mod hooks;
mod http;
