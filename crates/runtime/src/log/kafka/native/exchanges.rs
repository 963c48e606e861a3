//! How brokers answer the requests of a client: what callbacks write down of it, until somebody asks.
//!
//! The library's own statistics would tell as much, at the price of a lock for each record that is produced, of a question to a
//! broker for each partition that is fetched, and of a text to be read; what is here costs something for some requests only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many round trips are kept until somebody asks.
const KEPT: usize = 4096;

/// What is known of a client's requests.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    throttled_ms: AtomicU64,
    round_trips: Mutex<Vec<Duration>>,
}

/// How brokers have answered a client since that was asked last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerTimes {
    /// For how long they have said that they hold its requests back, request by request.
    pub throttled: Duration,
    /// How long each request that brought records was under way.
    pub round_trips: Vec<Duration>,
}

impl Exchanges {
    /// A broker holds requests back for so many milliseconds.
    pub(super) fn throttled(&self, ms: u64) {
        self.throttled_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// A request with records was answered after so many microseconds; negative where the library does not know.
    pub(super) fn answered(&self, micros: i64) {
        let Ok(micros) = u64::try_from(micros) else { return };
        let mut round_trips = self.round_trips.lock().unwrap_or_else(PoisonError::into_inner);
        if round_trips.len() < KEPT {
            round_trips.push(Duration::from_micros(micros));
        }
    }

    pub(super) fn take(&self) -> BrokerTimes {
        let throttled = Duration::from_millis(self.throttled_ms.swap(0, Ordering::Relaxed));
        let round_trips = std::mem::take(&mut *self.round_trips.lock().unwrap_or_else(PoisonError::into_inner));
        BrokerTimes { throttled, round_trips }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_taken_once() {
        let exchanges = Exchanges::default();
        [70, -1, 80].into_iter().for_each(|micros| exchanges.answered(micros));
        exchanges.throttled(30);
        exchanges.throttled(12);
        let times = exchanges.take();
        assert_eq!(times.round_trips, [70, 80].map(Duration::from_micros));
        assert_eq!(times.throttled, Duration::from_millis(42));
        assert_eq!(exchanges.take(), BrokerTimes::default());
    }

    #[test]
    fn a_client_that_nobody_asks_does_not_grow() {
        let exchanges = Exchanges::default();
        (0..2 * KEPT).for_each(|_| exchanges.answered(1));
        assert_eq!(exchanges.take().round_trips.len(), KEPT);
    }
}
