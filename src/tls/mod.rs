//! TLS for listeners, and for what connects (`client`): certificates from files, read again when they change.
//!
//! rustls with TLS 1.2 and 1.3 and its default cipher suites: nothing older can be negotiated. Each connection uses the
//! certificate that is in force when it begins; a new file that cannot be used changes nothing.

#[cfg(feature = "sql")]
pub mod client;
mod load;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Oldest version of TLS that a client may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MinVersion {
    #[default]
    Tls12,
    Tls13,
}

/// What a listener shows, and whom it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// Certificate chain, PEM, the server's own certificate first.
    pub cert_file: PathBuf,
    /// Its private key, PEM (PKCS#8, PKCS#1 or SEC1).
    pub key_file: PathBuf,
    /// Certificates of those who sign clients' certificates, PEM; `Some`: clients without such a certificate are
    /// refused in the handshake.
    pub client_ca_file: Option<PathBuf>,
    pub min_version: MinVersion,
    /// Application protocols (ALPN, RFC 7301), the preferred one first.
    pub alpn: &'static [&'static [u8]],
}

/// Files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is larger than {} bytes: no certificate or key is", path.display(), load::MAX_BYTES)]
    TooLarge { path: PathBuf },
    #[error("{} holds no {what} in PEM format", path.display())]
    Missing { path: PathBuf, what: &'static str },
    #[error("{} is not valid PEM", path.display())]
    Pem { path: PathBuf },
    #[error("the certificate in {} and the key in {} cannot be used together: {reason}", cert.display(), key.display())]
    Pair { cert: PathBuf, key: PathBuf, reason: String },
    #[error("{} cannot be used to check clients' certificates: {reason}", path.display())]
    ClientCa { path: PathBuf, reason: String },
    #[error("{} cannot be used to check a server's certificate: {reason}", path.display())]
    Authority { path: PathBuf, reason: String },
    #[error("this machine has no list of certificate authorities")]
    NoAuthorities,
    #[error("TLS cannot be set up: {reason}")]
    Client { reason: String },
}

/// A listener's TLS. Cheap to clone; clones share what is in force.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    options: TlsOptions,
    current: RwLock<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The files' contents that were looked at last, good or bad.
    seen: blake3::Hash,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, or they do not fit together.
    pub fn open(options: TlsOptions) -> Result<Tls, TlsError> {
        let files = load::Files::read(&options)?;
        let config = files.config(&options)?;
        Ok(Tls(Arc::new(Shared { options, current: RwLock::new(Current { config, seen: files.digest() }) })))
    }

    /// What accepts connections with the certificate in force.
    pub fn acceptor(&self) -> TlsAcceptor {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current.config))
    }

    /// Reads the files again. `true`: they changed, and connections from now on get what they hold. Blocks on files.
    ///
    /// # Errors
    /// When they cannot be used; what was in force stays. The same unusable contents are reported once.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let files = load::Files::read(&self.0.options)?;
        let seen = files.digest();
        if self.0.current.read().unwrap_or_else(PoisonError::into_inner).seen == seen {
            return Ok(false);
        }
        let config = files.config(&self.0.options);
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        current.seen = seen;
        current.config = config?;
        Ok(true)
    }

    pub fn options(&self) -> &TlsOptions {
        &self.0.options
    }
}
