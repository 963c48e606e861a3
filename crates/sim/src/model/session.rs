//! The model of sessions, row by row: which sessions a row joins depends on those that stand when it comes.

use super::time::{History, part};
use super::{LateRow, Outcome, Window};

pub(super) fn outcome(history: &History<'_>, gap: i64) -> Outcome {
    let grace = history.rules.grace;
    let mut closed = Vec::<Window>::new();
    let mut open = Vec::<Window>::new();
    let mut late = Vec::new();
    for judged in &history.rows {
        let t = judged.row.t;
        let (joined, others) = std::mem::take(&mut open).into_iter().partition::<Vec<_>, _>(|session| {
            let near = session.start <= t + gap && t - gap <= session.end;
            session.key == judged.key && near && session.end >= judged.w_i - grace - gap
        });
        open = others;
        if joined.is_empty() && t < judged.w_i - grace - gap {
            late.push(LateRow { row: judged.index, refused_by: vec![(t, t)], taken_by_none: true });
        } else {
            let start = joined.iter().map(|session| session.start).chain([t]).min().unwrap_or(t);
            let end = joined.iter().map(|session| session.end).chain([t]).max().unwrap_or(t);
            let rows = joined.into_iter().flat_map(|session| session.rows).chain([judged.index]).collect();
            open.push(Window { key: judged.key.to_owned(), start, end, rows });
        }
        close(&mut open, &mut closed, |session| session.end + gap + grace < judged.w);
    }
    close(&mut open, &mut closed, |session| session.end + gap + grace < history.end);

    let in_order = |windows: Vec<Window>| {
        let sort = |window: Window| {
            let rows = history.rows.iter().filter(|judged| window.rows.contains(&judged.index));
            let rows = history.in_order(rows);
            Window { rows, ..window }
        };
        windows.into_iter().map(sort).collect::<Vec<_>>()
    };
    let open = part(in_order(open), |_| false).open;
    Outcome { closed: in_order(closed), open, late, null_keys: 0 }
}

/// Moves the sessions that are at an end, in order of (end, key).
fn close(open: &mut Vec<Window>, closed: &mut Vec<Window>, is_closed: impl Fn(&Window) -> bool) {
    let parts = part(std::mem::take(open), is_closed);
    closed.extend(parts.closed);
    *open = parts.open;
}
