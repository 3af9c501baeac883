//! Configuration in two layers: as written (YAML in the OpenTelemetry Collector's shape, [`written`]) and as meant
//! ([`Config`]). Every source is checked on its own, so an error names the file and line that is to blame; then it
//! is laid over what came before.

mod expand;
mod layer;
mod limits;
mod listener;
mod pipelines;
mod receivers;
mod retention;
mod secret;
mod set;
mod values;
mod written;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

pub use expand::Env;
pub use listener::{Listener, TlsSettings};
pub use retention::RetentionConfig;
pub use secret::Secret;

use crate::document;
pub use crate::document::{ConfigError, Place, Problem, Source};
use crate::enrich::privacy::Rules;
use crate::receiver::{Cors, IntakeLimits, Limits, Paths};
use crate::sink::lake::LakeOptions;
use crate::telemetry::logs::Encoding;
use layer::Layer;

/// The configuration as meant. Everything has a default.
#[derive(Clone, Debug)]
pub struct Config {
    pub grpc: GrpcConfig,
    /// OTLP over HTTP, and hooks.
    pub http: HttpConfig,
    /// `/live` and `/ready`.
    pub health: Listener,
    /// `/metrics`.
    pub metrics: Listener,
    /// PostgreSQL's protocol.
    pub sql: Listener,
    pub auth: AuthConfig,
    pub maintenance: MaintenanceConfig,
    /// A session without a new fact for that long has ended. Default 10 minutes.
    pub idle_timeout: Duration,
    /// Files of redaction rules, merged. Default none: what is in force is the shipped pack of secrets rules.
    pub redaction_rules: Vec<PathBuf>,
    pub lake: LakeConfig,
    /// What a request may hold, and a workspace may send.
    pub limits: IntakeLimits,
    /// Whose sessions are private, and where none may be.
    pub private: Rules,
    /// Request bytes in flight, all workspaces together; `None`: a quarter of the memory limit.
    pub in_flight_bytes: Option<u64>,
    /// Bound of what is held in memory, bytes. Default 512 MiB.
    pub memory_limit_bytes: u64,
    pub journal: JournalConfig,
    pub logs: LogConfig,
    /// Journal, and the lake unless it is elsewhere. Default `./sessionlake-data`.
    pub data_dir: PathBuf,
    /// Settings that were written, are right, and have no effect in this version: to be warned of.
    pub unavailable: BTreeSet<&'static str>,
}

/// Who may send.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// Whether requests need a token. Default no.
    pub enabled: bool,
}

/// Who seals sessions and keeps the tables good.
#[derive(Clone, Debug)]
pub struct MaintenanceConfig {
    /// Whether this process does, when no other on the same lake does already. Default yes; switched off in replicas
    /// beside a `sessionlake maintain`.
    pub enabled: bool,
}

#[derive(Clone, Debug)]
pub struct GrpcConfig {
    pub listener: Listener,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub struct HttpConfig {
    pub listener: Listener,
    pub limits: Limits,
    pub paths: Paths,
    /// Off by default.
    pub cors: Cors,
}

#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// `url` as it was written, `${env:...}` and all: for people to read.
    pub written: Option<String>,
    /// `s3://bucket/prefix`, `file:///...` or a directory; `None`: `<data_dir>/lake`.
    pub url: Option<String>,
    /// Default 5 seconds.
    pub flush_interval: Duration,
    /// Default: facts 30 days, the rest for ever.
    pub retention: RetentionConfig,
    pub storage: StorageConfig,
}

/// How to reach an S3-compatible store; what is not given comes from the usual AWS variables.
#[derive(Clone, Debug, Default)]
pub struct StorageConfig {
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<Secret>,
    pub secret_access_key: Option<Secret>,
    pub path_style: Option<bool>,
    pub allow_http: Option<bool>,
}

/// What the journal may take of its disk.
#[derive(Clone, Copy, Debug)]
pub struct JournalConfig {
    /// Requests are refused while that many bytes wait for the lake. Default 8 GiB.
    pub max_bytes: u64,
    /// Bytes of one file. Default 64 MiB.
    pub segment_bytes: u64,
    /// Requests are refused while the disk is fuller than that and has no room for `max_bytes`. Default 90 %.
    pub max_disk_percent: u8,
}

