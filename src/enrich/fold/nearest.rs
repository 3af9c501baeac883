//! Prompts by trace, found by time: a client that was given a trace uses it for all prompts of a session.

use std::collections::HashMap;

/// For each trace, which prompts were spoken of when.
#[derive(Default)]
pub struct Nearest {
    by_trace: HashMap<String, Vec<(i64, String)>>,
}

impl Nearest {
    pub fn learn(&mut self, trace: &str, time: i64, prompt: &str) {
        self.by_trace.entry(trace.to_owned()).or_default().push((time, prompt.to_owned()));
    }

    /// Makes ready for searching.
    pub fn sorted(mut self) -> Nearest {
        for prompts in self.by_trace.values_mut() {
            prompts.sort_unstable();
            prompts.dedup();
        }
        self
    }

    /// The trace's prompt nearest in time; of two as near, the smaller, so that the choice is no accident.
    pub fn find(&self, trace: &str, time: i64) -> Option<&String> {
        let prompts = self.by_trace.get(trace)?;
        let after = prompts.partition_point(|(at, _)| *at < time);
        let before = after.checked_sub(1).map(|last| prompts.partition_point(|(at, _)| *at < prompts[last].0));
        let around = [before, (after < prompts.len()).then_some(after)];
        let around = around.into_iter().flatten().map(|i| &prompts[i]);
        around.min_by_key(|(at, prompt)| (at.abs_diff(time), prompt)).map(|(_, prompt)| prompt)
    }
}

#[cfg(test)]
mod tests {
    use super::Nearest;

    #[test]
    fn the_nearest_in_time_is_found_and_ties_go_to_the_smaller() {
        let mut nearest = Nearest::default();
        for (time, prompt) in [(10, "b"), (10, "a"), (20, "c"), (i64::MIN, "x"), (i64::MAX, "z")] {
            nearest.learn("t", time, prompt);
        }
        let nearest = nearest.sorted();
        let found = |time| nearest.find("t", time).map(String::as_str);
        assert_eq!((found(12), found(15), found(16), found(20)), (Some("a"), Some("a"), Some("c"), Some("c")));
        assert_eq!((found(i64::MIN), found(i64::MAX)), (Some("x"), Some("z")));
        assert_eq!(nearest.find("other", 10), None);
    }
}
