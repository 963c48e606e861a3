//! Stops a pipeline whose records fail too often (`on_error: {fail_above: 1%/5m}`).

use std::collections::VecDeque;

use millstream_engine::time::Millis;
use millstream_pipeline::topology::FailAbove;

/// Records and failures over a sliding span of time, in sixty steps.
#[derive(Debug)]
pub(super) struct FailureRate {
    limit: FailAbove,
    steps: VecDeque<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    begins: i64,
    records: u64,
    failures: u64,
}

/// Fewer records than this say nothing about a rate.
const FEWEST_RECORDS: u64 = 100;

impl FailureRate {
    pub(super) fn new(limit: FailAbove) -> FailureRate {
        FailureRate { limit, steps: VecDeque::new() }
    }

    /// Counts what was read at `now` and says whether the rate is above the limit.
    pub(super) fn is_exceeded_by(&mut self, records: u64, failures: u64, now: Millis) -> bool {
        let width = (self.limit.span.0 / 60).max(1);
        let begins = now.0 - now.0.rem_euclid(width);
        match self.steps.back_mut().filter(|step| step.begins == begins) {
            Some(step) => {
                step.records += records;
                step.failures += failures;
            }
            None => self.steps.push_back(Step { begins, records, failures }),
        }
        while self.steps.front().is_some_and(|step| step.begins <= now.0 - self.limit.span.0) {
            self.steps.pop_front();
        }
        let records: u64 = self.steps.iter().map(|step| step.records).sum();
        let failures: u64 = self.steps.iter().map(|step| step.failures).sum();
        records >= FEWEST_RECORDS && failures as f64 > self.limit.fraction * records as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> FailureRate {
        FailureRate::new(FailAbove { fraction: 0.01, span: Millis(60_000) })
    }

    #[test]
    fn one_in_a_hundred_is_not_above_one_percent() {
        assert!(!rate().is_exceeded_by(1000, 10, Millis(0)));
        assert!(rate().is_exceeded_by(1000, 11, Millis(0)));
    }

    #[test]
    fn few_records_say_nothing() {
        assert!(!rate().is_exceeded_by(99, 99, Millis(0)));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut rate = rate();
        assert!(rate.is_exceeded_by(100, 50, Millis(0)));
        assert!(!rate.is_exceeded_by(1000, 0, Millis(60_000)));
    }
}
