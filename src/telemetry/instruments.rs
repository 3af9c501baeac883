//! Counters, gauges and histograms: atomics, so that the hot path never waits for a scrape.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Is what it was last set to.
#[derive(Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A text that names what is in force: a label with the value 1.
#[derive(Default)]
pub struct Info(Mutex<String>);

impl Info {
    pub fn set(&self, text: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text.to_owned();
    }

    pub fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Seconds, in fixed buckets.
pub struct Histogram {
    bounds: &'static [f64],
    /// One per bound, and one for what lies above the last.
    buckets: Vec<AtomicU64>,
    sum_micros: AtomicU64,
}

/// A histogram at one moment.
pub struct HistogramReading {
    /// Upper bound in seconds, and how many observations are at or below it.
    pub cumulative: Vec<(f64, u64)>,
    pub count: u64,
    pub sum_seconds: f64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, buckets, sum_micros: AtomicU64::new(0) }
    }

    /// Negative durations (a clock that was set back) count as zero.
    pub fn observe_micros(&self, micros: i64) {
        let micros = u64::try_from(micros).unwrap_or(0);
        let seconds = micros as f64 / 1e6;
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound).unwrap_or(self.bounds.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn read(&self) -> HistogramReading {
        let mut count = 0;
        let mut cumulative = Vec::with_capacity(self.bounds.len());
        for (bucket, bound) in self.buckets.iter().zip(self.bounds.iter().copied().chain([f64::INFINITY])) {
            count += bucket.load(Ordering::Relaxed);
            cumulative.push((bound, count));
        }
        cumulative.pop();
        HistogramReading { cumulative, count, sum_seconds: self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

/// A counter per name, where the names come from the operator's configuration and never from a payload.
#[derive(Default)]
pub struct CounterByName(Mutex<BTreeMap<String, u64>>);

impl CounterByName {
    /// Names beyond this many count as `other`: a runaway configuration must not grow a scrape without bound.
    const MAX_NAMES: usize = 1000;

    pub fn add(&self, name: &str, n: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(name) {
            *count += n;
        } else if counts.len() < Self::MAX_NAMES {
            counts.insert(name.to_owned(), n);
        } else {
            *counts.entry("other".to_owned()).or_default() += n;
        }
    }

    pub fn read(&self) -> Vec<(String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_observation_in_every_bucket_above_it() {
        let histogram = Histogram::new(&[1.0, 5.0]);
        for micros in [1_000_000, 1_000_001, 9_000_000, -3] {
            histogram.observe_micros(micros);
        }
        let reading = histogram.read();
        assert_eq!(reading.cumulative, [(1.0, 2), (5.0, 3)]);
        assert_eq!(reading.count, 4);
        assert!((reading.sum_seconds - 11.000001).abs() < 1e-9);
    }

    #[test]
    fn names_are_bounded() {
        let counter = CounterByName::default();
        for i in 0..2 * CounterByName::MAX_NAMES {
            counter.add(&format!("rule-{i:05}"), 1);
        }
        let counts = counter.read();
        assert_eq!(counts.len(), CounterByName::MAX_NAMES + 1);
        assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), 2 * CounterByName::MAX_NAMES as u64);
    }
}
