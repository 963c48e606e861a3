//! Rolling aggregates: one result for each row, over the rows of its key in `[t − d, t]`; at once, or when nothing can
//! change it any more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{Int64Array, UInt32Array};
use smallvec::SmallVec;

use super::Parts;
use super::intake::{Intake, Taken, order_of};
use super::late::{self, LateRows};
use super::panes::Panes;
use super::results::{BATCH_ROWS, Ready, Results};
use super::timeline::{LineId, Spot, Timelines, part_width};
use crate::aggregate::Slot;
use crate::batch::{Batch, OwnTime, RowClock, RowMeta};
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::Port;
use crate::operator::{Operator, Signal};
use crate::plan::{Emit, WindowPlan};
use crate::state::StateHandle;
use crate::state::kept::Kept;
use crate::state::table::{Identity, Table};
use crate::time::{Millis, Watermark};

/// The numbers of a row of state: (event time, origin, offset).
const EXTRA: &[&str] = &["time", "origin", "offset"];
const TIME: usize = 0;
const ORIGIN: usize = 1;
const OFFSET: usize = 2;

/// Rows whose lines are looked up together.
const TOGETHER: usize = 64;

/// Rolling aggregates. It remembers each row until no row to come can reach back to it.
pub(crate) struct Over {
    span: i64,
    when: When,
    late: LateRows,
    intake: Intake,
    kept: Kept,
    results: Results,
    panes: Panes,
    lines: Timelines,
    /// With [`When::Final`], the rows whose results are still to come, least first.
    due: BinaryHeap<Reverse<Due>>,
    told_idle: bool,
}

/// When results leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Arrival,
    Final,
}

/// A row whose result is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    order: (i64, u64, i64),
    serial: u64,
    line: LineId,
    slot: Slot,
}

impl Over {
    /// Results over `[t − span, t]`.
    ///
    /// # Errors
    /// If a key column has a type that cannot be ordered.
    pub(crate) fn new(parts: Parts<'_>, span: Millis) -> Result<Over, TaskError> {
        let WindowPlan { emit, grace, late, .. } = *parts.plan;
        let (kept, intake, results) = parts.make(Identity::Serial, EXTRA)?;
        let width = part_width(span.0);
        Ok(Over {
            span: span.0,
            when: if emit == Emit::Final { When::Final } else { When::Arrival },
            late: LateRows::new(late),
            intake,
            kept,
            results,
            panes: Panes::new(width, span.plus(grace)),
            lines: Timelines::new(span.0),
            due: BinaryHeap::new(),
            told_idle: false,
        })
    }

    /// Takes the rows that are not late into state. Returns them, and their slots.
    fn take_in(
        &mut self,
        batch: &Batch,
        taken: &Taken,
        cx: &mut Context<'_>,
    ) -> Result<(Vec<u32>, Vec<Slot>), TaskError> {
        let table = &mut self.kept.table;
        let mut rows = Vec::with_capacity(taken.rows.len());
        let mut slots = Vec::with_capacity(taken.rows.len());
        let open_from = taken.watermarks.open_from();
        for &row in &taken.rows {
            let at = row as usize;
            let time = batch.meta.event_time.value(at);
            if time < open_from(at) {
                let window = (time.saturating_sub(self.span), time);
                self.late.add(row, 1, late::Taken::ByNone, std::iter::once(window), cx);
                continue;
            }
            let slot = table.insert(self.panes.of(time), taken.keys.hash(at), taken.keys.key(at));
            table.set_extra(slot, TIME, time);
            table.set_extra(slot, ORIGIN, batch.meta.origin.at(at).0 as i64);
            table.set_extra(slot, OFFSET, batch.meta.offset.value(at));
            if self.when == When::Final {
                table.add_row(slot, time);
            }
            rows.push(row);
            slots.push(slot);
        }
        self.late.send(batch, cx);
        table.update(&taken.arguments, &rows, &slots, order_of(batch))?;
        Ok((rows, slots))
    }

