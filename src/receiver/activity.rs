//! What a connection is doing, to tell an idle one, a slow one and a stuck one.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::config::Limits;
use super::heads::Inspector;

/// One connection's activity. Cheap to clone.
#[derive(Clone)]
pub struct Activity(Arc<Shared>);

struct Shared {
    doing: Mutex<Doing>,
    /// A deadline may have come nearer.
    changed: Notify,
    evicted: Notify,
}

struct Doing {
    /// Requests whose reply is not known yet.
    running: usize,
    served: bool,
    http2: bool,
    idle_since: Instant,
    /// Since when a head is arriving.
    head_since: Option<Instant>,
    /// Since when the client takes nothing of what it is sent.
    stuck_since: Option<Instant>,
}

/// One request; it ends when this is dropped.
pub struct Running(Activity);

impl Activity {
    pub fn new() -> Activity {
        let doing = Doing {
            running: 0,
            served: false,
            http2: false,
            idle_since: Instant::now(),
            head_since: None,
            stuck_since: None,
        };
        Activity(Arc::new(Shared { doing: Mutex::new(doing), changed: Notify::new(), evicted: Notify::new() }))
    }

    /// A request's head has arrived.
    pub fn enter(&self, http2: bool) -> Running {
        self.change(|doing| {
            doing.running += 1;
            doing.served = true;
            doing.http2 = http2;
            doing.head_since = None;
        });
        Running(self.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Doing) -> T) -> T {
        change(&mut self.0.doing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Since when it has no request; `None` while it has one.
    pub fn idle_since(&self) -> Option<Instant> {
        self.change(|doing| (doing.running == 0).then_some(doing.idle_since))
    }

    /// Ends the connection: its place is needed.
    pub fn evict(&self) {
        self.0.evicted.notify_one();
    }

    /// Ends when the connection has used up one of its times, or was evicted.
    pub async fn expired(&self, limits: &Limits) {
        loop {
            let deadline = self.change(|doing| doing.deadline(limits));
            if deadline <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(deadline) => {}
                () = self.0.changed.notified() => {}
                () = self.0.evicted.notified() => return,
            }
        }
    }

    fn bytes_arrived(&self) {
        let head_begins = self.change(|doing| {
            // On HTTP/2 pings and window updates arrive between requests, and are no heads.
            let begins = doing.running == 0 && doing.served && !doing.http2 && doing.head_since.is_none();
            if begins {
                doing.head_since = Some(Instant::now());
            }
            begins
        });
        if head_begins {
            self.0.changed.notify_one();
        }
    }

    fn bytes_sent(&self, stuck: bool) {
        let gets_stuck = self.change(|doing| {
            let gets_stuck = stuck && doing.stuck_since.is_none();
            doing.stuck_since = stuck.then(|| doing.stuck_since.unwrap_or_else(Instant::now));
            gets_stuck
        });
        if gets_stuck {
            self.0.changed.notify_one();
        }
    }
}

impl Doing {
    fn deadline(&self, limits: &Limits) -> Instant {
        let rest = match self {
            Doing { running: 0, served: false, .. } => self.idle_since + limits.head_time,
            Doing { running: 0, served: true, .. } => self.idle_since + limits.idle,
            // A body has bounds of its own.
            Doing { running: _, .. } => Instant::now() + limits.idle,
        };
        let head = self.head_since.map(|since| since + limits.head_time);
        let stuck = self.stuck_since.map(|since| since + limits.write_time);
        [head, stuck].into_iter().flatten().fold(rest, Instant::min)
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

/// A stream whose reads and writes are noted, and whose requests' heads are looked at as they are read.
pub struct Watched<S> {
    stream: S,
    activity: Activity,
    inspector: Inspector,
}

impl<S> Watched<S> {
    pub fn new(stream: S, activity: Activity) -> Watched<S> {
        Watched { stream, activity, inspector: Inspector::new() }
    }

    fn note<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.bytes_sent(written.is_pending());
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if into.filled().len() > before {
            self.activity.bytes_arrived();
            self.inspector.pass(&mut into.filled_mut()[before..]);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
