//! From written to meant: one source laid over the configuration so far.

use std::path::PathBuf;

use super::expand::{Env, expand};
use super::pipelines;
use super::secret::Secret;
use super::values::{self, Wrong};
use super::written::{self, File, Scalar};
use super::{Config, JournalConfig, LakeConfig, Listener, StorageConfig, TlsSettings};
use crate::document::{self, Problem, Source, Text, place};
use crate::enrich::privacy::Rules;
use crate::telemetry::logs::Encoding;

/// Lays one source over a configuration: what it says replaces, what it leaves out stays.
pub struct Layer<'a> {
    source: &'a Source,
    env: Env<'a>,
    problems: Vec<Problem>,
}

impl<'a> Layer<'a> {
    /// Reads `source` and lays it over `config`; returns everything that is wrong with it.
    pub fn apply(source: &'a Source, env: Env<'a>, config: &mut Config) -> Vec<Problem> {
        let file = match document::parse::<File>(source) {
            Ok(file) => file,
            Err(problem) => return vec![problem],
        };
        let mut layer = Layer { source, env, problems: Vec::new() };
        layer.file(file, config);
        layer.problems
    }

    fn file(&mut self, file: File, config: &mut Config) {
        self.receivers(file.receivers.unwrap_or_default(), config);
        self.processors(file.processors.unwrap_or_default(), config);
        self.exporters(file.exporters.unwrap_or_default(), config);
        self.extensions(file.extensions.unwrap_or_default(), config);
        let auth = file.auth.unwrap_or_default();
        self.set(&auth.enabled, values::boolean, |on| config.auth.enabled = on);
        self.set(&auth.strict_workspaces, values::boolean, |on| config.limits.strict_workspaces = on);
        let maintenance = file.maintenance.unwrap_or_default();
        self.set(&maintenance.enabled, values::boolean, |on| config.maintenance.enabled = on);
        self.journal(file.journal.unwrap_or_default(), &mut config.journal);
        self.service(file.service.unwrap_or_default(), config);
        self.limits(file.limits.unwrap_or_default(), config);
        self.private(file.private.unwrap_or_default(), &mut config.private);
        // Below 64 MiB not even one large request fits.
        self.set(
            &file.memory_limit_mib,
            |v| values::integer(v, 64, 1 << 20).map(|n| n << 20),
            |n| {
                config.memory_limit_bytes = n;
            },
        );
        self.set(&file.data_dir, values::text, |dir| config.data_dir = PathBuf::from(dir));
    }

    fn private(&mut self, written: written::Private, rules: &mut Rules) {
        let written::Private { users, projects, forbid, keep_costs } = written;
        self.texts(users, &mut rules.users);
        self.texts(projects, &mut rules.projects);
        self.texts(forbid, &mut rules.forbid);
        self.set(&keep_costs, values::boolean, |on| rules.keep_costs = on);
    }

    /// A list replaces the one before it.
    fn texts(&mut self, written: Option<Vec<Text>>, texts: &mut Vec<String>) {
        if let Some(written) = written {
            *texts = written.iter().filter_map(|text| self.value(text, values::text)).collect();
        }
    }

    fn processors(&mut self, processors: written::Processors, config: &mut Config) {
        if let Some(rules) = processors.redaction.and_then(|r| r.rules) {
            let dir = self.source.directory();
            let paths = rules.iter().filter_map(|text| self.value(text, values::text));
            config.redaction_rules = paths.map(|path| dir.join(path)).collect();
        }
        let idle = processors.sessions.and_then(|s| s.idle_timeout);
        self.set(&idle, |v| values::duration_in(v, "1s", "30d"), |timeout| config.idle_timeout = timeout);
    }

    fn exporters(&mut self, exporters: written::Exporters, config: &mut Config) {
        let lake = exporters.lake.unwrap_or_default();
        self.retention(&lake, &mut config.lake.retention);
        self.lake(lake, &mut config.lake);
    }

    fn lake(&mut self, written: written::Lake, lake: &mut LakeConfig) {
        self.set(&written.url, values::lake_url, |url| {
            lake.url = Some(url);
            lake.written = written.url.as_ref().map(|text| text.value.clone());
        });
        self.set(&written.flush_interval, |v| values::duration_in(v, "100ms", "1h"), |d| lake.flush_interval = d);
        self.storage(written.storage.unwrap_or_default(), &mut lake.storage);
    }

    fn journal(&mut self, written: written::Journal, journal: &mut JournalConfig) {
        self.set(&written.max_size, |v| values::size(v, 1 << 20, 1 << 50), |n| journal.max_bytes = n);
        self.set(&written.segment_size, |v| values::size(v, 64 << 10, 256 << 20), |n| journal.segment_bytes = n);
        let percent = |v: &str| values::integer(v, 1, 100);
        self.set(&written.max_disk_percent, percent, |n| journal.max_disk_percent = n as u8);
    }

    fn storage(&mut self, written: written::Storage, storage: &mut StorageConfig) {
        self.set(&written.endpoint, values::http_url, |url| storage.endpoint = Some(url));
        self.set(&written.region, values::text, |region| storage.region = Some(region));
        self.secret(&written.access_key_id, &mut storage.access_key_id);
        self.secret(&written.secret_access_key, &mut storage.secret_access_key);
        self.set(&written.path_style, values::boolean, |on| storage.path_style = Some(on));
        self.set(&written.allow_http, values::boolean, |on| storage.allow_http = Some(on));
    }

