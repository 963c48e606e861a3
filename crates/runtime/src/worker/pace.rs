//! How a restore goes: how fast it was so far, and how long the rest takes if it stays so.

use std::fmt;
use std::time::Duration;

use super::RestoreProgress;

/// How a restore stands after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestorePace {
    /// How far it is.
    pub progress: RestoreProgress,
    /// After how long.
    pub took: Duration,
}

impl RestorePace {
    /// Bytes that were read in a second.
    pub fn bytes_per_second(&self) -> f64 {
        self.progress.bytes as f64 / self.took.as_secs_f64().max(0.001)
    }

    /// How long it will take yet, by the records that are left; `None` while nothing has been read.
    pub fn left(&self) -> Option<Duration> {
        let RestoreProgress { records, records_total, .. } = self.progress;
        let left = records_total.saturating_sub(records) as f64;
        if left == 0.0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64(self.took.as_secs_f64() * left / records as f64).ok()
    }
}

impl fmt::Display for RestorePace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RestoreProgress { records, records_total, bytes } = self.progress;
        write!(f, "{records} of {records_total} changelog records ({bytes} bytes")?;
        // What took no time to speak of has no rate.
        if !self.took.is_zero() && bytes > 0 {
            write!(f, ", {:.1} MB/s", self.bytes_per_second() / 1e6)?;
        }
        match self.left() {
            Some(left) if !left.is_zero() => write!(f, ", {} s left)", left.as_secs_f64().ceil()),
            _ => f.write_str(")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(records: u64, millis: u64) -> RestorePace {
        let progress = RestoreProgress { records, records_total: 1000, bytes: records * 8000 };
        RestorePace { progress, took: Duration::from_millis(millis) }
    }

    #[test]
    fn the_time_that_is_left_goes_by_the_records_that_are_left() {
        assert_eq!(after(0, 300).left(), None);
        assert_eq!(after(250, 500).left(), Some(Duration::from_millis(1500)));
        assert_eq!(after(1000, 2000).left(), Some(Duration::ZERO));
    }

    #[test]
    fn people_see_how_much_how_fast_and_how_long_yet() {
        for (pace, shown) in [
            (after(0, 300), "0 of 1000 changelog records (0 bytes)"),
            (after(250, 500), "250 of 1000 changelog records (2000000 bytes, 4.0 MB/s, 2 s left)"),
            (after(1000, 2000), "1000 of 1000 changelog records (8000000 bytes, 4.0 MB/s)"),
        ] {
            assert_eq!(pace.to_string(), shown);
        }
    }
}
