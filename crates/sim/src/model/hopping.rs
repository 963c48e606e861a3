//! The model of hopping windows: for every window of the grid that holds a row, the rows that it did not refuse.

use super::time::{History, Judged, part};
use super::{LateRow, Outcome, Window};

pub(super) fn outcome(history: &History<'_>, size: i64, every: i64, offset: i64) -> Outcome {
    let grace = history.rules.grace;
    let holds = |start: i64, t: i64| start <= t && t < start + size;
    let refuses = |start: i64, judged: &Judged<'_>| start + size + grace <= judged.w_i;

    let mut late = Vec::new();
    for judged in &history.rows {
        let t = judged.row.t;
        let all = starts(t, size, every, offset);
        let refused_by = all.iter().filter(|&&start| refuses(start, judged)).map(|&start| (start, start + size));
        let refused_by = refused_by.collect::<Vec<_>>();
        if !refused_by.is_empty() {
            let taken_by_none = refused_by.len() == all.len();
            late.push(LateRow { row: judged.index, refused_by, taken_by_none });
        }
    }

    let mut windows = Vec::new();
    for key in history.keys() {
        let of_key = || history.rows.iter().filter(|judged| judged.key == key);
        let mut grid = of_key().flat_map(|judged| starts(judged.row.t, size, every, offset)).collect::<Vec<_>>();
        grid.sort_unstable();
        grid.dedup();
        for start in grid {
            let rows = of_key().filter(|judged| holds(start, judged.row.t) && !refuses(start, judged));
            let rows = history.in_order(rows);
            if !rows.is_empty() {
                windows.push(Window { key: key.to_owned(), start, end: start + size, rows });
            }
        }
    }
    Outcome { late, ..part(windows, |window| window.end + grace <= history.end) }
}

/// The starts of the windows of the grid that hold `t`, ascending.
fn starts(t: i64, size: i64, every: i64, offset: i64) -> Vec<i64> {
    (t - size + 1..=t).filter(|start| (start - offset).rem_euclid(every) == 0).collect()
}
