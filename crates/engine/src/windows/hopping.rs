//! Hopping windows: overlapping windows of a grid, kept as panes so that a row costs the same however much they overlap.
//!
//! A pane is as long as the greatest common divisor of size and distance, so it lies wholly inside or outside of each
//! window. Rows that the first `refused` windows of their pane refused as late stand apart from the rows of the same
//! pane that all took: a part is (pane, refused), and a window is made of the parts that it did not refuse. Once a window
//! is closed none of its parts can change.

use std::collections::{BTreeSet, VecDeque};

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
use super::results::Ready;
use super::rolling::Rolling;
use super::windowed::{Assigned, Kind, PENDING, Progress, Which};

/// Values of windows that are made together.
const TOGETHER: usize = 64;

/// Where parts of panes stand in the table, and which windows they belong to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Starts of windows.
    windows: Grid,
    /// Starts of panes.
    panes: Grid,
    size: i64,
    /// Windows that a pane may belong to, at most: the table's panes are numbered `pane * overlap + refused`.
    overlap: i64,
}

/// One part of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The number of its pane.
    pub(super) pane: i64,
    /// How many of the pane's windows refused its rows, from the first on.
    pub(super) refused: i64,
    /// Its pane in the table.
    pub(super) id: i64,
}

impl Layout {
    fn new(size: i64, every: i64, offset: i64) -> Layout {
        let windows = Grid::new(every, offset);
        let size = size.max(1);
        let pane = gcd(size, windows.every);
        let overlap = size / windows.every + i64::from(size % windows.every != 0);
        Layout { windows, panes: Grid::new(pane, offset), size, overlap }
    }

    /// Panes in a window.
    pub(super) fn panes_in_window(&self) -> i64 {
        self.size / self.panes.every
    }

    /// Length of a window, in milliseconds.
    pub(super) fn size(&self) -> i64 {
        self.size
    }

    /// The number of the pane that begins where the window does.
    pub(super) fn first_pane(&self, start: i64) -> i64 {
        self.panes.index(start)
    }

    fn id(&self, pane: i64, refused: i64) -> i64 {
        pane.saturating_mul(self.overlap).saturating_add(refused)
    }

    fn part(&self, id: i64) -> Part {
        Part { pane: id.div_euclid(self.overlap), refused: id.rem_euclid(self.overlap), id }
    }

    /// Starts of the first and the last window that hold the pane that begins at `start`; there is none if the first is
    /// after the last.
    fn holders(&self, start: i64) -> (i64, i64) {
        let before = self.windows.floor(start.saturating_sub(self.size));
        (before.saturating_add(self.windows.every), self.windows.floor(start))
    }

    /// The start of the first window that a part belongs to.
    fn first_holder(&self, part: Part) -> i64 {
        let (first, _) = self.holders(self.panes.point(part.pane));
        first.saturating_add(part.refused.saturating_mul(self.windows.every))
    }

    /// The parts that the table has of panes `from..to`, ascending.
    pub(super) fn parts<'t>(
        &self,
        table: &'t Table,
        from: i64,
        to: i64,
    ) -> impl DoubleEndedIterator<Item = Part> + use<'t> {
        let layout = *self;
        table.panes_between(self.id(from, 0), self.id(to, 0)).map(move |id| layout.part(id))
    }

    /// The parts that make up the window that begins at `start`, ascending.
    pub(super) fn parts_of_window(&self, table: &Table, start: i64) -> Vec<Part> {
        let first = self.first_pane(start);
        let parts = self.parts(table, first, first.saturating_add(self.panes_in_window()));
        parts.filter(|&part| self.first_holder(part) <= start).collect()
    }
}

/// Windows `[start, start + size)`: late when end ≤ W_i − grace, closed when end ≤ W − grace.
pub(crate) struct Hopping {
    layout: Layout,
    /// Windows that begin before this are closed.
    next: i64,
    rolling: Rolling,
    /// Slots that results of `close` or `changed` stand in.
    made: Vec<Slot>,
    /// Windows whose values are still to be readied by `changed`, each with a slot of its group key.
    changing: VecDeque<(i64, Slot)>,
}

impl Hopping {
    /// Windows of `size` that begin at `offset` modulo `every`. `None` if a time would stand in more windows than can be
    /// numbered.
    pub(crate) fn new(size: Millis, every: Millis, offset: Millis) -> Option<Hopping> {
        let layout = Layout::new(size.0, every.0, offset.0);
        // Event times lie below 2^48 ms: the number of a part must fit 63 bits.
        let parts = (1i64 << 48) / layout.panes.every;
        parts.checked_mul(layout.overlap)?;
        let rolling = Rolling::new(layout);
        Some(Hopping { layout, next: i64::MIN, rolling, made: Vec::new(), changing: VecDeque::new() })
    }

    /// The start of the next window to close that may have rows, if it ends at or before
    /// `closed`.
    fn closing(&self, table: &Table, closed: Watermark) -> Option<i64> {
        let first = table.panes_between(self.layout.id(self.layout.panes.index(self.next), 0), i64::MAX).next()?;
        let (holder, _) = self.layout.holders(self.layout.panes.point(self.layout.part(first).pane));
        let start = holder.max(self.next);
        (start.saturating_add(self.layout.size) <= closed.0).then_some(start)
    }

    /// Makes the values of one window for some group keys, given by a slot each, from all of its parts in order.
    fn values(&mut self, table: &mut Table, start: i64, keys: &[Slot], ready: &mut Ready) -> Result<(), TaskError> {
        let parts = self.layout.parts_of_window(table, start);
        parts.iter().try_for_each(|part| table.admit(part.id))?;
        let (mut into, mut from) = (Vec::new(), Vec::new());
        for &like in keys {
            let key = table.key(like).to_vec();
            let hash = table.hash(like);
            let slot = table.scratch_for(hash, &key);
            for slot_of_part in parts.iter().filter_map(|part| table.find(part.id, hash, &key)) {
                into.push(slot);
                from.push(slot_of_part);
            }
            self.made.push(slot);
            ready.window(slot, start, start.saturating_add(self.layout.size));
        }
        table.merge(&into, &from)
    }

