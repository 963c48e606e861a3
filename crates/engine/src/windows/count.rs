//! Count windows: n rows of a key in the order in which they arrive; never late, and an unfilled one is never emitted.

use crate::aggregate::Slot;
use crate::batch::Batch;
use crate::context::Context;
use crate::error::TaskError;
use crate::state::kept::Kept;
use crate::state::table::Table;
use crate::time::Watermark;

use super::intake;
use super::results::Ready;
use super::windowed::{Assigned, Kind, Progress, Which};

/// The extra numbers of a row of state: the least event time.
pub(crate) const EXTRA: &[&str] = &["min_time"];

const MIN_TIME: usize = 0;

/// Windows of `rows` rows. Their bounds are the least and the greatest event time.
#[derive(Debug)]
pub(crate) struct Count {
    rows: u64,
    /// Full windows, as scratch slots, in the order in which they were filled, and W at that moment.
    full: Vec<(Slot, i64)>,
    leaving: Vec<Slot>,
}

impl Count {
    /// Windows of so many rows; none counts as one.
    pub(crate) fn new(rows: u64) -> Count {
        Count { rows: rows.max(1), full: Vec::new(), leaving: Vec::new() }
    }
}

impl Kind for Count {
    fn assign(
        &mut self,
        batch: &Batch,
        taken: &intake::Taken,
        kept: &mut Kept,
        to: &mut Assigned,
        _cx: &mut Context<'_>,
    ) {
        let times = batch.meta.event_time.values();
        for &row in &taken.rows {
            let at = row as usize;
            let time = times[at];
            let slot = kept.table.upsert(0, taken.keys.hash(at), taken.keys.key(at));
            let first = kept.table.rows(slot) == 0;
            let least = if first { time } else { time.min(kept.table.extra(slot, MIN_TIME)) };
            kept.table.set_extra(slot, MIN_TIME, least);
            kept.table.add_row(slot, time);
            to.rows.push(row);
            to.slots.push(slot);
            if kept.table.rows(slot) == self.rows {
                kept.table.detach(slot);
                self.full.push((slot, taken.watermarks.w(at).0));
            }
        }
    }

    fn close(
        &mut self,
        table: &mut Table,
        _closed: Watermark,
        _which: Which,
        ready: &mut Ready,
    ) -> Result<Progress, TaskError> {
        for (slot, w) in self.full.drain(..) {
            ready.window(slot, table.extra(slot, MIN_TIME), table.max_time(slot));
            ready.before.push(w);
            self.leaving.push(slot);
        }
        Ok(Progress::Done)
    }

    fn settle(&mut self, table: &mut Table) -> u64 {
        let rows = self.leaving.iter().map(|&slot| table.rows(slot)).sum();
        table.release(&self.leaving);
        self.leaving.clear();
        rows
    }

    fn changed(&mut self, _table: &mut Table, _slots: Vec<Slot>, _ready: &mut Ready) -> Result<Progress, TaskError> {
        Ok(Progress::Done)
    }

    /// A row that is not behind W does not make a result that is.
    fn told(&self, w: Watermark) -> Watermark {
        w
    }

    fn closes_all(&self, _table: &Table) -> Watermark {
        Watermark::UNKNOWN
    }
}
