//! Repartition: rows leave for the tasks that own their keys, with the sender's watermark at each row, and with what the row
//! is late by.

use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, Int64Array, UInt32Array};
use arrow::datatypes::SchemaRef;

use crate::batch::{Batch, OwnTime, RowClock};
use crate::clock::{Clock, RowWatermarks};
use crate::context::{Context, Effect, ExchangeOutput};
use crate::error::TaskError;
use crate::ids::{ExchangeId, InputId, PartitionId, Port};
use crate::key::{self, KeyStyle};
use crate::operator::{End, Operator, Signal};
use crate::plan::ExchangePlan;
use crate::state::keys::group_equal;
use crate::state::{Delta, StateHandle, scalars};
use crate::task::{Ends, ExchangeWiring};
use crate::time::{Millis, Watermark};

/// What it is called in errors.
const STEP: &str = "repartition";

/// The sending end. Its only state is its clock (how far each of its inputs has come, rows with a null key left out) and
/// what it has told of it.
pub struct Exchange {
    exchange: ExchangeId,
    keys: Vec<usize>,
    style: KeyStyle,
    schema: SchemaRef,
    clock: Clock,
    clock_changed: bool,
    /// What each partition has been told.
    told: Vec<Told>,
    /// Whether partitions hear of the end, and how this task stands to it.
    ends: Ends,
    end: End,
    /// Whether the task is about to be given away: what is to be told cannot wait.
    is_parting: bool,
    /// How often partitions may be told of time alone.
    tell_every: Millis,
    /// When they were last.
    told_at: Option<Millis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    watermark: Watermark,
    /// Whether all inputs are idle.
    idle: bool,
    end: End,
}

const IDLE: u8 = 1;
const AT_END: u8 = 2;

/// Time at each row of a batch, the row included.
struct Times {
    /// W of this task.
    w: Vec<i64>,
    /// What the row is late by, where that is not W for all.
    late_by: Option<Vec<i64>>,
}

impl Exchange {
    /// The sender of `plan` over rows of `schema`. `inputs` are those whose batches reach it.
    pub fn new(
        plan: ExchangePlan,
        schema: SchemaRef,
        wiring: ExchangeWiring,
        inputs: Vec<(InputId, String)>,
    ) -> Exchange {
        let style = match plan.keys.as_slice() {
            [_] => KeyStyle::Plain,
            keys => KeyStyle::Object(keys.iter().map(|&key| schema.field(key).name().clone()).collect()),
        };
        let told = Told { watermark: Watermark::UNKNOWN, idle: false, end: End::Ahead };
        Exchange {
            exchange: plan.exchange,
            keys: plan.keys,
            style,
            schema,
            clock: Clock::new(inputs),
            clock_changed: false,
            told: vec![told; wiring.partitions as usize],
            ends: wiring.ends,
            end: End::Ahead,
            is_parting: false,
            tell_every: wiring.tell_every,
            told_at: None,
        }
    }

    /// Rows whose key columns are all there.
    fn keyed_rows(&self, batch: &Batch) -> BooleanArray {
        let keys: Vec<_> = self.keys.iter().map(|&key| batch.rows.column(key)).collect();
        (0..batch.len()).map(|row| Some(keys.iter().all(|key| key.is_valid(row)))).collect()
    }

    /// Takes a batch's time.
    fn walk(&mut self, batch: &Batch, keyed: &BooleanArray) -> Times {
        let mut walked = RowWatermarks::default();
        self.clock.walk(batch, Some(keyed), &mut walked);
        self.clock.refresh();
        let w: Vec<i64> = (0..batch.len()).map(|row| walked.w(row).0).collect();
        // Of a task with one input it is the same.
        let late_by = (walked.late_by() != w).then(|| walked.late_by().to_vec());
        Times { w, late_by }
    }

    fn now_true(&self) -> Told {
        Told { watermark: self.clock.w(), idle: self.clock.all_idle(), end: self.end }
    }

    /// Whether some partition has not been told what is true.
    fn owes(&self) -> bool {
        let now_true = self.now_true();
        self.told.iter().any(|told| *told != now_true)
    }

    fn partitions(&self, batch: &Batch) -> BinaryArray {
        let columns: Vec<ArrayRef> = self.keys.iter().map(|&key| group_equal(batch.rows.column(key))).collect();
        key::render(&columns, &self.style)
    }

    fn send(&mut self, partition: usize, batch: Batch, end: End, cx: &mut Context<'_>) {
        let told = Told { watermark: batch.meta.clock.after, idle: self.clock.all_idle(), end };
        self.clock_changed |= self.told[partition] != told;
        self.told[partition] = told;
        cx.ledger().rows_out += batch.len() as u64;
        cx.effect(Effect::Exchange(ExchangeOutput {
            exchange: self.exchange,
            partition: PartitionId(partition as u32),
            batch,
            idle: told.idle,
            end: told.end,
        }));
    }
}

