//! The model of count windows: every n rows of a key, in the order in which they come.

use std::collections::BTreeMap;

use super::time::{History, Judged};
use super::{Outcome, Window};

pub(super) fn outcome(history: &History<'_>, n: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let mut filling = BTreeMap::<&str, Vec<&Judged<'_>>>::new();
    for judged in &history.rows {
        let rows = filling.entry(judged.key).or_default();
        rows.push(judged);
        if rows.len() == n {
            outcome.closed.push(window(history, judged.key, rows));
            rows.clear();
        }
    }
    let unfilled = filling.iter().filter(|(_, rows)| !rows.is_empty());
    outcome.open = unfilled.map(|(key, rows)| window(history, key, rows)).collect();
    outcome
}

fn window(history: &History<'_>, key: &str, rows: &[&Judged<'_>]) -> Window {
    let times = rows.iter().map(|judged| judged.row.t);
    Window {
        key: key.to_owned(),
        start: times.clone().min().unwrap_or(0),
        end: times.max().unwrap_or(0),
        rows: history.in_order(rows.iter().copied()),
    }
}
