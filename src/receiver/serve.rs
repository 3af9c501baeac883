//! Listeners and connections: accepting, bounds in time and number, and the drain at the end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::config::Limits;
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
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, peer, slot) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        while connections.try_join_next().is_some() {}
        let (router, tls, stopped) = (router.clone(), tls.clone(), stopped.clone());
        connections.spawn(async move {
            let _slot = slot;
            let connection = Connection { peer, router, protocol, limits, stopped };
            match tls {
                None => connection.serve(stream).await,
                Some(tls) => connection.shake_hands(stream, &tls).await,
            }
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

/// The next connection, as soon as there is room for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Peer, Option<OwnedSemaphorePermit>) {
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                // Without it, a reply waits up to 40 ms for the client's delayed acknowledgement.
                let _ = stream.set_nodelay(true);
                return (stream, Peer(address), slot);
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                // Out of file descriptors, most likely; trying again at once would only burn the CPU.
                tracing::warn!(%error, "cannot accept connections");
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn builder(protocol: Protocol, limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    if protocol == Protocol::Grpc {
        builder = builder.http2_only();
    }
    // Hyper starts this timer when a kept-alive connection falls idle, not when the next head begins.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// An accepted connection.
struct Connection {
    peer: Peer,
    router: Router,
    protocol: Protocol,
    limits: Limits,
    stopped: watch::Receiver<bool>,
}

impl Connection {
    /// A client that does not finish its handshake in the time of a first request, or that fails in it, is gone.
    async fn shake_hands(mut self, stream: TcpStream, tls: &Tls) {
        let accepting = timeout(self.limits.first_request, tls.acceptor().accept(stream));
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            _ = self.stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok(Ok(stream)) => self.serve(stream).await,
            // Who is refused (an old version, no certificate, plain text) is the peer's business.
            Ok(Err(error)) => tracing::debug!(peer = %self.peer.0, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(peer = %self.peer.0, "TLS handshake took too long"),
        }
    }

    async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (activity, peer) = (Activity::new(), self.peer);
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let running = activity.enter();
            let response = router.call(request);
            async move {
                let response = response.await;
                drop(running);
                response.map_err(|never: Infallible| never)
            }
        });
        let builder = builder(self.protocol, self.limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        // How a connection ends is the peer's business: broken ones are no event of ours.
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stopped.wait_for(|stopped| *stopped) => {}
            () = activity.expired(self.limits) => {}
        }
        connection.as_mut().graceful_shutdown();
        if *self.stopped.borrow() {
            let _ = connection.await;
        } else {
            let _ = timeout(Duration::from_secs(1), connection).await;
        }
    }
}

/// What a connection is doing, to tell an idle one.
#[derive(Clone)]
struct Activity(Arc<Mutex<Doing>>);

struct Doing {
    running: usize,
    served: bool,
    idle_since: Instant,
}

/// One request; it ends when this is dropped.
struct Running(Activity);

impl Activity {
    fn new() -> Activity {
        Activity(Arc::new(Mutex::new(Doing { running: 0, served: false, idle_since: Instant::now() })))
    }

    fn enter(&self) -> Running {
        self.change(|doing| {
            doing.running += 1;
            doing.served = true;
        });
        Running(self.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Doing) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends when the connection had no request for too long.
    async fn expired(&self, limits: Limits) {
        loop {
            let deadline = self.change(|doing| match doing {
                Doing { running: 0, served: false, .. } => doing.idle_since + limits.first_request,
                Doing { running: 0, served: true, .. } => doing.idle_since + limits.idle,
                Doing { running: _, .. } => Instant::now() + limits.idle,
            });
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.change(|doing| {
            doing.running -= 1;
            doing.idle_since = Instant::now();
        });
    }
}
