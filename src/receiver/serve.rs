//! Listeners: accepting, places for connections, and the drain at the end.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::activity::Activity;
use super::config::Limits;
use super::connection::Connection;
use crate::tls::Tls;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, and HTTP/2 with prior knowledge, on one port.
    Http,
    /// HTTP/2 with prior knowledge only.
    Grpc,
}

impl Protocol {
    /// By its names in TLS (ALPN), the preferred one first.
    pub fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Protocol::Http => &[b"h2", b"http/1.1"],
            Protocol::Grpc => &[b"h2"],
        }
    }
}

/// Where connections come in, and how they are spoken with.
pub struct Port {
    pub listener: TcpListener,
    pub protocol: Protocol,
    /// `None`: in the clear.
    pub tls: Option<Tls>,
}

/// Who is at the other end of a request's connection; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Serves `router` on `port` until `shutdown` is done; then accepts no more, lets requests in flight finish for up
/// to `drain`, and cuts what is left.
pub async fn serve(port: Port, router: Router, limits: Limits, shutdown: impl Future<Output = ()>, drain: Duration) {
    let Port { listener, protocol, tls } = port;
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Places::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, place) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &places, limits.write_time) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
        connections.spawn(async move {
            let (activity, number) = (place.activity.clone(), place.number);
            let connection = Connection { peer, router, protocol, limits, activity, number, stopped };
            match tls {
                None => connection.serve(stream).await,
                Some(tls) => connection.shake_hands(stream, &tls).await,
            }
            drop(place);
        });
    }
    drop(listener);
    stop.send_replace(true);
    let finish = async { while connections.join_next().await.is_some() {} };
    if timeout(drain, finish).await.is_err() {
        tracing::warn!(connections = connections.len(), "drain deadline reached: connections are cut");
        connections.shutdown().await;
    }
}

/// Best effort: a connection without these works.
fn prepare(stream: &TcpStream, patience: Duration) {
    // Without it, a reply waits up to 40 ms for the client's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    // What is written waits with the kernel: that a client takes nothing of it for too long is for the kernel to see.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(patience));
    #[cfg(not(target_os = "linux"))]
    let _ = patience;
}

/// The next connection, and its place.
async fn accept(listener: &TcpListener, places: &Arc<Places>, patience: Duration) -> (TcpStream, Peer, Place) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                prepare(&stream, patience);
                return (stream, Peer(address), places.take().await);
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely; trying again at once would only burn the CPU.
                let evicted = places.evict_idlest();
                tracing::warn!(%error, evicted, "cannot accept connections");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// How long a connection that waits for a place waits until the next idle one is looked for: where all are busy, one
/// may have become idle since.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The places for a listener's connections.
struct Places {
    free: Arc<Semaphore>,
    taken: Mutex<HashMap<u64, Activity>>,
    next: AtomicU64,
}

/// A connection's place; free again when dropped.
struct Place {
    number: u64,
    activity: Activity,
    places: Arc<Places>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Places {
    fn new(count: usize) -> Places {
        Places { free: Arc::new(Semaphore::new(count)), taken: Mutex::default(), next: AtomicU64::new(0) }
    }

    /// A place; when there is none, the one of the connection that is idle for the longest time, as soon as one is.
    async fn take(self: &Arc<Places>) -> Place {
        let free = || Arc::clone(&self.free).acquire_owned();
        let slot = loop {
            if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
                break Some(slot);
            }
            self.evict_idlest();
            if let Ok(slot) = timeout(LOOK_AGAIN, free()).await {
                break slot.ok();
            }
        };
        let (number, activity) = (self.next.fetch_add(1, Ordering::Relaxed), Activity::new());
        self.taken().insert(number, activity.clone());
        Place { number, activity, places: Arc::clone(self), _slot: slot }
    }

    /// Closes the connection that is idle for the longest time. Whether there was one.
    fn evict_idlest(&self) -> bool {
        let taken = self.taken();
        let idle = taken.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let idlest = idle.min_by_key(|(since, _)| *since);
        idlest.inspect(|(_, activity)| activity.evict()).is_some()
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Activity>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().remove(&self.number);
    }
}