    /// Puts rows in their places and emits the result of each, with the batch's own time.
    fn emit_on_arrival(
        &mut self,
        batch: &Batch,
        taken: &Taken,
        rows: &[u32],
        slots: &[Slot],
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        cx.ledger().passed += rows.len() as u64;
        let grow = self.kept.table.aggregates().grow();
        let meta = self.meta_of(batch, taken, rows);
        let mut ready = Ready::default();
        let mut emitted = 0;
        for (at, (of_rows, slots)) in rows.chunks(TOGETHER).zip(slots.chunks(TOGETHER)).enumerate() {
            self.sum_on_arrival(batch, taken, of_rows, slots, &mut ready);
            if !grow {
                self.lines.run_if_many(&mut self.kept.table)?;
                continue;
            }
            self.lines.run(&mut self.kept.table)?;
            let to = at * TOGETHER + of_rows.len();
            if to < rows.len() && ready.is_full(&self.kept.table) {
                let mut part = meta.slice(emitted, to - emitted);
                part.clock.after = Watermark::UNKNOWN;
                self.leave(part, &std::mem::take(&mut ready), cx)?;
                cx.flush()?;
                emitted = to;
            }
        }
        self.lines.run(&mut self.kept.table)?;
        let rest = meta.slice(emitted, rows.len() - emitted);
        self.leave(rest, &ready, cx)
    }

    /// What the results of `rows` carry, all together: of a part of them the others are not left out.
    fn meta_of(&self, batch: &Batch, taken: &Taken, rows: &[u32]) -> RowMeta {
        let w_i = taken.watermarks.w_i();
        let before = rows.iter().map(|&row| w_i[row as usize]).collect::<Vec<_>>();
        let rows = UInt32Array::from(rows.to_vec());
        let mut meta = batch.meta.take(&rows);
        meta.tombstone = None;
        let after = match &batch.meta.mixture {
            None => self.kept.clock.input_watermark(batch.meta.input),
            Some(mixture) => {
                meta.mixture = Some(mixture.of_results(batch, &rows, &taken.watermarks));
                Watermark::UNKNOWN
            }
        };
        let late_by = meta.clock.late_by;
        meta.clock = RowClock { before: Some(Int64Array::from(before)), own: OwnTime::Silent, late_by, after };
        meta
    }

    /// Puts some rows in their places and readies the result of each.
    fn sum_on_arrival(&mut self, batch: &Batch, taken: &Taken, rows: &[u32], slots: &[Slot], ready: &mut Ready) {
        let place = |&row: &u32| self.lines.line(taken.keys.hash(row as usize), taken.keys.key(row as usize));
        let lines = rows.iter().map(place).collect::<SmallVec<[LineId; TOGETHER]>>();
        self.lines.warm(&lines);
        let times = batch.meta.event_time.values();
        for ((&row, &slot), &line) in rows.iter().zip(slots).zip(&lines) {
            let at = row as usize;
            let (time, (origin, offset)) = (times[at], batch.order(at));
            self.lines.insert(line, Spot { time, origin: origin.0, offset: offset.0, slot });
            let value = self.kept.table.scratch_for(taken.keys.hash(at), taken.keys.key(at));
            let from = time.saturating_sub(self.span);
            self.lines.sum(&mut self.kept.table, line, from, time, value);
            ready.window(value, from, time);
        }
    }

    /// Emits the results of some rows, which then are no more.
    fn leave(&mut self, meta: RowMeta, ready: &Ready, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.results.emit_rows(&self.kept, ready, meta, cx)?;
        self.kept.table.release(&ready.values);
        Ok(())
    }

    /// Emits the results that nothing can change any more, and how far time has come.
    fn emit_final(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let closed = self.kept.clock.closed();
        let grow = self.kept.table.aggregates().grow();
        let together = if grow { TOGETHER } else { BATCH_ROWS };
        let mut ready = Ready::default();
        while let Some(Reverse(due)) = self.due.peek().copied()
            && due.order.0 < closed.0
        {
            self.due.pop();
            let value = self.kept.table.scratch_for(self.kept.table.hash(due.slot), self.lines.key(due.line));
            let from = due.order.0.saturating_sub(self.span);
            self.lines.sum(&mut self.kept.table, due.line, from, due.order.0, value);
            ready.window(value, from, due.order.0);
            ready.times.push(due.order.0);
            if !ready.values.len().is_multiple_of(together) {
                continue;
            }
            self.lines.run(&mut self.kept.table)?;
            if ready.is_full(&self.kept.table) {
                self.results.emit(&mut self.kept, &ready, Watermark::UNKNOWN, cx)?;
                cx.flush()?;
                self.kept.table.release(&ready.values);
                ready = Ready::default();
            }
        }
        self.lines.run(&mut self.kept.table)?;
        self.results.emit(&mut self.kept, &ready, closed, cx)?;
        self.kept.table.release(&ready.values);
        Ok(())
    }

