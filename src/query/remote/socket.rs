//! The bytes between: TCP, and TLS as PostgreSQL asks for it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::{Encryption, Remote, RemoteError};

/// `SSLRequest` (PostgreSQL's protocol, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A server that does not answer by then is not there.
const CONNECT: Duration = Duration::from_secs(15);

pub enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects, in [`CONNECT`].
///
/// # Errors
/// When nobody listens there, or TLS fails.
pub async fn open(server: &Remote) -> Result<Socket, RemoteError> {
    let address = server.address();
    let late = || RemoteError::Unreachable { address: address.clone(), source: io::ErrorKind::TimedOut.into() };
    timeout(CONNECT, connect(server, &address)).await.map_err(|_| late())?
}

async fn connect(server: &Remote, address: &str) -> Result<Socket, RemoteError> {
    let unreachable = |source| RemoteError::Unreachable { address: address.to_owned(), source };
    let mut socket = TcpStream::connect((server.host.as_str(), server.port)).await.map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    let (tls, needed) = match &server.encryption {
        Encryption::None => return Ok(Socket::Plain(socket)),
        Encryption::Required(tls) => (tls, true),
        Encryption::Offered(tls) => (tls, false),
    };
    match asked(&mut socket).await {
        Ok(b'S') => {
            let failed = |source| RemoteError::Handshake { address: address.to_owned(), source };
            Ok(Socket::Tls(Box::new(tls.connect(&server.host, socket).await.map_err(failed)?)))
        }
        Ok(b'N') if needed => Err(RemoteError::NoTls { address: address.to_owned() }),
        Ok(b'N') => Ok(Socket::Plain(socket)),
        Ok(other) => {
            let reason = format!("it answers {other:#04x} to a request for TLS");
            Err(RemoteError::Stranger { address: address.to_owned(), reason })
        }
        Err(error) => Err(RemoteError::Stranger { address: address.to_owned(), reason: error.to_string() }),
    }
}

/// One byte, no more: what a meddler sends behind it is a part of the handshake, and breaks it.
async fn asked(socket: &mut TcpStream) -> io::Result<u8> {
    socket.write_all(&SSL_REQUEST).await?;
    socket.read_u8().await
}

impl Socket {
    fn both(&mut self) -> Pin<&mut dyn Both> {
        match self {
            Socket::Plain(socket) => Pin::new(socket),
            Socket::Tls(socket) => Pin::new(socket.as_mut()),
        }
    }
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.both().poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.both().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.both().poll_shutdown(cx)
    }
}
