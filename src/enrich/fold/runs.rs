//! The client's counter (`event.sequence`) cut into runs: a process starts it at 0, a resume starts it again.

use std::collections::BTreeSet;

use super::item::Item;
use crate::model::Source;

/// A number that far below the highest so far is a restart even if it was not seen before.
const RESTART_DROP: i64 = 32;

/// One process' share of a session.
pub struct Run {
    pub start: i64,
    pub end: i64,
    pub numbers: BTreeSet<i64>,
}

impl Run {
    /// The holes between the observed numbers, as inclusive ranges.
    pub fn holes(&self) -> Vec<(i64, i64)> {
        let pairs = self.numbers.iter().zip(self.numbers.iter().skip(1));
        pairs.filter(|(a, b)| **b > **a + 1).map(|(a, b)| (a + 1, b - 1)).collect()
    }
}

/// The runs that the logs show, in order of time.
pub fn runs(items: &[Item<'_>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for item in items.iter().filter(|i| i.fact.source == Source::OtlpLog) {
        let Some(number) = item.fact.sequence else { continue };
        let time = item.time();
        match runs.last_mut() {
            Some(run) if !restarts(run, number) => {
                run.numbers.insert(number);
                run.end = run.end.max(time);
            }
            _ => runs.push(Run { start: time, end: time, numbers: BTreeSet::from([number]) }),
        }
    }
    runs
}

fn restarts(run: &Run, number: i64) -> bool {
    let highest = run.numbers.last().copied().unwrap_or(number);
    run.numbers.contains(&number) || highest.saturating_sub(number) > RESTART_DROP || (number == 0 && highest > 0)
}
