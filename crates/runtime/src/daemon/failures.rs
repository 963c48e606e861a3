//! Failures of a worker thread in a row: how long it waits behind each, when it gives up, and what makes them forgotten.

use std::time::{Duration, Instant};

/// Retries of what may pass wait from this long
const RETRY_MIN: Duration = Duration::from_millis(50);
/// to this long.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// After so many failures in a row, the thread gives up, and the pipeline is built anew.
const RETRIES: u32 = 12;
/// A worker that has nothing to do is taken for healthy after so long.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// Failures behind which nothing has shown yet that the worker can do its work.
#[derive(Debug)]
pub(super) struct Failures {
    in_a_row: u32,
    last: Instant,
    /// Whether anything was read behind the last.
    has_read: bool,
}

impl Failures {
    pub(super) fn none(now: Instant) -> Failures {
        Failures { in_a_row: 0, last: now, has_read: false }
    }

    pub(super) fn are_any(&self) -> bool {
        self.in_a_row > 0
    }

    /// Another one: how long to wait before the next attempt; `None` if there were too many.
    pub(super) fn another(&mut self, now: Instant) -> Option<Duration> {
        let wait = (RETRY_MIN * 2u32.saturating_pow(self.in_a_row)).min(RETRY_MAX);
        self.in_a_row += 1;
        self.last = now;
        self.has_read = false;
        (self.in_a_row <= RETRIES).then_some(wait)
    }

    /// Input has come.
    pub(super) fn read(&mut self) {
        self.has_read = true;
    }

    /// An epoch was committed. One without input shows nothing: behind a failure tasks say where they stand, and only then the
    /// input comes again that has made the epoch fail.
    pub(super) fn committed(&mut self) {
        if self.has_read {
            self.in_a_row = 0;
        }
    }

    /// All input has been read, and nothing of it is to be committed. Epochs of time alone may still fail, and come a while
    /// later.
    pub(super) fn at_rest(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) >= HEALTHY_AFTER {
            self.in_a_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails until it is too often, with `between` behind each failure: the waits.
    fn waits(between: impl Fn(&mut Failures, Instant)) -> Vec<u64> {
        let mut now = Instant::now();
        let mut failures = Failures::none(now);
        let mut waits = Vec::new();
        while let Some(wait) = failures.another(now).filter(|_| waits.len() < 30) {
            waits.push(wait.as_millis() as u64);
            now += wait;
            between(&mut failures, now);
        }
        waits
    }

    #[test]
    fn they_are_answered_later_and_later_and_then_not_any_more() {
        let expected = [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 5000];
        assert_eq!(waits(|_, _| {}), expected);
    }

    #[test]
    fn epochs_without_input_do_not_hide_one_that_fails_again_and_again() {
        let between = |failures: &mut Failures, _: Instant| {
            failures.committed();
            failures.read();
        };
        assert_eq!(waits(between).len(), RETRIES as usize);
    }

    #[test]
    fn a_moment_at_the_end_does_not_hide_them_either() {
        assert_eq!(waits(|failures, now| failures.at_rest(now)).len(), RETRIES as usize);
    }

    #[test]
    fn what_was_read_and_committed_makes_them_forgotten() {
        let between = |failures: &mut Failures, _: Instant| {
            failures.read();
            failures.committed();
        };
        assert_eq!(waits(between), [50; 30]);
    }

    #[test]
    fn a_quiet_pipeline_forgets_them() {
        let between = |failures: &mut Failures, now: Instant| failures.at_rest(now + HEALTHY_AFTER);
        assert_eq!(waits(between), [50; 30]);
    }
}
