//! Results of windows as batches: group key, bounds, aggregates, and the time that they stand for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray, UInt32Array,
    new_null_array,
};
use arrow::compute;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::aggregate::Slot;
use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::{InputId, Origin};
use crate::size::fitting;
use crate::state::kept::Kept;
use crate::state::table::Table;
use crate::time::Watermark;

/// Rows in one batch of results at most.
pub(crate) const BATCH_ROWS: usize = 8192;

/// Bytes of the results in one batch of several, about.
const BATCH_BYTES: usize = 16 << 20;

/// Which of the operator's numbers counts its results: a result's offset, so that results of equal event time have an
/// order that no batch cut changes.
pub(crate) const RESULTS: usize = 0;

/// The way out of a stateful step.
#[derive(Debug)]
pub(crate) struct Results {
    schema: SchemaRef,
    output: InputId,
    told: Watermark,
}

/// Results that are ready to leave, in their order. All lists have the same length, but for those that are empty.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// Whose group key and aggregates.
    pub(crate) values: Vec<Slot>,
    /// First bound of the window; empty for results without windows.
    pub(crate) starts: Vec<i64>,
    /// Last bound of the window; empty for results without windows.
    pub(crate) ends: Vec<i64>,
    /// Event times; empty when they are the greatest ones of `values`.
    pub(crate) times: Vec<i64>,
    /// W_i to apply before each row; empty for none.
    pub(crate) before: Vec<i64>,
    /// How many of `values` have been weighed, and what they weigh.
    weighed: usize,
    bytes: usize,
}

impl Ready {
    /// Whether there are enough results for a batch, whose values must have been computed.
    pub(crate) fn is_full(&mut self, table: &Table) -> bool {
        if table.aggregates().grow() {
            let weights = self.values[self.weighed..].iter().map(|&slot| table.slot_bytes(slot));
            self.bytes = weights.fold(self.bytes, usize::saturating_add);
            self.weighed = self.values.len();
        }
        self.values.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// How many of the results from `from` on go into one batch.
    fn fitting(&self, table: &Table, from: usize) -> usize {
        let bytes = self.values[from..].iter().map(|&slot| table.slot_bytes(slot));
        fitting(bytes, BATCH_ROWS, BATCH_BYTES)
    }

    /// One window's result.
    pub(crate) fn window(&mut self, slot: Slot, start: i64, end: i64) {
        self.values.push(slot);
        self.starts.push(start);
        self.ends.push(end);
    }
}

impl Results {
    /// Results of this schema (key columns, bounds if any, aggregates) as input `output` of the nodes behind.
    pub(crate) fn new(schema: SchemaRef, output: InputId) -> Results {
        Results { schema, output, told: Watermark::UNKNOWN }
    }

    /// The step's output as an input of the nodes behind.
    pub(crate) fn output(&self) -> InputId {
        self.output
    }

    /// What the nodes behind have been told of time, restored.
    pub(crate) fn restore_told(&mut self, told: Watermark) {
        self.told = told;
    }

    /// Emits results in their order, in batches of bounded size; the last says that time has come to `after`, if it has
    /// moved, and a batch without rows says so where there are no results. A result that has no value is given to
    /// `on_error` instead.
    ///
    /// # Errors
    /// If results cannot be put into columns, or by `on_error: fail`.
    pub(crate) fn emit(
        &mut self,
        kept: &mut Kept,
        ready: &Ready,
        after: Watermark,
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        let after = if after > self.told { after } else { Watermark::UNKNOWN };
        self.told = self.told.advanced_to(after);
        let rows = ready.values.len();
        let mut from = 0;
        while from < rows {
            let to = from + ready.fitting(&kept.table, from);
            let mut batch = self.batch(kept, ready, from, to, cx)?;
            kept.numbers[RESULTS] += (to - from) as i64;
            if to == rows {
                batch.meta.clock.after = after;
            }
            cx.emit(batch);
            if to < rows {
                cx.flush()?;
            }
            from = to;
        }
        if rows == 0 {
            cx.emit(Batch::time_only(Arc::clone(&self.schema), self.output, after));
        }
        Ok(())
    }

    /// Emits results each of which stands for one row: `meta` is theirs.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub(crate) fn emit_rows(
        &self,
        kept: &Kept,
        ready: &Ready,
        meta: RowMeta,
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        let rows = ready.values.len();
        if rows == 0 {
            cx.emit(Batch { rows: RecordBatch::new_empty(Arc::clone(&self.schema)), meta });
            return Ok(());
        }
        let mut from = 0;
        while from < rows {
            let to = from + ready.fitting(&kept.table, from);
            let mut part = meta.slice(from, to - from);
            if to < rows {
                part.clock.after = Watermark::UNKNOWN;
            }
            let (columns, keep) = self.rows(kept, ready, from, to, cx)?;
            if let Some(keep) = keep {
                let kept = (0..keep.len() as u32).filter(|&row| keep.value(row as usize));
                part = part.take(&UInt32Array::from_iter_values(kept));
            }
            cx.emit(Batch { rows: columns, meta: part });
            if to < rows {
                cx.flush()?;
            }
            from = to;
        }
        Ok(())
    }

