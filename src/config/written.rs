//! The configuration as written: the collector's keys, every one optional, unknown ones refused.
//!
//! Every scalar is kept as its text with its place: what it means is decided after `${env:...}` is expanded.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::document::Text;

pub type Scalar = Option<Text>;

/// Declares sections: structs of optional keys that refuse unknown ones.
macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident { $($key:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(pub $key: Option<$type>,)*
        }
    )*};
}

sections! {
    /// A whole file.
    File {
        receivers: Receivers,
        processors: Processors,
        exporters: Exporters,
        extensions: Extensions,
        auth: Auth,
        maintenance: Maintenance,
        journal: Journal,
        service: Service,
        limits: Limits,
        private: Private,
        memory_limit_mib: Text,
        data_dir: Text,
    }
    Limits {
        in_flight_mib: Text,
        record_size: Text,
        attribute_value_length_limit: Text,
        attribute_key_length_limit: Text,
        attribute_count_limit: Text,
        workspace: Quota,
    }
    Private { users: Vec<Text>, projects: Vec<Text>, forbid: Vec<Text>, keep_costs: Text }
    Quota { in_flight_percent: Text, bytes_per_second: Text, records_per_second: Text }
    Receivers { otlp: Otlp, hooks: Hooks }
    Otlp { protocols: Protocols }
    Protocols { grpc: Grpc, http: Http }
    /// The collector's `configgrpc`, and `max_connections` and `insecure`.
    Grpc {
        endpoint: Text,
        transport: Text,
        insecure: Text,
        max_recv_msg_size_mib: Text,
        max_concurrent_streams: Text,
        max_connections: Text,
        read_buffer_size: Text,
        write_buffer_size: Text,
        keepalive: Keepalive,
        include_metadata: Text,
        tls: Tls,
    }
    Keepalive { server_parameters: ServerParameters, enforcement_policy: EnforcementPolicy }
    ServerParameters {
        max_connection_idle: Text,
        max_connection_age: Text,
        max_connection_age_grace: Text,
        time: Text,
        timeout: Text,
    }
    EnforcementPolicy { min_time: Text, permit_without_stream: Text }
    /// The collector's `confighttp`, and `max_connections` and `insecure`.
    Http {
        endpoint: Text,
        insecure: Text,
        max_request_body_size: Text,
        max_connections: Text,
        read_timeout: Text,
        read_header_timeout: Text,
        write_timeout: Text,
        idle_timeout: Text,
        keep_alives_enabled: Text,
        include_metadata: Text,
        compression_algorithms: Vec<Text>,
        logs_url_path: Text,
        metrics_url_path: Text,
        traces_url_path: Text,
        cors: Cors,
        tls: Tls,
    }
    Cors { allowed_origins: Vec<Text>, allowed_headers: Vec<Text>, max_age: Text }
    Tls { cert_file: Text, key_file: Text, client_ca_file: Text, min_version: Text, reload_interval: Text }
    Hooks {}
    Processors { redaction: Redaction, sessions: Sessions }
    Redaction { rules: Vec<Text> }
    Sessions { idle_timeout: Text }
    Exporters { lake: Lake }
    Lake {
        url: Text,
        flush_interval: Text,
        facts_retention: Text,
        retention: Text,
        content_retention: Text,
        workspaces: BTreeMap<String, Kept>,
        storage: Storage,
    }
    /// How long a workspace's data is kept.
    Kept { facts_retention: Text, retention: Text, content_retention: Text }
    Storage {
        endpoint: Text,
        region: Text,
        access_key_id: Text,
        secret_access_key: Text,
        path_style: Text,
        allow_http: Text,
    }
    Extensions { health_check: HealthCheck, web: Reserved, sql: Sql }
    HealthCheck { endpoint: Text, insecure: Text, tls: Tls }
    Sql { endpoint: Text, insecure: Text, tls: Tls }
    /// A listener whose name is settled and which this version does not have yet.
    Reserved { endpoint: Text }
    Auth { enabled: Text, strict_workspaces: Text }
    Maintenance { enabled: Text }
    Journal { max_size: Text, segment_size: Text, max_disk_percent: Text }
    Service { telemetry: Telemetry, extensions: Vec<Text>, pipelines: BTreeMap<String, Pipeline> }
    Telemetry { metrics: Metrics, logs: Logs }
    Metrics { address: Text, insecure: Text, tls: Tls }
    Logs { level: Text, encoding: Text }
    Pipeline { receivers: Vec<Text>, processors: Vec<Text>, exporters: Vec<Text> }
}
