//! When an epoch is committed: early when traffic is light, at the interval when it is heavy.

use std::time::{Duration, Instant};

/// An epoch is not worth a commit before this much time has gone by since the last, while more input comes.
const LEAST: Duration = Duration::from_millis(10);
/// Behind a commit the brokers still write its markers, and a transaction that begins before they are written is told to come
/// again: the library then waits for 20 ms (its `rd_kafka_txn_handle_AddPartitionsToTxn`). Nothing is late by this wait, as it
/// is shorter than [`LEAST`].
const REST: Duration = Duration::from_millis(5);
/// While input comes, commits may take about one part in so many of the time.
const SHARE: u32 = 6;
/// While nothing is at hand, commits may take one part in so many of the time.
const IDLE_SHARE: u32 = 2;
/// A step that brought so many records has not caught up: it waits for the interval, as each commit costs.
pub(super) const BUSY_RECORDS: u64 = 1024;

/// What the last step found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Nothing is at hand.
    Idle,
    /// Some records came.
    Light,
    /// More records than one step takes are waiting.
    Busy,
}

/// What waits for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Results: nobody can read them before.
    Results,
    /// Only the offsets, as results can be read when they are written: there is no hurry.
    Offsets,
}

/// Decides when to commit, by how long commits have taken.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    waiting: Waiting,
    ended: Instant,
    /// How long commits take, smoothed.
    cost: Duration,
}

impl Pace {
    pub(super) fn new(interval: Duration, waiting: Waiting, now: Instant) -> Pace {
        Pace { interval, waiting, ended: now, cost: Duration::ZERO }
    }

    /// Whether an epoch that began at `began` is to be committed now.
    pub(super) fn is_due(&self, began: Instant, load: Load, now: Instant) -> bool {
        let age = now.saturating_duration_since(began);
        let since_commit = now.saturating_duration_since(self.ended);
        match (self.waiting, load) {
            (Waiting::Offsets, _) | (Waiting::Results, Load::Busy) => age >= self.interval,
            (Waiting::Results, Load::Light) => since_commit >= (self.cost * SHARE).max(LEAST).min(self.interval),
            (Waiting::Results, Load::Idle) => since_commit >= (self.cost * IDLE_SHARE).min(self.interval),
        }
    }

    /// How long input is still to be left alone, as the transaction behind it would begin too early.
    pub(super) fn rest(&self, load: Load, now: Instant) -> Duration {
        match (self.waiting, load) {
            (Waiting::Results, Load::Idle | Load::Light) => {
                REST.saturating_sub(now.saturating_duration_since(self.ended))
            }
            (Waiting::Offsets, _) | (_, Load::Busy) => Duration::ZERO,
        }
    }

    /// How long a wait for input may last with an epoch open since `began`.
    pub(super) fn longest_wait(&self, began: Option<Instant>, now: Instant, otherwise: Duration) -> Duration {
        let Some(began) = began else { return otherwise };
        let (since, until) = match self.waiting {
            Waiting::Results => (self.ended, (self.cost * IDLE_SHARE).min(self.interval)),
            Waiting::Offsets => (began, self.interval),
        };
        until.saturating_sub(now.saturating_duration_since(since)).min(otherwise)
    }

    /// A commit that took `took` has ended.
    pub(super) fn committed(&mut self, took: Duration, now: Instant) {
        self.cost = if self.cost.is_zero() { took } else { (self.cost * 7 + took) / 8 };
        self.ended = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_lone_record_is_committed_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, Waiting::Results, start);
        pace.committed(ms(10), start);
        let came = start + ms(500);
        assert!(pace.is_due(came, Load::Idle, came));
        assert_eq!(pace.longest_wait(Some(came), came, ms(5)), Duration::ZERO);
        assert_eq!(pace.longest_wait(None, came, ms(5)), ms(5));
    }

    #[test]
    fn a_trickle_does_not_commit_all_the_time() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, Waiting::Results, start);
        pace.committed(ms(10), start);
        assert!(!pace.is_due(start + ms(1), Load::Idle, start + ms(19)));
        assert!(pace.is_due(start + ms(1), Load::Idle, start + ms(20)));
        assert!(!pace.is_due(start + ms(1), Load::Light, start + ms(59)));
        assert!(pace.is_due(start + ms(1), Load::Light, start + ms(60)));
    }

    #[test]
    fn input_rests_behind_a_commit_unless_it_is_heavy_or_nothing_was_ended() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, Waiting::Results, start);
        pace.committed(ms(10), start + ms(500));
        let soon = start + ms(502);
        assert_eq!(pace.rest(Load::Idle, soon), ms(3));
        assert_eq!(pace.rest(Load::Light, soon), ms(3));
        assert_eq!(pace.rest(Load::Busy, soon), ms(0));
        assert_eq!(pace.rest(Load::Idle, start + ms(505)), ms(0));
        assert!(REST < LEAST, "a rest never makes a commit late");
        let mut offsets = Pace::new(INTERVAL, Waiting::Offsets, start);
        offsets.committed(ms(10), start + ms(500));
        assert_eq!(offsets.rest(Load::Idle, soon), ms(0));
    }

    #[test]
    fn heavy_traffic_waits_for_the_interval_and_no_longer() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, Waiting::Results, start);
        pace.committed(ms(500), start);
        assert!(!pace.is_due(start, Load::Busy, start + ms(99)));
        assert!(pace.is_due(start, Load::Busy, start + ms(100)));
        assert!(pace.is_due(start, Load::Light, start + ms(100)), "an interval is never exceeded");
    }

    #[test]
    fn offsets_alone_wait_for_the_interval() {
        let start = Instant::now();
        let pace = Pace::new(INTERVAL, Waiting::Offsets, start);
        let came = start + ms(500);
        for load in [Load::Idle, Load::Light, Load::Busy] {
            assert!(!pace.is_due(came, load, came + ms(99)), "{load:?}");
            assert!(pace.is_due(came, load, came + ms(100)), "{load:?}");
        }
        assert_eq!(pace.longest_wait(Some(came), came + ms(70), ms(50)), ms(30));
        assert_eq!(pace.longest_wait(Some(came), came, ms(50)), ms(50));
    }
}
