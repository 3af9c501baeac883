//! Private sessions against flushes, seals, a second replica and kill -9, at random moments: no survivor, and nobody else
//! loses anything.
//!
//! `SESSIONLAKE_RACES` sets the number of sessions (default 12; 500 by hand), `SESSIONLAKE_SEED` the seed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::corpus::Random;
use crate::durability::setting;
use crate::harness::{Server, Setup};
use crate::http;
use crate::query::{Lake, run_python};

/// Sessions at the same time.
const AT_ONCE: u64 = 6;
/// What the promise says (60 s), a silent replica's 60 s, and the machine's load.
const GONE: Duration = Duration::from_secs(240);

fn hook(port: u16, session: &str, prompt: &str) -> bool {
    let hook = json!({"hook_event_name": "UserPromptSubmit", "session_id": session, "cwd": "/w", "prompt": prompt});
    http::post(port, "/v1/hooks", "application/json", hook.to_string().as_bytes()).is_ok_and(|r| r.status == 200)
}

/// A log record of the session, in one request with one of another session.
fn log(port: u16, session: &str, prompt: &str) -> bool {
    let attribute = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = |session: &str, prompt: &str| {
        let attributes = [attribute("session.id", session), attribute("prompt", prompt)];
        json!({"eventName": "claude_code.user_prompt", "timeUnixNano": "1795600800000000000", "attributes": attributes})
    };
    // What the session asks for, the other one does not.
    let beside = prompt.rsplit(' ').next().filter(|word| word.starts_with('n')).unwrap_or("aside");
    let records = [record(session, prompt), record("bystander", beside)];
    let body = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
    http::post(port, "/v1/logs", "application/json", body.to_string().as_bytes()).is_ok_and(|r| r.status == 200)
}

/// One user: talks through both replicas, asks for privacy at some moment, and goes on talking.
fn race(ports: [u16; 2], session: &str, mut random: Random, numbers: &AtomicU64) -> u64 {
    let (before, after) = (random.below(12), 2 + random.below(6));
    let mut bystanders = 0;
    for n in 0..before + after {
        let port = ports[random.below(2) as usize];
        if n == before {
            let asks: fn(u16, &str, &str) -> bool = if random.below(2) == 0 { hook } else { log };
            while !asks(port, session, "/private") {
                thread::sleep(Duration::from_millis(50));
            }
        }
        let prompt = format!("MARK-{session} n{}", numbers.fetch_add(1, Ordering::Relaxed));
        match random.below(2) {
            0 => drop(hook(port, session, &prompt)),
            _ => bystanders += u64::from(log(port, session, &prompt)),
        }
        thread::sleep(Duration::from_millis(random.below(120)));
    }
    bystanders
}

#[test]
fn no_race_leaves_anything_of_a_private_session() {
    let (races, seed) = (setting("SESSIONLAKE_RACES", 12), setting("SESSIONLAKE_SEED", 1));
    let lake = tempfile::tempdir().unwrap();
    let start = || Setup { lake: Some(lake.path().display().to_string()), ..Setup::default() }.idle("15m").start();
    let mut servers = [start(), start()];
    let (mut random, numbers) = (Random(seed), AtomicU64::new(0));
    let (mut marks, mut bystanders) = (Vec::new(), 0);
    for round in 0..races.div_ceil(AT_ONCE) {
        let sessions: Vec<String> = (0..AT_ONCE).map(|n| format!("race-{seed}-{round}-{n}-end")).collect();
        marks.extend(sessions.iter().cloned());
        let ports = [servers[0].ports.http, servers[1].ports.http];
        let seeds: Vec<u64> = sessions.iter().map(|_| random.next()).collect();
        let (victim, moment) = (random.below(3), Duration::from_millis(random.below(1500)));
        let numbers = &numbers;
        bystanders += thread::scope(|scope| {
            let users = sessions.iter().zip(seeds);
            let users: Vec<_> =
                users.map(|(session, seed)| scope.spawn(move || race(ports, session, Random(seed), numbers))).collect();
            thread::sleep(moment);
            if let Some(server) = servers.get_mut(victim as usize) {
                server.crash();
            }
            users.into_iter().map(|user| user.join().unwrap()).sum::<u64>()
        });
    }
    let started = Instant::now();
    let mut left = traces(&servers, lake.path().to_str().unwrap(), &marks);
    while !left.is_empty() && started.elapsed() < GONE {
        thread::sleep(Duration::from_secs(1));
        left = traces(&servers, lake.path().to_str().unwrap(), &marks);
    }
    assert!(left.is_empty(), "{} survivors of {}: {left:?}", left.len(), marks.len());
    eprintln!("{} races, gone {:?} after the last", marks.len(), started.elapsed());
    // What was acknowledged of the session that shared their requests is there.
    let numbered = format!(
        "select count(distinct content) >= {bystanders} from facts where session_id = 'bystander' and content like 'n%'"
    );
    Lake::of(&servers[0]).when(&numbered, &[]);
}

fn traces(servers: &[Server; 2], lake: &str, marks: &[String]) -> Vec<Value> {
    let directories = json!([lake, servers[0].data_dir(), servers[1].data_dir()]).to_string();
    serde_json::from_str(&run_python("traces.py", &[&directories, &json!(marks).to_string()], b"")).unwrap()
}
