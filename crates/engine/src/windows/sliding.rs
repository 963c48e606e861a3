//! Sliding windows anchored to rows: for each row at t `[t − d, t]`, and, where it is not empty, `[t + 1, t + 1 + d]`.
//!
//! A row counts in every window that holds it and ends at or behind W_i − grace as of its arrival. So windows are not
//! kept: rows are, each with the least end that it counts for, and a window is made of them when it is closed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Parts;
use super::intake::{Intake, Taken, order_of};
use super::late::{self, LateRows};
use super::panes::Panes;
use super::results::{BATCH_ROWS, Ready, Results};
use super::timeline::{LineId, Spot, Straggler, Timelines, part_width};
use super::windowed::{LAST_EMIT, due_at, is_due};
use crate::aggregate::Slot;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::Port;
use crate::operator::{Operator, Signal};
use crate::plan::{Emit, WindowPlan};
use crate::state::StateHandle;
use crate::state::kept::Kept;
use crate::state::table::Identity;
use crate::time::{Millis, Watermark};

/// The numbers of a row of state: (event time, origin, offset), the least end of a window that it counts in, and, where
/// changes are emitted, whether it came since that was done last.
const EXTRA: &[&str] = &["time", "origin", "offset", "from", "fresh"];
const TIME: usize = 0;
const ORIGIN: usize = 1;
const OFFSET: usize = 2;
const FROM: usize = 3;
const FRESH: usize = 4;

/// Windows that are made together.
const TOGETHER: usize = 64;

/// Sliding windows. It remembers each row until the last window that it counts in or anchors is closed.
pub(crate) struct Sliding {
    span: i64,
    emit: Emit,
    late: LateRows,
    intake: Intake,
    kept: Kept,
    results: Results,
    panes: Panes,
    lines: Timelines,
    /// With `emit: final`, the ends of windows to come, least first; a window may stand there several times.
    ends: BinaryHeap<Reverse<(i64, LineId)>>,
    /// Otherwise, the rows that came since changes were emitted.
    fresh: Vec<Fresh>,
    told_idle: bool,
}

/// A row whose windows have changed.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    line: LineId,
    time: i64,
    from: i64,
    slot: Slot,
}

impl Sliding {
    /// Windows of `span`.
    ///
    /// # Errors
    /// If a key column has a type that cannot be ordered.
    pub(crate) fn new(parts: Parts<'_>, span: Millis) -> Result<Sliding, TaskError> {
        let WindowPlan { emit, grace, late, .. } = *parts.plan;
        let extra = if emit == Emit::Final { &EXTRA[..FRESH] } else { EXTRA };
        let (kept, intake, results) = parts.make(Identity::Serial, extra)?;
        let width = part_width(span.0);
        Ok(Sliding {
            span: span.0,
            emit,
            late: LateRows::new(late),
            intake,
            kept,
            results,
            panes: Panes::new(width, span.plus(grace)),
            lines: Timelines::new(span.0),
            ends: BinaryHeap::new(),
            fresh: Vec::new(),
            told_idle: false,
        })
    }

    /// Takes the rows that some window takes into state.
    fn take_in(&mut self, batch: &Batch, taken: &Taken, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let table = &mut self.kept.table;
        let mut rows = Vec::with_capacity(taken.rows.len());
        let mut slots = Vec::with_capacity(taken.rows.len());
        let open_from = taken.watermarks.open_from();
        for &row in &taken.rows {
            let at = row as usize;
            let time = batch.meta.event_time.value(at);
            let from = time.max(open_from(at));
            if time < from {
                // The window that the row would anchor stands for all that refuse it: none that holds it ends sooner.
                let is_lost = time.saturating_add(self.span) < from;
                let by = if is_lost { late::Taken::ByNone } else { late::Taken::BySome };
                self.late.add(row, 1, by, std::iter::once((time.saturating_sub(self.span), time)), cx);
                if is_lost {
                    continue;
                }
            }
            let slot = table.insert(self.panes.of(time), taken.keys.hash(at), taken.keys.key(at));
            table.set_extra(slot, TIME, time);
            table.set_extra(slot, ORIGIN, batch.meta.origin.at(at).0 as i64);
            table.set_extra(slot, OFFSET, batch.meta.offset.value(at));
            table.set_extra(slot, FROM, from);
            if self.emit != Emit::Final {
                table.set_extra(slot, FRESH, 1);
            }
            table.add_row(slot, time);
            rows.push(row);
            slots.push(slot);
        }
        self.late.send(batch, cx);
        table.update(&taken.arguments, &rows, &slots, order_of(batch))?;
        for slot in slots {
            self.place(slot);
        }
        Ok(())
    }

