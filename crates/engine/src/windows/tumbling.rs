//! Tumbling windows: every row stands in one window of a grid; a pane of state is a window.

use crate::aggregate::Slot;
use crate::batch::Batch;
use crate::context::Context;
use crate::error::TaskError;
use crate::state::kept::Kept;
use crate::state::table::Table;
use crate::time::{Millis, Watermark};

use super::grid::Grid;
use super::intake;
use super::late::Taken;
use super::results::{BATCH_ROWS, Ready};
use super::windowed::{Assigned, Kind, PENDING, Progress, Which};

/// Windows `[start, start + size)`: late when end ≤ W_i − grace, closed when end ≤ W − grace.
#[derive(Debug)]
pub(crate) struct Tumbling {
    grid: Grid,
    /// Windows that are closed and about to leave.
    leaving: Vec<i64>,
}

impl Tumbling {
    /// Windows of `size` that begin at `offset` modulo `size`.
    pub(crate) fn new(size: Millis, offset: Millis) -> Tumbling {
        Tumbling { grid: Grid::new(size.0, offset.0), leaving: Vec::new() }
    }

    fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.grid.every)
    }

    /// The earliest window that is neither closed nor about to leave.
    fn next_open(&self, table: &Table) -> Option<i64> {
        let from = self.leaving.last().map_or(i64::MIN, |last| last.saturating_add(1));
        table.panes_between(from, i64::MAX).next()
    }
}

impl Kind for Tumbling {
    fn assign(
        &mut self,
        batch: &Batch,
        taken: &intake::Taken,
        kept: &mut Kept,
        to: &mut Assigned,
        cx: &mut Context<'_>,
    ) {
        let times = batch.meta.event_time.values();
        let open_from = taken.watermarks.open_from();
        // The window of the row before, as a range that is empty at first.
        let (mut start, mut end) = (0, 0);
        for &row in &taken.rows {
            let at = row as usize;
            let time = times[at];
            if time < start || time >= end {
                start = self.grid.floor(time);
                end = self.end(start);
            }
            if end <= open_from(at) {
                to.late.add(row, 1, Taken::ByNone, std::iter::once((start, end)), cx);
                continue;
            }
            let slot = kept.table.upsert(start, taken.keys.hash(at), taken.keys.key(at));
            kept.table.add_row(slot, time);
            to.rows.push(row);
            to.slots.push(slot);
        }
    }

    fn close(
        &mut self,
        table: &mut Table,
        closed: Watermark,
        which: Which,
        ready: &mut Ready,
    ) -> Result<Progress, TaskError> {
        while let Some(start) = self.next_open(table) {
            if self.end(start) > closed.0 {
                return Ok(Progress::Done);
            }
            if ready.values.len() >= BATCH_ROWS {
                return Ok(Progress::More);
            }
            table.admit(start)?;
            let mut slots = table.slots_of(start).collect::<Vec<_>>();
            if which == Which::Pending {
                slots.retain(|&slot| table.extra(slot, PENDING) != 0);
            }
            table.sort_by_key(&mut slots);
            let end = self.end(start);
            slots.into_iter().for_each(|slot| ready.window(slot, start, end));
            self.leaving.push(start);
        }
        Ok(Progress::Done)
    }

    fn settle(&mut self, table: &mut Table) -> u64 {
        self.leaving.drain(..).map(|start| table.drop_pane(start)).sum()
    }

    fn changed(&mut self, table: &mut Table, slots: Vec<Slot>, ready: &mut Ready) -> Result<Progress, TaskError> {
        let mut slots = slots;
        table.sort_by_key(&mut slots);
        slots.sort_by_key(|&slot| table.pane(slot));
        for slot in slots {
            let start = table.pane(slot);
            ready.window(slot, start, self.end(start));
        }
        Ok(Progress::Done)
    }

    fn told(&self, closed: Watermark) -> Watermark {
        self.grid.first_open(self.grid.every, closed)
    }

    fn closes_all(&self, table: &Table) -> Watermark {
        table.panes().next_back().map_or(Watermark::UNKNOWN, |start| Watermark(self.end(start)))
    }
}
