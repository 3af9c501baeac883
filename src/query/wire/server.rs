//! The listener, on threads of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::ConnectionManager;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::connection::Connection;
use super::held::Total;
use crate::auth::Door;
use crate::query::Engine;
use crate::tls::Tls;

/// Bounds of the listener.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    pub connections: usize,
    /// How long a client may take to log in.
    pub login: Duration,
    /// How long a session may send nothing.
    pub idle: Duration,
    /// How long a client may read nothing while rows wait for it.
    pub write: Duration,
    /// Threads that queries run on; clients have one of their own.
    pub threads: usize,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions {
            connections: 100,
            login: Duration::from_secs(10),
            idle: Duration::from_secs(3600),
            write: Duration::from_secs(30),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// What every connection needs.
pub struct Shared {
    pub engine: Engine,
    pub door: Door,
    pub tls: Option<Tls>,
    pub options: ServerOptions,
    pub connections: Arc<ConnectionManager>,
    /// Statements that all clients have prepared.
    pub held: Total,
}

/// A running server; it stops when it is told to or dropped.
pub struct Server {
    stop: watch::Sender<bool>,
    /// Clients, and their statements.
    runtimes: Option<[Runtime; 2]>,
}

impl Server {
    /// Serves on `listener`. Queries run on threads of their own that give way to all others, so that they take nothing
    /// from what receives.
    ///
    /// # Errors
    /// When the threads cannot be started, or the listener cannot be handed to them.
    pub fn start(
        engine: Engine,
        door: Door,
        tls: Option<Tls>,
        options: ServerOptions,
        listener: TcpListener,
    ) -> std::io::Result<Server> {
        let (clients, statements) = (threads("sql", 1)?, threads("sql-run", options.threads)?);
        engine.compute_on(statements.handle().clone());
        let stop = watch::Sender::new(false);
        let (connections, held) = (Arc::new(ConnectionManager::new()), Total::default());
        let shared = Arc::new(Shared { engine, door, tls, options, connections, held });
        let listener = listener.into_std()?;
        clients.spawn(accept(shared, listener, stop.subscribe()));
        Ok(Server { stop, runtimes: Some([clients, statements]) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        // A query is lost with its connection: nothing waits for it.
        self.runtimes.take().into_iter().flatten().for_each(Runtime::shutdown_background);
    }
}

fn threads(name: &str, count: usize) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .max_blocking_threads(count * 4)
        .thread_name(name)
        .on_thread_start(give_way)
        .enable_all()
        .build()
}

/// The thread's own niceness, on Linux; elsewhere the process's would be meant.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        tracing::debug!(%error, "queries run at the priority of everything else");
    }
}

async fn accept(shared: Arc<Shared>, listener: std::net::TcpListener, mut stop: watch::Receiver<bool>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "SQL is not served"),
    };
    let places = Arc::new(Semaphore::new(shared.options.connections));
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others have to close theirs first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        serve_one(&shared, socket, peer, &places);
    }
}

fn serve_one(shared: &Arc<Shared>, socket: TcpStream, peer: SocketAddr, places: &Arc<Semaphore>) {
    let shared = Arc::clone(shared);
    match Arc::clone(places).try_acquire_owned() {
        Ok(place) => {
            tokio::spawn(async move {
                if let Err(error) = Connection::new(shared, peer).serve(socket).await {
                    tracing::debug!(%error, %peer, "a connection ended early");
                }
                drop(place);
            });
        }
        // Many that are turned away must not cost much either: no message, no task.
        Err(_) => drop(socket),
    }
}
