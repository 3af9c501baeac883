//! `receivers`: the collector's `otlp` block, key by key. What has no meaning here is refused, or named at the start.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Config;
use super::layer::Layer;
use super::values::{self, Wrong};
use super::written::{self, Scalar};
use crate::receiver::encoding::{Encoding, Encodings};
use crate::receiver::{Cors, Limits, Paths};

/// Where hooks are taken; no OTLP path can be the same.
const HOOKS_PATH: &str = "/v1/hooks";

impl Layer<'_> {
    pub(super) fn receivers(&mut self, receivers: written::Receivers, config: &mut Config) {
        // Hooks come in by the HTTP listener: their section is there to be written, and has nothing to set.
        let written::Hooks {} = receivers.hooks.unwrap_or_default();
        let protocols = receivers.otlp.and_then(|o| o.protocols).unwrap_or_default();
        let mut grpc = protocols.grpc.unwrap_or_default();
        self.listener(&grpc.endpoint, &grpc.insecure, grpc.tls.take(), &mut config.grpc.listener);
        self.grpc(grpc, &mut config.grpc.limits, &mut config.unavailable);
        let mut http = protocols.http.unwrap_or_default();
        self.listener(&http.endpoint, &http.insecure, http.tls.take(), &mut config.http.listener);
        self.paths(&http, &mut config.http.paths);
        self.cors(http.cors.as_ref(), &mut config.http.cors);
        self.http(http, &mut config.http.limits, &mut config.unavailable);
    }

    fn grpc(&mut self, grpc: written::Grpc, limits: &mut Limits, unavailable: &mut BTreeSet<&'static str>) {
        let mib = |v: &str| values::integer(v, 1, 1024).map(|n| (n as usize) << 20);
        self.set(&grpc.max_recv_msg_size_mib, mib, |n| limits.body_bytes = n);
        self.set(&grpc.max_connections, connections, |n| limits.connections = n);
        self.set(&grpc.max_concurrent_streams, streams, |n| limits.streams = n);
        self.set(&grpc.transport, |v| values::one_of(v, &[("tcp", ())]), |()| {});
        for (name, key) in [
            ("receivers.otlp.protocols.grpc.read_buffer_size", &grpc.read_buffer_size),
            ("receivers.otlp.protocols.grpc.write_buffer_size", &grpc.write_buffer_size),
        ] {
            self.set(
                key,
                |v| values::integer(v, 0, 1 << 30),
                |_| {
                    unavailable.insert(name);
                },
            );
        }
        self.metadata(&grpc.include_metadata, "receivers.otlp.protocols.grpc.include_metadata", unavailable);
        let keepalive = grpc.keepalive.unwrap_or_default();
        self.keepalive(keepalive.server_parameters.unwrap_or_default(), limits);
        let policy = keepalive.enforcement_policy.unwrap_or_default();
        let mut named = || {
            // Pings are answered however many come.
            unavailable.insert("receivers.otlp.protocols.grpc.keepalive.enforcement_policy");
        };
        self.set(&policy.min_time, values::duration, |_| named());
        self.set(&policy.permit_without_stream, values::boolean, |_| named());
    }

    /// The names and meanings of gRPC's `keepalive.ServerParameters`.
    fn keepalive(&mut self, server: written::ServerParameters, limits: &mut Limits) {
        self.set(&server.max_connection_idle, time, |d| limits.idle = d);
        self.set(&server.max_connection_age, time, |d| limits.age = Some(d));
        self.set(&server.max_connection_age_grace, time, |d| limits.age_grace = d);
        self.set(&server.time, time, |d| limits.ping_interval = d);
        self.set(&server.timeout, time, |d| limits.ping_timeout = d);
    }

    fn http(&mut self, http: written::Http, limits: &mut Limits, unavailable: &mut BTreeSet<&'static str>) {
        let size = |v: &str| values::size(v, 1 << 10, 1 << 30).map(|n| n as usize);
        self.set(&http.max_request_body_size, size, |n| limits.body_bytes = n);
        self.set(&http.max_connections, connections, |n| limits.connections = n);
        self.set(&http.read_timeout, time_or_none, |d| limits.body_time = d);
        self.set(&http.read_header_timeout, time, |d| limits.head_time = d);
        self.set(&http.write_timeout, time, |d| limits.write_time = d);
        self.set(&http.idle_timeout, time, |d| limits.idle = d);
        self.set(&http.keep_alives_enabled, values::boolean, |on| limits.keep_alive = on);
        self.metadata(&http.include_metadata, "receivers.otlp.protocols.http.include_metadata", unavailable);
        if let Some(list) = http.compression_algorithms {
            let known = list.iter().filter_map(|name| self.value(name, encoding));
            limits.encodings = known.fold(Encodings::NONE, Encodings::with);
        }
    }

    fn metadata(&mut self, key: &Scalar, name: &'static str, unavailable: &mut BTreeSet<&'static str>) {
        self.set(key, values::boolean, |on| {
            if on {
                unavailable.insert(name);
            }
        });
    }

    fn paths(&mut self, http: &written::Http, paths: &mut Paths) {
        self.set(&http.logs_url_path, path, |p| paths.logs = p);
        self.set(&http.metrics_url_path, path, |p| paths.metrics = p);
        self.set(&http.traces_url_path, path, |p| paths.traces = p);
        let all = [paths.logs.as_str(), &paths.metrics, &paths.traces, HOOKS_PATH];
        let twice = (1..all.len()).any(|at| all[..at].contains(&all[at]));
        let written = [&http.logs_url_path, &http.metrics_url_path, &http.traces_url_path];
        if let (true, Some(text)) = (twice, written.into_iter().flatten().next_back()) {
            let help = "give each of logs, metrics, traces and hooks (/v1/hooks) a path of its own".to_owned();
            self.problem(text, "two of them have the same path", Some(help));
        }
    }

    fn cors(&mut self, written: Option<&written::Cors>, cors: &mut Cors) {
        let Some(written) = written else { return };
        if let Some(origins) = &written.allowed_origins {
            cors.allowed_origins = origins.iter().filter_map(|text| self.value(text, origin)).collect();
        }
        if let Some(headers) = &written.allowed_headers {
            cors.allowed_headers = headers.iter().filter_map(|text| self.value(text, header)).collect();
        }
        let seconds = |v: &str| values::integer(v, 0, 86_400).map(Duration::from_secs);
        self.set(&written.max_age, seconds, |age| cors.max_age = Some(age));
    }
}

