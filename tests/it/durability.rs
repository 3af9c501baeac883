//! kill -9 at random under load: what was acknowledged is in the tables, once.
//!
//! `SESSIONLAKE_KILLS` sets the number of lives (default 10), `SESSIONLAKE_SEED` the seed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::corpus::{Random, send_marker};
use crate::harness::{Setup, wait_for};
use crate::http;
use crate::query::{Lake, text};

const CLIENTS: u64 = 4;
const SESSIONS: u64 = 5;

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v} is no number")))
}

/// The ids of requests that were answered with success.
#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
    sent: AtomicU64,
}

impl Ledger {
    /// Sends unique records until told to stop or the server is gone; only a success reply enters the ledger.
    fn send(&self, port: u16, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let n = self.sent.fetch_add(1, Ordering::Relaxed);
            let id = format!("req_{n}");
            let body = api_request(n, &id, SESSIONS).to_string();
            match http::post(port, "/v1/logs", "application/json", body.as_bytes()) {
                Ok(reply) if reply.status == 200 => {
                    self.acknowledged.lock().unwrap().insert(id);
                }
                Ok(reply) => assert_eq!(reply.status, 503, "{}", reply.text()),
                Err(_) => return,
            }
        }
    }
}

/// Two records of one request: one session's model call, and noise beside it.
pub fn api_request(n: u64, id: &str, sessions: u64) -> Value {
    let time = (1_795_346_337_000 + n).to_string() + "000000";
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let session = format!("kill-{}", n % sessions);
    let attributes = |name: &str| {
        json!([
            attribute("session.id", &session),
            attribute("event.name", name),
            attribute("request_id", id),
            {"key": "event.sequence", "value": {"intValue": n.to_string()}},
            {"key": "cost_usd_micros", "value": {"intValue": "1000"}},
        ])
    };
    let records = json!([{"timeUnixNano": time, "body": {"stringValue": "claude_code.api_request"}, "attributes": attributes("api_request")}]);
    json!({"resourceLogs": [{"resource": {"attributes": [attribute("service.name", "claude-code")]},
                             "scopeLogs": [{"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": records}]}]})
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_is_there_once() {
    let (kills, seed) = (setting("SESSIONLAKE_KILLS", 10), setting("SESSIONLAKE_SEED", 1));
    let mut random = Random(seed);
    let ledger = Ledger::default();
    let mut server = Setup::default().idle("1s").start();
    for _ in 0..kills {
        let life = Duration::from_millis(20 + random.below(600));
        let (stop, port) = (AtomicBool::new(false), server.ports.http);
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| ledger.send(port, &stop));
            }
            thread::sleep(life);
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        server.start();
    }
    wait_for("the last life to answer", Duration::from_secs(10), || http::get(server.ports.health, "/ready").ok());
    send_marker(&server, "marker");
    // Short lives seal little: after many, the last one has all of it to do.
    verify(&Lake::of(&server).patient(60 + kills as u32), ledger, kills, seed);
}

fn verify(lake: &Lake, ledger: Ledger, kills: u64, seed: u64) {
    let acknowledged = ledger.acknowledged.into_inner().unwrap();
    let sent = ledger.sent.into_inner();
    let settled = "SELECT (SELECT count(*) FROM facts WHERE session_id = 'marker') > 0
                      AND (SELECT count(DISTINCT fact_id) FROM facts WHERE session_id LIKE 'kill-%')
                        = (SELECT coalesce(sum(len(fact_ids)), 0) FROM events WHERE session_id LIKE 'kill-%')";
    let facts = "SELECT request_id, count(*) n FROM facts WHERE session_id LIKE 'kill-%' GROUP BY 1";
    let events = "SELECT request_id, count(*) n FROM events WHERE session_id LIKE 'kill-%' GROUP BY 1";
    for (table, rows) in ["facts", "events"].iter().zip(lake.when(settled, &[facts, events])) {
        let repeated: Vec<_> = rows.iter().filter(|r| r["n"] != 1).collect();
        assert!(repeated.is_empty(), "seed {seed}: {table} repeats {repeated:?}");
        let stored: BTreeSet<String> = rows.iter().map(|r| text(r, "request_id").to_owned()).collect();
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "seed {seed}: {table} lost {} acknowledged records: {lost:?}", lost.len());
        println!(
            "{table}: {kills} kills, {sent} sent, {} acknowledged, {} stored, 0 lost",
            acknowledged.len(),
            stored.len()
        );
    }
    assert!(!acknowledged.is_empty());
}
