//! Sessions: rows of a key no further apart than the gap. One that is closed is never opened or merged again.

mod open;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use smallvec::SmallVec;

use super::Parts;
use super::intake::{Intake, Taken, order_of};
use super::late::{self, LateRows};
use super::results::{Ready, Results};
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

use open::{Among, Open};

/// The numbers of a session: first and last event time, and, where changes are emitted, how it stands with those
/// behind: see [`CHANGED`], [`TOLD`], [`CLOSED`], [`GONE`], and the bounds that they were told last.
const EXTRA: &[&str] = &["start", "end", "standing", "told_start", "told_end"];
const START: usize = 0;
const END: usize = 1;
const STANDING: usize = 2;
const TOLD_START: usize = 3;
const TOLD_END: usize = 4;

/// It has changed since it was emitted.
const CHANGED: i64 = 1;
/// It has been emitted with the bounds told.
const TOLD: i64 = 2;
/// It is closed and waits only to be emitted.
const CLOSED: i64 = 4;
/// It was merged into another and waits only to be retracted.
const GONE: i64 = 8;

/// Sessions.
pub(crate) struct Session {
    gap: Millis,
    emit: Emit,
    late: LateRows,
    intake: Intake,
    kept: Kept,
    results: Results,
    open: Open,
    /// For each open session an end that it had, and its serial number; least first.
    ends: BinaryHeap<Reverse<(i64, u64, Slot)>>,
    /// Sessions to be emitted or retracted at a commit, with their serial numbers, and some that are no more.
    changed: Vec<(u64, Slot)>,
    /// Rows found their sessions, but are not yet in the aggregates.
    rows: Vec<u32>,
    slots: Vec<Slot>,
    told_idle: bool,
}

impl Session {
    /// Sessions of rows no further apart than `gap`.
    ///
    /// # Errors
    /// If a key column has a type that cannot be ordered.
    pub(crate) fn new(parts: Parts<'_>, gap: Millis) -> Result<Session, TaskError> {
        let WindowPlan { emit, late, .. } = *parts.plan;
        let extra = if emit == Emit::Final { &EXTRA[..STANDING] } else { EXTRA };
        let (kept, intake, results) = parts.make(Identity::Serial, extra)?;
        Ok(Session {
            gap,
            emit,
            late: LateRows::new(late),
            intake,
            kept,
            results,
            open: Open::default(),
            ends: BinaryHeap::new(),
            changed: Vec::new(),
            rows: Vec::new(),
            slots: Vec::new(),
            told_idle: false,
        })
    }

    /// Takes the rows that are not late into their sessions.
    fn take_in(&mut self, batch: &Batch, taken: &Taken, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let times = batch.meta.event_time.values();
        let open_from = taken.watermarks.open_from();
        let gap = self.gap.0;
        for &row in &taken.rows {
            let at = row as usize;
            let (time, open_from) = (times[at], open_from(at).saturating_sub(gap));
            let (reach_from, reach_to) = (time.saturating_sub(gap), time.saturating_add(gap));
            let (hash, key) = (taken.keys.hash(at), taken.keys.key(at));
            let first = reach_from.max(open_from);
            let (joined, among) = self.open.between(&self.kept.table, (hash, key), first, reach_to);
            let slot = match joined.as_slice() {
                [] if time < open_from => {
                    self.late.add(row, 1, late::Taken::ByNone, std::iter::once((time, time)), cx);
                    continue;
                }
                [] => {
                    let slot = self.kept.table.insert(0, hash, key);
                    self.kept.table.set_extra(slot, START, time);
                    self.kept.table.set_extra(slot, END, time);
                    self.ends.push(Reverse((time, self.kept.table.serial(slot), slot)));
                    self.open.insert(&self.kept.table, slot);
                    slot
                }
                [slot] => *slot,
                several => self.merge(several, batch, taken)?,
            };
            self.extend(slot, time, among);
            self.rows.push(row);
            self.slots.push(slot);
        }
        self.late.send(batch, cx);
        self.flush(batch, taken)
    }

    /// Counts a row into a session.
    #[inline]
    fn extend(&mut self, slot: Slot, time: i64, among: Among) {
        let table = &mut self.kept.table;
        table.add_row(slot, time);
        let (start, end) = (table.extra(slot, START), table.extra(slot, END));
        if among == Among::Few {
            table.set_extra(slot, START, start.min(time));
            table.set_extra(slot, END, end.max(time));
        } else if time < start || time > end {
            self.open.set_bounds(table, slot, start.min(time), end.max(time));
        }
        table.touch(slot);
        if self.emit != Emit::Final {
            self.mark(slot, CHANGED);
        }
    }

