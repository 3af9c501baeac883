//! Batches arrive several times, in another order, late, or without an answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::corpus::Random;
use crate::harness::Setup;
use crate::load::{Load, Rate};
use crate::proxy::{Proxy, Weather};
use crate::trial::{Context, Outcome, Trial};
use crate::wire::Connection;

/// Every batch three times: twice more, shuffled, some after their sessions have ended.
pub fn duplicates(context: &Context) -> Outcome {
    let mut trial = Trial::local(context, "twice", Setup::default());
    let load = trial.load(Rate { ends: true, ..Rate::new(4, 100.0) });
    sleep(Duration::from_secs(context.pick(4, 60)));
    let ledger = load.stop();
    let mut batches = ledger.batches().repeat(2);
    let mut random = Random(context.seed);
    for i in (1..batches.len()).rev() {
        batches.swap(i, random.below(i as u64 + 1) as usize);
    }
    let mut connection = Connection::new(trial.server.ports.http, Duration::from_secs(30));
    let mut body = Vec::new();
    for batch in &batches {
        trial.bodies.fill(*batch, &mut body);
        let status = connection.post("/v1/logs", "application/x-protobuf", &body);
        trial.promise(status.as_ref().is_ok_and(|s| *s == 200), || format!("a repeated batch: {status:?}"));
    }
    trial.note(format!("{} batches sent again", batches.len()));
    trial.finish(&ledger, Instant::now())
}

/// The connection breaks before the reply: clients send again what is stored already.
pub fn lost_acknowledgements(context: &Context) -> Outcome {
    let mut trial = Trial::local(context, "unheard", Setup::default());
    let proxy = Proxy::start(trial.server.ports.http, context.seed);
    proxy.set(Weather { lose_reply: 0.3, reset: 0.15, ..Weather::default() });
    let load = Load::start(proxy.port, &trial.bodies, Rate::new(4, 100.0));
    sleep(Duration::from_secs(context.pick(6, 60)));
    proxy.clear();
    let since = Instant::now();
    let ledger = load.stop();
    trial.note(format!("clients: {:?}", proxy.take_counts()));
    trial.finish(&ledger, since)
}
