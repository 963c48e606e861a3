//! The frame that kinds of windows share: rows in, results out by watermark or by commit, signals, state, ledger.

use crate::aggregate::Slot;
use crate::batch::Batch;
use crate::clock::Clock;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::Port;
use crate::operator::{Operator, Signal};
use crate::plan::Emit;
use crate::state::StateHandle;
use crate::state::kept::Kept;
use crate::state::table::Table;
use crate::time::{Millis, Watermark};

use super::intake::{Intake, Taken, order_of};
use super::late::LateRows;
use super::results::{Ready, Results};

/// Which of the operator's numbers says when results last left by `emit: every`; `i64::MIN` for never.
pub(crate) const LAST_EMIT: usize = 1;

/// The operator's numbers when it starts: see [`super::results::RESULTS`] and [`LAST_EMIT`].
pub(crate) const NUMBERS: [i64; 2] = [0, i64::MIN];

/// Which of a row's extra numbers says that its value has changed since it was emitted: 1, else 0. Tables of steps that
/// emit changes have it, first.
pub(crate) const PENDING: usize = 0;

/// The extra numbers of a step's rows.
pub(crate) fn extra(emit: Emit) -> &'static [&'static str] {
    if emit == Emit::Final { &[] } else { &["pending"] }
}

/// Whether changes are to be emitted with a commit at `now` when they last were at `last`: perhaps by a process whose clock was
/// ahead, which is not waited for.
pub(crate) fn is_due(emit: Emit, now: Millis, last: i64) -> bool {
    match emit {
        Emit::Final | Emit::Arrival => false,
        Emit::Changes => true,
        Emit::Every(_) => last > now.0 || due_at(emit, last).is_some_and(|due_at| due_at <= now),
    }
}

/// When changes that wait are due, which were last emitted at `last`.
pub(crate) fn due_at(emit: Emit, last: i64) -> Option<Millis> {
    match emit {
        Emit::Final | Emit::Arrival | Emit::Changes => None,
        Emit::Every(span) => Some(Millis(last.saturating_add(span.0))),
    }
}

/// What tells one kind of window from another.
pub(crate) trait Kind: Send {
    /// Finds the slots of the rows that are taken in and counts the rows into them; refuses late rows.
    fn assign(&mut self, batch: &Batch, taken: &Taken, kept: &mut Kept, to: &mut Assigned, cx: &mut Context<'_>);

    /// Readies the next results that are final where windows are closed as far as `closed`, as many as make a good batch; with
    /// [`Which::Pending`] only those that changed since they were last emitted.
    ///
    /// # Errors
    /// If an aggregate fails.
    fn close(
        &mut self,
        table: &mut Table,
        closed: Watermark,
        which: Which,
        ready: &mut Ready,
    ) -> Result<Progress, TaskError>;

    /// The results readied by `close` or `changed` have left: forgets what they were made of. Returns how many rows of
    /// input are remembered no longer.
    fn settle(&mut self, table: &mut Table) -> u64;

    /// Readies the values of all open windows that some of `slots` is part of, by (end, key), as many as make a good batch;
    /// the next of them when it is called again, without slots.
    ///
    /// # Errors
    /// If an aggregate fails.
    fn changed(&mut self, table: &mut Table, slots: Vec<Slot>, ready: &mut Ready) -> Result<Progress, TaskError>;

    /// How far time has come for the nodes behind when windows are closed as far as `closed`: no later result is older.
    fn told(&self, closed: Watermark) -> Watermark;

    /// The same, right after changes have been emitted.
    fn told_with_changes(&self, closed: Watermark) -> Watermark {
        self.told(closed)
    }

    /// How far windows have to be closed for all that are open to be; [`Watermark::UNKNOWN`] when none is open.
    fn closes_all(&self, table: &Table) -> Watermark;

    /// State was restored: computes anew what is computed from it.
    fn restored(&mut self, _kept: &mut Kept) {}
}

/// Which results leave when a window closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// All: none has left before.
    All,
    /// Those that changed since they were last emitted.
    Pending,
}

/// Whether there is more to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be.
    More,
    /// All is closed that is to be.
    Done,
}

/// Rows of a batch and the slots that they go to, and the rows that were late.
#[derive(Debug)]
pub(crate) struct Assigned {
    /// Indices of rows, ascending.
    pub(crate) rows: Vec<u32>,
    /// For each of `rows` its slot.
    pub(crate) slots: Vec<Slot>,
    /// The late rows.
    pub(crate) late: LateRows,
}

/// A stateful step over windows of kind `K`.
pub(crate) struct Windowed<K> {
    kind: K,
    kept: Kept,
    intake: Intake,
    results: Results,
    assigned: Assigned,
    emit: Emit,
    /// Rows whose `pending` is 1, and some that are no more.
    pending: Vec<Slot>,
    told_idle: bool,
}