    /// Retracts the results of windows with these bounds, whose group keys are those of `slots`.
    ///
    /// # Errors
    /// If they cannot be put into columns.
    pub(crate) fn retract(
        &self,
        kept: &mut Kept,
        slots: &[Slot],
        bounds: &[(i64, i64)],
        cx: &mut Context<'_>,
    ) -> Result<(), TaskError> {
        let mut from = 0;
        while from < slots.len() {
            let keys = slots[from..].iter().map(|&slot| kept.table.key(slot).len());
            let to = from + fitting(keys, BATCH_ROWS, BATCH_BYTES);
            let (slots, bounds) = (&slots[from..to], &bounds[from..to]);
            from = to;
            let failed =
                |error: ArrowError| TaskError::Kernel { step: cx.step().to_owned(), message: error.to_string() };
            let mut columns = kept.table.key_columns(slots)?;
            columns.push(times_of(bounds.iter().map(|bounds| bounds.0)));
            columns.push(times_of(bounds.iter().map(|bounds| bounds.1)));
            let values = self.schema.fields().iter().skip(columns.len());
            columns.extend(values.map(|field| new_null_array(field.data_type(), slots.len())).collect::<Vec<_>>());
            let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)?;
            let first = kept.numbers[RESULTS];
            kept.numbers[RESULTS] += slots.len() as i64;
            let mut meta = self.meta(
                bounds.iter().map(|bounds| bounds.1).collect(),
                (first..first + slots.len() as i64).collect(),
                None,
            );
            meta.tombstone = Some(BooleanArray::from(vec![true; slots.len()]));
            cx.emit(Batch { rows, meta });
        }
        Ok(())
    }

    /// Says again how far time has come, after a silence of all inputs.
    pub(crate) fn repeat_time(&self, cx: &mut Context<'_>) {
        cx.emit(Batch::time_only(Arc::clone(&self.schema), self.output, self.told));
    }

    fn batch(
        &self,
        kept: &Kept,
        ready: &Ready,
        from: usize,
        to: usize,
        cx: &mut Context<'_>,
    ) -> Result<Batch, TaskError> {
        let (rows, keep) = self.rows(kept, ready, from, to, cx)?;
        let first = kept.numbers[RESULTS];
        let mut offsets = (first..first + (to - from) as i64).collect::<Vec<_>>();
        let mut times = match ready.times.is_empty() {
            true => ready.values[from..to].iter().map(|&slot| kept.table.max_time(slot)).collect::<Vec<_>>(),
            false => ready.times[from..to].to_vec(),
        };
        let mut before = ready.before.get(from..to).unwrap_or_default().to_vec();
        if let Some(keep) = keep {
            for values in [&mut offsets, &mut times, &mut before].into_iter().filter(|values| !values.is_empty()) {
                *values = select(values, &keep);
            }
        }
        let before = (!before.is_empty()).then(|| Int64Array::from(before));
        Ok(Batch { rows, meta: self.meta(times, offsets, before) })
    }

    /// The columns of results, and which of them exist, if not all do: the others have been given to `on_error`.
    fn rows(
        &self,
        kept: &Kept,
        ready: &Ready,
        from: usize,
        to: usize,
        cx: &mut Context<'_>,
    ) -> Result<(RecordBatch, Option<BooleanArray>), TaskError> {
        let table = &kept.table;
        let failed = |error: ArrowError| TaskError::Kernel { step: cx.step().to_owned(), message: error.to_string() };
        let values = &ready.values[from..to];
        let mut columns = table.key_columns(values)?;
        for bounds in [&ready.starts, &ready.ends].into_iter().filter(|bounds| !bounds.is_empty()) {
            columns.push(times_of(bounds[from..to].iter().copied()));
        }
        let (results, faults) = table.aggregates().evaluate(values)?;
        let named = columns.len();
        columns.extend(results);
        let columns = columns
            .into_iter()
            .zip(self.schema.fields())
            .map(|(column, field)| fit(column, field.data_type()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;

        let options = RecordBatchOptions::new().with_row_count(Some(to - from));
        if faults.is_empty() {
            let rows =
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(failed)?;
            return Ok((rows, None));
        }
        // The columns that say which result it is can be had even where a value is missing.
        let naming = Arc::new(Schema::new(self.schema.fields()[..named].to_vec()));
        let naming = RecordBatch::try_new_with_options(naming, columns[..named].to_vec(), &options).map_err(failed)?;
        let keep = super::keep_all_but(to - from, faults.iter().map(|&(index, _)| index));
        let kept = columns.iter().map(|column| compute::filter(column, &keep)).collect::<Result<Vec<_>, _>>();
        let options = RecordBatchOptions::new().with_row_count(Some(keep.true_count()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), kept.map_err(failed)?, &options)
            .map_err(failed)?;
        for (index, error) in faults {
            cx.reject_result(naming.slice(index, 1), error);
        }
        Ok((rows, Some(keep)))
    }

    fn meta(&self, times: Vec<i64>, offsets: Vec<i64>, before: Option<Int64Array>) -> RowMeta {
        RowMeta {
            input: self.output,
            event_time: Int64Array::from(times),
            offset: Int64Array::from(offsets),
            origin: RowOrigin::One(Origin::RESULTS),
            clock: RowClock { before, ..RowClock::new(OwnTime::Silent) },
            position: None,
            mixture: None,
            tombstone: None,
        }
    }
}

/// A column of window bounds.
fn times_of(bounds: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(bounds).with_timezone("UTC"))
}

fn select(values: &[i64], keep: &BooleanArray) -> Vec<i64> {
    values.iter().enumerate().filter(|&(at, _)| keep.value(at)).map(|(_, &value)| value).collect()
}

fn fit(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == wanted { Ok(column) } else { compute::cast(&column, wanted) }
}
