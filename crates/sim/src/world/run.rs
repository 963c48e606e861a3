//! One run of a case under a schedule of batch cuts, commits and crashes; the ledger is asserted at every commit.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use millstream_engine::batch::OwnTime;
use millstream_engine::context::{Context, Effect, Item, OnError};
use millstream_engine::error::TaskError;
use millstream_engine::ids::{InputId, Port};
use millstream_engine::ledger::Ledger;
use millstream_engine::operator::{Operator, Signal};
use millstream_engine::time::{Millis, Watermark};

use super::store::Store;
use super::{Case, End, When, engine, same_values};
use crate::model::{self, Event, Kind, Values};
use crate::random::Random;

/// How a case is processed: what must never matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Row by row, with one commit at the end.
    Plain,
    /// A commit after every row.
    Commits,
    /// A commit, a crash and a restore after every row.
    Crashes,
    /// Random batches, some of rows of several inputs, commits and crashes, by a seed.
    Random(u64),
}

/// A result that has left.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) key: String,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) event_time: i64,
    pub(super) retracted: bool,
    pub(super) values: Values,
    /// The bits of a sum of doubles.
    pub(super) bits: Option<u64>,
}

/// What has left by committed epochs.
#[derive(Debug, Clone)]
pub(super) struct Observed {
    pub(super) results: Vec<Seen>,
    /// Late rows: input, offset, refusing windows.
    pub(super) late: Vec<(usize, i64, String)>,
    pub(super) ledger: Ledger,
    told: Watermark,
    /// The next event.
    next: usize,
}

impl Observed {
    /// The last value of each window that has not been retracted, by (key, start, end).
    pub(super) fn standing(&self) -> Vec<Seen> {
        let mut standing = BTreeMap::new();
        for seen in &self.results {
            let window = (&seen.key, seen.start, seen.end);
            match seen.retracted {
                true => standing.remove(&window),
                false => standing.insert(window, seen),
            };
        }
        standing.into_values().cloned().collect()
    }
}

/// Runs a case.
pub(super) fn run(case: &Case, schedule: Schedule) -> Result<Observed, String> {
    let mut run = Run::new(case, schedule)?;
    let mut crashes = 0;
    while run.now.next < case.events.len() {
        run.step()?;
        let (commit, crash) = match schedule {
            Schedule::Plain => (false, false),
            Schedule::Commits => (true, false),
            Schedule::Crashes => (true, true),
            Schedule::Random(_) => (run.random.once_in(3), crashes < 5 && run.random.once_in(6)),
        };
        if commit {
            run.commit()?;
        }
        if crash {
            crashes += 1;
            run.crash()?;
        }
    }
    run.commit()?;
    if case.end == End::Close {
        run.call(|operator, cx| operator.on_signal(Signal::Close, cx))?;
        run.commit()?;
    }
    Ok(run.committed)
}

struct Run<'a> {
    case: &'a Case,
    schedule: Schedule,
    random: Random,
    operator: Box<dyn Operator>,
    /// Of this life of the operator.
    ledger: Ledger,
    /// What of it has been committed.
    booked: Ledger,
    store: Store,
    now: Observed,
    committed: Observed,
    wall: i64,
}

