//! Late rows: counted, and sent where the plan says, once a row, with the windows that refused it.

use std::sync::Arc;

use arrow::array::{StringArray, UInt32Array};

use crate::batch::Batch;
use crate::context::{Context, Effect, Output};
use crate::plan::Late;

/// The header that names the refusing windows: a JSON list of `{"start":..,"end":..}` in milliseconds since the epoch. Of more than
/// [`LISTED`] it names the first and the last, with `{"more":..}`, how many are between, in their midst.
pub(crate) const LATE_WINDOWS: &str = "millstream.late.windows";
/// So many windows are named one by one: hopping windows may be thousands for one row, and no topic takes such a header.
const LISTED: u64 = 10;

/// The late rows of one batch, in row order.
#[derive(Debug)]
pub(crate) struct LateRows {
    to: Late,
    rows: Vec<u32>,
    windows: Vec<String>,
}

impl LateRows {
    /// None yet.
    pub(crate) fn new(to: Late) -> LateRows {
        LateRows { to, rows: Vec::new(), windows: Vec::new() }
    }

    /// Row `row` was refused by `refusals` windows, whose bounds `windows` gives. `taken` says whether some other window
    /// took it.
    pub(crate) fn add(
        &mut self,
        row: u32,
        refusals: u64,
        taken: Taken,
        windows: impl DoubleEndedIterator<Item = (i64, i64)>,
        cx: &mut Context<'_>,
    ) {
        cx.ledger().late += refusals;
        cx.ledger().late_rows += u64::from(taken == Taken::ByNone);
        if let Late::To(_) = self.to {
            self.rows.push(row);
            self.windows.push(listed(refusals, windows));
        }
    }

    /// Sends the late rows of `batch` where the plan says, and forgets them.
    pub(crate) fn send(&mut self, batch: &Batch, cx: &mut Context<'_>) {
        let (Late::To(sink), false) = (self.to, self.rows.is_empty()) else { return };
        let rows = UInt32Array::from(std::mem::take(&mut self.rows));
        let windows = StringArray::from(std::mem::take(&mut self.windows));
        let headers = vec![(LATE_WINDOWS.to_owned(), Arc::new(windows) as _)];
        cx.effect(Effect::Output(Output { sink, batch: batch.take(&rows), headers }));
    }
}

/// The value of the header for `count` windows.
fn listed(count: u64, mut windows: impl DoubleEndedIterator<Item = (i64, i64)>) -> String {
    let named = |(start, end): (i64, i64)| format!("{{\"start\":{start},\"end\":{end}}}");
    let items = match count > LISTED {
        false => windows.map(named).collect::<Vec<_>>(),
        true => {
            let (first, last) = (windows.next(), windows.next_back());
            let more = format!("{{\"more\":{}}}", count - 2);
            first.map(named).into_iter().chain([more]).chain(last.map(named)).collect()
        }
    };
    format!("[{}]", items.join(","))
}

/// Whether a row that some window refused was taken by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Some window took it.
    BySome,
    /// It is lost.
    ByNone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_windows_are_named_and_of_many_the_first_and_the_last() {
        let windows = |count: i64| listed(count as u64, (0..count).map(|n| (n, n + 5)));
        assert_eq!(windows(1), r#"[{"start":0,"end":5}]"#);
        assert_eq!(windows(10).matches("start").count(), 10);
        assert_eq!(windows(11), r#"[{"start":0,"end":5},{"more":9},{"start":10,"end":15}]"#);
        assert!(windows(86_400).len() < 80);
    }
}
