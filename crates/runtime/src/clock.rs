//! The two clocks: one that people and records go by, and one that never jumps, by which spans are measured.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use millstream_engine::time::Millis;

/// The time on the wall, in milliseconds since 1970: for people, and to be held against the times of records. It jumps when
/// somebody sets it, a time server say.
pub fn wall() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64))
}

/// The time by which the worker and the engine measure spans (silence, epochs, `emit: {every: ..}`), in milliseconds: the time on
/// the wall when it was first asked for, and what has gone by since, however the wall clock is set meanwhile.
pub fn steady() -> Millis {
    static STEADY: LazyLock<Steady> = LazyLock::new(|| Steady { from: wall(), since: Instant::now() });
    STEADY.at(Instant::now())
}

/// A clock that was set once and goes by itself since.
struct Steady {
    from: Millis,
    since: Instant,
}

impl Steady {
    fn at(&self, now: Instant) -> Millis {
        let gone_by: Duration = now.saturating_duration_since(self.since);
        Millis(self.from.0 + gone_by.as_millis() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_clock_goes_on_by_what_has_gone_by() {
        let since = Instant::now();
        let clock = Steady { from: Millis(1_767_225_600_000), since };
        assert_eq!(clock.at(since), Millis(1_767_225_600_000));
        assert_eq!(clock.at(since + Duration::from_millis(1_500)), Millis(1_767_225_601_500));
        assert_eq!(clock.at(since - Duration::from_millis(1)), Millis(1_767_225_600_000));
    }

    #[test]
    fn both_clocks_begin_alike() {
        let apart = steady().0 - wall().0;
        assert!(apart.abs() < 60_000, "{apart}");
    }
}
