//! One connection: HTTP/1.1 or HTTP/2 over any stream, within its bounds, until it ends or is asked to.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::Version;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::activity::{Activity, Watched};
use super::config::Limits;
use super::serve::{Peer, Protocol};
use crate::tls::Tls;

/// How long a connection that is closed for idleness, slowness or want of places may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// A bound of hyper's own on idleness, which must not be reached before ours: it would cut without goodbye.
const IDLE_BACKSTOP: Duration = Duration::from_secs(5);

fn builder(protocol: Protocol, limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    if protocol == Protocol::Grpc {
        builder = builder.http2_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(limits.keep_alive)
        .header_read_timeout(limits.idle + IDLE_BACKSTOP)
        .max_buf_size(limits.head_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(limits.head_bytes)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    builder
}

/// An accepted connection.
pub struct Connection {
    pub peer: Peer,
    pub router: Router,
    pub protocol: Protocol,
    pub limits: Limits,
    pub activity: Activity,
    /// Tells it from the listener's others.
    pub number: u64,
    /// After this it finishes its requests.
    pub stopped: watch::Receiver<bool>,
}

impl Connection {
    /// A client that does not finish its handshake in the time of a first request, or that fails in it, is gone.
    pub async fn shake_hands(mut self, stream: TcpStream, tls: &Tls) {
        let accepted = tokio::select! {
            accepted = tls.acceptor().accept(stream) => accepted,
            () = self.activity.expired(&self.limits) => {
                return tracing::debug!(peer = %self.peer.0, "TLS handshake took too long");
            }
            _ = self.stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok(stream) => self.serve(stream).await,
            // Who is refused (an old version, no certificate, plain text) is the peer's business.
            Err(error) => tracing::debug!(peer = %self.peer.0, %error, "TLS handshake failed"),
        }
    }

    pub async fn serve(mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let (activity, limits, peer) = (self.activity, self.limits, self.peer);
        let router = TowerToHyperService::new(self.router);
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let running = activity.enter(request.version() == Version::HTTP_2);
            let response = router.call(request);
            async move {
                let response = response.await;
                drop(running);
                response.map_err(|never: Infallible| never)
            }
        });
        let builder = builder(self.protocol, &limits);
        let stream = TokioIo::new(Watched::new(stream, activity.clone()));
        let mut connection = pin!(builder.serve_connection(stream, service));
        // How a connection ends is the peer's business: broken ones are no event of ours.
        let grace = tokio::select! {
            _ = connection.as_mut() => return,
            _ = self.stopped.wait_for(|stopped| *stopped) => None,
            () = activity.expired(&limits) => Some(GOODBYE),
            () = aged(&limits, self.number) => Some(limits.age_grace),
        };
        connection.as_mut().graceful_shutdown();
        match grace {
            Some(grace) => drop(timeout(grace, connection).await),
            // The listener's drain cuts what takes too long.
            None => drop(connection.await),
        }
    }
}

/// Ends when the connection is as old as it may be.
async fn aged(limits: &Limits, number: u64) {
    match limits.age {
        // From 9/10 to 11/10, a step of the golden ratio from one connection to the next.
        Some(age) => sleep(age.mul_f64(0.9 + 0.2 * (number as f64 * 0.618_034).fract())).await,
        None => std::future::pending().await,
    }
}
