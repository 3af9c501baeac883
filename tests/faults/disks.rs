//! The journal's disk is full, or fails.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Setup, wait_for};
use crate::http;
use crate::load::{Load, Rate};
use crate::process::accepts_again;
use crate::trial::{Context, Outcome, Trial};

/// A small file system of its own, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> SmallDisk {
        let dir = tempfile::Builder::new().prefix("sessionlake-disk-").tempdir().unwrap();
        let options = format!("size={size},mode=0700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "tmpfs cannot be mounted");
        SmallDisk(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills what is left; the file that does.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        for block in [1 << 20, 1 << 12] {
            let zeros = vec![0; block];
            while file.write_all(&zeros).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// The disk fills up and is freed: retryable refusals, and recovery without a restart.
pub fn full(context: &Context) -> Outcome {
    let disk = SmallDisk::mount("256m");
    let data_dir = Some(disk.path().join("data"));
    let mut trial = Trial::on_s3(context, "full", Setup { data_dir, ..Setup::default() });
    let load = trial.load(Rate::new(4, 100.0));
    sleep(Duration::from_secs(1));
    for _ in 0..context.pick(2, 20) {
        let ballast = disk.fill();
        sleep(Duration::from_secs(4));
        fs::remove_file(ballast).unwrap();
        accepts_again(&load);
    }
    let since = Instant::now();
    ready_again(&mut trial);
    trial.finish(&load.stop(), since)
}

/// `/ready` says ok again, without a restart.
fn ready_again(trial: &mut Trial<'_>) {
    let port = trial.server.ports.health;
    let ok = || http::get(port, "/ready").ok().filter(|reply| reply.status == 200);
    let reply = wait_for("/ready", Duration::from_secs(10), ok);
    let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    trial.note(format!("ready: {}", status["status"]));
}

/// `/ready` says 503, and that it is the journal.
fn ready_no_more(trial: &Trial<'_>) {
    let port = trial.server.ports.health;
    let refused = || http::get(port, "/ready").ok().filter(|reply| reply.status == 503);
    let reply = wait_for("/ready to say no", Duration::from_secs(10), refused);
    let status: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(status["checks"]["journal"], "failed", "{status}");
}

/// Runs the server with system calls that fail, from the `when`th of each thread on (`strace -e inject`).
fn failing(call: &str, error: &str, when: &str) -> Setup {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:error={error}:when={when}"));
    let wrapper = ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    Setup { wrapper: wrapper.map(str::to_owned).to_vec(), ..Setup::default() }
}

fn failing_syncs(when: &str) -> Setup {
    failing("fdatasync", "EIO", when)
}

/// One fdatasync fails: what waited for it is refused and retried, the rest goes on.
pub fn sync_fails_once(context: &Context) -> Outcome {
    let mut trial = Trial::on_s3(context, "eio", failing_syncs("20"));
    let load = trial.load(Rate::new(4, 50.0));
    sleep(Duration::from_secs(3));
    accepts_again(&load);
    let since = Instant::now();
    let ledger = load.stop();
    trial.promise(ledger.refused().contains_key(&503), || "no request was refused: the fault did not happen".into());
    trial.finish(&ledger, since)
}

fn refused(load: &Load) {
    wait_for("a refusal", Duration::from_secs(10), || load.ledger.refused().contains_key(&503).then_some(()));
}

/// Syncs fail, and succeed again after some: requests are refused, `/ready` says so, and both heal without a restart.
pub fn sync_fails_for_a_while(context: &Context) -> Outcome {
    heals(context, "eiowhile", failing_syncs("20..60"))
}

/// Every write is refused as on a file system that the kernel made read-only, and then not any more.
pub fn read_only(context: &Context) -> Outcome {
    heals(context, "readonly", failing("pwrite64", "EROFS", "40..100"))
}

fn heals(context: &Context, run: &str, setup: Setup) -> Outcome {
    let mut trial = Trial::on_s3(context, run, setup);
    let load = trial.load(Rate::new(4, 50.0));
    refused(&load);
    ready_no_more(&trial);
    let since = Instant::now();
    ready_again(&mut trial);
    accepts_again(&load);
    trial.note(format!("healed within {:.1} s", since.elapsed().as_secs_f64()));
    let ledger = load.stop();
    trial.finish(&ledger, since)
}

/// Every fdatasync fails from some moment on: nothing is acknowledged, nothing crashes; a restart on a good disk goes on.
pub fn sync_fails_for_ever(context: &Context) -> Outcome {
    let mut trial = Trial::on_s3(context, "eios", failing_syncs("20+"));
    let load = trial.load(Rate::new(4, 50.0));
    refused(&load);
    ready_no_more(&trial);
    let before = load.ledger.count();
    sleep(Duration::from_secs(2));
    let after = load.ledger.count();
    trial.promise(before == after, || format!("{} batches were acknowledged without a sync", after - before));
    let alive = trial.server.exited().is_none();
    trial.promise(alive, || "the process ended".into());
    trial.server.kill();
    trial.server.unwrap_setup();
    let took = trial.server.start();
    trial.restarted(took);
    let since = Instant::now();
    accepts_again(&load);
    trial.finish(&load.stop(), since)
}
