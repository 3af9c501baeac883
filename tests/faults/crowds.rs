//! Others ask for more than their share.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bodies::{Bodies, Plan};
use crate::harness::Setup;
use crate::load::{Load, Rate};
use crate::needs::MemoryGroup;
use crate::rss::{self, Rss};
use crate::trial::{Context, Outcome, Trial};

/// A good client's 99th percentile may not be above that, ms.
const GOOD: f64 = 250.0;

/// A client as most are: few connections, few requests.
fn good() -> Rate {
    Rate::new(2, 20.0)
}

fn check_good(trial: &mut Trial<'_>, load: &Load, alone: Option<f64>) {
    let [p50, p99, max] = load.ledger.latency();
    let alone = alone.map_or(String::new(), |p99| format!(" (alone {p99:.1})"));
    trial.note(format!("good client: p50 {p50:.1}, p99 {p99:.1}{alone}, max {max:.1} ms"));
    trial.promise(p99 <= GOOD, || format!("the good client's p99 is {p99:.0} ms"));
}

/// One connection sends a hundred times as much as another.
pub fn noisy_neighbour(context: &Context) -> Outcome {
    let mut trial = Trial::local(context, "quiet", Setup::default());
    let before = Arc::new(Bodies::new("before", trial.bodies.plan()));
    let alone = Load::start(trial.server.ports.http, &before, good());
    sleep(Duration::from_secs(context.pick(3, 30)));
    let [_, alone, _] = alone.stop().latency();
    let noise = Arc::new(Bodies::new("noise", Plan { records: 100, sessions: 20, batches: 50 }));
    let neighbour = Load::start(trial.server.ports.http, &noise, Rate::new(8, 400.0));
    let beside = trial.load(good());
    sleep(Duration::from_secs(context.pick(8, 120)));
    check_good(&mut trial, &beside, Some(alone));
    let (noisy, quiet) = (neighbour.stop(), beside.stop());
    let since = Instant::now();
    trial.note(format!("noise: {} records/s", noisy.count() as u64 * 100 / context.pick(8, 120)));
    trial.finish(&quiet, since)
}

/// Ten thousand connections that say nothing, and a thousand that say it slowly.
pub fn connections(context: &Context) -> Outcome {
    let wrapper = ["prlimit", "--nofile=20000"].map(str::to_owned).to_vec();
    let mut trial = Trial::local(context, "crowd", Setup { wrapper, ..Setup::default() });
    let port = trial.server.ports.http;
    let load = trial.load(good());
    let head = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n";
    let slow: Vec<TcpStream> =
        crowd(port, 1000).into_iter().filter_map(|mut s| s.write_all(head).map(|()| s).ok()).collect();
    let idle = crowd(port, 9000);
    let until = Instant::now() + Duration::from_secs(context.pick(8, 120));
    while Instant::now() < until {
        for mut stream in &slow {
            let _ = stream.write_all(b" ");
        }
        sleep(Duration::from_millis(500));
    }
    trial.note(format!("{} connections", slow.len() + idle.len()));
    check_good(&mut trial, &load, None);
    drop((slow, idle));
    let since = Instant::now();
    trial.finish(&load.stop(), since)
}

/// Connections, as many as are let in: a full backlog refuses more by silence.
fn crowd(port: u16, count: usize) -> Vec<TcpStream> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let (mut streams, mut refused) = (Vec::new(), 0);
    while streams.len() + 100 * refused < count {
        match TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            Ok(stream) => streams.push(stream),
            Err(_) => refused += 1,
        }
    }
    streams
}

/// 256 MiB, and four times what the process can do. The kernel holds the limit too: what exceeds it is killed.
pub fn memory(context: &Context) -> Outcome {
    let group = MemoryGroup::make("server", "256M").expect("a memory control group: it was tried");
    let mut setup = Setup { wrapper: group.wrapper(), ..Setup::default() };
    setup.settings.push("memory_limit_mib=256".into());
    let plan = Plan { records: 1000, sessions: 50, batches: 20 };
    let mut trial = Trial::planned(context, "memory", setup, plan);
    let pid = trial.server.pid();
    let (watch, load) = (Rss::watch(pid), trial.load(Rate { batches: None, ..Rate::new(64, 0.0) }));
    sleep(Duration::from_secs(context.pick(15, 120)));
    let since = Instant::now();
    let ledger = load.stop();
    let exited = trial.server.exited();
    assert!(exited.is_none(), "the server is gone: {exited:?}");
    let peak = rss::peak_mib(pid);
    trial.note(format!("{} records acknowledged, peak RSS {peak} MiB, {}", ledger.count() * 1000, watch.stop()));
    let retryable = ledger.refused().keys().all(|status| [429, 503].contains(status));
    trial.promise(retryable, || format!("refusals that clients do not repeat: {:?}", ledger.refused()));
    trial.promise(peak <= 256, || format!("the resident size reached {peak} MiB"));
    trial.finish(&ledger, since)
}