impl<K: Kind> Windowed<K> {
    /// A step; the table of `kept` has the extra numbers [`extra`] and the operator the numbers [`NUMBERS`].
    pub(crate) fn new(kind: K, kept: Kept, intake: Intake, results: Results, late: LateRows, emit: Emit) -> Self {
        let assigned = Assigned { rows: Vec::new(), slots: Vec::new(), late };
        Windowed { kind, kept, intake, results, assigned, emit, pending: Vec::new(), told_idle: false }
    }

    fn recompute(&mut self) {
        if !self.kept.take_restored() {
            return;
        }
        self.told_idle = self.kept.clock.all_idle();
        self.kind.restored(&mut self.kept);
        self.results.restore_told(self.kind.told(self.kept.clock.closed()));
        self.pending.clear();
        if self.emit != Emit::Final {
            let table = &self.kept.table;
            self.pending.extend(table.slots().filter(|&slot| table.extra(slot, PENDING) != 0));
        }
    }

    fn mark_pending(&mut self) {
        if self.emit == Emit::Final {
            return;
        }
        for &slot in &self.assigned.slots {
            if self.kept.table.extra(slot, PENDING) == 0 {
                self.kept.table.set_extra(slot, PENDING, 1);
                self.pending.push(slot);
            }
        }
    }

    /// Emits what W has made final, and how far time has come.
    fn close(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let closed = self.kept.clock.closed();
        let which = if self.emit == Emit::Final { Which::All } else { Which::Pending };
        loop {
            let mut ready = Ready::default();
            let progress = self.kind.close(&mut self.kept.table, closed, which, &mut ready)?;
            let after = if progress == Progress::Done { self.kind.told(closed) } else { Watermark::UNKNOWN };
            self.results.emit(&mut self.kept, &ready, after, cx)?;
            cx.ledger().folded += self.kind.settle(&mut self.kept.table);
            if progress == Progress::Done {
                break;
            }
            cx.flush()?;
        }
        cx.ledger().held = self.kept.table.held_rows();
        Ok(())
    }

    /// Emits the values that changed since they were last emitted. Returns whether there were any.
    fn emit_changes(&mut self, cx: &mut Context<'_>) -> Result<bool, TaskError> {
        let mut slots = std::mem::take(&mut self.pending);
        let table = &mut self.kept.table;
        slots.sort_unstable();
        slots.dedup();
        slots.retain(|&slot| table.is_live(slot) && table.extra(slot, PENDING) != 0);
        let any = !slots.is_empty();
        for &slot in &slots {
            table.set_extra(slot, PENDING, 0);
            table.touch(slot);
        }
        loop {
            let mut ready = Ready::default();
            let progress = self.kind.changed(&mut self.kept.table, std::mem::take(&mut slots), &mut ready)?;
            let told = match progress {
                Progress::Done => self.kind.told_with_changes(self.kept.clock.closed()),
                Progress::More => Watermark::UNKNOWN,
            };
            self.results.emit(&mut self.kept, &ready, told, cx)?;
            self.kind.settle(&mut self.kept.table);
            if progress == Progress::Done {
                return Ok(any);
            }
            cx.flush()?;
        }
    }

    fn refresh(&mut self, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.kept.clock.refresh();
        self.close(cx)
    }
}

impl<K: Kind> Operator for Windowed<K> {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.recompute();
        let Kept { table, clock, .. } = &mut self.kept;
        let taken = self.intake.take(&batch, clock, table.aggregates(), cx)?;
        let Assigned { rows, slots, .. } = &mut self.assigned;
        rows.clear();
        slots.clear();
        self.kind.assign(&batch, &taken, &mut self.kept, &mut self.assigned, cx);
        let Assigned { rows, slots, late } = &mut self.assigned;
        self.kept.table.check()?;
        self.kept.table.update(&taken.arguments, rows, slots, order_of(&batch))?;
        late.send(&batch, cx);
        self.intake.give_back(taken);
        self.mark_pending();
        if self.told_idle && !self.kept.clock.all_idle() {
            self.told_idle = false;
            self.results.repeat_time(cx);
        }
        self.refresh(cx)
    }

    fn on_signal(&mut self, signal: Signal, cx: &mut Context<'_>) -> Result<(), TaskError> {
        self.recompute();
        match signal {
            Signal::Idle(_) | Signal::Elapsed(_) => {
                self.kept.clock.on_silence(signal);
                self.refresh(cx)?;
                if self.kept.clock.all_idle() {
                    self.told_idle = true;
                    cx.signal(Signal::Idle(self.results.output()));
                }
            }
            Signal::Close => {
                let all = self.kind.closes_all(&self.kept.table);
                if all.is_known() {
                    self.kept.clock.close_to(all);
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
        self.recompute();
        let due = is_due(self.emit, now, self.kept.numbers[LAST_EMIT]);
        if due && self.emit_changes(cx)? && self.emit != Emit::Changes {
            self.kept.numbers[LAST_EMIT] = now.0;
        }
        Ok(())
    }

    fn due_at(&self) -> Option<Millis> {
        due_at(self.emit, self.kept.numbers[LAST_EMIT]).filter(|_| !self.pending.is_empty())
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.kept.clock)
    }

    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        Some(&mut self.kept)
    }
}
