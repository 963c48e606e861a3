//! The model of rolling aggregates: for each row the rows of its key in `[t − d, t]`.

use super::time::{History, Judged};
use super::{LateRow, Outcome, Window};

/// At once, over the rows that have come.
pub(super) fn on_arrival(history: &History<'_>, d: i64) -> Outcome {
    let mut outcome = Outcome { late: late(history, d), ..Outcome::default() };
    for (place, judged) in history.rows.iter().enumerate() {
        if !is_late(history, judged) {
            outcome.closed.push(rolling(history, judged, &history.rows[..=place], d));
        }
    }
    outcome
}

/// When nothing can come any more, over all rows, in the order of (event time, input, offset).
pub(super) fn when_final(history: &History<'_>, d: i64) -> Outcome {
    let mut outcome = Outcome { late: late(history, d), ..Outcome::default() };
    let mut accepted = history.rows.iter().filter(|judged| !is_late(history, judged)).collect::<Vec<_>>();
    accepted.sort_by_key(|judged| judged.order());
    for judged in accepted {
        let window = rolling(history, judged, &history.rows, d);
        if judged.row.t + history.rules.grace < history.end {
            outcome.closed.push(window);
        } else {
            outcome.open.push(window);
        }
    }
    outcome
}

fn is_late(history: &History<'_>, judged: &Judged<'_>) -> bool {
    judged.row.t < judged.w_i - history.rules.grace
}

fn late(history: &History<'_>, d: i64) -> Vec<LateRow> {
    let late = history.rows.iter().filter(|judged| is_late(history, judged)).map(|judged| LateRow {
        row: judged.index,
        refused_by: vec![(judged.row.t - d, judged.row.t)],
        taken_by_none: true,
    });
    late.collect()
}

/// The window of a row over those of `among` that were not late.
fn rolling(history: &History<'_>, of: &Judged<'_>, among: &[Judged<'_>], d: i64) -> Window {
    let (start, end) = (of.row.t - d, of.row.t);
    let rows = among
        .iter()
        .filter(|other| other.key == of.key && start <= other.row.t && other.row.t <= end && !is_late(history, other));
    Window { key: of.key.to_owned(), start, end, rows: history.in_order(rows) }
}
