//! The naive model of windows: what must come out for a history of rows, written straight from the rules of
//! ARCHITECTURE.md for clearness alone; it never shares an algorithm with the engine.

mod count;
mod hopping;
mod over;
mod session;
mod sliding;
mod time;
mod tumbling;
mod values;

pub use values::{Values, values_of};

/// One row as it arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The input that it comes by, from 0. Inputs are partitions of one topic: their number is the order of ties.
    pub input: usize,
    /// Its place in its input.
    pub offset: i64,
    /// The group key.
    pub key: Option<String>,
    /// Event time in milliseconds.
    pub t: i64,
    /// What is aggregated.
    pub value: Option<i64>,
}

/// What happens, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A row arrives.
    Row(Row),
    /// The input has been silent for long.
    Idle(usize),
}

/// What holds for the whole history. Spans in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many inputs there are.
    pub inputs: usize,
    /// By how much W_i stays behind the greatest event time.
    pub out_of_order: i64,
    /// How long windows stay open for late rows.
    pub grace: i64,
    /// Which windows.
    pub kind: Kind,
}

/// Which windows. Spans in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[start, start + size)`, start ≡ offset mod size.
    Tumbling {
        /// Length.
        size: i64,
        /// Where the grid begins.
        offset: i64,
    },
    /// `[start, start + size)`, start ≡ offset mod every.
    Hopping {
        /// Length.
        size: i64,
        /// Distance of starts.
        every: i64,
        /// Where the grid begins.
        offset: i64,
    },
    /// `[t − d, t]`, and `[t + 1, t + 1 + d]` where it is not empty.
    Sliding(i64),
    /// One result for each row over `[t − d, t]`, at once.
    OverArrival(i64),
    /// One result for each row over `[t − d, t]`, when it is final.
    OverFinal(i64),
    /// Rows no further apart than this.
    Session(i64),
    /// So many rows in arrival order.
    Count(usize),
}

/// A window with the rows that count in it, as indices of rows among the rows of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The group key.
    pub key: String,
    /// First millisecond.
    pub start: i64,
    /// Last millisecond, or the one behind it: as the kind shows it.
    pub end: i64,
    /// The rows, in the order of (event time, input, offset).
    pub rows: Vec<usize>,
}

/// A row that some window refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateRow {
    /// The row.
    pub row: usize,
    /// The windows that refused it: start and end, as the kind shows them.
    pub refused_by: Vec<(i64, i64)>,
    /// Whether no window took it.
    pub taken_by_none: bool,
}

/// What must come of a history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Windows that are closed when the history is at its end, in the order in which their results leave.
    pub closed: Vec<Window>,
    /// Windows that are still open then, in order of (end, key).
    pub open: Vec<Window>,
    /// Rows that came too late, in order of arrival.
    pub late: Vec<LateRow>,
    /// How many rows had no key.
    pub null_keys: usize,
}

/// What must come of a history under the rules.
pub fn outcome(rules: Rules, events: &[Event]) -> Outcome {
    let history = time::History::of(rules, events);
    let mut outcome = match rules.kind {
        Kind::Tumbling { size, offset } => tumbling::outcome(&history, size, offset),
        Kind::Hopping { size, every, offset } => hopping::outcome(&history, size, every, offset),
        Kind::Sliding(d) => sliding::outcome(&history, d),
        Kind::OverArrival(d) => over::on_arrival(&history, d),
        Kind::OverFinal(d) => over::when_final(&history, d),
        Kind::Session(gap) => session::outcome(&history, gap),
        Kind::Count(n) => count::outcome(&history, n),
    };
    outcome.null_keys = history.null_keys;
    outcome
}

/// The rows among the events, in order of arrival: what indices of rows point into.
pub fn rows_of(events: &[Event]) -> Vec<&Row> {
    let rows = events.iter().map(|event| match event {
        Event::Row(row) => Some(row),
        Event::Idle(_) => None,
    });
    rows.flatten().collect()
}

#[cfg(test)]
mod tests;
