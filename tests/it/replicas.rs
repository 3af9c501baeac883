//! Several processes on one lake: each has a journal of its own, one of them seals.
//!
//! `SESSIONLAKE_REPLICA_SECONDS` sets how long the replicas are loaded and killed (default 20), `SESSIONLAKE_SEED` the
//! seed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::corpus::{Random, send_marker};
use crate::durability::{api_request, setting};
use crate::harness::{Server, Setup, wait_for};
use crate::http;
use crate::query::{Lake, text};
use crate::store::Store;

const REPLICAS: usize = 4;
const SESSIONS: u64 = 40;
/// Takeover is promised within 15 s; the rest is the machine's load.
const TAKEOVER: Duration = Duration::from_secs(30);

fn on_s3(store: &Store, url: &str) -> Setup {
    Setup { lake: Some(url.to_owned()), env: store.env(), ..Setup::default() }
}

fn end(server: &Server, session: &str) {
    let hook = json!({"session_id": session, "hook_event_name": "SessionEnd", "reason": "other"});
    let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn seals(server: &Server) -> bool {
    server.log().contains("this process seals sessions")
}

fn sealed(lake: &Lake, session: &str) {
    lake.when(&format!("SELECT count(*) = 1 FROM sessions WHERE session_id = '{session}' AND status = 'ended'"), &[]);
}

/// Which of two servers holds the lease.
fn holder_first(mut servers: [Server; 2]) -> [Server; 2] {
    wait_for("one of two to seal", TAKEOVER, || servers.iter().any(seals).then_some(()));
    if !seals(&servers[0]) {
        servers.swap(0, 1);
    }
    assert!(!seals(&servers[1]), "both seal");
    servers
}

/// A holder that is stopped is as good as dead to the others; when it goes on, it must do no harm.
#[test]
fn on_a_store_a_silent_holder_is_followed_and_commits_nothing_when_it_is_back() {
    let store = Store::start();
    store.bucket("lake");
    let url = "s3://lake/prefix";
    let lake = Lake::s3(url.to_owned(), store.access()).patient(90);
    let [holder, other] = holder_first([on_s3(&store, url).start(), on_s3(&store, url).start()]);
    end(&other, "one");
    sealed(&lake, "one");
    holder.signal("-STOP");
    let stopped = Instant::now();
    end(&other, "two");
    wait_for("the other to seal", TAKEOVER, || seals(&other).then_some(()));
    println!("taken over after {:.1} s", stopped.elapsed().as_secs_f64());
    sealed(&lake, "two");
    holder.signal("-CONT");
    end(&holder, "three");
    end(&other, "four");
    sealed(&lake, "three");
    sealed(&lake, "four");
    wait_for("the first to know", TAKEOVER, || holder.log().contains("another process has taken over").then_some(()));
    let rows = lake.rows("SELECT count(*) n, count(DISTINCT session_id) d FROM sessions");
    assert_eq!((&rows[0]["n"], &rows[0]["d"]), (&json!(4), &json!(4)));
}

#[test]
fn of_a_directory_the_next_process_seals_when_the_holder_is_killed() {
    let shared = tempfile::tempdir().unwrap();
    let url = shared.path().join("lake").display().to_string();
    let start = || Setup { lake: Some(url.clone()), ..Setup::default() }.start();
    let [mut holder, other] = holder_first([start(), start()]);
    let lake = Lake::of(&other);
    end(&other, "one");
    sealed(&lake, "one");
    holder.kill();
    end(&other, "two");
    sealed(&lake, "two");
    holder.start();
    end(&holder, "three");
    sealed(&lake, "three");
}

#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
    sent: AtomicU64,
}

