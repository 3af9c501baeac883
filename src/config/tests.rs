use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::receiver::encoding::Encoding;
use crate::tls::MinVersion;

fn env(name: &str) -> Option<String> {
    (name == "POD_IP").then(|| "10.0.0.7".to_owned())
}

fn source(name: &str, text: &str) -> Source {
    Source { name: name.to_owned(), text: text.to_owned() }
}

fn load(texts: &[&str]) -> Result<Config, ConfigError> {
    let names = ["one.yaml", "two.yaml", "three.yaml"];
    let sources: Vec<Source> = texts.iter().zip(names).map(|(text, name)| source(name, text)).collect();
    Config::load(&sources, &env)
}

fn error(text: &str) -> String {
    load(&[text]).unwrap_err().to_string()
}

#[test]
fn no_file_at_all_is_a_configuration() {
    let config = load(&[]).unwrap();
    assert_eq!(config.grpc.listener.address.to_string(), "127.0.0.1:4317");
    assert_eq!(config.http.listener.address.to_string(), "127.0.0.1:4318");
    assert_eq!(config.lake_options().url, "./sessionlake-data/lake");
}

#[test]
fn empty_sections_and_empty_files_change_nothing() {
    let config =
        load(&["", "# nothing\n", "receivers:\n  otlp:\n    protocols:\n      grpc:\n      http: {}\n  hooks:\n"]);
    assert_eq!(config.unwrap().http.listener.address.to_string(), "127.0.0.1:4318");
}

#[test]
fn later_files_replace_what_they_name_and_leave_the_rest() {
    let config = load(&[
        "receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:1, max_request_body_size: 1MiB}}}}",
        "receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:2}}}}\nprocessors: {sessions: {idle_timeout: 1m}}",
    ]);
    let config = config.unwrap();
    assert_eq!(config.http.listener.address.port(), 2);
    assert_eq!(config.http.limits.body_bytes, 1 << 20);
    assert_eq!(config.idle_timeout, Duration::from_secs(60));
}