    /// Puts a row of state in its place, and notes the windows that it anchors or changes.
    fn place(&mut self, slot: Slot) {
        let table = &self.kept.table;
        let spot = Spot {
            time: table.extra(slot, TIME),
            origin: table.extra(slot, ORIGIN) as u64,
            offset: table.extra(slot, OFFSET),
            slot,
        };
        let (time, from) = (spot.time, table.extra(slot, FROM));
        let line = self.lines.line(table.hash(slot), table.key(slot));
        match from > time {
            false => self.lines.insert(line, spot),
            true => self.lines.insert_straggler(line, Straggler { spot, from }),
        }
        if self.emit != Emit::Final {
            if table.extra(slot, FRESH) != 0 {
                self.fresh.push(Fresh { line, time, from, slot });
            }
            return;
        }
        let closed = self.closed();
        for end in anchored(time, from, self.span).filter(|&end| end >= closed.0) {
            self.ends.push(Reverse((end, line)));
        }
    }

    /// Windows that end before this are closed.
    fn closed(&self) -> Watermark {
        self.kept.clock.closed()
    }

    /// Closes the windows that W has left behind.
    fn close(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let closed = self.closed();
        let mut windows = Vec::new();
        while let Some(&Reverse((end, line))) = self.ends.peek()
            && end < closed.0
        {
            self.ends.pop();
            if windows.last() != Some(&(end, line)) {
                windows.push((end, line));
            }
        }
        self.emit_windows(windows, cx)
    }

    /// Emits windows, each once, in order of (end, key), and how far time has come.
    fn emit_windows(&mut self, mut windows: Vec<(i64, LineId)>, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let lines = &self.lines;
        windows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| lines.key(a.1).cmp(lines.key(b.1))));
        windows.dedup();
        let told = self.closed().minus(Millis(self.span));
        let mut ready = Ready::default();
        for (at, chunk) in windows.chunks(TOGETHER).enumerate() {
            for &(end, line) in chunk {
                self.make(line, end, &mut ready);
            }
            if self.kept.table.aggregates().grow() || ready.values.len() + TOGETHER > BATCH_ROWS {
                self.lines.run(&mut self.kept.table)?;
            } else {
                self.lines.run_if_many(&mut self.kept.table)?;
                continue;
            }
            if ready.is_full(&self.kept.table) || ready.values.len() + TOGETHER > BATCH_ROWS {
                self.leave(&mut ready, cx)?;
                if at * TOGETHER + chunk.len() < windows.len() {
                    cx.flush()?;
                }
            }
        }
        self.lines.run(&mut self.kept.table)?;
        self.leave(&mut ready, cx)?;
        self.results.emit(&mut self.kept, &Ready::default(), told, cx)
    }

    /// Emits windows that have been made, which then are no more.
    fn leave(&mut self, ready: &mut Ready, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let ready = std::mem::take(ready);
        self.results.emit(&mut self.kept, &ready, Watermark::UNKNOWN, cx)?;
        self.kept.table.release(&ready.values);
        Ok(())
    }

    /// Makes the window of a line that ends at `end`, if it is not empty.
    fn make(&mut self, line: LineId, end: i64, ready: &mut Ready) {
        let start = end.saturating_sub(self.span);
        let value = self.kept.table.scratch_for(self.lines.hash(line), self.lines.key(line));
        let row = self.lines.sum(&mut self.kept.table, line, start, end, value);
        let straggler = self.lines.sum_stragglers(&mut self.kept.table, line, start, end, value);
        match row.map(|row| row.time).max(straggler) {
            Some(last) => {
                ready.window(value, start, end);
                ready.times.push(last);
            }
            None => self.kept.table.release(&[value]),
        }
    }

    /// Emits the windows that have changed since that was done last. Returns whether there were any.
    fn emit_changes(&mut self, cx: &mut Context<'_>) -> Result<bool, TaskError> {
        let mut fresh = std::mem::take(&mut self.fresh);
        for fresh in &fresh {
            self.kept.table.set_extra(fresh.slot, FRESH, 0);
            self.kept.table.touch(fresh.slot);
        }
        fresh.sort_unstable_by_key(|fresh| (fresh.line, fresh.time.max(fresh.from), fresh.time));
        let mut windows = Vec::new();
        for of_line in fresh.chunk_by(|a, b| a.line == b.line) {
            self.changed(of_line, &mut windows);
        }
        let any = !windows.is_empty();
        self.emit_windows(windows, cx)?;
        Ok(any)
    }

    /// The windows of one line that the fresh rows anchor or count in, by the end that they begin to count at. Rows count
    /// in much the same windows: those are walked once, as ranges of ends that do not overlap.
    fn changed(&self, fresh: &[Fresh], windows: &mut Vec<(i64, LineId)>) {
        let (line, span) = (fresh[0].line, self.span);
        for fresh in fresh {
            windows.extend(anchored(fresh.time, fresh.from, span).map(|end| (end, line)));
        }
        let mut add = |first: i64, last: i64| {
            let before = |end: i64| end.saturating_sub(span).saturating_sub(1);
            let own = self.lines.rows(line, first, last);
            let next = self.lines.rows(line, before(first), before(last));
            for (spot, from) in own.chain(next) {
                let ends = anchored(spot.time, from, span).filter(|&end| first <= end && end <= last);
                windows.extend(ends.map(|end| (end, line)));
            }
        };
        let ends = |fresh: &Fresh| (fresh.time.max(fresh.from), fresh.time.saturating_add(span));
        let (mut first, mut last) = ends(&fresh[0]);
        for (from, to) in fresh[1..].iter().map(ends) {
            if from > last.saturating_add(1) {
                add(first, last);
                first = from;
            }
            last = last.max(to);
        }
        add(first, last);
        // A row anchors windows in two ranges, and rows of one time anchor the same.
        windows.dedup();
    }

    /// Forgets the rows whose windows are all closed.
    fn expire(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let kept_from = self.closed().minus(Millis(self.span)).minus(Millis(1));
        if kept_from.is_known() && self.fresh.is_empty() {
            self.lines.forget_before(kept_from.0, &mut self.kept.table)?;
            cx.ledger().folded += self.panes.drop_before(kept_from.0, &mut self.kept.table);
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
        self.ends.clear();
        self.fresh.clear();
        let table = &self.kept.table;
        let mut slots = table.slots().collect::<Vec<_>>();
        slots.sort_unstable_by_key(|&slot| table.serial(slot));
        for slot in slots {
            self.panes.found(self.kept.table.pane(slot), self.kept.table.extra(slot, TIME));
            self.place(slot);
        }
        if self.emit == Emit::Final {
            self.results.restore_told(self.closed().minus(Millis(self.span)));
        }
    }
}

