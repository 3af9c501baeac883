//! The lake on an S3-compatible store (SeaweedFS), read by DuckDB from there.

use std::fs;

use crate::corpus::{self, Hooks};
use crate::examples;
use crate::harness::Setup;
use crate::oracle;
use crate::query::Lake;
use crate::replay;
use crate::store::Store;

#[test]
fn a_session_on_s3_is_the_session_that_was_captured() {
    let store = Store::start();
    store.bucket("lake");
    let session = corpus::fixture("content-on");
    let url = "s3://lake/some/prefix".to_owned();
    let server = Setup { lake: Some(url.clone()), env: store.env(), ..Setup::default() }.idle("3s").start();
    corpus::send(&server, &session.requests(Hooks::Raw));
    corpus::send_marker(&server, "marker");
    let rows = replay::read(&Lake::s3(url, store.access()), &session.session_ids(), "marker");
    let rows = &rows[&session.session_id()];
    let oracle = oracle::of(&session);
    let calls = rows.events.values().filter(|e| e["kind"] == "model_call" && e["cost_usd"].is_string()).count();
    assert_eq!(calls, oracle.requests.values().filter(|r| r.api_request.is_some()).count());
    let costs = examples::costs_on_s3("s3://lake/some/prefix", &store.access());
    assert!(costs.iter().any(|row| row["cost_usd"].is_string()), "{costs:?}");
    let local = fs::read_dir(server.data_dir().join("lake")).map(|d| d.count()).unwrap_or(0);
    assert_eq!(local, 0, "nothing of the lake is on the local disk");
}

/// The store is away for a while: clients notice nothing, and nothing is lost.
#[test]
fn a_server_whose_store_is_away_keeps_what_it_acknowledged() {
    let store = Store::start();
    store.bucket("lake");
    let session = corpus::fixture("resume");
    let url = "s3://lake/away".to_owned();
    let server = Setup { lake: Some(url.clone()), env: store.env(), ..Setup::default() }.idle("3s").start();
    store.signal("-STOP");
    corpus::send(&server, &session.requests(Hooks::Raw));
    store.signal("-CONT");
    corpus::send_marker(&server, "marker");
    replay::read(&Lake::s3(url, store.access()), &session.session_ids(), "marker");
}