fn connections(value: &str) -> Result<usize, Wrong> {
    values::integer(value, 1, 1 << 20).map(|n| n as usize)
}

fn streams(value: &str) -> Result<u32, Wrong> {
    values::integer(value, 1, 1 << 16).map(|n| n as u32)
}

fn time(value: &str) -> Result<Duration, Wrong> {
    values::duration_in(value, "1ms", "365d")
}

/// The collector writes `0s` for "no bound".
fn time_or_none(value: &str) -> Result<Option<Duration>, Wrong> {
    match values::duration(value)? {
        Duration::ZERO => Ok(None),
        _ => time(value).map(Some),
    }
}

fn encoding(value: &str) -> Result<Encoding, Wrong> {
    values::one_of(value, &Encoding::NAMES)
}

fn path(value: &str) -> Result<String, Wrong> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    match value.starts_with('/') && value.bytes().all(plain) {
        true => Ok(value.to_owned()),
        false => Err(values::wrong(format!("'{value}' is no path"), "write letters, digits and -._~/ as in /v1/logs")),
    }
}

fn origin(value: &str) -> Result<String, Wrong> {
    match value.matches('*').count() < 2 && (value == "*" || value.contains("://")) {
        true => Ok(value.to_owned()),
        false => {
            Err(values::wrong(format!("'{value}' is no origin"), "write https://app.example.com, with at most one *"))
        }
    }
}

fn header(value: &str) -> Result<String, Wrong> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-_*".contains(&b);
    match !value.is_empty() && value.bytes().all(token) {
        true => Ok(value.to_owned()),
        false => Err(values::wrong(format!("'{value}' is no header name"), "write a header name, or * for all")),
    }
}
