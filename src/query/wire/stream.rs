//! A connection that gives up on a client who does not read, or sends a message without end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;

/// The bytes below.
pub enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How many bytes may still come for the present message. Cheap to clone.
#[derive(Clone)]
pub struct Allowance {
    left: Arc<AtomicUsize>,
    whole: usize,
}

impl Allowance {
    pub fn new(bytes: usize) -> Allowance {
        Allowance { left: Arc::new(AtomicUsize::new(bytes)), whole: bytes }
    }

    /// A message is complete: the next one has all of it again.
    pub fn renew(&self) {
        self.left.store(self.whole, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(bytes), Ordering::Relaxed);
        bytes <= left
    }
}

/// [`Io`] with both bounds.
pub struct Bounded {
    io: Io,
    allowance: Allowance,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Bounded {
    /// `patience`: how long a client may read nothing while bytes wait for it.
    pub fn new(io: Io, allowance: Allowance, patience: Duration) -> Bounded {
        Bounded { io, allowance, patience, stalled: None }
    }

    fn io(&mut self) -> Pin<&mut dyn Both> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io),
            Io::Tls(io) => Pin::new(io.as_mut()),
        }
    }

    /// What a write that has to wait becomes once the patience is over.
    fn wait<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(self.io().poll_read(cx, buf))?;
        match self.allowance.take(buf.filled().len() - before) {
            true => Poll::Ready(Ok(())),
            false => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too large"))),
        }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write(cx, buf);
        self.wait(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.io().poll_flush(cx);
        self.wait(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = self.io().poll_shutdown(cx);
        self.wait(cx, closed)
    }
}