    /// Notes the windows that changed with these slots, each once, by (start, key).
    fn note_changed(&mut self, table: &Table, slots: &[Slot]) {
        let mut starts = BTreeSet::new();
        for &slot in slots {
            let part = self.layout.part(table.pane(slot));
            let (_, last) = self.layout.holders(self.layout.panes.point(part.pane));
            let mut start = self.layout.first_holder(part).max(self.next);
            while start <= last && starts.insert((start, slot)) {
                start = start.saturating_add(self.layout.windows.every);
            }
        }
        let starts = starts.into_iter().collect::<Vec<_>>();
        for window in starts.chunk_by(|a, b| a.0 == b.0) {
            let mut keys = window.iter().map(|&(_, slot)| slot).collect::<Vec<_>>();
            table.sort_by_key(&mut keys);
            keys.dedup_by(|a, b| table.key(*a) == table.key(*b));
            self.changing.extend(keys.into_iter().map(|slot| (window[0].0, slot)));
        }
    }

    /// One slot for each group key of which some part of the window is pending, by key.
    /// Rows that are pending are never let go.
    fn pending_keys(&self, table: &Table, start: i64) -> Vec<Slot> {
        let parts = self.layout.parts_of_window(table, start);
        let mut slots = parts
            .iter()
            .flat_map(|part| table.slots_of(part.id))
            .filter(|&slot| table.extra(slot, PENDING) != 0)
            .collect::<Vec<_>>();
        table.sort_by_key(&mut slots);
        slots.dedup_by(|a, b| table.key(*a) == table.key(*b));
        slots
    }
}

impl Kind for Hopping {
    fn assign(
        &mut self,
        batch: &Batch,
        taken: &intake::Taken,
        kept: &mut Kept,
        to: &mut Assigned,
        cx: &mut Context<'_>,
    ) {
        let layout = self.layout;
        let (size, every) = (layout.size, layout.windows.every);
        let times = batch.meta.event_time.values();
        let open_from = taken.watermarks.open_from();
        // The pane of the row before, as a range that is empty at first, and the windows that hold it.
        let (mut start, mut end, mut id, mut first, mut holders) = (0, 0, 0, 0, 0);
        for &row in &taken.rows {
            let at = row as usize;
            let time = times[at];
            if time < start || time >= end {
                start = layout.panes.floor(time);
                end = start.saturating_add(layout.panes.every);
                id = layout.id(layout.panes.index(start), 0);
                let last;
                (first, last) = layout.holders(start);
                holders = if first > last { 0 } else { (last - first) / every + 1 };
            }
            if holders == 0 {
                cx.ledger().filtered += 1;
                continue;
            }
            // Windows that begin here or before are late.
            let late = open_from(at).saturating_sub(size);
            let refused = if late < first { 0 } else { ((late - first) / every + 1).min(holders) };
            if refused > 0 {
                let by = if refused == holders { Taken::ByNone } else { Taken::BySome };
                let windows = (0..refused).map(|n| (first + n * every, first + n * every + size));
                to.late.add(row, refused as u64, by, windows, cx);
                if by == Taken::ByNone {
                    continue;
                }
            }
            let slot = kept.table.upsert(id + refused, taken.keys.hash(at), taken.keys.key(at));
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
        while let Some(start) = self.closing(table, closed) {
            if ready.is_full(table) {
                return Ok(Progress::More);
            }
            match which {
                Which::All => self.rolling.window(table, start, &mut self.made, ready)?,
                Which::Pending => {
                    let keys = self.pending_keys(table, start);
                    self.values(table, start, &keys, ready)?;
                }
            }
            self.next = start.saturating_add(self.layout.windows.every);
        }
        self.next = self.next.max(self.told(closed).0);
        Ok(Progress::Done)
    }

    fn settle(&mut self, table: &mut Table) -> u64 {
        table.release(&self.made);
        self.made.clear();
        if self.next == i64::MIN {
            return 0;
        }
        let open = self.layout.id(self.layout.panes.index(self.next), 0);
        let closed = table.panes_between(i64::MIN, open).collect::<Vec<_>>();
        closed.into_iter().map(|part| table.drop_pane(part)).sum()
    }

    fn changed(&mut self, table: &mut Table, slots: Vec<Slot>, ready: &mut Ready) -> Result<Progress, TaskError> {
        self.note_changed(table, &slots);
        while let Some(&(start, _)) = self.changing.front() {
            let most = self.changing.iter().take(TOGETHER);
            let keys = most.take_while(|window| window.0 == start).map(|window| window.1).collect::<Vec<_>>();
            self.changing.drain(..keys.len());
            self.values(table, start, &keys, ready)?;
            if ready.is_full(table) && !self.changing.is_empty() {
                return Ok(Progress::More);
            }
        }
        Ok(Progress::Done)
    }

    fn told(&self, closed: Watermark) -> Watermark {
        self.layout.windows.first_open(self.layout.size, closed)
    }

    fn closes_all(&self, table: &Table) -> Watermark {
        let Some(last) = table.panes().next_back() else { return Watermark::UNKNOWN };
        let (_, last) = self.layout.holders(self.layout.panes.point(self.layout.part(last).pane));
        Watermark(last.saturating_add(self.layout.size))
    }

    fn restored(&mut self, kept: &mut Kept) {
        self.next = self.told(kept.clock.closed()).0;
        self.rolling.forget(&mut kept.table);
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