impl Operator for Exchange {
    fn process(&mut self, _port: Port, mut batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let keyed = self.keyed_rows(&batch);
        let times = self.walk(&batch, &keyed);
        // To those behind all rows come by one input, this task.
        batch.meta.mixture = None;
        self.clock_changed = true;
        cx.ledger().null_key += keyed.false_count() as u64;
        cx.ledger().passed += keyed.true_count() as u64;
        if keyed.true_count() == 0 {
            return Ok(());
        }
        let mut rows_of = vec![Vec::new(); self.told.len()];
        if self.keys.is_empty() {
            rows_of[0] = (0..batch.len() as u32).collect();
        } else {
            let keys = self.partitions(&batch);
            for row in (0..batch.len()).filter(|&row| keyed.value(row)) {
                let partition = key::partition_for(keys.value(row), self.told.len() as u32);
                rows_of[partition.0 as usize].push(row as u32);
            }
        }
        for (partition, rows) in rows_of.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let at_rows = |times: &Vec<i64>| rows.iter().map(|&row| times[row as usize]).collect::<Int64Array>();
            let (before, late_by) = (Some(at_rows(&times.w)), times.late_by.as_ref().map(at_rows));
            let mut part = batch.take(&UInt32Array::from(rows));
            part.meta.clock = RowClock { before, own: OwnTime::Silent, late_by, after: self.clock.w() };
            // There may be more; what is true is told with the commit.
            self.send(partition, part, End::Ahead, cx);
        }
        Ok(())
    }

    fn on_signal(&mut self, signal: Signal, _cx: &mut Context<'_>) -> Result<(), TaskError> {
        // The tasks behind are closed when their turn comes.
        if signal != Signal::Close {
            let before = self.clock.w();
            self.clock.on_silence(signal);
            self.clock_changed |= self.clock.refresh() != before;
        }
        Ok(())
    }

    fn on_end(&mut self, end: End) {
        if self.ends == Ends::Told {
            self.is_parting = end == End::Parting;
            self.end = if end == End::Reached { End::Reached } else { End::Ahead };
        }
    }

    /// Every partition hears of a watermark that moved, also those that got no rows; but not with each commit where this is
    /// too much: each sender tells each receiver.
    fn before_commit(&mut self, now: Millis, cx: &mut Context<'_>) -> Result<(), TaskError> {
        // A clock that was set back must not silence it.
        let is_early = self.told_at.is_some_and(|at| (0..self.tell_every.0).contains(&(now.0 - at.0)));
        if (is_early && !self.is_parting) || !self.owes() {
            return Ok(());
        }
        self.told_at = Some(now);
        let now_true = self.now_true();
        for partition in 0..self.told.len() {
            if self.told[partition] != now_true {
                let batch = Batch::time_only(self.schema.clone(), InputId::default(), now_true.watermark);
                self.send(partition, batch, now_true.end, cx);
            }
        }
        Ok(())
    }

    fn due_at(&self) -> Option<Millis> {
        self.told_at.filter(|_| self.owes()).map(|at| at.plus(self.tell_every))
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.clock)
    }

    fn state(&mut self) -> Option<&mut dyn StateHandle> {
        Some(self)
    }
}

impl StateHandle for Exchange {
    fn take_delta(&mut self) -> Result<Delta, TaskError> {
        let scalars = std::mem::take(&mut self.clock_changed).then(|| self.scalars());
        Ok(Delta { scalars, ..Delta::default() })
    }

    /// The clock, then what each partition has been told: a restart need not tell it again.
    fn scalars(&self) -> Vec<u8> {
        let mut scalars = scalars::begin();
        scalars.extend(self.clock.save());
        for told in &self.told {
            scalars.extend(told.watermark.0.to_le_bytes());
            let end = if told.end == End::Reached { AT_END } else { 0 };
            scalars.push(end | if told.idle { IDLE } else { 0 });
        }
        scalars
    }

    fn load_scalars(&mut self, scalars: &[u8]) -> Result<(), TaskError> {
        let scalars = scalars::open(STEP, scalars)?;
        let told = scalars.get(self.clock.load(scalars)?..).unwrap_or_default();
        for (told, bytes) in self.told.iter_mut().zip(told.chunks_exact(9)) {
            if let Some((watermark, &[flags])) = bytes.split_first_chunk() {
                let end = if flags & AT_END == 0 { End::Ahead } else { End::Reached };
                *told = Told { watermark: Watermark(i64::from_le_bytes(*watermark)), idle: flags & IDLE != 0, end };
            }
        }
        Ok(())
    }
}

/// The receiving end: a frame's rows already carry the sender's watermarks.
pub struct ExchangeSource;

impl Operator for ExchangeSource {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        cx.ledger().passed += batch.len() as u64;
        cx.emit(batch);
        Ok(())
    }
}
