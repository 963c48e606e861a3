//! Late rows: counted, and sent where the plan says, once a row, with the windows that refused it.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{StringArray, UInt32Array};

use crate::batch::Batch;
use crate::context::{Context, Effect, Output};
use crate::plan::Late;

/// The header that names the refusing windows: a JSON list of `{"start":..,"end":..}` in milliseconds since the epoch.
pub(crate) const LATE_WINDOWS: &str = "millstream.late.windows";

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
        windows: impl Iterator<Item = (i64, i64)>,
        cx: &mut Context<'_>,
    ) {
        cx.ledger().late += refusals;
        cx.ledger().late_rows += u64::from(taken == Taken::ByNone);
        if let Late::To(_) = self.to {
            let mut text = String::from("[");
            for (start, end) in windows {
                let comma = if text.len() > 1 { "," } else { "" };
                write!(text, "{comma}{{\"start\":{start},\"end\":{end}}}").expect("writing to a string cannot fail");
            }
            text.push(']');
            self.rows.push(row);
            self.windows.push(text);
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

/// Whether a row that some window refused was taken by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Some window took it.
    BySome,
    /// It is lost.
    ByNone,
}
