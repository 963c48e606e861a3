//! The model of sliding windows: every window that a row anchors, with all rows in it that it did not refuse.

use super::time::{History, Judged, part};
use super::{LateRow, Outcome, Window};

pub(super) fn outcome(history: &History<'_>, d: i64) -> Outcome {
    let grace = history.rules.grace;
    let is_late = |judged: &Judged<'_>| judged.row.t + d < judged.w_i - grace;
    let refuses = |end: i64, judged: &Judged<'_>| end + grace < judged.w_i;
    let holds = |end: i64, t: i64| end - d <= t && t <= end;

    // The window that a row would anchor itself, [t − d, t], stands for all windows that refuse it: no window that
    // holds the row ends before it.
    let late = history.rows.iter().filter(|judged| refuses(judged.row.t, judged)).map(|judged| LateRow {
        row: judged.index,
        refused_by: vec![(judged.row.t - d, judged.row.t)],
        taken_by_none: is_late(judged),
    });
    let late = late.collect();

    let mut windows = Vec::new();
    for key in history.keys() {
        let accepted = history.rows.iter().filter(|judged| judged.key == key && !is_late(judged)).collect::<Vec<_>>();
        let mut ends = Vec::new();
        for anchor in &accepted {
            let t = anchor.row.t;
            ends.extend([t, t + 1 + d].into_iter().filter(|&end| !refuses(end, anchor)));
        }
        ends.sort_unstable();
        ends.dedup();
        for end in ends {
            let rows = accepted.iter().filter(|judged| holds(end, judged.row.t) && !refuses(end, judged)).copied();
            let rows = history.in_order(rows);
            if !rows.is_empty() {
                windows.push(Window { key: key.to_owned(), start: end - d, end, rows });
            }
        }
    }
    Outcome { late, ..part(windows, |window| window.end + grace < history.end) }
}
