//! The lake on an S3-compatible store (SeaweedFS), read by DuckDB from there.

use std::fs;

use sessionlake::model::{Columns, Fact, FactId, Kind, Source, Workspace};
use sessionlake::sink::lake::{Change, Erasure, Fence, LakeOptions, TableKind, erase_sessions};

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

/// A bucket keeps versions of what is deleted and overwritten, and parts of uploads: an erasure takes it from there too.
#[test]
fn an_erasure_leaves_no_version_of_what_it_removed() {
    let store = Store::start();
    store.bucket("kept");
    store.keep_versions("kept");
    let part = "some/prefix/default/facts/received_date=2026-01-02/part-1.parquet";
    store.begin_upload("kept", part);
    store.begin_upload("kept", "elsewhere/a");
    assert_eq!(store.uploads("kept").len(), 2);
    let options = LakeOptions { url: "s3://kept/some/prefix".to_owned(), storage: store.options(), name: None };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let erased = runtime.block_on(async {
        let lake = sessionlake::sink::lake::Lake::open(&options).await.unwrap();
        let key = lake.key([7; 32]).await.unwrap();
        let mut table = lake.table(&Workspace::default(), TableKind::Facts, &key).await.unwrap();
        for number in 0..3 {
            let add = table.write_facts(&[fact("goes", number), fact("stays", number)]).await.unwrap();
            table.commit(Change { add, ..Change::default() }).await.unwrap();
        }
        table.checkpoint().await.unwrap();
        let erasure = Erasure { sessions: ["goes".to_owned()].into(), keep: None, uploads_over_since: None };
        erase_sessions(&lake, &Workspace::default(), Fence::new(1), &erasure).await.unwrap()
    });
    assert_eq!((erased.rows.facts, erased.purged.files), (3, 4), "{erased:?}");
    assert_eq!(store.uploads("kept"), ["elsewhere/a"], "what is cut off may hold anything");
    assert!(erased.purged.versions >= 3 && erased.purged.remaining.is_empty(), "{erased:?}");
    let versions = store.versions("kept");
    let facts: Vec<_> = versions.iter().filter(|version| version.0.contains("/facts/")).collect();
    assert!(facts.iter().all(|(_, _, latest, marker)| *latest && !marker), "{facts:#?}");
    let data =
        facts.iter().filter(|version| version.0.ends_with(".parquet") && !version.0.contains("_delta_log")).count();
    assert_eq!(data, 3, "what stays is in new files, once each");
}

fn fact(session: &str, number: u8) -> Fact {
    let mut id = [number; 16];
    id[0] = session.len() as u8;
    Fact {
        fact_id: FactId(id),
        session_id: Some(session.to_owned()),
        source: Source::Hook,
        kind: Kind::Prompt,
        name: "UserPromptSubmit".to_owned(),
        sequence: None,
        time: 1_767_323_045_000_000,
        end_time: None,
        received_at: 1_767_323_045_000_000,
        writer: "w".to_owned(),
        policy: "p".to_owned(),
        columns: Columns { content: Some("something".to_owned()), ..Columns::default() },
    }
}
