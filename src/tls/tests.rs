use std::fs;
use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use super::*;

/// Signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for `localhost` and its key.
    fn certificate(&self) -> (String, String) {
        self.certificate_until(4096)
    }

    fn certificate_until(&self, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Certificate and key on disk, as a server finds them.
struct Files(TempDir);

impl Files {
    fn new(pair: &(String, String)) -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        files.put("server.crt", &pair.0);
        files.put("server.key", &pair.1);
        files
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn options(&self) -> TlsOptions {
        TlsOptions {
            cert_file: self.0.path().join("server.crt"),
            key_file: self.0.path().join("server.key"),
            client_ca_file: None,
            min_version: MinVersion::Tls12,
            alpn: &[b"h2"],
        }
    }
}

/// A client that trusts `authority`, and shows `identity`.
fn client(
    authority: &Authority,
    identity: Option<(String, String)>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// What was agreed on, as the client sees it after a byte went there and back.
#[derive(Debug)]
struct Agreed {
    version: Option<ProtocolVersion>,
    alpn: Option<Vec<u8>>,
    certificate: Vec<u8>,
}

/// One connection through memory. The server's view of a client's certificate comes after the client believes to be
/// done, so only an echo proves that both agree.
async fn connect(tls: &Tls, client: ClientConfig) -> io::Result<Agreed> {
    let (near, far) = duplex(64 << 10);
    let acceptor = tls.acceptor();
    let server = async move {
        let mut stream = acceptor.accept(far).await?;
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        stream.write_all(&byte).await?;
        stream.shutdown().await
    };
    let connector = TlsConnector::from(Arc::new(client));
    let client = async move {
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), near).await?;
        stream.write_all(b"x").await?;
        stream.read_exact(&mut [0]).await?;
        let session = stream.get_ref().1;
        Ok(Agreed {
            version: session.protocol_version(),
            alpn: session.alpn_protocol().map(<[u8]>::to_vec),
            certificate: session.peer_certificates().map(|chain| chain[0].to_vec()).unwrap_or_default(),
        })
    };
    let (served, agreed) = tokio::join!(server, client);
    served.and(agreed)
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[tokio::test]
async fn both_versions_are_spoken_unless_the_older_is_switched_off() {
    let authority = Authority::new();
    let files = Files::new(&authority.certificate());
    let tls = Tls::open(files.options()).unwrap();
    let agreed = connect(&tls, client(&authority, None, &[&TLS12, &TLS13])).await.unwrap();
    assert_eq!((agreed.version, agreed.alpn), (Some(ProtocolVersion::TLSv1_3), Some(b"h2".to_vec())));
    let agreed = connect(&tls, client(&authority, None, &[&TLS12])).await.unwrap();
    assert_eq!(agreed.version, Some(ProtocolVersion::TLSv1_2));
    let tls = Tls::open(TlsOptions { min_version: MinVersion::Tls13, ..files.options() }).unwrap();
    assert!(connect(&tls, client(&authority, None, &[&TLS12])).await.is_err());
    assert!(connect(&tls, client(&authority, None, &[&TLS13])).await.is_ok());
}

#[tokio::test]
async fn a_client_without_a_good_certificate_of_the_right_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let files = Files::new(&authority.certificate());
    files.put("client-ca.crt", &authority.pem);
    let client_ca_file = Some(files.0.path().join("client-ca.crt"));
    let tls = Tls::open(TlsOptions { client_ca_file, ..files.options() }).unwrap();
    for versions in [&[&TLS12][..], &[&TLS13][..]] {
        assert!(connect(&tls, client(&authority, Some(authority.certificate()), versions)).await.is_ok());
        assert!(connect(&tls, client(&authority, None, versions)).await.is_err());
        assert!(connect(&tls, client(&authority, Some(other.certificate()), versions)).await.is_err());
        let expired = authority.certificate_until(2020);
        assert!(connect(&tls, client(&authority, Some(expired), versions)).await.is_err());
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_bad_one_changes_nothing() {
    let authority = Authority::new();
    let (first, second) = (authority.certificate(), authority.certificate());
    let files = Files::new(&first);
    let tls = Tls::open(files.options()).unwrap();
    let shown = async || connect(&tls, client(&authority, None, &[&TLS13])).await.unwrap().certificate;
    assert_eq!(shown().await, der(&first.0));
    assert!(!tls.refresh().unwrap(), "nothing changed");

    files.put("server.crt", &second.0);
    let error = tls.refresh().unwrap_err().to_string();
    assert!(error.contains("server.crt") && error.contains("server.key"), "{error}");
    assert!(!tls.refresh().unwrap(), "the same bad files are reported once");
    assert_eq!(shown().await, der(&first.0));

    files.put("server.key", &second.1);
    assert!(tls.refresh().unwrap());
    assert_eq!(shown().await, der(&second.0));

    fs::remove_file(files.0.path().join("server.key")).unwrap();
    assert!(matches!(tls.refresh(), Err(TlsError::Read { .. })));
    assert_eq!(shown().await, der(&second.0));
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason_and_never_quoted() {
    let authority = Authority::new();
    let (cert, key) = authority.certificate();
    let other_key = authority.certificate().1;
    let cases = [
        ("", key.as_str(), "server.crt holds no certificate in PEM format"),
        (cert.as_str(), "secret", "server.key holds no private key in PEM format"),
        (key.as_str(), key.as_str(), "server.crt holds no certificate in PEM format"),
        (cert.as_str(), other_key.as_str(), "cannot be used together"),
        ("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", key.as_str(), "server.crt is not valid PEM"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key.as_str(), "cannot be used together"),
    ];
    for (cert, key, expected) in cases {
        let files = Files::new(&(cert.to_owned(), key.to_owned()));
        let Err(error) = Tls::open(files.options()) else { panic!("{expected}: was opened") };
        let error = error.to_string();
        assert!(error.contains(expected) && !error.contains("secret"), "{error}");
    }
    let files = Files::new(&(cert, key));
    let client_ca_file = Some(files.0.path().join("missing.crt"));
    let Err(error) = Tls::open(TlsOptions { client_ca_file, ..files.options() }) else { panic!("opened") };
    assert!(error.to_string().starts_with("cannot read ") && error.to_string().contains("missing.crt"));
}
