//! How often a line may repeat: a broker that is away would otherwise fill a disk with one sentence.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many lines of one kind are written
const BURST: u32 = 5;
/// in each span of this length; the rest is counted.
const INTERVAL: Duration = Duration::from_secs(60);
/// Kinds that are remembered at once. Beyond them lines are written as they come.
const MOST_KINDS: usize = 1024;

/// What to do with a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Write it.
    Write,
    /// It was counted.
    Hold,
}

/// Counts lines by kind.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    kinds: BTreeMap<K, Kind>,
}

#[derive(Debug)]
struct Kind {
    began: Instant,
    written: u32,
    held: u64,
    /// The last line that was held.
    line: String,
}

/// Lines that were held.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The last of them.
    pub(super) line: String,
    /// How many there were.
    pub(super) times: u64,
}

impl<K: Ord> Limiter<K> {
    pub(super) fn new() -> Limiter<K> {
        Limiter { kinds: BTreeMap::new() }
    }

    /// Whether a line of a kind is written. One that is held is asked for by `line`.
    pub(super) fn judge(&mut self, kind: K, now: Instant, line: impl FnOnce() -> String) -> Verdict {
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= MOST_KINDS {
            return Verdict::Write;
        }
        let kind = self.kinds.entry(kind).or_insert(Kind { began: now, written: 0, held: 0, line: String::new() });
        if kind.written < BURST {
            kind.written += 1;
            return Verdict::Write;
        }
        kind.held += 1;
        kind.line = line();
        Verdict::Hold
    }

    /// The kinds whose span is over, which begin anew, and what was held of them.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Held> {
        let mut held = Vec::new();
        self.kinds.retain(|_, kind| {
            let over = now.saturating_duration_since(kind.began) >= INTERVAL;
            if over && kind.held > 0 {
                held.push(Held { line: std::mem::take(&mut kind.line), times: kind.held });
            }
            !over
        });
        held
    }

    /// All that is still held.
    pub(super) fn rest(&mut self) -> Vec<Held> {
        let kinds = std::mem::take(&mut self.kinds);
        kinds
            .into_values()
            .filter(|kind| kind.held > 0)
            .map(|kind| Held { line: kind.line, times: kind.held })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_some_times_a_span_and_counted_beyond() {
        let mut limiter = Limiter::new();
        let start = Instant::now();
        let mut judge = |second: u64, kind: &'static str| {
            let now = start + Duration::from_secs(second);
            let held = limiter.over(now);
            (limiter.judge(kind, now, || format!("line {second}")), held)
        };
        for second in 0..5 {
            assert_eq!(judge(second, "a"), (Verdict::Write, vec![]));
        }
        for second in 5..60 {
            assert_eq!(judge(second, "a"), (Verdict::Hold, vec![]));
        }
        assert_eq!(judge(59, "b"), (Verdict::Write, vec![]), "another kind has a span of its own");
        let (verdict, held) = judge(60, "a");
        assert_eq!(verdict, Verdict::Write, "a new span has begun");
        assert_eq!(held, [Held { line: "line 59".to_owned(), times: 55 }]);
        assert_eq!(judge(200, "a"), (Verdict::Write, vec![]), "nothing was held meanwhile");
    }

    #[test]
    fn at_the_end_the_rest_is_told() {
        let mut limiter = Limiter::new();
        for _ in 0..8 {
            limiter.judge("a", Instant::now(), || "line".to_owned());
        }
        assert_eq!(limiter.rest(), [Held { line: "line".to_owned(), times: 3 }]);
        assert_eq!(limiter.rest(), []);
    }

    #[test]
    fn kinds_are_bounded() {
        let mut limiter = Limiter::new();
        let now = Instant::now();
        for kind in 0..2 * MOST_KINDS {
            assert_eq!(limiter.judge(kind, now, String::new), Verdict::Write);
        }
        assert_eq!(limiter.kinds.len(), MOST_KINDS);
    }
}
