//! From PEM files to a server's configuration.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::{MinVersion, TlsError, TlsOptions};

/// A bundle of every public authority is smaller.
pub const MAX_BYTES: u64 = 1 << 20;

/// The files' contents.
pub struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    pub fn read(options: &TlsOptions) -> Result<Files, TlsError> {
        let client_ca = options.client_ca_file.as_deref().map(read).transpose()?;
        Ok(Files { cert: read(&options.cert_file)?, key: read(&options.key_file)?, client_ca })
    }

    /// Names the contents.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for part in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize()
    }

    pub fn config(&self, options: &TlsOptions) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.cert, &options.cert_file)?;
        let missing = || TlsError::Missing { path: options.key_file.clone(), what: "private key" };
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| missing())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let pair = |error: tokio_rustls::rustls::Error| TlsError::Pair {
            cert: options.cert_file.clone(),
            key: options.key_file.clone(),
            reason: error.to_string(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions(options.min_version))
            .map_err(pair)?;
        let builder = match self.client_verifier(options, provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = options.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn client_verifier(
        &self,
        options: &TlsOptions,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let (Some(pem), Some(path)) = (&self.client_ca, &options.client_ca_file) else { return Ok(None) };
        let wrong = |reason: String| TlsError::ClientCa { path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem, path)? {
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().map(Some).map_err(|error| wrong(error.to_string()))
    }
}

static SINCE_1_2: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];
static SINCE_1_3: &[&SupportedProtocolVersion] = &[&TLS13];

fn versions(least: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
    match least {
        MinVersion::Tls12 => SINCE_1_2,
        MinVersion::Tls13 => SINCE_1_3,
    }
}

pub fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| TlsError::Pem { path: path.to_owned() })?;
    match found.is_empty() {
        true => Err(TlsError::Missing { path: path.to_owned(), what: "certificate" }),
        false => Ok(found),
    }
}

pub fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let wrong = |source| TlsError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(wrong)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(TlsError::TooLarge { path: path.to_owned() }),
        false => Ok(bytes),
    }
}
