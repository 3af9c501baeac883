//! TLS for what connects: whom it trusts.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{TlsError, load};

/// Whom a client trusts. Every server's certificate is checked.
pub struct ClientTls(TlsConnector);

impl ClientTls {
    /// Trusts the authorities in a file (PEM), or those of this machine.
    ///
    /// # Errors
    /// When the file cannot be used, or the machine has no authorities.
    pub fn open(ca_file: Option<&Path>) -> Result<ClientTls, TlsError> {
        let roots = match ca_file {
            Some(path) => of_file(path)?,
            None => of_machine()?,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| TlsError::Client { reason: error.to_string() })?;
        Ok(ClientTls(TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))))
    }

    /// The handshake with the server of that name or address.
    ///
    /// # Errors
    /// When it is another's, is not trusted, or the connection breaks.
    pub async fn connect(&self, host: &str, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?;
        self.0.connect(name, socket).await
    }
}

fn of_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in load::certificates(&load::read(path)?, path)? {
        let wrong = |reason: String| TlsError::Authority { path: path.to_owned(), reason };
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(roots)
}

/// One that cannot be read is left out, as everywhere: old bundles hold some.
fn of_machine() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err(TlsError::NoAuthorities),
        false => Ok(roots),
    }
}