impl Operator for Sliding {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        let taken = self.intake.take(&batch, &mut self.kept.clock, self.kept.table.aggregates(), cx)?;
        self.take_in(&batch, &taken, cx)?;
        self.intake.give_back(taken);
        self.kept.clock.refresh();
        if self.told_idle && !self.kept.clock.all_idle() {
            self.told_idle = false;
            self.results.repeat_time(cx);
        }
        if self.emit == Emit::Final {
            self.close(cx)?;
        }
        self.expire(cx)?;
        Ok(())
    }

    fn on_signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        match signal {
            Signal::Idle(_) | Signal::Elapsed(_) => self.kept.clock.on_silence(signal),
            Signal::Close => {
                let last = self.kept.table.slots().map(|slot| self.kept.table.extra(slot, TIME)).max();
                if let Some(last) = last {
                    let end = Millis(last).plus(Millis(self.span)).plus(Millis(1));
                    self.kept.clock.close_to(Watermark(end.plus(Millis(1)).0));
                }
            }
        }
        self.kept.clock.refresh();
        match self.emit {
            Emit::Final => self.close(cx)?,
            _ if signal == Signal::Close => drop(self.emit_changes(cx)?),
            _ => {}
        }
        self.expire(cx)?;
        match signal {
            Signal::Close => cx.signal(signal),
            Signal::Idle(_) | Signal::Elapsed(_) if self.kept.clock.all_idle() => {
                self.told_idle = true;
                cx.signal(Signal::Idle(self.results.output()));
            }
            Signal::Idle(_) | Signal::Elapsed(_) => {}
        }
        Ok(())
    }

    fn before_commit(&mut self, now: Millis, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        if !is_due(self.emit, now, self.kept.numbers[LAST_EMIT]) {
            return Ok(());
        }
        if self.emit_changes(cx)? && self.emit != Emit::Changes {
            self.kept.numbers[LAST_EMIT] = now.0;
        }
        self.expire(cx)
    }

    fn due_at(&self) -> Option<Millis> {
        due_at(self.emit, self.kept.numbers[LAST_EMIT]).filter(|_| !self.fresh.is_empty())
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.kept.clock)
    }

    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        Some(&mut self.kept)
    }
}

/// The ends of the windows that a row anchors: its own only if the row counts there.
fn anchored(time: i64, from: i64, span: i64) -> impl Iterator<Item = i64> {
    let own = (from <= time).then_some(time);
    own.into_iter().chain([time.saturating_add(1).saturating_add(span)])
}