    fn extensions(&mut self, extensions: written::Extensions, config: &mut Config) {
        let health = extensions.health_check.unwrap_or_default();
        self.listener(&health.endpoint, &health.insecure, health.tls, &mut config.health);
        // Scripts that give every listener a port of its own work with this version too: it says what it lacks.
        let web = extensions.web.and_then(|reserved| reserved.endpoint);
        self.set(&web, values::listen_address, |_| {
            config.unavailable.insert("extensions.web");
        });
        if let Some(sql) = extensions.sql {
            if cfg!(not(feature = "sql")) {
                config.unavailable.insert("extensions.sql");
            }
            self.listener(&sql.endpoint, &sql.insecure, sql.tls, &mut config.sql);
        }
    }

    fn service(&mut self, mut service: written::Service, config: &mut Config) {
        let telemetry = service.telemetry.take().unwrap_or_default();
        let metrics = telemetry.metrics.unwrap_or_default();
        self.listener(&metrics.address, &metrics.insecure, metrics.tls, &mut config.metrics);
        let logs = telemetry.logs.unwrap_or_default();
        self.set(&logs.level, |v| values::one_of(v, &LEVELS), |level| config.logs.level = level);
        self.set(&logs.encoding, |v| values::one_of(v, &ENCODINGS), |encoding| config.logs.encoding = encoding);
        let env = self.env;
        let mut found = Vec::new();
        pipelines::check(&service, &|text| expand(text, env), &mut |text, wrong| found.push((text.clone(), wrong)));
        found.into_iter().for_each(|(text, wrong)| self.problem(&text, wrong.message, wrong.help));
    }

    /// What one listener is. Whether its parts fit together is decided when all layers are laid.
    pub(super) fn listener(
        &mut self,
        endpoint: &Scalar,
        insecure: &Scalar,
        tls: Option<written::Tls>,
        listener: &mut Listener,
    ) {
        if let Some(text) = endpoint
            && let Some(address) = self.value(text, values::listen_address)
        {
            listener.exposed_at = (!address.ip().is_loopback()).then(|| Box::new(self.here(text)));
            listener.address = address;
        }
        self.set(insecure, values::boolean, |on| listener.insecure = on);
        self.tls(&tls.unwrap_or_default(), &mut listener.tls);
    }

    fn tls(&mut self, written: &written::Tls, tls: &mut TlsSettings) {
        let written::Tls { cert_file, key_file, client_ca_file, min_version, reload_interval } = written;
        let texts = [cert_file, key_file, client_ca_file, min_version, reload_interval];
        if let Some(first) = texts.into_iter().flatten().next() {
            tls.written_at = Some(Box::new(self.here(first)));
        }
        let path = |v: &str| values::text(v).map(PathBuf::from);
        self.set(cert_file, path, |file| tls.cert_file = Some(file));
        self.set(key_file, path, |file| tls.key_file = Some(file));
        self.set(client_ca_file, path, |file| tls.client_ca_file = Some(file));
        self.set(min_version, values::tls_version, |version| tls.min_version = version);
        self.set(reload_interval, |v| values::duration_in(v, "100ms", "30d"), |d| tls.reload_interval = d);
    }

    /// Nothing wrong yet, but a place to name when something is.
    fn here(&self, text: &Text) -> Problem {
        Problem::new("", None).at(self.source, place(text))
    }

    fn secret(&mut self, scalar: &Scalar, secret: &mut Option<Secret>) {
        let Some(text) = scalar else { return };
        match expand(&text.value, self.env).and_then(|value| values::text(&value)) {
            Ok(value) => *secret = Some(Secret::new(value)),
            Err(Wrong { message, help }) => {
                self.problems.push(Problem::new(message, help).hidden_at(self.source, place(text)));
            }
        }
    }

    pub(super) fn set<T>(&mut self, scalar: &Scalar, parse: impl Fn(&str) -> Result<T, Wrong>, set: impl FnOnce(T)) {
        if let Some(value) = scalar.as_ref().and_then(|text| self.value(text, parse)) {
            set(value);
        }
    }

    pub(super) fn value<T>(&mut self, text: &Text, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let expanded = expand(&text.value, self.env);
        let from_outside = expanded.as_ref().is_ok_and(|value| *value != text.value);
        match expanded.and_then(|value| parse(&value)) {
            Ok(value) => Some(value),
            // What a variable holds may be a secret, put there by mistake: it is not repeated.
            Err(Wrong { help, .. }) if from_outside => {
                self.problem(text, format!("what '{}' stands for cannot be used here", text.value), help);
                None
            }
            Err(Wrong { message, help }) => {
                self.problem(text, message, help);
                None
            }
        }
    }

    /// Something that has no place of its own in the source.
    pub(super) fn wrong(&mut self, problem: Problem) {
        self.problems.push(problem.of(self.source.name.clone()));
    }

    pub(super) fn problem(&mut self, text: &Text, message: impl Into<String>, help: Option<String>) {
        self.problems.push(Problem::new(message, help).at(self.source, place(text)));
    }
}

const LEVELS: [(&str, tracing::Level); 5] = [
    ("error", tracing::Level::ERROR),
    ("warn", tracing::Level::WARN),
    ("info", tracing::Level::INFO),
    ("debug", tracing::Level::DEBUG),
    ("trace", tracing::Level::TRACE),
];

const ENCODINGS: [(&str, Encoding); 2] = [("console", Encoding::Console), ("json", Encoding::Json)];
