//! The server's resident size over time.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// A field of `/proc/PID/status`, MiB.
fn status_mib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// The largest resident size that the process ever had.
pub fn peak_mib(pid: u32) -> u64 {
    status_mib(pid, "VmHWM:").unwrap_or_default()
}

/// Reads it once a second.
pub struct Rss {
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<Vec<(f64, u64)>>,
}

/// The curve: MiB, and its slope in the second half.
pub struct Curve {
    pub min: u64,
    pub median: u64,
    pub max: u64,
    pub mib_per_minute: f64,
}

impl Rss {
    pub fn watch(pid: u32) -> Rss {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, started) = (stop.clone(), Instant::now());
        let watcher = thread::spawn(move || {
            let mut points = Vec::new();
            while !stopped.load(Relaxed) {
                points.extend(status_mib(pid, "VmRSS:").map(|mib| (started.elapsed().as_secs_f64(), mib)));
                sleep(Duration::from_secs(1));
            }
            points
        });
        Rss { stop, watcher }
    }

    pub fn stop(self) -> Curve {
        self.stop.store(true, Relaxed);
        let points = self.watcher.join().unwrap();
        let mut sizes: Vec<u64> = points.iter().map(|(_, mib)| *mib).collect();
        sizes.sort_unstable();
        let at = |share: usize| sizes.get((sizes.len() * share / 100).min(sizes.len().saturating_sub(1))).copied();
        let [min, median, max] = [0, 50, 100].map(|share| at(share).unwrap_or_default());
        Curve { min, median, max, mib_per_minute: slope(&points[points.len() / 2..]) * 60.0 }
    }
}

/// Least squares.
fn slope(points: &[(f64, u64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, u64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1 as f64));
    let covariance: f64 = points.iter().map(|p| (p.0 - x) * (p.1 as f64 - y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

impl std::fmt::Display for Curve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Curve { min, median, max, mib_per_minute } = self;
        write!(f, "RSS min {min} median {median} max {max} MiB, slope {mib_per_minute:+.1} MiB/min in the second half")
    }
}
