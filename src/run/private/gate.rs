//! The gate: leaves out what belongs to a private session, and makes sessions private whose users ask for it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use super::spool::Spool;
use crate::auth::Caller;
use crate::clock::Clock;
use crate::enrich::normalise::normalise;
use crate::enrich::privacy::{Rules, Said, anonymous, hook, records};
use crate::model::otlp::filter::without;
use crate::model::{Batch, Envelope, Signal, hex};
use crate::receiver::{Admitted, Gate, NotNoted, Notice};
use crate::run::random;
use crate::sink::lake::forget::{Request, RequestKind};
use crate::sink::lake::tombstones::{Tombstones, name};

/// Sessions of projects that forbid private ones are remembered, that many of them: a log record of `/private` names no
/// project, and comes after the hook that does.
const FORBIDDEN: usize = 100_000;

pub struct PrivacyGate {
    tombstones: Tombstones,
    rules: Rules,
    spool: Spool,
    clock: Clock,
    forbidden: Mutex<Forbidden>,
}

/// The newest sessions of projects in which none may be private, by hash.
#[derive(Default)]
struct Forbidden {
    known: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Forbidden {
    fn add(&mut self, session: [u8; 16]) {
        if self.known.insert(session) {
            self.order.push_back(session);
        }
        if self.order.len() > FORBIDDEN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl PrivacyGate {
    pub fn new(tombstones: Tombstones, rules: Rules, spool: Spool, clock: Clock) -> PrivacyGate {
        PrivacyGate { tombstones, rules, spool, clock, forbidden: Mutex::default() }
    }

    /// Whether there is anything to ask about a request.
    fn may_matter(&self, caller: &Caller, request: &[u8]) -> bool {
        self.rules.any() || !self.tombstones.none_in(&caller.workspace) || memmem::find(request, b"private").is_some()
    }

    /// Makes sessions private that are to be; what their users are to be told.
    fn note(&self, caller: &Caller, source: &str, all: &[Said]) -> Result<Option<Notice>, NotNoted> {
        let mut notice = None;
        for said in all {
            let Some(session) = said.session() else { continue };
            let demanded = self.rules.demand(said, caller.principal.as_deref());
            if self.forbids(said, session) {
                notice = notice.or(said.asks.then_some(Notice::Forbidden));
            } else if said.asks {
                self.bury(caller, source, session)?;
                notice = Some(Notice::Private);
            } else if demanded {
                self.bury(caller, "rule", session)?;
            }
        }
        Ok(notice)
    }

    fn forbids(&self, said: &Said, session: &str) -> bool {
        if self.rules.forbid.is_empty() {
            return false;
        }
        let session = name(self.tombstones.key(), session);
        let mut forbidden = self.forbidden.lock().unwrap_or_else(PoisonError::into_inner);
        if self.rules.forbids(said) {
            forbidden.add(session);
        }
        forbidden.known.contains(&session)
    }

    /// The session is private, durably, when this returns.
    fn bury(&self, caller: &Caller, how: &str, session: &str) -> Result<(), NotNoted> {
        if self.tombstones.contains(&caller.workspace, session) {
            return Ok(());
        }
        let id: [u8; 16] = random().map_err(|_| NotNoted)?;
        let request = Request {
            id: hex(&id),
            workspace: caller.workspace.clone(),
            kind: RequestKind::Private,
            sessions: vec![session.to_owned()],
            keeps_costs: self.rules.keep_costs,
            at: self.clock.now(),
            by: caller.principal.clone(),
            how: how.to_owned(),
            reason: None,
        };
        self.spool.put(&request).map_err(|error| {
            tracing::error!(%error, "a session cannot be made private: its records are refused until it can");
            NotNoted
        })?;
        request.bury(&self.tombstones);
        tracing::info!(workspace = %caller.workspace, request = request.id, how, "a session is private from now on");
        Ok(())
    }

    /// Whether a record is left out: it belongs to a private session, or to a user whose sessions are, or was copied
    /// from such a session.
    fn leaves_out(&self, caller: &Caller, said: &Said) -> bool {
        let buried = said.sessions.iter().any(|session| self.tombstones.contains(&caller.workspace, session));
        let of_nobody = said.session().is_none() && !self.rules.forbids(said);
        buried || (of_nobody && self.rules.demand(said, caller.principal.as_deref()))
    }

    /// What the log records that are left out cost.
    fn costs(&self, caller: &Caller, request: &[u8], all: &[Said], out: &[bool]) -> Option<Bytes> {
        let keeps = |said: &Said| {
            let session = said.session()?;
            self.tombstones.find(&caller.workspace, session).map(|buried| buried.keeps_costs)
        };
        let counted = |n: u32| out.get(n as usize) == Some(&true) && all.get(n as usize).and_then(keeps) == Some(true);
        let records = without(Signal::Logs, request, &|n| !counted(n)).ok()?;
        let envelope = Envelope {
            workspace: caller.workspace.to_string(),
            principal: None,
            received_at: self.clock.now(),
            signal: Signal::Logs,
            policy: String::new(),
            hits: Vec::new(),
        };
        let facts = normalise(&Batch { envelope, payload: records.into() }, self.tombstones.key(), "").ok()?;
        anonymous(&facts, self.tombstones.key()).map(Bytes::from)
    }
}

impl Gate for PrivacyGate {
    fn hooks(&self, caller: &Caller, envelopes: Vec<Value>) -> Result<Admitted<Vec<Value>>, NotNoted> {
        let all: Vec<Said> = envelopes.iter().map(hook).collect();
        let notice = self.note(caller, "hook", &all)?;
        let count = envelopes.len();
        let judged = envelopes.into_iter().zip(&all).filter(|(_, said)| !self.leaves_out(caller, said));
        let kept: Vec<Value> = judged.map(|(envelope, _)| envelope).collect();
        let left_out = (count - kept.len()) as u64;
        Ok(Admitted { kept, left_out, costs: None, notice })
    }

    fn otlp(&self, caller: &Caller, signal: Signal, request: Bytes) -> Result<Admitted<Bytes>, NotNoted> {
        if !self.may_matter(caller, &request) {
            return Ok(Admitted::all(request));
        }
        let Ok(all) = records(signal, &request) else { return Ok(Admitted::all(request)) };
        let notice = self.note(caller, "otlp", &all)?;
        let out: Vec<bool> = all.iter().map(|said| self.leaves_out(caller, said)).collect();
        let left_out = out.iter().filter(|out| **out).count() as u64;
        if left_out == 0 {
            return Ok(Admitted { notice, ..Admitted::all(request) });
        }
        let costs = if signal == Signal::Logs { self.costs(caller, &request, &all, &out) } else { None };
        let kept = without(signal, &request, &|n| out.get(n as usize) == Some(&true));
        // It was read as a request just now.
        let kept = kept.map_or_else(|_| Bytes::new(), Bytes::from);
        Ok(Admitted { kept, left_out, costs, notice })
    }
}
