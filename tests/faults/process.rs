//! The process is killed, stopped, paused, started twice, starved of descriptors, or told a wrong time.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::corpus::Random;
use crate::harness::{Setup, binary, wait_for};
use crate::load::{Load, Rate};
use crate::needs;
use crate::trial::{Context, Outcome, Trial};

fn rate() -> Rate {
    Rate::new(4, 100.0)
}

/// kill -9 at random instants under load.
pub fn kill(context: &Context) -> Outcome {
    let (lives, mut random) = (context.pick(20, 1000), Random(context.seed));
    let mut trial = Trial::local(context, "kill", Setup::default());
    let load = trial.load(rate());
    for life in 0..lives {
        sleep(Duration::from_millis(20 + random.below(500)));
        trial.server.kill();
        if life % (lives / 4) == lives / 4 - 1 {
            trial.gone(&load.ledger);
        }
        let took = trial.server.start();
        trial.restarted(took);
    }
    let since = Instant::now();
    trial.note(format!("{lives} kills"));
    trial.finish(&load.stop(), since)
}

/// SIGTERM under load: no request is cut, the exit is clean.
pub fn terminate(context: &Context) -> Outcome {
    let (rounds, mut random) = (context.pick(3, 100), Random(context.seed));
    let mut trial = Trial::local(context, "term", Setup::default());
    let load = trial.load(rate());
    for _ in 0..rounds {
        sleep(Duration::from_millis(500 + random.below(1000)));
        trial.terminate();
        let took = trial.server.start();
        trial.restarted(took);
    }
    let since = Instant::now();
    trial.note(format!("{rounds} stops"));
    trial.finish(&load.stop(), since)
}

/// SIGTERM under load, and SIGKILL while it drains.
pub fn terminate_then_kill(context: &Context) -> Outcome {
    let (rounds, mut random) = (context.pick(3, 100), Random(context.seed));
    let mut trial = Trial::local(context, "termkill", Setup::default());
    let load = trial.load(rate());
    for _ in 0..rounds {
        sleep(Duration::from_millis(300 + random.below(700)));
        trial.server.signal("-TERM");
        sleep(Duration::from_secs(1));
        trial.server.kill();
        let took = trial.server.start();
        trial.restarted(took);
    }
    let since = Instant::now();
    trial.note(format!("{rounds} stops"));
    trial.finish(&load.stop(), since)
}

/// SIGSTOP for a while: clients time out and retry; nothing is stored twice.
pub fn pause(context: &Context) -> Outcome {
    let seconds = context.pick(5, 60);
    let trial = Trial::on_s3(context, "pause", Setup::default());
    let load = trial.load(Rate { timeout: Duration::from_secs(2), ..rate() });
    sleep(Duration::from_secs(1));
    trial.server.signal("-STOP");
    sleep(Duration::from_secs(seconds));
    trial.server.signal("-CONT");
    let since = Instant::now();
    sleep(Duration::from_secs(1));
    trial.finish(&load.stop(), since)
}

/// A second process on the same data directory is turned away; the first does not notice.
pub fn second_process(context: &Context) -> Outcome {
    let mut trial = Trial::local(context, "second", Setup::default());
    let load = trial.load(rate());
    for _ in 0..3 {
        let mut command = Command::new(binary());
        command.arg("serve").arg("--data-dir").arg(trial.server.data_dir());
        for key in [
            "receivers.otlp.protocols.grpc.endpoint",
            "receivers.otlp.protocols.http.endpoint",
            "extensions.health_check.endpoint",
            "service.telemetry.metrics.address",
            "extensions.sql.endpoint",
        ] {
            command.args(["--set", &format!("{key}=127.0.0.1:0")]);
        }
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        trial.promise(!output.status.success() && error.contains("in use"), || format!("a second process: {error}"));
    }
    let since = Instant::now();
    let ledger = load.stop();
    trial.promise(ledger.refused().is_empty() && ledger.broken() == 0, || "the first process was disturbed".into());
    trial.finish(&ledger, since)
}

/// 256 file descriptors, and more connections than that.
pub fn descriptors(context: &Context) -> Outcome {
    let wrapper = ["prlimit", "--nofile=256"].map(str::to_owned).to_vec();
    let mut trial = Trial::local(context, "fds", Setup { wrapper, ..Setup::default() });
    let load = trial.load(rate());
    sleep(Duration::from_secs(1));
    let connect = |_| std::net::TcpStream::connect(("127.0.0.1", trial.server.ports.http));
    let crowd: Vec<_> = (0..400).map(connect).collect();
    let before = load.ledger.count();
    sleep(Duration::from_secs(5));
    let served = load.ledger.count() - before;
    trial.note(format!("{served} batches acknowledged beside 400 idle connections"));
    trial.promise(served > 0, || "no batch was acknowledged while descriptors were short".into());
    drop(crowd);
    let since = Instant::now();
    accepts_again(&load);
    trial.finish(&load.stop(), since)
}

/// New batches are acknowledged.
pub fn accepts_again(load: &Load) {
    let before = load.ledger.count();
    wait_for("batches to be acknowledged", Duration::from_secs(10), || {
        (load.ledger.count() > before + 10).then_some(())
    });
}

/// The clock jumps an hour ahead, back, and an hour behind, under load.
pub fn clock(context: &Context) -> Outcome {
    let library = needs::faketime().expect("libfaketime: it was looked for");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offset");
    fs::write(&file, "+0").unwrap();
    let env = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let env = env.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec();
    let mut trial = Trial::local(context, "clock", Setup { env, ..Setup::default() });
    let load = trial.load(rate());
    for offset in ["+3600", "+0", "-3600", "+0", "+86400", "-86400"] {
        sleep(Duration::from_secs(2));
        fs::write(&file, offset).unwrap();
    }
    sleep(Duration::from_secs(2));
    let ledger = load.stop();
    let took = trial.server.crash();
    trial.restarted(took);
    fs::write(&file, "+0").unwrap();
    let since = Instant::now();
    trial.promise(ledger.refused().is_empty(), || "requests were refused".into());
    let hours = "SELECT date_diff('hour', min(received_at), max(received_at)) AS n FROM facts";
    let jumped = trial.lake.when("SELECT count(*) > 0 FROM facts", &[hours])[0][0]["n"].as_i64();
    assert!(jumped >= Some(24), "the server's clock did not jump: {jumped:?} hours");
    trial.finish(&ledger, since)
}