impl<'a> Run<'a> {
    fn new(case: &'a Case, schedule: Schedule) -> Result<Run<'a>, String> {
        let nothing = Observed {
            results: Vec::new(),
            late: Vec::new(),
            ledger: Ledger::default(),
            told: Watermark::UNKNOWN,
            next: 0,
        };
        let seed = if let Schedule::Random(seed) = schedule { seed } else { 0 };
        Ok(Run {
            case,
            schedule,
            random: Random::new(seed),
            operator: engine::operator(case)?,
            ledger: Ledger::default(),
            booked: Ledger::default(),
            store: Store::default(),
            now: nothing.clone(),
            committed: nothing,
            wall: 0,
        })
    }

    /// Hands the next events over: one signal, or some rows, of one input or of any.
    fn step(&mut self) -> Result<(), String> {
        let events = &self.case.events[self.now.next..];
        if let Event::Idle(input) = events[0] {
            self.now.next += 1;
            return self.call(|operator, cx| operator.on_signal(Signal::Idle(InputId(input as u32)), cx));
        }
        let most = if let Schedule::Random(_) = self.schedule { self.random.between(1, 12) as usize } else { 1 };
        let of_any = most > 1 && self.random.once_in(2);
        let mut rows = Vec::new();
        for event in events.iter().take(most) {
            match event {
                Event::Row(row)
                    if of_any || rows.first().is_none_or(|first: &&model::Row| first.input == row.input) =>
                {
                    rows.push(row);
                }
                _ => break,
            }
        }
        self.now.next += rows.len();
        self.ledger.rows_in += rows.len() as u64;
        let batch = engine::batch(self.case, &rows);
        self.call(|operator, cx| operator.process(Port(0), batch, cx))
    }

    fn commit(&mut self) -> Result<(), String> {
        self.wall += 100;
        let wall = Millis(self.wall);
        self.call(|operator, cx| operator.before_commit(wall, cx))?;
        let state = self.operator.state().ok_or("the operator has no state")?;
        self.ledger.held = state.held_rows();
        if !self.ledger.balances() {
            return Err(format!("the ledger does not balance: {}", self.ledger));
        }
        self.store.append(state.take_delta().map_err(|error| error.to_string())?);
        if self.random.once_in(3) {
            let pages = state.take_dirty_pages(usize::MAX).map_err(|error| error.to_string())?;
            self.store.flush(pages, state.scalars());
        }
        self.now.ledger.late += self.ledger.late - self.booked.late;
        self.now.ledger.late_rows += self.ledger.late_rows - self.booked.late_rows;
        self.now.ledger.null_key += self.ledger.null_key - self.booked.null_key;
        self.booked = self.ledger;
        self.committed = self.now.clone();
        if self.case.emit == When::Changes {
            let so_far = &self.case.events[..self.now.next];
            let outcome = model::outcome(self.case.rules, so_far);
            let wrong = |error| format!("at the commit after {} events: {error}", so_far.len());
            same_values(so_far, &outcome, &self.committed.standing()).map_err(wrong)?;
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.operator = engine::operator(self.case)?;
        let state = self.operator.state().ok_or("the operator has no state")?;
        if self.random.once_in(3) {
            self.store.lose_pages();
        }
        self.store.restore(state)?;
        self.ledger = Ledger { restored: state.held_rows(), ..Ledger::default() };
        self.booked = self.ledger;
        self.now = self.committed.clone();
        Ok(())
    }

    /// Calls the operator and takes in what leaves it.
    fn call(
        &mut self,
        call: impl FnOnce(&mut dyn Operator, &mut Context<'_>) -> Result<(), TaskError>,
    ) -> Result<(), String> {
        let (mut outbox, mut effects) = (Vec::new(), Vec::new());
        let mut cx = Context::new("world", OnError::Fail, &mut self.ledger, &mut outbox, &mut effects);
        call(self.operator.as_mut(), &mut cx).map_err(|error| error.to_string())?;
        for (_, item) in outbox {
            let Item::Batch(batch) = item else { continue };
            let seen = engine::results(&batch);
            if self.keeps_time() && batch.meta.clock.own == OwnTime::Silent {
                if let Some(old) = seen.iter().find(|seen| !seen.retracted && seen.event_time < self.now.told.0) {
                    return Err(format!("time had come to {:?} before a result of it: {old:?}", self.now.told));
                }
                self.now.told = self.now.told.max(batch.meta.clock.after);
            }
            self.now.results.extend(seen);
        }
        for effect in effects {
            let Effect::Output(output) = effect else { return Err(format!("an unexpected effect: {effect:?}")) };
            let windows = output.headers[0].1.as_string::<i32>();
            for row in 0..output.batch.len() {
                let (origin, offset) = output.batch.order(row);
                self.now.late.push((origin.partition().0 as usize, offset.0, windows.value(row).to_owned()));
            }
        }
        Ok(())
    }

    /// Whether no result may be older than the time told before.
    fn keeps_time(&self) -> bool {
        !matches!(self.case.rules.kind, Kind::Count(_) | Kind::OverArrival(_))
    }
}
