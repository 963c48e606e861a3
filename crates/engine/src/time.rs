//! Event time: milliseconds since the epoch and watermarks; never a clock.

use std::fmt;

/// A point in event time or a span of it, in milliseconds. Points count from 1970-01-01T00:00:00Z and may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// `self + span`, held at the ends of the range instead of wrapping.
    pub fn plus(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }

    /// `self - span`, held at the ends of the range instead of wrapping.
    pub fn minus(self, span: Millis) -> Millis {
        Millis(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far event time has come on one input (W_i) or on all inputs of an operator (W). It never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub i64);

impl Watermark {
    /// The watermark of an input that has not spoken: below every event time.
    pub const UNKNOWN: Watermark = Watermark(i64::MIN);

    /// The watermark that closes every window: the end of time, only ever set when a user asks for it.
    pub const END: Watermark = Watermark(i64::MAX);

    /// The watermark that a row of event time `t` stands for when rows may be `out_of_order` late.
    pub fn behind(t: Millis, out_of_order: Millis) -> Watermark {
        Watermark(t.minus(out_of_order).0)
    }

    /// The greater of the two.
    pub fn advanced_to(self, other: Watermark) -> Watermark {
        self.max(other)
    }

    /// This watermark held back by `span`; [`UNKNOWN`](Self::UNKNOWN) and [`END`](Self::END) stay what they are.
    pub fn minus(self, span: Millis) -> Watermark {
        match self {
            Watermark::UNKNOWN | Watermark::END => self,
            Watermark(w) => Watermark(w.saturating_sub(span.0)),
        }
    }

    /// Whether any row has been seen.
    pub fn is_known(self) -> bool {
        self != Watermark::UNKNOWN
    }
}
