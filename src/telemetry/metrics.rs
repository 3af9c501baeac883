//! The process's own metrics, with the OpenTelemetry Collector's names where it has them, so that existing
//! dashboards and alerts work.

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use super::exposition::Exposition;
use super::instruments::{Counter, CounterByName, Gauge, Histogram, Info};
use super::process;
use crate::clock::Clock;
use crate::model::Signal;

/// How a request came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Grpc,
    Http,
}

/// What became of records: log records, metric points, spans or hook envelopes.
#[derive(Default)]
pub struct Outcomes {
    /// Durable in the journal.
    pub accepted: Counter,
    /// Not taken now or never: too large, malformed, or the journal is full.
    pub refused: Counter,
    /// Not taken because of a fault of our own: the journal cannot write.
    pub failed: Counter,
}

/// Seconds; the promise to hold is 5.
const SEAL_BOUNDS: &[f64] = &[0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// All metrics. Cheap to clone; every part of the process has its own clone.
#[derive(Clone)]
pub struct Metrics(Arc<Instruments>);

pub struct Instruments {
    clock: Clock,
    /// UTC microseconds.
    started: i64,
    /// By signal (logs, metric points, spans), then transport (gRPC, HTTP).
    otlp: [[Outcomes; 2]; 3],
    hooks: Outcomes,
    /// Hits by rule of the redaction policy.
    pub redactions: CounterByName,
    /// Hits of rules that only report.
    pub redactions_reported: CounterByName,
    /// Records that a rule left out.
    pub redaction_dropped_records: Counter,
    /// Records of private or erased sessions, which were answered with success and not kept.
    pub private_records: Counter,
    /// Hash of the redaction policy in force.
    pub policy: Info,
    /// Times that rules were read anew.
    pub policy_reloads: Counter,
    /// Times that rule files were wrong and the old rules stayed in force.
    pub policy_reload_failures: Counter,
    /// Sessions in which the second pass of redaction hid something.
    pub sessions_exposed: Counter,
    /// Bytes in segments that some reader still needs.
    pub journal_bytes: Gauge,
    /// Records found destroyed since the start.
    pub journal_lost_records: Gauge,
    /// Records that readers lost to their budgets, ever.
    pub journal_dropped_records: Gauge,
    /// Flushes of facts that are committed.
    pub lake_commits: Counter,
    pub lake_commit_failures: Counter,
    /// Times that another writer took the place in the log that a commit was made for.
    pub lake_commit_collisions: Counter,
    /// Facts in the lake.
    pub facts: Counter,
    /// Facts that were delivered again shortly after, and left out.
    pub facts_redelivered: Counter,
    /// Journal records that could not be decoded, and were set aside.
    pub poison_records: Counter,
    pub sessions_sealed: Counter,
    /// Sessions that the fold failed on.
    pub sessions_poisoned: Counter,
    /// Sessions that are stored as running.
    pub sessions_open: Gauge,
    /// From a session's end to its visible rows.
    pub session_seal_seconds: Histogram,
    /// Certificates that were replaced while running.
    pub tls_reloads: Counter,
    /// New certificates that could not be used.
    pub tls_reload_failures: Counter,
    /// Requests that were not let in, by reason.
    pub auth_failures: CounterByName,
    /// New files of tokens that could not be read.
    pub token_reload_failures: Counter,
    /// By [`Claim`].
    claims: [Counter; 2],
}

/// Where a request named another workspace than its token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A header, or the baggage.
    Header,
    /// A resource, or a hook envelope.
    Payload,
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.0
    }
}

impl Metrics {
    pub fn new(clock: Clock) -> Metrics {
        Metrics(Arc::new(Instruments {
            started: clock.now(),
            clock,
            otlp: Default::default(),
            hooks: Outcomes::default(),
            redactions: CounterByName::default(),
            redactions_reported: CounterByName::default(),
            redaction_dropped_records: Counter::default(),
            private_records: Counter::default(),
            policy: Info::default(),
            policy_reloads: Counter::default(),
            policy_reload_failures: Counter::default(),
            sessions_exposed: Counter::default(),
            journal_bytes: Gauge::default(),
            journal_lost_records: Gauge::default(),
            journal_dropped_records: Gauge::default(),
            lake_commits: Counter::default(),
            lake_commit_failures: Counter::default(),
            lake_commit_collisions: Counter::default(),
            facts: Counter::default(),
            facts_redelivered: Counter::default(),
            poison_records: Counter::default(),
            sessions_sealed: Counter::default(),
            sessions_poisoned: Counter::default(),
            sessions_open: Gauge::default(),
            session_seal_seconds: Histogram::new(SEAL_BOUNDS),
            tls_reloads: Counter::default(),
            tls_reload_failures: Counter::default(),
            auth_failures: CounterByName::default(),
            token_reload_failures: Counter::default(),
            claims: Default::default(),
        }))
    }