/// The collector's own logs, on stderr.
#[derive(Clone, Debug)]
pub struct LogConfig {
    pub level: tracing::Level,
    pub encoding: Encoding,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            grpc: GrpcConfig { listener: Listener::loopback(4317), limits: Limits::default() },
            http: HttpConfig {
                listener: Listener::loopback(4318),
                limits: Limits::default(),
                paths: Paths::default(),
                cors: Cors::default(),
            },
            health: Listener::loopback(13133),
            metrics: Listener::loopback(8888),
            sql: Listener::loopback(4320),
            auth: AuthConfig::default(),
            maintenance: MaintenanceConfig { enabled: true },
            idle_timeout: Duration::from_secs(600),
            redaction_rules: Vec::new(),
            lake: LakeConfig {
                written: None,
                url: None,
                flush_interval: Duration::from_secs(5),
                retention: RetentionConfig::default(),
                storage: StorageConfig::default(),
            },
            limits: IntakeLimits::default(),
            private: Rules::default(),
            in_flight_bytes: None,
            memory_limit_bytes: 512 << 20,
            journal: JournalConfig { max_bytes: 8 << 30, segment_bytes: 64 << 20, max_disk_percent: 90 },
            logs: LogConfig { level: tracing::Level::INFO, encoding: Encoding::Console },
            data_dir: PathBuf::from("./sessionlake-data"),
            unavailable: BTreeSet::new(),
        }
    }
}

impl Config {
    /// Lays `sources` over the defaults, the later over the earlier.
    ///
    /// # Errors
    /// With everything that is wrong in any source.
    pub fn load(sources: &[Source], env: Env<'_>) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let mut problems: Vec<Problem> =
            sources.iter().flat_map(|source| Layer::apply(source, env, &mut config)).collect();
        problems.extend(config.listeners().into_iter().flat_map(|l| l.problems(config.auth.enabled)));
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }

    fn listeners(&self) -> [&Listener; 5] {
        [&self.grpc.listener, &self.http.listener, &self.health, &self.metrics, &self.sql]
    }

    /// Where the lake is and how to reach it. Holds secrets: not for logs.
    pub fn lake_options(&self) -> LakeOptions {
        let url = self.lake.url.clone().unwrap_or_else(|| self.data_dir.join("lake").display().to_string());
        LakeOptions { url, name: self.lake.written.clone(), storage: self.lake.storage.options() }
    }

    /// Where the lake is, for logs and messages: without what environment variables hold.
    pub fn lake_name(&self) -> String {
        self.lake_options().name().to_owned()
    }
}

impl StorageConfig {
    /// By the names that the lake's store uses.
    fn options(&self) -> Vec<(String, String)> {
        let expose = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        let options = [
            ("endpoint", self.endpoint.clone()),
            ("region", self.region.clone()),
            ("access_key_id", expose(&self.access_key_id)),
            ("secret_access_key", expose(&self.secret_access_key)),
            ("virtual_hosted_style_request", self.path_style.map(|path| (!path).to_string())),
            ("allow_http", self.allow_http.map(|on| on.to_string())),
        ];
        options.into_iter().filter_map(|(key, value)| value.map(|value| (key.to_owned(), value))).collect()
    }
}

/// Reads a configuration file.
pub fn read_file(path: &std::path::Path) -> Result<Source, Problem> {
    let name = path.display().to_string();
    match document::read(path) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let help = "give the path of a YAML file, or leave --config out: everything has a default".to_owned();
            Err(Problem::new(format!("cannot read the configuration file: {error}"), Some(help)).of(name))
        }
    }
}

/// A duration as it is written everywhere, from `least` to `most`.
///
/// # Errors
/// With what to write instead.
pub fn duration(text: &str, least: &str, most: &str) -> Result<Duration, String> {
    values::duration_in(text, least, most).map_err(|wrong| wrong.help.unwrap_or(wrong.message))
}

/// The source that an argument of `--set` stands for.
pub fn set_argument(argument: &str) -> Result<Source, Problem> {
    set::document(argument)
}

/// Sources for the command line's own flags, which win over everything else.
pub fn flag(name: &str, path: &[&str], value: &str) -> Source {
    set::flag(name, path, value)
}
