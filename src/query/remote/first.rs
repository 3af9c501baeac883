//! A server's first message must be an error, a welcome, or an offer of SCRAM. The driver would hand the token itself to one
//! that asks for it: a program that took a free port could.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The message's type, its length, and of an authentication's its kind (PostgreSQL's protocol, "Message Formats").
const HEAD: usize = 9;

/// A connection whose first message is looked at.
pub struct Checked<S> {
    stream: S,
    seen: [u8; HEAD],
    count: usize,
}

impl<S> Checked<S> {
    pub fn new(stream: S) -> Checked<S> {
        Checked { stream, seen: [0; HEAD], count: 0 }
    }

    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let more = bytes.len().min(HEAD - self.count);
        self.seen[self.count..self.count + more].copy_from_slice(&bytes[..more]);
        self.count += more;
        // AuthenticationOk is 0, AuthenticationSASL 10.
        let good = match &self.seen[..self.count] {
            [b'R', _, _, _, _, a, b, c, d] => matches!(u32::from_be_bytes([*a, *b, *c, *d]), 0 | 10),
            [b'R' | b'E', ..] | [] => true,
            _ => false,
        };
        match good {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "it asks for more than a proof of the token")),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Checked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(match self.count < HEAD {
            true => self.look(&buf.filled()[before..]),
            false => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Checked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(pieces: &[&[u8]]) -> io::Result<()> {
        let mut checked = Checked::new(());
        pieces.iter().try_for_each(|piece| match checked.count < HEAD {
            true => checked.look(piece),
            false => Ok(()),
        })
    }

    #[test]
    fn no_server_gets_the_token_by_asking_for_it() {
        let sasl = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert!(first(&[sasl]).is_ok() && first(&[&sasl[..3], &sasl[3..7], &sasl[7..]]).is_ok());
        assert!(first(&[b"R\0\0\0\x08\0\0\0\0S"]).is_ok(), "welcome");
        assert!(first(&[b"E\0\0\0\x09SF"]).is_ok(), "an error");
        for kind in [3u8, 5, 7, 8, 255] {
            assert!(first(&[b"R\0\0\0\x08\0\0\0", &[kind]]).is_err(), "{kind}");
        }
        assert!(first(&[b"N\0\0\0\x05\0"]).is_err() && first(&[b"HTTP/1.1 400 Bad Request"]).is_err());
    }
}