impl Ledger {
    /// Each record goes to any of the replicas; one that is down is passed over.
    fn send(&self, ports: &[u16], seed: u64, stop: &AtomicBool) {
        let mut random = Random(seed);
        while !stop.load(Ordering::Relaxed) {
            let n = self.sent.fetch_add(1, Ordering::Relaxed);
            let (id, port) = (format!("req_{n}"), ports[random.below(ports.len() as u64) as usize]);
            let body = api_request(n, &id, SESSIONS).to_string();
            match http::post(port, "/v1/logs", "application/json", body.as_bytes()) {
                Ok(reply) if reply.status == 200 => drop(self.acknowledged.lock().unwrap().insert(id)),
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// Facts of every session come in through all replicas, which are killed at random: nothing is lost or repeated, and
/// each session is sealed as one process would have.
#[test]
fn replicas_on_a_store_that_are_killed_at_random_lose_and_repeat_nothing() {
    let (seconds, seed) = (setting("SESSIONLAKE_REPLICA_SECONDS", 20), setting("SESSIONLAKE_SEED", 1));
    let store = Store::start();
    store.bucket("lake");
    let url = "s3://lake/replicas";
    let mut servers: Vec<Server> = (0..REPLICAS).map(|_| on_s3(&store, url).idle("5s").start()).collect();
    let ports: Vec<u16> = servers.iter().map(|server| server.ports.http).collect();
    let (ledger, stop, mut random, mut kills) = (Ledger::default(), AtomicBool::new(false), Random(seed), 0);
    thread::scope(|scope| {
        for client in 0..4 {
            let (ledger, ports, stop) = (&ledger, &ports, &stop);
            scope.spawn(move || ledger.send(ports, seed * 100 + client, stop));
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(500 + random.below(3000)));
            let victim = &mut servers[random.below(REPLICAS as u64) as usize];
            victim.kill();
            kills += 1;
            thread::sleep(Duration::from_millis(random.below(1000)));
            victim.start();
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (n, server) in servers.iter().enumerate() {
        send_marker(server, &format!("marker-{n}"));
    }
    let collisions: u64 = servers.iter().map(|s| metric(s, "sessionlake_lake_commit_collisions_total")).sum();
    let commits: u64 = servers.iter().map(|s| metric(s, "sessionlake_lake_commits_total")).sum();
    verify(&Lake::s3(url.to_owned(), store.access()).patient(180), &ledger, seed);
    println!("{kills} kills; since their last starts {collisions} collisions in {commits} commits");
}

fn metric(server: &Server, name: &str) -> u64 {
    let page = http::get(server.ports.metrics, "/metrics").unwrap().text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or_else(|| panic!("no {name} in {page}"))
}

fn verify(lake: &Lake, ledger: &Ledger, seed: u64) {
    let settled = format!(
        "SELECT (SELECT count(DISTINCT session_id) FROM facts WHERE session_id LIKE 'marker-%') = {REPLICAS}
            AND (SELECT count(DISTINCT fact_id) FROM facts WHERE session_id LIKE 'kill-%')
              = (SELECT coalesce(sum(len(fact_ids)), 0) FROM events WHERE session_id LIKE 'kill-%')
            AND (SELECT count(*) FROM sessions WHERE session_id LIKE 'kill-%' AND status = 'running') = 0"
    );
    let facts = "SELECT request_id, count(*) n FROM facts WHERE session_id LIKE 'kill-%' GROUP BY 1";
    // What one process makes of these records: a model call for each, and its cost.
    let wrong = "SELECT * FROM (SELECT session_id, count(DISTINCT request_id) calls FROM facts
                                WHERE session_id LIKE 'kill-%' GROUP BY 1) f
                 FULL JOIN (SELECT session_id, count(*) n, sum(model_calls) calls, sum(cost_usd) AS spent FROM sessions
                            WHERE session_id LIKE 'kill-%' GROUP BY 1) s USING (session_id)
                 WHERE s.n IS DISTINCT FROM 1 OR s.calls IS DISTINCT FROM f.calls
                    OR s.spent IS DISTINCT FROM f.calls * 0.001";
    let events = "SELECT request_id, count(*) n FROM events WHERE session_id LIKE 'kill-%' GROUP BY 1";
    let answers = lake.when(&settled, &[facts, events, wrong]);
    assert!(answers[2].is_empty(), "seed {seed}: sessions that one process would seal otherwise: {:?}", answers[2]);
    let acknowledged = ledger.acknowledged.lock().unwrap();
    for (table, rows) in ["facts", "events"].iter().zip(&answers) {
        let repeated: Vec<_> = rows.iter().filter(|row| row["n"] != 1).collect();
        assert!(repeated.is_empty(), "seed {seed}: {table} repeats {repeated:?}");
        let stored: BTreeSet<String> = rows.iter().map(|row| text(row, "request_id").to_owned()).collect();
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "seed {seed}: {table} lost {} acknowledged records: {lost:?}", lost.len());
        println!("{table}: {} acknowledged, {} stored, 0 lost, 0 repeated", acknowledged.len(), stored.len());
    }
    assert!(!acknowledged.is_empty());
}
