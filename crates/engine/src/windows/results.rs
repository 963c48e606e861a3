//! Results of windows as batches: group key, bounds, aggregates, and the time that they stand for.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use arrow::compute;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::aggregate::Slot;
use crate::batch::{Batch, OwnTime, RowClock, RowMeta, RowOrigin};
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::{InputId, Origin};
use crate::state::kept::Kept;
use crate::time::Watermark;

/// Rows in one batch of results at most.
pub(crate) const BATCH_ROWS: usize = 8192;

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
}

impl Ready {
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
        for from in (0..rows).step_by(BATCH_ROWS) {
            let to = (from + BATCH_ROWS).min(rows);
            let mut batch = self.batch(kept, ready, from, to, cx)?;
            kept.numbers[RESULTS] += (to - from) as i64;
            if to == rows {
                batch.meta.clock.after = after;
            }
            cx.emit(batch);
        }
        if rows == 0 {
            cx.emit(Batch::time_only(Arc::clone(&self.schema), self.output, after));
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
        let table = &kept.table;
        let first = kept.numbers[RESULTS];
        let offsets = (first..first + (to - from) as i64).collect::<Vec<_>>();
        let failed = |error: ArrowError| TaskError::Kernel { step: cx.step().to_owned(), message: error.to_string() };
        let values = &ready.values[from..to];
        let mut columns = table.key_columns(values)?;
        for bounds in [&ready.starts, &ready.ends].into_iter().filter(|bounds| !bounds.is_empty()) {
            let bounds = TimestampMillisecondArray::from_iter_values(bounds[from..to].iter().copied());
            columns.push(Arc::new(bounds.with_timezone("UTC")));
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

        let times = match ready.times.is_empty() {
            true => values.iter().map(|&slot| table.max_time(slot)).collect::<Vec<_>>(),
            false => ready.times[from..to].to_vec(),
        };
        let before = (!ready.before.is_empty()).then(|| Int64Array::from(ready.before[from..to].to_vec()));
        let options = RecordBatchOptions::new().with_row_count(Some(to - from));
        if faults.is_empty() {
            let rows =
                RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(failed)?;
            return Ok(Batch { rows, meta: self.meta(times, offsets, before) });
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
            cx.reject_result(naming.slice(index, 1), error)?;
        }
        let before = before.map(|before| Int64Array::from(select(before.values(), &keep)));
        Ok(Batch { rows, meta: self.meta(select(&times, &keep), select(&offsets, &keep), before) })
    }

    fn meta(&self, times: Vec<i64>, offsets: Vec<i64>, before: Option<Int64Array>) -> RowMeta {
        RowMeta {
            input: self.output,
            event_time: Int64Array::from(times),
            offset: Int64Array::from(offsets),
            origin: RowOrigin::One(Origin::default()),
            clock: RowClock { before, own: OwnTime::Silent, after: Watermark::UNKNOWN },
            position: None,
            tombstone: None,
        }
    }
}

fn select(values: &[i64], keep: &BooleanArray) -> Vec<i64> {
    values.iter().enumerate().filter(|&(at, _)| keep.value(at)).map(|(_, &value)| value).collect()
}

fn fit(column: ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    if column.data_type() == wanted { Ok(column) } else { compute::cast(&column, wanted) }
}
