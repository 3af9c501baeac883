//! The rows of a statement that a running server answers, over PostgreSQL's protocol.

mod first;
mod socket;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::error::ArrowError;
use datafusion_postgres::pgwire::api::Type;
use futures::{StreamExt, pin_mut};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{Client, NoTls, RowStream};

use super::ipc::Decoder;
use super::settings::ROWS;
use super::statement::AHEAD;
use super::{Bounds, Refused, Results};
use crate::auth::Token;
use crate::model::Workspace;
use crate::tls::client::ClientTls;

/// A server asks for this much patience when it is told to stop; then its connection is closed all the same.
const CANCEL: Duration = Duration::from_secs(5);

/// Whom a server without authentication is told to expect.
const ANYONE: &str = "sessionlake";

/// Where a server is, and who asks.
#[derive(Clone)]
pub struct Remote {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub workspace: Workspace,
    /// `None`: the server asks for none.
    pub token: Option<Token>,
}

/// Whether TLS is spoken. Certificates are checked wherever it is.
#[derive(Clone)]
pub enum Encryption {
    Required(Arc<ClientTls>),
    /// Where the server has it: enough on loopback, where nobody is between.
    Offered(Arc<ClientTls>),
    None,
}

/// Why a server gives no rows.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("cannot connect to {address}: {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("{address} does not speak TLS")]
    NoTls { address: String },
    #[error("TLS with {address} failed: {source}")]
    Handshake { address: String, source: io::Error },
    #[error("{address} does not speak as a sessionlake server does: {reason}")]
    Stranger { address: String, reason: String },
    #[error("the server wants a token")]
    NoToken,
    /// What the server said, with its SQLSTATE.
    #[error("{message}")]
    Said { sqlstate: String, message: String },
    #[error("the connection to the server was lost: {0}")]
    Lost(String),
    #[error("the rows that the server sent cannot be read: {0}")]
    Unreadable(#[from] ArrowError),
    #[error("this gives no rows: ask with SELECT or EXPLAIN")]
    NoRows,
}

impl From<RemoteError> for Refused {
    fn from(error: RemoteError) -> Refused {
        Refused::Remote(Box::new(error))
    }
}

impl Remote {
    /// As it is written: `host:port`.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Asks a statement. `bounds` hold from the first byte to the last row; the server's own deadline may be sooner.
    ///
    /// # Errors
    /// When there is no connection, the login fails, or the statement is refused.
    pub async fn run(&self, statement: &str, bounds: Bounds) -> Result<Results, Refused> {
        let (until, seconds) = (Instant::now() + bounds.deadline, bounds.deadline.as_secs());
        let mut cancel = bounds.cancel;
        let begin = async {
            let client = self.login().await?;
            let mut reading = Reading::begin(&client, statement, bounds.deadline).await?;
            // The decoder looks at the columns when it has something behind them.
            let mut first = Vec::new();
            while reading.decoder.schema().is_none() {
                first = reading.next().await?.ok_or(RemoteError::NoRows)?;
            }
            Ok::<_, RemoteError>((client, reading, first))
        };
        // Dropped before its rows began, the connection is closed, and the statement ends with it.
        let (client, mut reading, first) = tokio::select! {
            () = &mut cancel => return Err(Refused::Canceled),
            begun = timeout_at(until, begin) => begun.map_err(|_| Refused::Deadline { seconds })??,
        };
        let schema = reading.decoder.schema().ok_or(RemoteError::NoRows)?;
        let (rows, taken) = mpsc::channel(AHEAD);
        let (end, outcome) = oneshot::channel();
        let server = self.clone();
        tokio::spawn(async move {
            let ended = tokio::select! {
                () = cancel => Err(Refused::Canceled),
                ended = timeout_at(until, reading.pass_on(first, rows)) => match ended {
                    Ok(ended) => ended.map_err(Refused::from),
                    Err(_) => Err(Refused::Deadline { seconds }),
                },
            };
            if !reading.ended {
                server.cancel(&client).await;
            }
            // Whoever asked may have gone.
            let _ = end.send(ended);
        });
        Ok(Results::of(schema, taken, outcome))
    }

    async fn login(&self) -> Result<Client, RemoteError> {
        let stream = first::Checked::new(socket::open(self).await?);
        let mut config = tokio_postgres::Config::new();
        config.dbname(self.workspace.as_str()).application_name("sessionlake sql");
        match &self.token {
            Some(token) => config.user(token.id()).password(token.reveal()),
            None => config.user(ANYONE),
        };
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| self.login_failed(error))?;
        // It ends with the client; what breaks it, the client's own calls say.
        tokio::spawn(connection);
        Ok(client)
    }

    fn login_failed(&self, error: tokio_postgres::Error) -> RemoteError {
        if error.as_db_error().is_some() {
            return said(error);
        }
        if self.token.is_none() && format!("{error:?}").contains("password missing") {
            return RemoteError::NoToken;
        }
        RemoteError::Stranger { address: self.address(), reason: with_cause(&error) }
    }

    /// Tells the server to stop; the connection ends whether it hears it or not.
    async fn cancel(&self, client: &Client) {
        let token = client.cancel_token();
        let cancel = async {
            let stream = socket::open(self).await.ok()?;
            token.cancel_query_raw(stream, NoTls).await.ok()
        };
        let _ = timeout(CANCEL, cancel).await;
    }
}

/// Rows that come in.
struct Reading {
    messages: std::pin::Pin<Box<RowStream>>,
    decoder: Decoder,
    /// Nothing more will come.
    ended: bool,
}

impl Reading {
    async fn begin(client: &Client, statement: &str, deadline: Duration) -> Result<Reading, RemoteError> {
        let millis = deadline.as_millis().clamp(1, i32::MAX as u128);
        let settings = format!("SET {ROWS} = 'arrow'; SET statement_timeout = '{millis}'");
        client.batch_execute(&settings).await.map_err(said)?;
        let none: [(bool, Type); 0] = [];
        let messages = client.query_typed_raw(statement, none).await.map_err(said)?;
        Ok(Reading { messages: Box::pin(messages), decoder: Decoder::default(), ended: false })
    }

    /// The rows of the next message; `None` after the last one.
    async fn next(&mut self) -> Result<Option<Vec<RecordBatch>>, RemoteError> {
        match self.messages.next().await {
            Some(Ok(row)) => {
                let message: &[u8] = row.try_get(0).map_err(|_| RemoteError::NoRows)?;
                Ok(Some(self.decoder.read(message)?))
            }
            Some(Err(error)) => {
                self.ended = true;
                Err(said(error))
            }
            None => {
                self.ended = true;
                self.decoder.end()?;
                Ok(None)
            }
        }
    }

    async fn pass_on(&mut self, first: Vec<RecordBatch>, rows: mpsc::Sender<RecordBatch>) -> Result<(), RemoteError> {
        let mut next = Some(first);
        while let Some(batches) = next {
            for batch in batches {
                if rows.send(batch).await.is_err() {
                    return Ok(());
                }
            }
            let coming = self.next();
            pin_mut!(coming);
            next = tokio::select! {
                // Nobody waits for the rest.
                () = rows.closed() => return Ok(()),
                next = coming => next?,
            };
        }
        Ok(())
    }
}

fn said(error: tokio_postgres::Error) -> RemoteError {
    match error.as_db_error() {
        Some(said) => RemoteError::Said { sqlstate: said.code().code().to_owned(), message: said.message().to_owned() },
        None => RemoteError::Lost(with_cause(&error)),
    }
}

fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}