    /// Adds the rows that have found their sessions to the aggregates.
    fn flush(&mut self, batch: &Batch, taken: &Taken) -> Result<(), TaskError> {
        self.kept.table.update(&taken.arguments, &self.rows, &self.slots, order_of(batch))?;
        self.rows.clear();
        self.slots.clear();
        Ok(())
    }

    /// Merges sessions of one key into the first of them.
    fn merge(&mut self, sessions: &[Slot], batch: &Batch, taken: &Taken) -> Result<Slot, TaskError> {
        self.flush(batch, taken)?;
        let table = &mut self.kept.table;
        let mut sessions = SmallVec::<[Slot; 4]>::from_slice(sessions);
        sessions.sort_unstable_by_key(|&slot| (table.extra(slot, START), table.serial(slot)));
        let into = sessions[0];
        for &from in &sessions[1..] {
            let table = &mut self.kept.table;
            table.merge(&[into], &[from])?;
            table.move_rows(into, from);
            let end = table.extra(into, END).max(table.extra(from, END));
            self.open.set_bounds(table, into, table.extra(into, START), end);
            self.open.remove(table, from);
            let table = &mut self.kept.table;
            if self.emit != Emit::Final && table.extra(from, STANDING) & TOLD != 0 {
                self.mark(from, GONE);
            } else {
                table.remove(from);
            }
        }
        Ok(into)
    }

    /// Says of a session that something is to be emitted at a commit, and why.
    fn mark(&mut self, slot: Slot, why: i64) {
        let table = &mut self.kept.table;
        let standing = table.extra(slot, STANDING);
        if standing & why == 0 {
            table.set_extra(slot, STANDING, standing | why);
            table.touch(slot);
            self.changed.push((table.serial(slot), slot));
        }
    }

    /// Sessions that end before this are closed; results to come do not end before it.
    fn closed(&self) -> Watermark {
        self.kept.clock.closed().minus(self.gap)
    }

    /// Closes the sessions that W has left behind, and emits them or leaves them to the next commit.
    fn close(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let closed = self.closed();
        let mut slots = Vec::new();
        while let Some(&Reverse((end, serial, slot))) = self.ends.peek()
            && end < closed.0
        {
            self.ends.pop();
            let table = &self.kept.table;
            let stands = table.is_live(slot) && table.serial(slot) == serial && !self.is(slot, GONE);
            match table.extra(slot, END) {
                end if stands && end < closed.0 => slots.push(slot),
                end if stands => self.ends.push(Reverse((end, serial, slot))),
                _ => {}
            }
        }
        for &slot in &slots {
            self.open.remove(&self.kept.table, slot);
        }
        if self.emit == Emit::Final {
            self.emit_sessions(&mut slots, closed, cx)?;
            for slot in slots {
                self.forget(slot, cx);
            }
        } else {
            for slot in slots {
                self.close_with_changes(slot, cx);
            }
        }
        cx.ledger().held = self.kept.table.held_rows();
        Ok(())
    }

    /// Closes a session that has been emitted unless it changed after that.
    fn close_with_changes(&mut self, slot: Slot, cx: &mut Context<'_>) {
        if self.is(slot, CHANGED) {
            let standing = self.kept.table.extra(slot, STANDING);
            self.kept.table.set_extra(slot, STANDING, standing | CLOSED);
            self.kept.table.touch(slot);
        } else {
            self.forget(slot, cx);
        }
    }

    fn is(&self, slot: Slot, standing: i64) -> bool {
        self.emit != Emit::Final && self.kept.table.extra(slot, STANDING) & standing != 0
    }

    fn forget(&mut self, slot: Slot, cx: &mut Context<'_>) {
        cx.ledger().folded += self.kept.table.rows(slot);
        self.kept.table.remove(slot);
    }

    /// Emits sessions in order of (end, key), and how far time has come.
    fn emit_sessions(&mut self, slots: &mut Vec<Slot>, told: Watermark, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let table = &self.kept.table;
        slots.sort_unstable_by_key(|&slot| (table.extra(slot, START), table.serial(slot)));
        table.sort_by_key(slots);
        slots.sort_by_key(|&slot| table.extra(slot, END));
        let mut ready = Ready::default();
        for &slot in slots.iter() {
            ready.window(slot, table.extra(slot, START), table.extra(slot, END));
        }
        ready.times.clone_from(&ready.ends);
        self.results.emit(&mut self.kept, &ready, told, cx)
    }

