//! The login: database = workspace, user = the token's name, password = the token (SCRAM-SHA-256).

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::{
    LoginInfo, ServerParameterProvider, StartupHandler, finish_authentication, protocol_negotiation,
    save_startup_parameters_to_metadata,
};
use datafusion_postgres::pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, PgWireConnectionState, PidSecretKeyGenerator,
    RandomPidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::startup::{Authentication, PasswordMessageFamily};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures::{Sink, SinkExt};
use tokio::sync::Mutex;

use super::server::Shared;
use crate::auth::{Attempt, Denied, Login, Permission, Role};
use crate::model::Workspace;
use crate::query::access::Access;
use crate::query::{Session, settings};

const SCRAM: &str = "SCRAM-SHA-256";

/// Somebody who logged in.
pub struct Entered {
    pub session: Session,
    pub login: Login,
    /// What cancels the present statement.
    pub handle: Arc<ConnectionHandle>,
    _guard: ConnectionGuard,
}

/// The login of one connection.
pub struct Startup {
    shared: Arc<Shared>,
    entered: Arc<OnceLock<Entered>>,
    attempt: Mutex<Option<Attempt>>,
    keys: RandomPidSecretKeyGenerator,
}

impl Startup {
    pub fn new(shared: Arc<Shared>, entered: Arc<OnceLock<Entered>>) -> Startup {
        Startup { shared, entered, attempt: Mutex::new(None), keys: RandomPidSecretKeyGenerator::default() }
    }

    /// Whom everybody is while authentication is off.
    async fn anybody<C: ClientInfo>(&self, client: &C) -> PgWireResult<Login> {
        let name = database(client);
        let user = LoginInfo::from_client_info(client).user().unwrap_or_default().to_owned();
        let workspace = Workspace::parse(&name).ok();
        let exists = match &workspace {
            Some(workspace) if *workspace == Workspace::default() => true,
            Some(workspace) => self.shared.engine.has(workspace).await.unwrap_or(false),
            None => false,
        };
        let workspace = match workspace.filter(|_| exists) {
            Some(workspace) => workspace,
            // Clients name the database after the user when they are told of none.
            None if name == user => Workspace::default(),
            None => return Err(fatal("3D000", format!("database \"{}\" does not exist", name.escape_debug()))),
        };
        Ok(Login { workspace, principal: None, role: Role::Admin, token: None })
    }

    async fn enter<C>(&self, client: &mut C, login: Login) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let (pid, key) = self.keys.generate(client);
        client.set_pid_and_secret_key(pid, key.clone());
        let (handle, guard) = self.shared.connections.register(pid, key);
        let session = Session::open(self.shared.engine.clone(), Access::from(&login))?;
        // A second login of one connection does not come this far: its state is another.
        let _ = self.entered.set(Entered { session, login, handle, _guard: guard });
        finish_authentication(client, &Reported).await
    }

    async fn prove<C>(&self, client: &mut C, message: PasswordMessageFamily) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let user = LoginInfo::from_client_info(client).user().unwrap_or_default().to_owned();
        let failed = |denied: Denied| refused(&user, denied);
        let Some(attempt) = self.attempt.lock().await.take() else {
            let first = message.into_sasl_initial_response()?;
            if first.auth_method != SCRAM {
                return Err(PgWireError::UnsupportedSASLAuthMethod(SCRAM.to_owned()));
            }
            let bytes = first.data.unwrap_or_default();
            let text = std::str::from_utf8(&bytes).unwrap_or_default();
            let (database, peer) = (database(client), client.socket_addr().ip());
            let random = fresh()?;
            let begun = self.shared.door.begin((&database, &user), text, peer, random);
            let (attempt, answer) = begun.map_err(failed)?;
            *self.attempt.lock().await = Some(attempt);
            let answer = Authentication::SASLContinue(answer.into());
            return Ok(client.send(PgWireBackendMessage::Authentication(answer)).await?);
        };
        let last = message.into_sasl_response()?;
        let text = std::str::from_utf8(&last.data).unwrap_or_default();
        let (login, answer) = self.shared.door.finish(attempt, text, Permission::Read).map_err(failed)?;
        let answer = Authentication::SASLFinal(answer.into());
        client.send(PgWireBackendMessage::Authentication(answer)).await?;
        self.enter(client, login).await
    }
}

#[async_trait]
impl StartupHandler for Startup {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match message {
            PgWireFrontendMessage::Startup(startup) => {
                protocol_negotiation(client, &startup).await?;
                save_startup_parameters_to_metadata(client, &startup);
                if self.shared.tls.is_some() && !client.is_secure() {
                    return Err(fatal("28000", "this server speaks TLS only: set sslmode=require".to_owned()));
                }
                if self.shared.door.is_open() {
                    let login = self.anybody(client).await?;
                    return self.enter(client, login).await;
                }
                client.set_state(PgWireConnectionState::AuthenticationInProgress);
                let offer = Authentication::SASL(vec![SCRAM.to_owned()]);
                Ok(client.send(PgWireBackendMessage::Authentication(offer)).await?)
            }
            PgWireFrontendMessage::PasswordMessageFamily(message)
                if matches!(client.state(), PgWireConnectionState::AuthenticationInProgress) =>
            {
                self.prove(client, message).await
            }
            _ => Err(fatal("08P01", "a login was expected".to_owned())),
        }
    }
}

/// What the server says of itself.
struct Reported;

impl ServerParameterProvider for Reported {
    fn server_parameters<C: ClientInfo>(&self, client: &C) -> Option<std::collections::HashMap<String, String>> {
        let mut reported: std::collections::HashMap<String, String> =
            settings::reported().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, key) in [("application_name", "application_name"), ("session_authorization", "user")] {
            reported.insert(name.to_owned(), client.metadata().get(key).cloned().unwrap_or_default());
        }
        Some(reported)
    }
}

fn database<C: ClientInfo>(client: &C) -> String {
    let login = LoginInfo::from_client_info(client);
    login.database().or(login.user()).unwrap_or_default().to_owned()
}

fn fresh() -> PgWireResult<[u8; 18]> {
    let mut random = [0; 18];
    getrandom::fill(&mut random).map_err(|_| fatal("XX000", "no randomness from the operating system".to_owned()))?;
    Ok(random)
}

/// The same for a wrong token, another workspace and a name that is not known.
fn refused(user: &str, denied: Denied) -> PgWireError {
    match denied {
        Denied::Malformed | Denied::Missing | Denied::Unknown => {
            fatal("28P01", format!("password authentication failed for user \"{}\"", user.escape_debug()))
        }
        Denied::TooMany { .. } => fatal("53300", denied.to_string()),
        Denied::Revoked | Denied::Expired | Denied::Role(_) => fatal("28000", denied.to_string()),
    }
}

pub fn fatal(sqlstate: &str, message: String) -> PgWireError {
    PgWireError::UserError(Box::new(ErrorInfo::new("FATAL".to_owned(), sqlstate.to_owned(), message)))
}
