//! What tumbling, hopping and count windows are, row by row, in the simplest way.

use std::collections::BTreeMap;

use super::world::{Result, Row, Step};
use crate::plan::WindowKind;

/// Results and refusals of `rows`, taken in this order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) results: Vec<Result>,
    pub(super) late: u64,
    pub(super) late_rows: u64,
    pub(super) null_key: u64,
}

/// Final results by the definition.
pub(super) fn run(step: &Step, rows: &[Row]) -> Outcome {
    run_parts(step, &[(step.grace, rows.to_vec())])
}

/// The same of rows in parts that have each a grace of its own, with a restart between them.
pub(super) fn run_parts(step: &Step, parts: &[(i64, Vec<Row>)]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut inputs = vec![i64::MIN; step.inputs as usize];
    let mut open: BTreeMap<(i64, i64, i64), Vec<Row>> = BTreeMap::new();
    // Windows that end here or before have been closed, whatever the grace is now.
    let mut closed = i64::MIN;
    for (grace, row) in parts.iter().flat_map(|(grace, rows)| rows.iter().map(move |row| (grace, row))) {
        let Some(key) = row.key else {
            outcome.null_key += 1;
            continue;
        };
        let w_i = &mut inputs[row.input as usize];
        *w_i = (*w_i).max(row.time - step.out_of_order);
        let mut refused = 0;
        let mut taken = 0;
        for (start, end) in windows(step.kind.unwrap(), row.time) {
            if end + grace <= *w_i || end <= closed {
                refused += 1;
            } else {
                taken += 1;
                open.entry((end, key, start)).or_default().push(*row);
            }
        }
        outcome.late += refused;
        outcome.late_rows += u64::from(taken == 0 && refused > 0);
        let w = *inputs.iter().min().unwrap();
        if w != i64::MIN {
            closed = closed.max(w - grace);
        }
        while let Some(entry) = open.first_entry() {
            let (end, key, start) = *entry.key();
            if end > closed {
                break;
            }
            outcome.results.push(result(key, start, end, &entry.remove()));
        }
    }
    outcome
}

/// The windows that hold `time`.
pub(super) fn windows(kind: WindowKind, time: i64) -> Vec<(i64, i64)> {
    let (size, every, offset) = match kind {
        WindowKind::Tumbling { size, offset } => (size.0, size.0, offset.0),
        WindowKind::Hopping { size, every, offset } => (size.0, every.0, offset.0),
        _ => panic!("no grid"),
    };
    ((time - size)..=time)
        .filter(|start| (start - offset).rem_euclid(every) == 0 && *start + size > time)
        .map(|start| (start, start + size))
        .collect()
}

/// The result of a window's rows. `tenths` is left to the comparison of runs: its last bit depends on the panes.
pub(super) fn result(key: i64, start: i64, end: i64, rows: &[Row]) -> Result {
    let first = rows.iter().min_by_key(|row| (row.time, row.input, row.offset)).unwrap();
    Result {
        key,
        start,
        end,
        count: rows.len() as i64,
        sum: rows.iter().map(|row| row.value).sum(),
        tenths: 0.0,
        first: first.value,
        time: rows.iter().map(|row| row.time).max().unwrap(),
    }
}

/// The results without what only runs can be compared by.
pub(super) fn without_doubles(results: &[Result]) -> Vec<Result> {
    results.iter().map(|result| Result { tenths: 0.0, ..*result }).collect()
}
