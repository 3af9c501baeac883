//! PostgreSQL's protocol (version 3): sockets, TLS, login, messages.
//!
//! The messages are pgwire's; the loop around them is our own, because of what it must bound: the time of a login, of
//! idleness and of a client that does not read, the bytes of a message, and where TLS is asked for, that nothing sent in
//! the clear counts.

mod connection;
mod encode;
mod handler;
mod held;
mod login;
mod rows;
mod server;
mod stream;

pub use server::{Server, ServerOptions};
