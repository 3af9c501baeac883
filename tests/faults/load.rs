//! Clients that send batches, retry as OTLP exporters do, and write down what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bodies::Bodies;
use crate::wire::Connection;

/// A client that was told to stop gives what it has sent that long to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(20);
/// A retry waits that long, and a little more each time.
const BACKOFF: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// How much is sent.
#[derive(Clone, Copy)]
pub struct Rate {
    pub clients: u64,
    /// Batches a second, of all clients; `None`: as fast as they are answered.
    pub batches: Option<f64>,
    /// Sends a SessionEnd hook when a session's last batch is acknowledged.
    pub ends: bool,
    /// How long a client waits for a reply.
    pub timeout: Duration,
}

impl Rate {
    pub fn new(clients: u64, batches: f64) -> Rate {
        Rate { clients, batches: Some(batches), ends: false, timeout: Duration::from_secs(30) }
    }
}

/// What the clients saw.
#[derive(Default)]
pub struct Ledger {
    /// Batches that were acknowledged, with the microseconds from when each was due.
    acknowledged: Mutex<Vec<(u64, u32)>>,
    /// Replies other than success, by status.
    refused: Mutex<BTreeMap<u16, u64>>,
    /// Requests without a reply.
    broken: AtomicU64,
    /// Batches begun.
    begun: AtomicU64,
}

impl Ledger {
    pub fn batches(&self) -> Vec<u64> {
        let mut batches: Vec<u64> = self.acknowledged.lock().unwrap().iter().map(|(batch, _)| *batch).collect();
        batches.sort_unstable();
        batches
    }

    pub fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub fn refused(&self) -> BTreeMap<u16, u64> {
        self.refused.lock().unwrap().clone()
    }

    pub fn broken(&self) -> u64 {
        self.broken.load(Relaxed)
    }

    /// Milliseconds from when a batch was due to its acknowledgement: median, 99th percentile, maximum.
    pub fn latency(&self) -> [f64; 3] {
        let mut micros: Vec<u32> = self.acknowledged.lock().unwrap().iter().map(|(_, micros)| *micros).collect();
        micros.sort_unstable();
        let at = |share: f64| micros.get((share * micros.len() as f64) as usize).or(micros.last());
        [0.5, 0.99, 1.0].map(|share| at(share).map_or(f64::NAN, |m| f64::from(*m) / 1000.0))
    }

    fn acknowledge(&self, batch: u64, due: Instant) {
        let micros = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.acknowledged.lock().unwrap().push((batch, micros));
    }
}

/// Clients at work.
pub struct Load {
    pub ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(port: u16, bodies: &Arc<Bodies>, rate: Rate) -> Load {
        let (stop, started, ledger) = (Arc::new(AtomicBool::new(false)), Instant::now(), Arc::<Ledger>::default());
        let client = |_| {
            let mut client = Client {
                connection: Connection::new(port, rate.timeout),
                bodies: bodies.clone(),
                ledger: ledger.clone(),
                stop: stop.clone(),
                body: Vec::new(),
            };
            thread::spawn(move || client.run(rate, started))
        };
        let clients = (0..rate.clients).map(client).collect();
        Load { ledger, stop, clients }
    }

    /// Begins no more batches, and waits for those that were begun.
    pub fn stop(self) -> Arc<Ledger> {
        self.stop.store(true, Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        self.ledger
    }
}

struct Client {
    connection: Connection,
    bodies: Arc<Bodies>,
    ledger: Arc<Ledger>,
    stop: Arc<AtomicBool>,
    body: Vec<u8>,
}

impl Client {
    fn run(&mut self, rate: Rate, started: Instant) {
        while !self.stop.load(Relaxed) {
            let batch = self.ledger.begun.fetch_add(1, Relaxed);
            let due = match rate.batches {
                Some(batches) => started + Duration::from_secs_f64(batch as f64 / batches),
                None => Instant::now(),
            };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut body = std::mem::take(&mut self.body);
            self.bodies.fill(batch, &mut body);
            if self.deliver("/v1/logs", "application/x-protobuf", &body) {
                self.ledger.acknowledge(batch, due);
                self.end(rate, batch);
            }
            self.body = body;
        }
    }

    fn end(&mut self, rate: Rate, batch: u64) {
        let Some(session) = self.bodies.ends(batch).filter(|_| rate.ends) else { return };
        let hook = json!({"session_id": session, "hook_event_name": "SessionEnd", "reason": "other"});
        self.deliver("/v1/hooks", "application/json", hook.to_string().as_bytes());
    }

    /// Sends until it is acknowledged; `false` when that did not happen in time after the stop.
    fn deliver(&mut self, path: &str, content_type: &str, body: &[u8]) -> bool {
        let (mut wait, mut stopped) = (BACKOFF, None);
        loop {
            match self.connection.post(path, content_type, body) {
                Ok(200) => return true,
                Ok(status) => *self.ledger.refused.lock().unwrap().entry(status).or_default() += 1,
                Err(_) => _ = self.ledger.broken.fetch_add(1, Relaxed),
            }
            if self.stop.load(Relaxed) && stopped.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return false;
            }
            thread::sleep(wait);
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }
}
