//! Time in the model: what each row is judged by, and how far all inputs have come.

use super::{Event, Outcome, Row, Rules, Window};

/// Below every event time of the model.
const NEVER: i64 = i64::MIN / 2;

/// A history with its time told.
pub(super) struct History<'a> {
    pub(super) rules: Rules,
    /// The rows that have a key, in order of arrival.
    pub(super) rows: Vec<Judged<'a>>,
    /// W when the history is at its end.
    pub(super) end: i64,
    pub(super) null_keys: usize,
}

/// A row with a key, and the time it is judged by.
pub(super) struct Judged<'a> {
    /// Its index among all rows.
    pub(super) index: usize,
    pub(super) row: &'a Row,
    pub(super) key: &'a str,
    /// W_i of its input, this row included.
    pub(super) w_i: i64,
    /// W just before and just after the row.
    pub(super) w: i64,
}

impl Judged<'_> {
    /// The order of first, last and the collectors.
    pub(super) fn order(&self) -> (i64, usize, i64) {
        (self.row.t, self.row.input, self.row.offset)
    }
}

impl<'a> History<'a> {
    pub(super) fn of(rules: Rules, events: &'a [Event]) -> History<'a> {
        let mut w_i = vec![NEVER; rules.inputs];
        let mut idle = vec![false; rules.inputs];
        let mut w = NEVER;
        let mut rows = Vec::new();
        let mut null_keys = 0;
        let mut index = 0;
        for event in events {
            let mut judged = None;
            match event {
                Event::Idle(input) => idle[*input] = true,
                Event::Row(row) => {
                    idle[row.input] = false;
                    match &row.key {
                        None => null_keys += 1,
                        Some(key) => {
                            // An input that was idle is late by the greater of W_i and W.
                            w_i[row.input] = w_i[row.input].max(row.t - rules.out_of_order).max(w);
                            judged = Some((index, row, key.as_str(), w_i[row.input]));
                        }
                    }
                    index += 1;
                }
            }
            // The least W_i of the inputs that are not idle; W stands if all are, and never falls.
            let least = (0..rules.inputs).filter(|&input| !idle[input]).map(|input| w_i[input]).min();
            w = w.max(least.unwrap_or(w));
            if let Some((index, row, key, w_i)) = judged {
                rows.push(Judged { index, row, key, w_i, w });
            }
        }
        History { rules, rows, end: w, null_keys }
    }

    /// The keys, sorted, each once.
    pub(super) fn keys(&self) -> Vec<&'a str> {
        let mut keys = self.rows.iter().map(|judged| judged.key).collect::<Vec<_>>();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The indices of rows in the order of (event time, input, offset).
    pub(super) fn in_order<'b>(&'b self, rows: impl IntoIterator<Item = &'b Judged<'a>>) -> Vec<usize>
    where
        'a: 'b,
    {
        let mut rows = rows.into_iter().collect::<Vec<_>>();
        rows.sort_by_key(|judged| judged.order());
        rows.into_iter().map(|judged| judged.index).collect()
    }
}

/// The windows in order of (end, key), those that `is_closed` apart.
pub(super) fn part(mut windows: Vec<Window>, is_closed: impl Fn(&Window) -> bool) -> Outcome {
    windows.sort_by(|a, b| (a.end, &a.key, a.start).cmp(&(b.end, &b.key, b.start)));
    let (closed, open) = windows.into_iter().partition(|window| is_closed(window));
    Outcome { closed, open, ..Outcome::default() }
}
