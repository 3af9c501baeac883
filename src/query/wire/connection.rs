//! One client: from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;
use datafusion_postgres::pgwire::api::cancel::DefaultCancelHandler;
use datafusion_postgres::pgwire::api::{ClientInfo, DefaultClient, NoopHandler, PgWireConnectionState};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::codec::{Framed, FramedParts};

use super::handler::{Handler, Prepared};
use super::login::Startup;
use super::server::Shared;
use super::stream::{Allowance, Bounded, Io};

/// `SSLRequest` and `GSSENCRequest` (PostgreSQL's protocol, "Message Formats"): eight bytes, the length among them.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
/// The first byte of a TLS handshake, from a client that does not ask first.
const HANDSHAKE: u8 = 0x16;

type Socket = Framed<Bounded, PgWireMessageServerCodec<Prepared>>;

/// A client.
pub struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
}

impl Connection {
    pub fn new(shared: Arc<Shared>, peer: SocketAddr) -> Connection {
        Connection { shared, peer }
    }

    /// Serves the client until it leaves.
    ///
    /// # Errors
    /// When the connection broke, or the client overstepped a bound.
    pub async fn serve(self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let until = Instant::now() + self.shared.options.login;
        let Ok(negotiated) = timeout_at(until, self.negotiate(socket)).await else { return Ok(()) };
        let (io, first) = negotiated?;
        self.talk(io, first, until).await
    }

    /// TLS or not. Exactly the request's bytes are read: what a meddler sends behind it in the clear is taken for a
    /// part of the handshake, and breaks it.
    async fn negotiate(&self, mut socket: TcpStream) -> io::Result<(Io, BytesMut)> {
        let mut first = [0];
        if socket.peek(&mut first).await? == 1 && first[0] == HANDSHAKE {
            return Ok((self.encrypt(socket).await?, BytesMut::new()));
        }
        // Each request once, in any order.
        for _ in 0..3 {
            let mut request = [0; 8];
            socket.read_exact(&mut request).await?;
            match request {
                SSL_REQUEST if self.shared.tls.is_some() => {
                    socket.write_all(b"S").await?;
                    return Ok((self.encrypt(socket).await?, BytesMut::new()));
                }
                SSL_REQUEST | GSS_REQUEST => socket.write_all(b"N").await?,
                _ => return Ok((Io::Plain(socket), BytesMut::from(&request[..]))),
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    async fn encrypt(&self, socket: TcpStream) -> io::Result<Io> {
        let tls = self.shared.tls.as_ref().ok_or(io::ErrorKind::InvalidData)?;
        Ok(Io::Tls(Box::new(tls.acceptor().accept(socket).await?)))
    }

    async fn talk(self, io: Io, first: BytesMut, until: Instant) -> io::Result<()> {
        let secure = matches!(io, Io::Tls(_));
        // Binary parameters and the text of a statement; what is longer is refused by its length later.
        let message = Allowance::new(self.shared.engine.options().text * 4);
        let bounded = Bounded::new(io, message.clone(), self.shared.options.write);
        let codec = PgWireMessageServerCodec::new(DefaultClient::new(self.peer, secure));
        let mut parts = FramedParts::new::<PgWireBackendMessage>(bounded, codec);
        parts.read_buf = first;
        let mut socket: Socket = Framed::from_parts(parts);
        socket.set_state(PgWireConnectionState::AwaitingStartup);
        self.messages(&mut socket, &message, until).await
    }

    async fn messages(&self, socket: &mut Socket, allowance: &Allowance, until: Instant) -> io::Result<()> {
        let session = Arc::new(OnceLock::new());
        let startup = Arc::new(Startup::new(Arc::clone(&self.shared), Arc::clone(&session)));
        let handler = Arc::new(Handler::new(Arc::clone(&self.shared), session));
        let cancel = Arc::new(DefaultCancelHandler::new(Arc::clone(&self.shared.connections)));
        let copy = Arc::new(NoopHandler);
        loop {
            let next = match is_login(socket) {
                true => timeout_at(until, socket.next()).await,
                false => timeout(self.shared.options.idle, socket.next()).await,
            };
            let Ok(Some(message)) = next else { return Ok(()) };
            let message = message.map_err(io::Error::other)?;
            allowance.renew();
            if matches!(message, PgWireFrontendMessage::Terminate(_)) {
                return Ok(());
            }
            let extended = message.is_extended_query();
            let counted = handler.held().count(&message);
            if let Err(refused) = counted {
                process_error(socket, refused.into(), extended).await?;
                continue;
            }
            let prepared = match &message {
                PgWireFrontendMessage::Parse(parse) => parse.name.clone(),
                _ => None,
            };
            let (startup, simple) = (Arc::clone(&startup), Arc::clone(&handler));
            let (copy, cancel) = (Arc::clone(&copy), Arc::clone(&cancel));
            let processed = process_message(message, socket, startup, simple, Arc::clone(&handler), copy, cancel).await;
            if let Err(error) = processed {
                // It was not kept.
                prepared.iter().for_each(|name| handler.held().forget_statement(name));
                let login = is_login(socket);
                process_error(socket, error, extended).await?;
                if login {
                    return Ok(());
                }
            }
        }
    }
}

fn is_login(socket: &Socket) -> bool {
    matches!(socket.state(), PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress)
}
