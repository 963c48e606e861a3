//! The ledger: where every row of every operator went. No class of loss is without a counter.

use std::fmt;
use std::ops::AddAssign;

/// The counts of one operator. Each input row is in exactly one of the classes from `passed` to `held`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that stood in state when this run of the task began.
    pub restored: u64,
    /// Input rows that went on to the next operator (unnest: rows with at least one element).
    pub passed: u64,
    /// Input rows that a filter, branch or empty unnest left out.
    pub filtered: u64,
    /// Input rows that no window took because they were late.
    pub late_rows: u64,
    /// Input rows refused for a null group key.
    pub null_key: u64,
    /// Messages without a payload.
    pub null_value: u64,
    /// Rows of a join that matched nothing.
    pub unmatched: u64,
    /// Rows older than the kept history.
    pub expired: u64,
    /// Input rows given to `on_error`.
    pub errors: u64,
    /// Input rows whose windows have all closed, or that a session or count has used up.
    pub folded: u64,
    /// Input rows that open state still remembers, counted in the state itself.
    pub held: u64,
    /// Rows that went out: not part of the balance, for one row may become many and many one.
    pub rows_out: u64,
    /// Refusals by (row, window): not part of the balance, for a row may be late for some of its windows only.
    pub late: u64,
    /// Results given to `on_error` because an aggregate had no value: not part of the balance.
    pub result_errors: u64,
}

impl Ledger {
    /// Rows on the right-hand side of the balance.
    pub fn accounted(&self) -> u64 {
        self.passed
            + self.filtered
            + self.late_rows
            + self.null_key
            + self.null_value
            + self.unmatched
            + self.expired
            + self.errors
            + self.folded
            + self.held
    }

    /// Whether every row that came in, or stood in state at the start, is in exactly one class.
    pub fn balances(&self) -> bool {
        self.rows_in + self.restored == self.accounted()
    }

    /// The counts by name, in a fixed order, for printing and for metrics.
    pub fn entries(&self) -> [(&'static str, u64); 15] {
        [
            ("rows_in", self.rows_in),
            ("restored", self.restored),
            ("passed", self.passed),
            ("filtered", self.filtered),
            ("late_rows", self.late_rows),
            ("null_key", self.null_key),
            ("null_value", self.null_value),
            ("unmatched", self.unmatched),
            ("expired", self.expired),
            ("errors", self.errors),
            ("folded", self.folded),
            ("held", self.held),
            ("rows_out", self.rows_out),
            ("late", self.late),
            ("result_errors", self.result_errors),
        ]
    }
}

impl AddAssign for Ledger {
    fn add_assign(&mut self, other: Ledger) {
        self.rows_in += other.rows_in;
        self.restored += other.restored;
        self.passed += other.passed;
        self.filtered += other.filtered;
        self.late_rows += other.late_rows;
        self.null_key += other.null_key;
        self.null_value += other.null_value;
        self.unmatched += other.unmatched;
        self.expired += other.expired;
        self.errors += other.errors;
        self.folded += other.folded;
        self.held += other.held;
        self.rows_out += other.rows_out;
        self.late += other.late;
        self.result_errors += other.result_errors;
    }
}

impl fmt::Display for Ledger {
    /// The counts that are not zero, `name=count`, separated by spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, count) in self.entries().into_iter().filter(|&(_, count)| count != 0) {
            write!(f, "{}{name}={count}", if first { "" } else { " " })?;
            first = false;
        }
        Ok(())
    }
}