    /// Forgets the rows that no row to come can reach back to.
    fn expire(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let kept_from = self.kept.clock.closed().minus(Millis(self.span));
        if kept_from.is_known() {
            self.lines.forget_before(kept_from.0, &mut self.kept.table)?;
            cx.ledger().passed += self.panes.drop_before(kept_from.0, &mut self.kept.table);
        }
        cx.ledger().held = self.kept.table.held_rows();
        Ok(())
    }

    /// Computes what is not state from restored state.
    fn rebuild(&mut self) {
        if !self.kept.take_restored() {
            return;
        }
        self.told_idle = self.kept.clock.all_idle();
        self.lines.clear(&mut self.kept.table);
        self.due.clear();
        let closed = self.kept.clock.closed();
        let table = &self.kept.table;
        let mut slots = table.slots().collect::<Vec<_>>();
        slots.sort_unstable_by_key(|&slot| table.serial(slot));
        for slot in slots {
            let (line, spot) = insert(&mut self.lines, table, slot);
            self.panes.found(table.pane(slot), spot.time);
            if self.when == When::Final && spot.time >= closed.0 {
                self.due.push(Reverse(due(table, line, spot)));
            }
        }
        if self.when == When::Final {
            self.results.restore_told(closed);
        }
    }
}

impl Operator for Over {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        let taken = self.intake.take(&batch, &mut self.kept.clock, self.kept.table.aggregates(), cx)?;
        let (rows, slots) = self.take_in(&batch, &taken, cx)?;
        self.kept.clock.refresh();
        match self.when {
            When::Arrival => self.emit_on_arrival(&batch, &taken, &rows, &slots, cx)?,
            When::Final => {
                for slot in slots {
                    let (line, spot) = insert(&mut self.lines, &self.kept.table, slot);
                    self.due.push(Reverse(due(&self.kept.table, line, spot)));
                }
                self.emit_final(cx)?;
                if self.told_idle && !self.kept.clock.all_idle() {
                    self.told_idle = false;
                    self.results.repeat_time(cx);
                }
            }
        }
        self.intake.give_back(taken);
        self.expire(cx)
    }

    fn on_signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        match signal {
            Signal::Idle(_) | Signal::Elapsed(_) => self.kept.clock.on_silence(signal),
            Signal::Close => {
                let last = self.due.iter().map(|Reverse(due)| due.order.0).max();
                if let Some(last) = last {
                    self.kept.clock.close_to(Watermark(last.saturating_add(1)));
                }
            }
        }
        self.kept.clock.refresh();
        if self.when == When::Final {
            self.emit_final(cx)?;
        }
        self.expire(cx)?;
        match signal {
            Signal::Idle(_) | Signal::Elapsed(_) if self.when == When::Final => {
                if self.kept.clock.all_idle() {
                    self.told_idle = true;
                    cx.signal(Signal::Idle(self.results.output()));
                }
            }
            signal => cx.signal(signal),
        }
        Ok(())
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.kept.clock)
    }

    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        Some(&mut self.kept)
    }
}

/// Puts a row of state in its place.
fn insert(lines: &mut Timelines, table: &Table, slot: Slot) -> (LineId, Spot) {
    let spot = Spot {
        time: table.extra(slot, TIME),
        origin: table.extra(slot, ORIGIN) as u64,
        offset: table.extra(slot, OFFSET),
        slot,
    };
    let line = lines.line(table.hash(slot), table.key(slot));
    lines.insert(line, spot);
    (line, spot)
}

fn due(table: &Table, line: LineId, spot: Spot) -> Due {
    Due { order: spot.order(), serial: table.serial(spot.slot), line, slot: spot.slot }
}