    /// Retracts what no longer stands as it was told, and emits what has changed. Returns whether there was anything.
    fn emit_changes(&mut self, cx: &mut Context<'_>) -> Result<bool, TaskError> {
        let mut changed = std::mem::take(&mut self.changed);
        let table = &self.kept.table;
        changed.sort_unstable();
        changed.dedup();
        changed.retain(|&(serial, slot)| table.is_live(slot) && table.serial(slot) == serial);
        let changed = changed.into_iter().map(|(_, slot)| slot).collect::<Vec<_>>();
        let any = !changed.is_empty();

        let bounds = |slot, start, end| (table.extra(slot, start), table.extra(slot, end));
        let mut stale = changed.clone();
        stale.retain(|&slot| {
            let stands = !self.is(slot, GONE) && bounds(slot, START, END) == bounds(slot, TOLD_START, TOLD_END);
            self.is(slot, TOLD) && !stands
        });
        table.sort_by_key(&mut stale);
        stale.sort_by_key(|&slot| table.extra(slot, TOLD_END));
        let retracted = stale.iter().map(|&slot| bounds(slot, TOLD_START, TOLD_END)).collect::<Vec<_>>();
        self.results.retract(&mut self.kept, &stale, &retracted, cx)?;

        let (gone, mut changed) = changed.into_iter().partition::<Vec<_>, _>(|&slot| self.is(slot, GONE));
        gone.into_iter().for_each(|slot| self.kept.table.remove(slot));
        self.emit_sessions(&mut changed, self.closed(), cx)?;
        for slot in changed {
            let table = &mut self.kept.table;
            if table.extra(slot, STANDING) & CLOSED != 0 {
                self.forget(slot, cx);
                continue;
            }
            table.set_extra(slot, STANDING, TOLD);
            table.set_extra(slot, TOLD_START, table.extra(slot, START));
            table.set_extra(slot, TOLD_END, table.extra(slot, END));
            table.touch(slot);
        }
        cx.ledger().held = self.kept.table.held_rows();
        Ok(any)
    }

    /// Computes what is not state from restored state.
    fn rebuild(&mut self) {
        if !self.kept.take_restored() {
            return;
        }
        self.told_idle = self.kept.clock.all_idle();
        self.open.clear();
        self.ends.clear();
        self.changed.clear();
        let mut slots = self.kept.table.slots().collect::<Vec<_>>();
        slots.sort_unstable_by_key(|&slot| self.kept.table.serial(slot));
        for slot in slots {
            let table = &self.kept.table;
            let serial = table.serial(slot);
            if self.is(slot, CHANGED | GONE) {
                self.changed.push((serial, slot));
            }
            if self.is(slot, CLOSED | GONE) {
                continue;
            }
            self.ends.push(Reverse((table.extra(slot, END), serial, slot)));
            self.open.insert(table, slot);
        }
        if self.emit == Emit::Final {
            self.results.restore_told(self.closed());
        }
    }
}

impl Operator for Session {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        let taken = self.intake.take(&batch, &mut self.kept.clock, self.kept.table.aggregates(), cx)?;
        self.take_in(&batch, &taken, cx)?;
        self.intake.give_back(taken);
        if self.told_idle && !self.kept.clock.all_idle() {
            self.told_idle = false;
            self.results.repeat_time(cx);
        }
        self.kept.clock.refresh();
        self.close(cx)
    }

    fn on_signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        match signal {
            Signal::Idle(_) | Signal::Elapsed(_) => {
                self.kept.clock.on_silence(signal);
                self.kept.clock.refresh();
                self.close(cx)?;
                if self.kept.clock.all_idle() {
                    self.told_idle = true;
                    cx.signal(Signal::Idle(self.results.output()));
                }
            }
            Signal::Close => {
                let last = self.kept.table.slots().map(|slot| self.kept.table.extra(slot, END)).max();
                if let Some(last) = last {
                    let end = Millis(last).plus(self.gap).plus(Millis(1));
                    self.kept.clock.close_to(Watermark(end.0));
                }
                self.close(cx)?;
                if self.emit != Emit::Final {
                    self.emit_changes(cx)?;
                }
                cx.signal(Signal::Close);
            }
        }
        Ok(())
    }

    fn before_commit(&mut self, now: Millis, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.rebuild();
        if is_due(self.emit, now, self.kept.numbers[LAST_EMIT]) && self.emit_changes(cx)? && self.emit != Emit::Changes
        {
            self.kept.numbers[LAST_EMIT] = now.0;
        }
        Ok(())
    }

    fn due_at(&self) -> Option<Millis> {
        due_at(self.emit, self.kept.numbers[LAST_EMIT]).filter(|_| !self.changed.is_empty())
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.kept.clock)
    }

    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        Some(&mut self.kept)
    }
}
