//! HTTP/1.1 messages on a socket: enough of it for a client that keeps its connection, and for a proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A head larger than that is none of ours.
const MAX_HEAD: usize = 64 << 10;

/// A message's head, and what came behind it.
pub struct Head {
    /// With its empty line.
    pub bytes: Vec<u8>,
    /// The beginning of the body.
    pub rest: Vec<u8>,
}

impl Head {
    /// The next message's head; `None` where the peer closed instead.
    pub fn read(stream: &mut TcpStream) -> io::Result<Option<Head>> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            let n = stream.read(&mut buffer)?;
            if n == 0 {
                return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let from = bytes.len().saturating_sub(3);
            bytes.extend_from_slice(&buffer[..n]);
            if let Some(end) = bytes[from..].windows(4).position(|w| w == b"\r\n\r\n") {
                let rest = bytes.split_off(from + end + 4);
                return Ok(Some(Head { bytes, rest }));
            }
            if bytes.len() > MAX_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let text = self.text();
        let found = text.lines().filter_map(|line| line.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim().to_owned())
    }

    /// The status of a reply.
    pub fn status(&self) -> Option<u16> {
        self.text().split(' ').nth(1)?.parse().ok()
    }

    /// The whole body, of the length that the head names.
    pub fn body(&mut self, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
        let length = self.header("content-length").map_or(Ok(0), |v| v.parse());
        let length: usize = length.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let mut body = std::mem::take(&mut self.rest);
        let have = body.len().min(length);
        body.resize(length, 0);
        stream.read_exact(&mut body[have..])?;
        Ok(body)
    }
}

/// A client's connection, opened when needed and kept while it works.
pub struct Connection {
    port: u16,
    timeout: Duration,
    stream: Option<TcpStream>,
    message: Vec<u8>,
}

impl Connection {
    pub fn new(port: u16, timeout: Duration) -> Connection {
        Connection { port, timeout, stream: None, message: Vec::new() }
    }

    /// Posts a body; the reply's status. After an error the connection is opened again.
    pub fn post(&mut self, path: &str, content_type: &str, body: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        self.message.clear();
        write!(
            self.message,
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            self.port,
            body.len()
        )?;
        self.message.extend_from_slice(body);
        stream.write_all(&self.message)?;
        let mut head = Head::read(&mut stream)?.ok_or(io::ErrorKind::ConnectionReset)?;
        let status = head.status().ok_or(io::ErrorKind::InvalidData)?;
        head.body(&mut stream)?;
        if head.header("connection").as_deref() != Some("close") {
            self.stream = Some(stream);
        }
        Ok(status)
    }

    fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], self.port)), self.timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        Ok(stream)
    }
}