    /// `GET /metrics`.
    pub fn router(&self) -> Router {
        let metrics = self.clone();
        let page = move || async move { ([(CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()) };
        Router::new().route("/metrics", get(page))
    }
}

impl Instruments {
    /// The counters for records of one signal.
    pub fn records(&self, signal: Signal, transport: Transport) -> &Outcomes {
        let transport = match transport {
            Transport::Grpc => 0,
            Transport::Http => 1,
        };
        match signal {
            Signal::Logs => &self.otlp[0][transport],
            Signal::Metrics => &self.otlp[1][transport],
            Signal::Traces => &self.otlp[2][transport],
            // Nobody sends what the server itself says.
            Signal::Hooks | Signal::Audit => &self.hooks,
        }
    }

    /// Requests that named another workspace than their token's.
    pub fn claims(&self, claim: Claim) -> &Counter {
        match claim {
            Claim::Header => &self.claims[0],
            Claim::Payload => &self.claims[1],
        }
    }

    /// The page in Prometheus text format.
    pub fn render(&self) -> String {
        let mut page = Exposition::default();
        self.render_receiver(&mut page);
        self.render_stages(&mut page);
        self.render_door(&mut page);
        self.render_process(&mut page);
        page.finish()
    }

    fn render_receiver(&self, page: &mut Exposition) {
        type Pick = fn(&Outcomes) -> &Counter;
        let outcomes: [(&str, Pick); 3] =
            [("accepted", |o| &o.accepted), ("refused", |o| &o.refused), ("failed", |o| &o.failed)];
        for (outcome, counter) in outcomes {
            for (what, by_transport) in ["log_records", "metric_points", "spans"].iter().zip(&self.otlp) {
                let name = format!("otelcol_receiver_{outcome}_{what}");
                page.family(&name, "counter", "Records by what became of them.");
                for (transport, records) in ["grpc", "http"].iter().zip(by_transport) {
                    page.sample(&name, &[("receiver", "otlp"), ("transport", transport)], counter(records).get());
                }
            }
        }
        let name = "sessionlake_hook_envelopes_total";
        page.family(name, "counter", "Hook envelopes by what became of them.");
        for (outcome, counter) in outcomes {
            page.sample(name, &[("outcome", outcome)], counter(&self.hooks).get());
        }
    }

    fn render_stages(&self, page: &mut Exposition) {
        for (name, help, counts) in [
            ("sessionlake_redactions_total", "Redactions by rule.", &self.redactions),
            ("sessionlake_redactions_reported_total", "Hits of rules that only report.", &self.redactions_reported),
        ] {
            page.family(name, "counter", help);
            for (rule, count) in counts.read() {
                page.sample(name, &[("rule", &rule)], count);
            }
        }
        let name = "sessionlake_redaction_policy_info";
        page.family(name, "gauge", "The redaction policy in force.");
        page.sample(name, &[("policy", &self.policy.get())], 1);
        page.single("sessionlake_journal_bytes", "gauge", "Journal bytes still needed.", self.journal_bytes.get());
        let (lost, dropped) = (self.journal_lost_records.get(), self.journal_dropped_records.get());
        page.single("sessionlake_journal_lost_records_total", "counter", "Journal records found destroyed.", lost);
        let name = "sessionlake_journal_dropped_records_total";
        page.single(name, "counter", "Journal records dropped because a reader was over its budget.", dropped);
        page.single("sessionlake_lake_commits_total", "counter", "Commits to the lake.", self.lake_commits.get());
        let counters: [(&str, &str, &Counter); 12] = [
            ("sessionlake_lake_commit_failures_total", "Attempts to commit that failed.", &self.lake_commit_failures),
            (
                "sessionlake_lake_commit_collisions_total",
                "Commits whose place in the log another writer took.",
                &self.lake_commit_collisions,
            ),
            ("sessionlake_facts_total", "Facts written to the lake.", &self.facts),
            ("sessionlake_facts_redelivered_total", "Facts delivered again, left out.", &self.facts_redelivered),
            ("sessionlake_journal_poison_records_total", "Records set aside as undecodable.", &self.poison_records),
            (
                "sessionlake_redaction_dropped_records_total",
                "Records that a rule left out.",
                &self.redaction_dropped_records,
            ),
            (
                "sessionlake_private_records_total",
                "Records of private or erased sessions that were not kept.",
                &self.private_records,
            ),
            ("sessionlake_redaction_reloads_total", "Rules read anew and put in force.", &self.policy_reloads),
            ("sessionlake_redaction_reload_failures_total", "Rules read anew and wrong.", &self.policy_reload_failures),
            (
                "sessionlake_redaction_exposed_sessions_total",
                "Sessions whose facts are to be redacted anew.",
                &self.sessions_exposed,
            ),
            ("sessionlake_sessions_sealed_total", "Sessions stored as ended.", &self.sessions_sealed),
            ("sessionlake_sessions_poisoned_total", "Sessions that could not be folded.", &self.sessions_poisoned),
        ];
        for (name, help, counter) in counters {
            page.single(name, "counter", help, counter.get());
        }
        page.single("sessionlake_sessions_open", "gauge", "Sessions still running.", self.sessions_open.get());
        let name = "sessionlake_session_seal_seconds";
        page.histogram(name, "From a session's end to its visible rows.", &self.session_seal_seconds.read());
    }

    fn render_door(&self, page: &mut Exposition) {
        let name = "sessionlake_auth_failures_total";
        page.family(name, "counter", "Requests that were not let in, by reason.");
        for (reason, count) in self.auth_failures.read() {
            page.sample(name, &[("reason", &reason)], count);
        }
        let name = "sessionlake_workspace_claims_ignored_total";
        page.family(name, "counter", "Requests that named another workspace than their token's.");
        for (place, count) in ["header", "payload"].iter().zip(&self.claims) {
            page.sample(name, &[("in", place)], count.get());
        }
        let counters: [(&str, &str, &Counter); 3] = [
            ("sessionlake_token_reload_failures_total", "New tokens not readable.", &self.token_reload_failures),
            ("sessionlake_tls_reloads_total", "Certificates replaced while running.", &self.tls_reloads),
            ("sessionlake_tls_reload_failures_total", "New certificates not usable.", &self.tls_reload_failures),
        ];
        for (name, help, counter) in counters {
            page.single(name, "counter", help, counter.get());
        }
    }

    fn render_process(&self, page: &mut Exposition) {
        let uptime = (self.clock.now() - self.started) as f64 / 1e6;
        page.single("otelcol_process_uptime", "counter", "Seconds since the start.", uptime);
        if let Some(bytes) = process::resident_bytes() {
            page.single("otelcol_process_memory_rss", "gauge", "Resident memory in bytes.", bytes);
        }
        if let Some(seconds) = process::cpu_seconds() {
            page.single("otelcol_process_cpu_seconds", "counter", "CPU seconds, user and system.", seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[test]
    fn a_scrape_shows_what_was_counted() {
        let now = Arc::new(AtomicI64::new(1_000_000));
        let hand = Arc::clone(&now);
        let metrics = Metrics::new(Clock::from_fn(move || hand.load(Ordering::Relaxed)));
        metrics.records(Signal::Logs, Transport::Grpc).accepted.add(3);
        metrics.records(Signal::Traces, Transport::Http).refused.add(2);
        metrics.records(Signal::Hooks, Transport::Http).accepted.add(5);
        metrics.redactions.add("aws-access-key", 4);
        metrics.session_seal_seconds.observe_micros(700_000);
        now.store(3_500_000, Ordering::Relaxed);
        let page = metrics.render();
        for line in [
            "otelcol_receiver_accepted_log_records{receiver=\"otlp\",transport=\"grpc\"} 3",
            "otelcol_receiver_accepted_log_records{receiver=\"otlp\",transport=\"http\"} 0",
            "otelcol_receiver_refused_spans{receiver=\"otlp\",transport=\"http\"} 2",
            "sessionlake_hook_envelopes_total{outcome=\"accepted\"} 5",
            "sessionlake_redactions_total{rule=\"aws-access-key\"} 4",
            "sessionlake_session_seal_seconds_bucket{le=\"0.5\"} 0",
            "sessionlake_session_seal_seconds_bucket{le=\"1\"} 1",
            "sessionlake_session_seal_seconds_bucket{le=\"+Inf\"} 1",
            "otelcol_process_uptime 2.5",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is missing from\n{page}");
        }
    }
}
