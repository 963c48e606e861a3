//! When a producer is told to send what lingers; it knows no producer, only how many records were given and how many answered.
//!
//! Whoever is told waits for it a moment, and for that moment lingering is over. If a batch of a partition is on its way then,
//! the next may not be sent, and the library's thread does nothing but look again (librdkafka 2.12,
//! `rd_kafka_toppar_producer_serve`): a slow broker would cost a core. So it is told again when an answer came, and otherwise
//! more and more seldom.

use std::time::{Duration, Instant};

/// Between two pushes where no answer came,
const LEAST_GAP: Duration = Duration::from_millis(2);
/// doubled up to this.
const MOST_GAP: Duration = Duration::from_millis(16);
/// While there is no time to wait for answers: so often.
const BUSY_GAP: Duration = Duration::from_millis(25);

/// What was given, answered and pushed.
#[derive(Debug)]
pub(super) struct Pushes {
    given: u64,
    /// When the last push ended.
    last: Option<Instant>,
    given_then: u64,
    answered_then: u64,
    gap: Duration,
}

impl Pushes {
    pub(super) fn none() -> Pushes {
        Pushes { given: 0, last: None, given_then: 0, answered_then: 0, gap: LEAST_GAP }
    }

    /// One more record was given to the producer.
    pub(super) fn give(&mut self) {
        self.given += 1;
    }

    /// Whether to push, with so many records that are not answered.
    pub(super) fn is_due(&self, queued: u64, now: Instant) -> bool {
        queued > 0 && (self.answered(queued) > self.answered_then || self.until_next(now).is_zero())
    }

    /// The same of one who has more to do than to push.
    pub(super) fn is_overdue(&self, queued: u64, now: Instant) -> bool {
        queued > 0 && self.last.is_none_or(|last| now.saturating_duration_since(last) >= BUSY_GAP)
    }

    /// How long until a push is due though no answer comes. Where the last left nothing on its way, the next costs nothing.
    pub(super) fn until_next(&self, now: Instant) -> Duration {
        let Some(last) = self.last.filter(|_| self.answered_then < self.given_then) else { return Duration::ZERO };
        let gap = if self.given > self.given_then { LEAST_GAP } else { self.gap };
        gap.saturating_sub(now.saturating_duration_since(last))
    }

    /// A push has ended, with so many records that are not answered yet.
    pub(super) fn pushed(&mut self, queued: u64, now: Instant) {
        let answered = self.answered(queued);
        let has_moved = self.given > self.given_then || answered > self.answered_then;
        self.gap = if has_moved { LEAST_GAP } else { (self.gap * 2).min(MOST_GAP) };
        (self.last, self.given_then, self.answered_then) = (Some(now), self.given, answered);
    }

    fn answered(&self, queued: u64) -> u64 {
        self.given.saturating_sub(queued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn after(records: u64) -> Pushes {
        let mut pushes = Pushes::none();
        (0..records).for_each(|_| pushes.give());
        pushes
    }

    #[test]
    fn the_first_is_due_at_once_and_none_where_nothing_waits() {
        let now = Instant::now();
        assert!(after(3).is_due(3, now));
        assert!(after(3).is_overdue(3, now));
        assert!(!after(3).is_due(0, now));
        assert!(!after(3).is_overdue(0, now));
    }

    #[test]
    fn without_an_answer_pushes_become_rare() {
        let mut now = Instant::now();
        let mut pushes = after(10);
        let mut gaps = Vec::new();
        for _ in 0..6 {
            assert!(pushes.is_due(10, now));
            pushes.pushed(10, now);
            assert!(!pushes.is_due(10, now));
            gaps.push(pushes.until_next(now).as_millis());
            now += pushes.until_next(now);
        }
        assert_eq!(gaps, [2, 4, 8, 16, 16, 16]);
    }

    #[test]
    fn an_answer_makes_the_next_due_at_once() {
        let now = Instant::now();
        let mut pushes = after(10);
        (0..5).for_each(|_| pushes.pushed(10, now));
        assert!(!pushes.is_due(10, now));
        assert!(pushes.is_due(9, now));
        pushes.pushed(9, now);
        assert!(!pushes.is_due(9, now));
        assert_eq!(pushes.until_next(now), ms(2));
    }

    #[test]
    fn where_nothing_is_on_its_way_the_next_is_due_at_once() {
        let now = Instant::now();
        let mut pushes = after(10);
        pushes.pushed(0, now);
        assert!(!pushes.is_due(0, now));
        pushes.give();
        assert!(pushes.is_due(1, now));
        assert!(!pushes.is_overdue(1, now), "who is busy goes on");
    }

    #[test]
    fn what_is_given_meanwhile_waits_no_longer_than_the_least_gap() {
        let now = Instant::now();
        let mut pushes = after(10);
        (0..5).for_each(|_| pushes.pushed(10, now));
        pushes.give();
        assert!(!pushes.is_due(11, now + ms(1)));
        assert!(pushes.is_due(11, now + ms(2)));
        assert!(!pushes.is_overdue(11, now + ms(24)));
        assert!(pushes.is_overdue(11, now + ms(25)));
    }
}