#[test]
fn an_unknown_key_shows_where_and_what_is_allowed() {
    assert_snapshot!(error("receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpont: 127.0.0.1:4317\n"), @r#"
    error: unknown key 'endpont'
     --> one.yaml:5:9
      |
    5 |         endpont: 127.0.0.1:4317
      |         ^
      = help: allowed here: endpoint, include_metadata, insecure, keepalive, max_concurrent_streams, max_connections, max_recv_msg_size_mib, read_buffer_size, tls, transport, write_buffer_size
    "#);
}

#[test]
fn an_unknown_key_in_a_section_without_keys_says_so() {
    assert_snapshot!(error("receivers: {hooks: {endpoint: 127.0.0.1:4318}}"), @r#"
    error: unknown key 'endpoint'
     --> one.yaml:1:21
      |
    1 | receivers: {hooks: {endpoint: 127.0.0.1:4318}}
      |                     ^
      = help: this section takes no keys: write {}
    "#);
}

#[test]
fn a_duration_without_unit_says_what_to_write() {
    assert_snapshot!(error("exporters:\n  lake:\n    flush_interval: 5\n"), @r#"
    error: '5' is no duration
     --> one.yaml:3:21
      |
    3 |     flush_interval: 5
      |                     ^
      = help: write a number with a unit (ms, s, m, h, d), as in 200ms, 5s, 10m or 1h30m
    "#);
}

#[test]
fn an_endpoint_that_is_a_url_says_what_to_write() {
    assert_snapshot!(error("extensions:\n  health_check: {endpoint: \"http://localhost:13133\"}\n"), @r#"
    error: 'http://localhost:13133' is a URL, but a listener's endpoint is an address and a port
     --> one.yaml:2:28
      |
    2 |   health_check: {endpoint: "http://localhost:13133"}
      |                            ^
      = help: write the address and the port alone, as in localhost:13133
    "#);
}

#[test]
fn a_missing_variable_is_named() {
    assert_snapshot!(error("exporters:\n  lake:\n    url: s3://${env:BUCKET}/prod\n"), @r#"
    error: environment variable BUCKET is not set
     --> one.yaml:3:10
      |
    3 |     url: s3://${env:BUCKET}/prod
      |          ^
      = help: set it, or give a default: ${env:BUCKET:-default}
    "#);
}

#[test]
fn a_listener_beyond_loopback_says_exactly_what_it_lacks() {
    let endpoint = "receivers:\n  otlp:\n    protocols:\n      grpc:\n        endpoint: ${env:POD_IP}:4317\n";
    assert_snapshot!(error(endpoint), @r#"
    error: 10.0.0.7:4317 can be reached from other machines, without authentication and TLS
     --> one.yaml:5:19
      |
    5 |         endpoint: ${env:POD_IP}:4317
      |                   ^
      = help: write `auth: {enabled: true}` at the top level and `tls: {cert_file: server.crt, key_file: server.key}` beside it; or listen on 127.0.0.1; or write `insecure: true` beside it if the network in front of it is trusted
    "#);
    let tls = "receivers: {otlp: {protocols: {grpc: {tls: {cert_file: a.crt, key_file: a.key}}}}}";
    assert_snapshot!(load(&[endpoint, tls]).unwrap_err(), @r#"
    error: 10.0.0.7:4317 can be reached from other machines, without authentication
     --> one.yaml:5:19
      |
    5 |         endpoint: ${env:POD_IP}:4317
      |                   ^
      = help: write `auth: {enabled: true}` at the top level; or listen on 127.0.0.1; or write `insecure: true` beside it if the network in front of it is trusted
    "#);
    assert!(load(&[endpoint, tls, "auth: {enabled: true}"]).unwrap().auth.enabled);
    let insecure = "receivers: {otlp: {protocols: {grpc: {insecure: true}}}}";
    assert_eq!(load(&[endpoint, insecure]).unwrap().grpc.listener.address.to_string(), "10.0.0.7:4317");
}

#[test]
fn tls_needs_a_certificate_and_its_key_whichever_source_names_them() {
    assert_snapshot!(error("extensions:\n  health_check:\n    tls:\n      key_file: a.key\n"), @r#"
    error: tls lacks cert_file
     --> one.yaml:4:17
      |
    4 |       key_file: a.key
      |                 ^
      = help: write `tls: {cert_file: server.crt, key_file: server.key}`, or remove tls to speak in the clear
    "#);
    let cert = "extensions: {health_check: {tls: {cert_file: a.crt, min_version: 1.3, reload_interval: 24h}}}";
    let key = "extensions: {health_check: {tls: {key_file: a.key, client_ca_file: ca.crt}}}";
    let tls = load(&[cert, key]).unwrap().health.tls;
    let options = tls.options(&[b"h2"]).unwrap();
    assert_eq!(options.cert_file, std::path::Path::new("a.crt"));
    assert_eq!(options.client_ca_file.as_deref(), Some(std::path::Path::new("ca.crt")));
    assert_eq!((options.min_version, tls.reload_interval), (MinVersion::Tls13, Duration::from_secs(86_400)));
}

#[test]
fn old_versions_of_tls_are_refused() {
    assert_snapshot!(error("extensions:\n  health_check:\n    tls: {cert_file: a, key_file: b, min_version: \"1.1\"}\n"), @r#"
    error: TLS 1.1 is not safe, and not available
     --> one.yaml:3:51
      |
    3 |     tls: {cert_file: a, key_file: b, min_version: "1.1"}
      |                                                   ^
      = help: write 1.2 or 1.3
    "#);
}

#[test]
fn rule_files_stand_beside_the_file_that_names_them() {
    let named = |name: &str| {
        let text = "processors: {redaction: {rules: [a.yaml, /etc/b.yaml]}}".to_owned();
        Config::load(&[Source { name: name.to_owned(), text }], &|_| None).unwrap().redaction_rules
    };
    assert_eq!(named("conf/c.yaml"), [PathBuf::from("conf/a.yaml"), PathBuf::from("/etc/b.yaml")]);
    assert_eq!(named("--set processors.redaction.rules")[0], PathBuf::from("a.yaml"));
}

#[test]
fn what_a_later_version_does_is_checked_and_named() {
    let config = load(&["extensions: {web: {endpoint: 127.0.0.1:0}}"]).unwrap();
    let names: Vec<_> = config.unavailable.into_iter().collect();
    assert_eq!(names, ["extensions.web"]);
    assert!(load(&["extensions: {web: {endpoint: nowhere}}"]).is_err());
    assert!(load(&["exporters: {lake: {facts_retention: 30}}"]).is_err());
}

#[test]
fn a_pasted_pipeline_is_checked() {
    let good = "service:\n  extensions: [health_check]\n  pipelines:\n    logs: {receivers: [otlp, hooks], \
                processors: [redaction, sessions], exporters: [lake]}\n    traces/2: {receivers: [otlp]}\n";
    assert!(load(&[good]).is_ok());
    let bad = "service:\n  pipelines:\n    logs:\n      receivers: [otlp]\n      processors: [batch]\n      \
               exporters:\n        - lake\n        - otlp_http/grafana\n    profiles: {receivers: [otlp]}\n";
    assert_snapshot!(error(bad), @r#"
    error: no processor is called 'batch' here
     --> one.yaml:5:20
      |
    5 |       processors: [batch]
      |                    ^
      = help: known: redaction, sessions; batching is built in: remove it

    error: no exporter is called 'otlp_http/grafana' here
     --> one.yaml:8:11
      |
    8 |         - otlp_http/grafana
      |           ^
      = help: known: lake

    error: no pipeline carries 'profiles'
     --> one.yaml:9:28
      |
    9 |     profiles: {receivers: [otlp]}
      |                            ^
      = help: known: logs, metrics, traces
    "#);
}

#[test]
fn errors_of_several_files_name_their_own_lines() {
    let error = load(&["memory_limit_mib: 1\n", "\n\nexporters: {lake: {url: 'gs://x'}}\n"]).unwrap_err().to_string();
    assert_snapshot!(error, @r#"
    error: '1' is no number in range
     --> one.yaml:1:19
      |
    1 | memory_limit_mib: 1
      |                   ^
      = help: write a whole number from 64 to 1048576

    error: a lake cannot be at 'gs://'
     --> two.yaml:3:25
      |
    3 | exporters: {lake: {url: 'gs://x'}}
      |                         ^
      = help: write s3://bucket/prefix, file:///absolute/path, or a directory
    "#);
}

#[test]
fn a_value_given_on_the_command_line_is_laid_over_files() {
    let set = set_argument("receivers.otlp.protocols.http.endpoint=127.0.0.1:0").unwrap();
    let file = source("f.yaml", "receivers: {otlp: {protocols: {http: {endpoint: 127.0.0.1:9}}}}");
    let config = Config::load(&[file, set, flag("--data-dir", &["data_dir"], "/x y/$z: {")], &env).unwrap();
    assert_eq!(config.http.listener.address.port(), 0);
    assert_eq!(config.data_dir, std::path::Path::new("/x y/$z: {"));
}

#[test]
fn a_wrong_set_argument_shows_the_path() {
    let set = set_argument("exporters.lake.flush=1s").unwrap();
    assert_snapshot!(Config::load(&[set], &env).unwrap_err(), @r#"
    error: unknown key 'flush'
     --> --set exporters.lake.flush:3:3
      |
    3 |   flush: 1s
      |   ^
      = help: allowed here: content_retention, facts_retention, flush_interval, retention, storage, url, workspaces
    "#);
}

#[test]
fn a_missing_file_is_named() {
    assert_snapshot!(read_file(std::path::Path::new("/nonexistent/c.yaml")).unwrap_err(), @r#"
    error: cannot read the configuration file: No such file or directory (os error 2)
     --> /nonexistent/c.yaml
      = help: give the path of a YAML file, or leave --config out: everything has a default
    "#);
}

#[test]
fn secrets_stay_out_of_debug_and_errors() {
    let text = "exporters: {lake: {storage: {secret_access_key: hunter2, access_key_id: hunter3}}}";
    assert!(!format!("{:?}", load(&[text]).unwrap()).contains("hunter"));
    let wrong = "exporters:\n  lake:\n    storage:\n      secret_access_key:\n        hunter2${env:NONE}\n";
    let error = error(wrong);
    assert!(error.contains("one.yaml:5:9") && !error.contains("hunter2"), "{error}");
}

#[test]
fn what_a_variable_holds_is_never_repeated() {
    let secret = |name: &str| (name == "SECRET").then(|| "hunter2://hunter2".to_owned());
    for text in [
        "memory_limit_mib: ${env:SECRET}",
        "receivers: {otlp: {protocols: {http: {endpoint: '${env:SECRET}', tls: {min_version: '${SECRET}'}}}}}",
        "exporters: {lake: {url: '${env:SECRET}', flush_interval: '1${env:SECRET}'}}",
        "service: {extensions: ['${env:SECRET}'], pipelines: {logs: {receivers: ['${env:SECRET}']}}}",
        "service: {telemetry: {logs: {level: '${env:SECRET}'}}}",
        "auth: {enabled: '${env:SECRET}'}",
    ] {
        let error = Config::load(&[source("one.yaml", text)], &secret).unwrap_err().to_string();
        assert!(error.contains("one.yaml:1:") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn storage_options_have_the_stores_names() {
    let text = "exporters: {lake: {url: 's3://b/p', storage: {path_style: true, region: eu, secret_access_key: 1234}}}";
    let options = load(&[text]).unwrap().lake_options();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected =
        [pair("region", "eu"), pair("secret_access_key", "1234"), pair("virtual_hosted_style_request", "false")];
    assert_eq!(options.storage, expected);
}

#[test]
fn documents_that_explode_are_refused() {
    let mut bomb = "processors: {redaction: {rules: &l0 [x]}}\nservice:\n  extensions: &l1 [a, a, a, a, a, a, a, a]\n  pipelines:\n".to_owned();
    for level in 0..3_000 {
        bomb.push_str(&format!("    logs/{level}: {{receivers: *l1}}\n"));
    }
    for (text, reason) in [
        (bomb, "alias"),
        (format!("service: {}", "[".repeat(100_000)), ""),
        (format!("# {}", "x".repeat(2 << 20)), "larger than"),
        (format!("processors: {{redaction: {{rules: [{}]}}}}", "a,".repeat(60_000)), ""),
    ] {
        let error = error(&text);
        assert!(error.contains(reason), "{}", &error[..error.len().min(300)]);
        assert!(error.len() < 5_000, "the error of {} bytes repeats the input", error.len());
    }
}

#[test]
fn duplicate_keys_and_tags_are_refused_where_they_stand() {
    for (text, place) in [
        ("data_dir: a\ndata_dir: b\n", "one.yaml:2:1"),
        ("data_dir: a\nmemory_limit_mib: !!python/name:os.system 512\n", "one.yaml:2:"),
        ("data_dir: !!python/object/apply:os.system [\"id\"]\n", "one.yaml:1:"),
        ("!!python/name:x data_dir: a\n", "one.yaml:1:"),
    ] {
        let error = error(text);
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn every_example_configuration_loads() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/config");
    let set = |name: &str| Some(format!("value-of-{name}"));
    let mut loaded = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let source = read_file(&entry.unwrap().path()).unwrap();
        if let Err(error) = Config::load(&[source], &set) {
            panic!("{error}");
        }
        loaded += 1;
    }
    assert!(loaded >= 2, "only {loaded} examples");
}

/// The receiver's block of a collector's documentation, with everything in it that has a meaning here.
#[test]
fn a_pasted_receiver_block_means_what_it_means_in_the_collector() {
    let config = load(&[r#"
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:4317
        transport: tcp
        max_recv_msg_size_mib: 8
        max_concurrent_streams: 16
        read_buffer_size: 524288
        include_metadata: true
        keepalive:
          server_parameters:
            {max_connection_idle: 11s, max_connection_age: 12s, max_connection_age_grace: 13s, time: 30s, timeout: 5s}
          enforcement_policy: {min_time: 10s, permit_without_stream: true}
      http:
        endpoint: localhost:4318
        max_request_body_size: 1048576
        read_timeout: 0s
        read_header_timeout: 1m
        write_timeout: 20s
        idle_timeout: 2m
        compression_algorithms: ["", gzip, zstd]
        traces_url_path: /otlp/traces
        cors: {allowed_origins: ["https://*.example.com"], allowed_headers: [Example-Header], max_age: 7200}
"#])
    .unwrap();
    let seconds = Duration::from_secs;
    let limits = &config.grpc.limits;
    assert_eq!((limits.body_bytes, limits.streams, limits.idle), (8 << 20, 16, seconds(11)));
    assert_eq!((limits.age, limits.age_grace), (Some(seconds(12)), seconds(13)));
    assert_eq!((limits.ping_interval, limits.ping_timeout), (seconds(30), seconds(5)));
    let limits = &config.http.limits;
    assert_eq!((limits.body_bytes, limits.body_time), (1 << 20, None));
    assert_eq!((limits.head_time, limits.write_time, limits.idle), (seconds(60), seconds(20), seconds(120)));
    assert!(limits.encodings.take(Encoding::Gzip) && !limits.encodings.take(Encoding::Deflate));
    assert_eq!(config.http.paths.traces, "/otlp/traces");
    assert_eq!(config.http.cors.allowed_origins, ["https://*.example.com"]);
    assert_eq!(config.http.cors.max_age, Some(seconds(7200)));
    let unavailable: Vec<_> = config.unavailable.iter().map(|key| key.rsplit('.').next().unwrap()).collect();
    assert_eq!(unavailable, ["include_metadata", "enforcement_policy", "read_buffer_size"]);
}

#[test]
fn what_a_receiver_block_cannot_mean_here_is_refused_with_what_to_write() {
    let http = |line: &str| error(&format!("receivers:\n  otlp:\n    protocols:\n      http:\n        {line}\n"));
    assert!(http("compression_algorithms: [gzip, snappy]").contains("'snappy' is not known here"));
    assert!(http("logs_url_path: /v1/hooks").contains("two of them have the same path"));
    assert!(http("logs_url_path: v1/logs").contains("is no path"));
    assert!(http("cors: {allowed_origins: [app.example.com]}").contains("is no origin"));
    assert!(http("read_header_timeout: 60").contains("is no duration"));
}

#[test]
fn limits_are_counted_in_bytes_and_records() {
    let config =
        load(&["limits: {in_flight_mib: 32, attribute_value_length_limit: 64KiB, workspace: {records_per_second: 5}}"])
            .unwrap();
    assert_eq!(config.in_flight_bytes, Some(32 << 20));
    assert_eq!(config.limits.record.value_bytes, 64 << 10);
    assert_eq!(config.limits.quota.records_per_second, Some(5));
    assert!(error("limits: {workspace: {in_flight_percent: 101}}").contains("from 1 to 100"));
}

/// What is not said of a workspace is as for all, whatever the order of the sources.
#[test]
fn each_workspace_may_keep_its_data_for_another_time() {
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let acme = "exporters: {lake: {workspaces: {acme: {retention: forever, content_retention: 90d}}}}";
    let all = "exporters: {lake: {retention: 400d, facts_retention: 60d}}";
    let kept = load(&[acme, all]).unwrap().lake.retention.meant();
    assert_eq!((kept.default.facts, kept.default.rows, kept.default.content), (days(60), days(400), None));
    let acme = kept.of(&crate::model::Workspace::parse("acme").unwrap());
    assert_eq!((acme.facts, acme.rows, acme.content), (days(60), None, days(90)));
    let default = load(&[]).unwrap().lake.retention.meant().default;
    assert_eq!((default.facts, default.rows, default.content), (days(30), None, None));
    for wrong in ["{facts_retention: 1h}", "{retention: never}", "{workspaces: {Acme!: {retention: 30d}}}"] {
        assert!(load(&[&format!("exporters: {{lake: {wrong}}}")]).is_err(), "{wrong}");
    }
}
