//! Export requests that cost next to nothing to make: encoded once, then only numbers are patched in.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// What every secret that the generator sends holds: it must be found nowhere afterwards.
pub const CANARY: &str = "QCANARYFAULTSX27";

/// The time of record 0, ns since 1970; record n is n microseconds later, so that a repeated batch is the same bytes.
const START_NANOS: u64 = 1_795_346_337_000_000_000;
/// Of 6 bytes as a varint, like everything from here to 2^42: patching keeps the length.
const SEQUENCE: i64 = 1 << 40;
const TIME: u64 = 0x0102_0304_0506_0708;

/// How records are grouped.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Records in a batch, one request.
    pub records: u64,
    /// Sessions that are open at once.
    pub sessions: u64,
    /// Batches of a session.
    pub batches: u64,
}

/// Where a record's numbers stand in the encoded request.
struct Slot {
    session: usize,
    request: usize,
    payload: usize,
    sequence: usize,
    time: usize,
}

/// Makes the requests of one run.
pub struct Bodies {
    run: String,
    plan: Plan,
    template: Vec<u8>,
    slots: Vec<Slot>,
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// Secrets of several kinds, in turn.
fn secret(n: u64) -> String {
    match n % 4 {
        0 => format!("AKIA{CANARY}"),
        1 => format!("ghp_{CANARY}{:020}", 31 * n + 7),
        2 => format!("password={CANARY}z9"),
        _ => format!("Authorization: Bearer {CANARY}8fQ2kL7s"),
    }
}

fn record(run: &str, n: u64) -> LogRecord {
    let payload = format!("{:012} with {} inside", 0, secret(n));
    LogRecord {
        time_unix_nano: TIME,
        body: Some(AnyValue { value: Some(Value::StringValue("claude_code.api_request".to_owned())) }),
        attributes: vec![
            text("session.id", &format!("{run}-{:06}", 0)),
            text("event.name", "api_request"),
            text("request_id", &format!("req_{:012}", 0)),
            attribute("event.sequence", Value::IntValue(SEQUENCE)),
            text("user.email", "dev@example.com"),
            text("user.id", "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"),
            text("organization.id", "b8a3c0a4-7c1f-4a53-9c57-2c1f3f0c7f10"),
            text("terminal.type", "vscode"),
            text("prompt.id", "3f0c7f10-7c1f-4a53-9c57-b8a3c0a42c1f"),
            text("model", "claude-sonnet-4-5"),
            attribute("cost_usd_micros", Value::IntValue(1000)),
            attribute("input_tokens", Value::IntValue(10)),
            attribute("output_tokens", Value::IntValue(20)),
            attribute("duration_ms", Value::IntValue(1234)),
            text("payload", &format!("payload-{payload}")),
        ],
        ..LogRecord::default()
    }
}

fn template(run: &str, records: u64) -> Vec<u8> {
    let scope = InstrumentationScope { name: "com.anthropic.claude_code.events".to_owned(), ..Default::default() };
    let log_records = (0..records).map(|n| record(run, n)).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..Default::default() }];
    let attributes = vec![text("service.name", "claude-code"), text("service.version", "2.0.0")];
    let resource = Some(Resource { attributes, ..Default::default() });
    let resource_logs = vec![ResourceLogs { resource, scope_logs, ..Default::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

/// Where `pattern` stands, and `skip` bytes on.
fn places(template: &[u8], pattern: &[u8], skip: usize) -> Vec<usize> {
    let found = template.windows(pattern.len()).enumerate().filter(|(_, window)| *window == pattern);
    found.map(|(at, _)| at + skip).collect()
}

impl Bodies {
    /// `run` names the sessions; two runs share no record.
    pub fn new(run: &str, plan: Plan) -> Bodies {
        let template = template(run, plan.records);
        let zeros = "0".repeat(12);
        let session = places(&template, format!("{run}-000000").as_bytes(), run.len() + 1);
        let request = places(&template, format!("req_{zeros}").as_bytes(), 4);
        let payload = places(&template, format!("payload-{zeros}").as_bytes(), 8);
        let sequence = places(&template, &varint(SEQUENCE as u64), 0);
        let time = places(&template, &TIME.to_le_bytes(), 0);
        let count = plan.records as usize;
        for found in [&session, &request, &payload, &sequence, &time] {
            assert_eq!(found.len(), count, "a pattern that is patched must stand once in a record");
        }
        let slot = |i: usize| Slot {
            session: session[i],
            request: request[i],
            payload: payload[i],
            sequence: sequence[i],
            time: time[i],
        };
        Bodies { run: run.to_owned(), plan, slots: (0..count).map(slot).collect(), template }
    }

    pub fn run(&self) -> &str {
        &self.run
    }

    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// A batch's session, and its place among the session's batches.
    fn place(&self, batch: u64) -> (u64, u64) {
        let Plan { sessions, batches, .. } = self.plan;
        let round = batch / (sessions * batches);
        (round * sessions + batch % sessions, (batch / sessions) % batches)
    }

    /// The session that ends with this batch.
    pub fn ends(&self, batch: u64) -> Option<String> {
        let (session, place) = self.place(batch);
        (place + 1 == self.plan.batches).then(|| format!("{}-{session:06}", self.run))
    }

    /// Batch number `batch`: the same bytes each time.
    pub fn fill(&self, batch: u64, body: &mut Vec<u8>) {
        body.clear();
        body.extend_from_slice(&self.template);
        let (session, place) = self.place(batch);
        for (i, slot) in (0..).zip(&self.slots) {
            let n = batch * self.plan.records + i;
            digits(&mut body[slot.session..slot.session + 6], session);
            digits(&mut body[slot.request..slot.request + 12], n);
            digits(&mut body[slot.payload..slot.payload + 12], n);
            let sequence = varint(SEQUENCE as u64 + place * self.plan.records + i);
            body[slot.sequence..slot.sequence + sequence.len()].copy_from_slice(&sequence);
            body[slot.time..slot.time + 8].copy_from_slice(&(START_NANOS + n * 1000).to_le_bytes());
        }
    }
}

fn digits(target: &mut [u8], mut n: u64) {
    for digit in target.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

fn varint(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}
