//! Stops a pipeline whose records fail too often (`on_error: {fail_above: 1%/5m}`).

use std::collections::VecDeque;

use millstream_engine::time::Millis;
use millstream_pipeline::topology::FailAbove;

/// Records and failures over a sliding span of time, in sixty steps.
#[derive(Debug)]
pub(super) struct FailureRate {
    limit: FailAbove,
    steps: VecDeque<Step>,
    /// Since it was last asked.
    records: u64,
    failures: u64,
    /// Which record failed last, and why.
    last: String,
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
        FailureRate { limit, steps: VecDeque::new(), records: 0, failures: 0, last: String::new() }
    }

    /// So many records were read.
    pub(super) fn read(&mut self, records: u64) {
        self.records += records;
    }

    /// One failed: which, and why.
    pub(super) fn failed(&mut self, which: String) {
        self.failures += 1;
        self.last = which;
    }

    /// Which record failed last, and why.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    /// Whether the rate up to `now` is above the limit.
    pub(super) fn is_exceeded(&mut self, now: Millis) -> bool {
        if (self.records, self.failures) == (0, 0) {
            return false;
        }
        let (records, failures) = (std::mem::take(&mut self.records), std::mem::take(&mut self.failures));
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

    fn is_exceeded_by(rate: &mut FailureRate, records: u64, failures: u64, now: Millis) -> bool {
        rate.read(records);
        (0..failures).for_each(|failure| rate.failed(format!("number {failure}")));
        rate.is_exceeded(now)
    }

    #[test]
    fn one_in_a_hundred_is_not_above_one_percent() {
        assert!(!is_exceeded_by(&mut rate(), 1000, 10, Millis(0)));
        let mut rate = rate();
        assert!(is_exceeded_by(&mut rate, 1000, 11, Millis(0)));
        assert_eq!(rate.last(), "number 10");
    }

    #[test]
    fn few_records_say_nothing() {
        assert!(!is_exceeded_by(&mut rate(), 99, 99, Millis(0)));
    }

    #[test]
    fn old_failures_are_forgotten() {
        let mut rate = rate();
        assert!(is_exceeded_by(&mut rate, 100, 50, Millis(0)));
        assert!(!is_exceeded_by(&mut rate, 1000, 0, Millis(60_000)));
    }

    #[test]
    fn failures_may_come_later_than_their_records() {
        let mut rate = rate();
        assert!(!is_exceeded_by(&mut rate, 1000, 0, Millis(0)));
        assert!(is_exceeded_by(&mut rate, 0, 11, Millis(1_000)));
        assert!(!rate.is_exceeded(Millis(2_000)), "it has been told");
    }
}
