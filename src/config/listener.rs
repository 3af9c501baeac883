//! Listeners: where, with what certificate, and whether other machines may reach them as they are.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::document::Problem;
use crate::tls::{MinVersion, TlsOptions};

/// An address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    pub address: SocketAddr,
    /// May be reached from other machines without authentication and TLS.
    pub insecure: bool,
    pub tls: TlsSettings,
    /// Where the address was written, when it is not loopback.
    pub(super) exposed_at: Option<Box<Problem>>,
}

/// `tls:` of a listener as far as it was written.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    pub client_ca_file: Option<PathBuf>,
    pub min_version: MinVersion,
    /// How often the files are looked at for a change. Default 1 second.
    pub reload_interval: Duration,
    /// Where it was written.
    pub(super) written_at: Option<Box<Problem>>,
}

impl Default for TlsSettings {
    fn default() -> TlsSettings {
        TlsSettings {
            cert_file: None,
            key_file: None,
            client_ca_file: None,
            min_version: MinVersion::default(),
            reload_interval: Duration::from_secs(1),
            written_at: None,
        }
    }
}

impl TlsSettings {
    /// What the listener shows; `None`: it speaks in the clear.
    pub fn options(&self, alpn: &'static [&'static [u8]]) -> Option<TlsOptions> {
        Some(TlsOptions {
            cert_file: self.cert_file.clone()?,
            key_file: self.key_file.clone()?,
            client_ca_file: self.client_ca_file.clone(),
            min_version: self.min_version,
            alpn,
        })
    }

    fn is_on(&self) -> bool {
        self.cert_file.is_some() && self.key_file.is_some()
    }

    /// A section that lacks what every server needs.
    fn incomplete(&self) -> Option<Problem> {
        let at = self.written_at.as_deref().filter(|_| !self.is_on())?;
        let lacks = match (&self.cert_file, &self.key_file) {
            (None, None) => "cert_file and key_file",
            (None, Some(_)) => "cert_file",
            (Some(_), _) => "key_file",
        };
        let help = "write `tls: {cert_file: server.crt, key_file: server.key}`, or remove tls to speak in the clear";
        Some(at.clone().saying(format!("tls lacks {lacks}"), Some(help.to_owned())))
    }
}

impl Listener {
    /// On 127.0.0.1.
    pub fn loopback(port: u16) -> Listener {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Listener { address, insecure: false, tls: TlsSettings::default(), exposed_at: None }
    }

    /// What is wrong with the whole of it, once every source is laid.
    pub(super) fn problems(&self, auth: bool) -> impl Iterator<Item = Problem> {
        [self.tls.incomplete(), self.exposed(auth)].into_iter().flatten()
    }

    /// Other machines can reach it although nobody said that they may.
    fn exposed(&self, auth: bool) -> Option<Problem> {
        let at = self.exposed_at.as_deref().filter(|_| !self.insecure)?;
        const AUTH: &str = "`auth: {enabled: true}` at the top level";
        const TLS: &str = "`tls: {cert_file: server.crt, key_file: server.key}` beside it";
        let (lacks, write) = match (auth, self.tls.is_on()) {
            (true, true) => return None,
            (true, false) => ("TLS", TLS.to_owned()),
            (false, true) => ("authentication", AUTH.to_owned()),
            (false, false) => ("authentication and TLS", format!("{AUTH} and {TLS}")),
        };
        let message = format!("{} can be reached from other machines, without {lacks}", self.address);
        let help = format!(
            "write {write}; or listen on 127.0.0.1; or write `insecure: true` beside it if the network in front of it is \
             trusted"
        );
        Some(at.clone().saying(message, Some(help)))
    }
}
