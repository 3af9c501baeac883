//! Captured sessions, and the ways to send them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Server, root};

/// A captured request.
#[derive(Clone)]
pub struct Request {
    pub path: String,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// A captured session: a folder with `index.jsonl` (requests in order of arrival), their bodies, and transcripts.
pub struct Captured {
    pub name: String,
    pub folder: PathBuf,
}

/// How hooks are delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hooks {
    /// As the client's `http` hooks send them: bare objects, without clock or id.
    Raw,
    /// As NDJSON envelopes with id, sequence and time.
    Enveloped,
}

/// The sessions in `tests/fixtures`, and those of the folder that `SESSIONLAKE_CORPUS` names, where it is set.
pub fn all() -> Vec<Captured> {
    let mut found = list(&root().join("tests/fixtures/sessions"));
    if let Some(corpus) = std::env::var_os("SESSIONLAKE_CORPUS") {
        let more = list(Path::new(&corpus)).into_iter().filter(|c| found.iter().all(|f| f.name != c.name));
        found.extend(more.collect::<Vec<_>>());
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn list(folder: &Path) -> Vec<Captured> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.filter(|p| p.join("index.jsonl").exists()).map(Captured::open).collect()
}

/// A session of `tests/fixtures`.
pub fn fixture(name: &str) -> Captured {
    Captured::open(root().join("tests/fixtures/sessions").join(name))
}

impl Captured {
    pub fn open(folder: PathBuf) -> Captured {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        Captured { name, folder }
    }

    /// The ids of its sessions.
    pub fn session_ids(&self) -> Vec<String> {
        let truth: Value = serde_json::from_slice(&fs::read(self.folder.join("truth.json")).unwrap()).unwrap();
        truth["session_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// Its one session's id.
    pub fn session_id(&self) -> String {
        let ids = self.session_ids();
        assert_eq!(ids.len(), 1, "{} holds {} sessions", self.name, ids.len());
        ids.into_iter().next().unwrap()
    }

    /// Its requests in order of arrival.
    pub fn requests(&self, hooks: Hooks) -> Vec<Request> {
        let index = fs::read_to_string(self.folder.join("index.jsonl")).unwrap();
        index.lines().enumerate().map(|(n, line)| self.request(n, line, hooks)).collect()
    }

    fn request(&self, n: usize, line: &str, hooks: Hooks) -> Request {
        let entry: Value = serde_json::from_str(line).unwrap();
        let path = entry["path"].as_str().unwrap().to_owned();
        let body = fs::read(self.folder.join(entry["file"].as_str().unwrap())).unwrap();
        let content_type = entry["headers"]["content-type"].as_str().unwrap_or("application/json").to_owned();
        if path == "/v1/hooks" && hooks == Hooks::Enveloped {
            let data: Value = serde_json::from_slice(&body).unwrap();
            let envelope = json!({
                "id": format!("{}-hook-{n}", self.name), "seq": n, "at": rfc3339(entry["received_at"].as_f64().unwrap()), "kind": "hook",
                "session_id": data["session_id"], "data": data,
            });
            return Request { path, content_type: "application/x-ndjson".into(), body: line_of(&envelope) };
        }
        Request { path, content_type, body }
    }

    /// Its transcript files as NDJSON requests, one a file.
    pub fn transcripts(&self) -> Vec<Request> {
        let mut files = Vec::new();
        find_jsonl(&self.folder.join("transcripts"), &mut files);
        files.sort();
        files.iter().map(|file| self.transcript(file)).collect()
    }

    fn transcript(&self, file: &Path) -> Request {
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let agent = stem.strip_prefix("agent-");
        let session = self.session_ids().into_iter().find(|id| file.to_string_lossy().contains(id.as_str())).unwrap();
        let at = "2026-11-22T12:00:00Z";
        let mut body = Vec::new();
        for (n, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
            let mut envelope = json!({
                "id": format!("{}-{stem}-{n}", self.name), "seq": n, "at": at, "kind": "transcript",
                "session_id": session, "data": serde_json::from_str::<Value>(line).unwrap(),
            });
            if let Some(agent) = agent {
                envelope["agent_id"] = json!(agent);
            }
            body.extend(line_of(&envelope));
        }
        Request { path: "/v1/hooks".into(), content_type: "application/x-ndjson".into(), body }
    }
}

fn line_of(envelope: &Value) -> Vec<u8> {
    let mut line = envelope.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn find_jsonl(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find_jsonl(&path, found);
        } else if path.extension().is_some_and(|e| e == "jsonl") {
            found.push(path);
        }
    }
}

fn rfc3339(seconds: f64) -> String {
    let micros = (seconds * 1e6) as i64;
    chrono::DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// Sends requests one after the other; each must be acknowledged.
pub fn send(server: &Server, requests: &[Request]) {
    for request in requests {
        let reply = server.post(&request.path, &request.content_type, &request.body).unwrap();
        assert_eq!(reply.status, 200, "{} {}: {}", request.path, request.content_type, reply.text());
    }
}

/// A seeded Fisher-Yates shuffle.
pub fn shuffled(mut requests: Vec<Request>, seed: u64) -> Vec<Request> {
    let mut random = Random(seed);
    for i in (1..requests.len()).rev() {
        requests.swap(i, random.below(i as u64 + 1) as usize);
    }
    requests
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Settled: a marker sent after everything else is in `facts` (the journal keeps order), the sessions have ended, and
/// each of their facts is in one of their events.
pub fn settled(session_ids: &[String], marker: &str) -> String {
    let ids = session_ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
    let count = session_ids.len();
    format!(
        "WITH f AS (SELECT session_id, count(DISTINCT fact_id) n FROM facts WHERE session_id IN ({ids}) GROUP BY 1),
              e AS (SELECT session_id, count(DISTINCT id) n
                    FROM (SELECT session_id, unnest(fact_ids) id FROM events WHERE session_id IN ({ids})) GROUP BY 1),
              s AS (SELECT session_id FROM sessions WHERE status = 'ended')
         SELECT count(*) = {count} AND (SELECT count(*) > 0 FROM facts WHERE session_id = '{marker}')
         FROM f JOIN e USING (session_id) JOIN s USING (session_id) WHERE f.n = e.n"
    )
}

/// Sends a hook of a session of its own, to know when everything before it has arrived.
pub fn send_marker(server: &Server, marker: &str) {
    let hook = json!({"session_id": marker, "hook_event_name": "Notification", "message": "marker"});
    let reply = server.post("/v1/hooks", "application/json", hook.to_string().as_bytes()).unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
}
