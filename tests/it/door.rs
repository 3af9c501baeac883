//! Who gets in: tokens that come and go while the server runs, roles, guesses, certificates.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, Identity};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Server, Setup, binary, wait_for};
use crate::http;

/// A change of tokens or certificates is in force within a second; the machine may be loaded.
const SOON: Duration = Duration::from_secs(20);

fn guarded() -> Setup {
    let mut setup = Setup::default();
    setup.settings.push("auth.enabled=true".into());
    setup
}

fn token_command(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(binary()).arg("token").args(arguments).arg("--data-dir").arg(data_dir).output().unwrap()
}

/// What `sessionlake token ... --json` prints.
fn token(data_dir: &Path, arguments: &[&str]) -> Value {
    let output = token_command(data_dir, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn create(data_dir: &Path, workspace: &str, role: &str) -> String {
    let created = token(data_dir, &["create", "--workspace", workspace, "--role", role]);
    created["token"].as_str().unwrap().to_owned()
}

/// The status of an empty export with that `Authorization`.
fn status(server: &Server, authorization: &str) -> u16 {
    let headers = [("content-type", "application/json"), ("authorization", authorization)];
    http::send(server.ports.http, "POST", "/v1/logs", &headers, b"{}").unwrap().status
}

fn until(server: &Server, authorization: &str, expected: u16) {
    wait_for(&format!("{expected}"), SOON, || (status(server, authorization) == expected).then_some(()));
}

#[test]
fn tokens_come_and_go_while_the_server_runs() {
    let server = guarded().start();
    let data_dir = server.data_dir();
    assert_eq!(server.post("/v1/logs", "application/json", b"{}").unwrap().status, 401);
    assert_eq!(http::get(server.ports.health, "/ready").unwrap().status, 200, "health stays open");
    let created = token(&data_dir, &["create", "--workspace", "acme", "--role", "ingest", "--name", "laptops"]);
    let bearer = format!("Bearer {}", created["token"].as_str().unwrap());
    until(&server, &bearer, 200);
    let basic = STANDARD.encode(format!("anyone:{}", created["token"].as_str().unwrap()));
    assert_eq!(status(&server, &format!("Basic {basic}")), 200);

    let rotated = token(&data_dir, &["rotate", "laptops"]);
    until(&server, &bearer, 401);
    let bearer = format!("Bearer {}", rotated["token"].as_str().unwrap());
    until(&server, &bearer, 200);
    let hook = br#"{"session_id":"s","hook_event_name":"Stop"}"#;
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str()), ("x-scope-orgid", "b")];
    assert_eq!(http::send(server.ports.http, "POST", "/v1/hooks", &headers, hook).unwrap().status, 200);
    wait_for("the facts of the token's workspace", SOON, || {
        Path::new(&server.lake()).join("acme/facts/_delta_log").exists().then_some(())
    });
    assert!(!Path::new(&server.lake()).join("b").exists(), "a header made a workspace");

    token(&data_dir, &["revoke", created["name"].as_str().unwrap()]);
    until(&server, &bearer, 401);
    let listed = token(&data_dir, &["list"]);
    let statuses: Vec<&str> = listed.as_array().unwrap().iter().map(|t| t["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["revoked", "revoked"]);
    let everything = format!("{listed}{}", server.log());
    assert!(!everything.contains(&bearer[15..]), "a secret is shown");
    let metrics = http::get(server.ports.metrics, "/metrics").unwrap().text();
    assert!(metrics.contains("sessionlake_workspace_claims_ignored_total{in=\"header\"} 1"), "{metrics}");
}

#[test]
fn roles_guesses_and_oversized_headers_have_answers_and_good_clients_go_on() {
    let server = guarded().start();
    let data_dir = server.data_dir();
    let (sender, reader) = (create(&data_dir, "acme", "ingest"), create(&data_dir, "acme", "reader"));
    let good = format!("Bearer {sender}");
    until(&server, &good, 200);
    until(&server, &format!("Bearer {reader}"), 403);
    for wrong in ["", "Bearer", &format!("Bearer Bearer {sender}"), &format!("Bearer {}", &sender[..40]), &sender] {
        assert_eq!(status(&server, wrong), 401, "{wrong}");
    }
    let huge = http::send(server.ports.http, "POST", "/v1/logs", &[("authorization", &"x".repeat(1 << 20))], b"");
    assert!(huge.is_err() || huge.is_ok_and(|reply| matches!(reply.status, 401 | 431)));
    let guesses: Vec<u16> = (0..60).map(|n| status(&server, &format!("Bearer guess{n}"))).collect();
    assert!(guesses.contains(&401) && guesses.ends_with(&[429]), "{guesses:?}");
    assert_eq!(status(&server, &good), 200);
}

/// An authority, its certificate in PEM.
fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// A certificate for this machine, and its key.
fn certificate(issuer: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

fn write_pair(dir: &TempDir, (cert, key): &(String, String)) {
    fs::write(dir.path().join("server.crt"), cert).unwrap();
    fs::write(dir.path().join("server.key"), key).unwrap();
}

fn tls_settings(dir: &TempDir, client_ca: bool) -> Vec<String> {
    let section = "receivers.otlp.protocols.http.tls";
    let mut files = vec![("cert_file", "server.crt"), ("key_file", "server.key")];
    files.extend(client_ca.then_some(("client_ca_file", "ca.crt")));
    files.iter().map(|(key, file)| format!("{section}.{key}={}", dir.path().join(file).display())).collect()
}

/// The status of an empty export over TLS, trusting `ca` only; `None`: no connection.
fn over_tls(server: &Server, ca: &str, identity: Option<&(String, String)>, bearer: &str) -> Option<u16> {
    let mut client = Client::builder()
        .tls_built_in_root_certs(false)
        .add_root_certificate(Certificate::from_pem(ca.as_bytes()).unwrap());
    if let Some((cert, key)) = identity {
        client = client.identity(Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap());
    }
    let url = format!("https://localhost:{}/v1/logs", server.ports.http);
    let request = client.build().unwrap().post(url).header("content-type", "application/json").body("{}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(request.header("authorization", bearer).send());
    reply.ok().map(|reply| reply.status().as_u16())
}

#[test]
fn a_certificate_is_replaced_while_the_server_runs_and_a_bad_one_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let ((one, one_pem), (two, two_pem)) = (authority(), authority());
    write_pair(&dir, &certificate(&one));
    let mut setup = Setup::default();
    setup.settings.extend(tls_settings(&dir, false));
    let server = setup.start();
    assert_eq!(over_tls(&server, &one_pem, None, ""), Some(200));
    assert_eq!(over_tls(&server, &two_pem, None, ""), None);
    assert!(server.post("/v1/logs", "application/json", b"{}").is_err(), "no plain text");

    fs::write(dir.path().join("server.crt"), "nonsense").unwrap();
    let ready = || http::get(server.ports.health, "/ready").unwrap().text();
    wait_for("a degraded state that names the file", SOON, || {
        (ready().contains("degraded") && ready().contains("server.crt")).then_some(())
    });
    assert_eq!(over_tls(&server, &one_pem, None, ""), Some(200));

    write_pair(&dir, &certificate(&two));
    wait_for("the new certificate", SOON, || over_tls(&server, &two_pem, None, "").filter(|status| *status == 200));
    assert_eq!(over_tls(&server, &one_pem, None, ""), None);
    wait_for("health", SOON, || (!ready().contains("degraded")).then_some(()));
    let metrics = http::get(server.ports.metrics, "/metrics").unwrap().text();
    assert!(metrics.contains("sessionlake_tls_reloads_total 1"), "{metrics}");
}

#[test]
fn a_client_needs_a_certificate_where_one_is_asked_for_and_a_token_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let ((ours, ca), (theirs, _)) = (authority(), authority());
    write_pair(&dir, &certificate(&ours));
    fs::write(dir.path().join("ca.crt"), &ca).unwrap();
    let mut setup = guarded();
    setup.settings.extend(tls_settings(&dir, true));
    let server = setup.start();
    let (known, stranger) = (certificate(&ours), certificate(&theirs));
    assert_eq!(over_tls(&server, &ca, None, ""), None);
    assert_eq!(over_tls(&server, &ca, Some(&stranger), ""), None);
    assert_eq!(over_tls(&server, &ca, Some(&known), "Bearer x"), Some(401));
    let bearer = format!("Bearer {}", create(&server.data_dir(), "acme", "ingest"));
    wait_for("the token", SOON, || over_tls(&server, &ca, Some(&known), &bearer).filter(|status| *status == 200));
}

/// A ClientHello of TLS 1.1 as RFC 4346 has it: no extension speaks of a newer version.
#[test]
fn versions_before_tls_1_2_are_refused_with_an_alert() {
    let dir = tempfile::tempdir().unwrap();
    write_pair(&dir, &certificate(&authority().0));
    let mut setup = Setup::default();
    setup.settings.extend(tls_settings(&dir, false));
    let server = setup.start();
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x14, 1, 0]);
    let mut record = vec![22, 3, 1, 0, hello.len() as u8 + 4, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    let mut stream = TcpStream::connect(("127.0.0.1", server.ports.http)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&record).unwrap();
    let mut alert = Vec::new();
    let _ = stream.read_to_end(&mut alert);
    assert_eq!((alert[0], alert[5]), (21, 2), "a fatal alert, not {alert:?}");
}

fn serve(arguments: &[&str]) -> Output {
    Command::new(binary()).arg("serve").args(arguments).output().unwrap()
}

#[test]
fn an_open_listener_and_an_open_directory_are_refused_with_what_to_do() {
    let open = serve(&["--set", "receivers.otlp.protocols.http.endpoint=0.0.0.0:0"]);
    let error = String::from_utf8_lossy(&open.stderr).into_owned();
    assert_eq!(open.status.code(), Some(64), "{error}");
    for expected in ["auth: {enabled: true}", "tls: {cert_file: server.crt, key_file: server.key}", "insecure: true"] {
        assert!(error.contains(expected), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (shared, link) = (dir.path().join("shared"), dir.path().join("link"));
    fs::create_dir_all(shared.join("photos")).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(dir.path(), &link).unwrap();
    for (data_dir, advice) in [(&shared, "chmod 700"), (&link, "--data-dir")] {
        let refused = serve(&["--data-dir", data_dir.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{error}");
        assert!(error.contains(advice), "{error}");
    }
}

#[test]
fn a_token_stands_alone_on_stdout_and_errors_never_hold_one() {
    let dir = tempfile::tempdir().unwrap();
    let created = token_command(dir.path(), &["create", "--workspace", "acme", "--role", "viewer"]);
    let text = String::from_utf8(created.stdout).unwrap();
    assert!(text.starts_with("slk_") && text.lines().count() == 1 && text.trim().len() == 59, "{text}");
    let again = token_command(dir.path(), &["revoke", text.trim()]);
    assert!(again.status.success());
    let over = token_command(dir.path(), &["revoke", text.trim()]);
    let error = String::from_utf8_lossy(&over.stderr).into_owned();
    assert!(over.status.code() == Some(1) && !error.contains(text.trim()), "{error}");
    let usage = [
        vec!["create", "--workspace", "Ac/me", "--role", "ingest"],
        vec!["create", "--workspace", "acme", "--role", "root"],
        vec!["revoke", "slk_with-a-typo"],
        vec!["create", "--workspace", "acme", "--role", "ingest", "--expires", "90"],
    ];
    for arguments in usage {
        assert_eq!(token_command(dir.path(), &arguments).status.code(), Some(64), "{arguments:?}");
    }
}
