//! Unnest: one row for each element of a list; rows whose list is empty or null are filtered.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch, UInt32Array,
};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};

use crate::batch::Batch;
use crate::context::Context;
use crate::error::{RecordError, RecordErrorKind, RowFault, TaskError};
use crate::ids::Port;
use crate::operator::Operator;
use crate::plan::UnnestPlan;
use crate::size::bytes_of;
use crate::time::Watermark;

/// Bytes that the rows made of one record take at most; above that the record is in error.
const RECORD_BYTES: usize = 64 << 20;

/// Bytes of rows that leave in one batch, about.
const BATCH_BYTES: usize = 16 << 20;

/// What a row takes beside its columns: its times, its origin and its place.
const ROW_BYTES: usize = 32;

/// See [`crate::plan::NodeKind::Unnest`]. An element that is null is a row whose column is null. A row that retracts an
/// earlier result stays one row, with a null element.
#[derive(Debug)]
pub struct Unnest {
    column: usize,
    schema: SchemaRef,
}

impl Unnest {
    /// An unnest whose output has the columns of `schema`: the input's, with the list's element in place of the list.
    pub fn new(plan: UnnestPlan, schema: SchemaRef) -> Unnest {
        Unnest { column: plan.column, schema }
    }

    /// The rows of `range` of a batch with their elements, as one batch.
    fn emit(&self, batch: &Batch, lists: &Lists, range: Range<usize>, cx: &mut Context<'_>) -> Result<(), TaskError> {
        let failed = |message: String| TaskError::Kernel { step: cx.step().to_owned(), message };
        let mut part = batch.slice(range.start, range.len());
        if range.end < batch.len() {
            part.meta.clock.after = Watermark::UNKNOWN;
        }
        let picks = pick(lists, range);
        let element = compute::take(&lists.values, &picks.elements, None).map_err(|error| failed(error.to_string()))?;
        let taken = part.take(&picks.rows);
        let mut columns = taken.rows.columns().to_vec();
        columns[self.column] = element;
        let rows = RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| failed(error.to_string()))?;
        cx.ledger().passed += picks.passed as u64;
        cx.ledger().filtered += (part.len() - picks.passed) as u64;
        cx.emit(Batch { rows, meta: taken.meta });
        Ok(())
    }
}

impl Operator for Unnest {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            cx.emit(batch.with_rows(RecordBatch::new_empty(self.schema.clone())));
            return Ok(());
        }
        let Some(lists) = Lists::of(&batch, self.column) else {
            let message = format!("column {} is not a list", self.schema.field(self.column).name());
            return Err(TaskError::Kernel { step: cx.step().to_owned(), message });
        };
        let made = lists.bytes_made(&batch, self.column);
        let faults = too_large(&batch, &made);
        if !faults.is_empty() {
            cx.reject(&batch, &faults);
            // What is left of those records makes no rows.
            return self.process(Port(0), batch.filter(&super::all_but(batch.len(), &faults)), cx);
        }
        for part in parts(&batch, &made) {
            self.emit(&batch, &lists, part, cx)?;
            cx.flush()?;
        }
        Ok(())
    }
}

/// The rows of a batch by the record that they were made of. Rows of one record share the place that they have in the pass;
/// where no places are kept, no row was made of another.
fn records(batch: &Batch) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let same = |&row: &usize| batch.meta.position.is_some() && batch.position(row) == batch.position(start);
        let record = start..(start + 1..batch.len()).take_while(same).last().unwrap_or(start) + 1;
        start = record.end;
        (record.start < batch.len()).then_some(record)
    })
}

/// The rows that are in error, for what is made of them, or of other rows that were made of the same record, is too large.
fn too_large(batch: &Batch, made: &[usize]) -> Vec<RowFault> {
    let mut faults = Vec::new();
    for record in records(batch) {
        let bytes = made[record.clone()].iter().fold(0, |sum: usize, &bytes| sum.saturating_add(bytes));
        if bytes > RECORD_BYTES {
            let rows = record.filter(|&row| made[row] > 0 && !batch.is_tombstone(row));
            let error = RecordError {
                kind: RecordErrorKind::Overflow,
                message: format!(
                    "the rows made of this record take {bytes} bytes, of which {RECORD_BYTES} are allowed"
                ),
            };
            faults.extend(rows.map(|row| RowFault { row, error: error.clone() }));
        }
    }
    faults
}

/// The rows of a batch in ranges of which each makes a batch of good size. Those of one record stay together: what a later
/// unnest makes of them is judged as a whole.
fn parts(batch: &Batch, made: &[usize]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for record in records(batch) {
        let of_record = made[record.clone()].iter().sum::<usize>();
        if start < record.start && bytes + of_record > BATCH_BYTES {
            parts.push(start..record.start);
            (start, bytes) = (record.start, 0);
        }
        bytes += of_record;
    }
    parts.push(start..made.len());
    parts
}

/// A list column of any kind: row `i` has the elements `bounds[i]..bounds[i + 1]` of `values`, unless it is null, and one
/// null element if it retracts an earlier result.
struct Lists {
    column: ArrayRef,
    bounds: Vec<usize>,
    values: ArrayRef,
    retracting: Vec<bool>,
}

impl Lists {
    fn of(batch: &Batch, column: usize) -> Option<Lists> {
        let column = batch.rows.column(column);
        let (bounds, values) = match column.data_type() {
            DataType::List(_) => of_list(column.as_list::<i32>()),
            DataType::LargeList(_) => of_list(column.as_list::<i64>()),
            DataType::FixedSizeList(..) => of_fixed(column.as_fixed_size_list()),
            DataType::Map(..) => of_map(column.as_map()),
            _ => return None,
        };
        let retracting = batch.meta.tombstone.as_ref();
        let retracting =
            retracting.map_or_else(Vec::new, |_| (0..batch.len()).map(|row| batch.is_tombstone(row)).collect());
        Some(Lists { column: Arc::clone(column), bounds, values, retracting })
    }

    fn is_retracting(&self, row: usize) -> bool {
        self.retracting.get(row).copied().unwrap_or(false)
    }

    /// The elements of a row, of which each makes a row.
    fn elements(&self, row: usize) -> Range<usize> {
        if self.is_retracting(row) || self.column.is_null(row) { 0..0 } else { self.bounds[row]..self.bounds[row + 1] }
    }

    /// For each row the bytes of the rows that are made of it.
    fn bytes_made(&self, batch: &Batch, column: usize) -> Vec<usize> {
        let others = || batch.rows.columns().iter().enumerate().filter(|&(at, _)| at != column).map(|(_, other)| other);
        let made = |row: usize| {
            let elements = self.elements(row);
            match elements.len() {
                0 => usize::from(self.is_retracting(row)) * ROW_BYTES,
                length => {
                    let repeated = others().map(|other| bytes_of(other.as_ref(), row..row + 1)).sum::<usize>();
                    length.saturating_mul(repeated + ROW_BYTES).saturating_add(bytes_of(self.values.as_ref(), elements))
                }
            }
        };
        (0..batch.len()).map(made).collect()
    }
}

fn of_list<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> (Vec<usize>, ArrayRef) {
    (list.offsets().iter().map(|offset| offset.as_usize()).collect(), Arc::clone(list.values()))
}

fn of_fixed(list: &FixedSizeListArray) -> (Vec<usize>, ArrayRef) {
    let length = list.value_length() as usize;
    ((0..=list.len()).map(|row| row * length).collect(), Arc::clone(list.values()))
}

fn of_map(map: &MapArray) -> (Vec<usize>, ArrayRef) {
    (map.offsets().iter().map(|&offset| offset as usize).collect(), Arc::new(map.entries().clone()))
}

/// For each row that comes out: the row that it comes from, counted from the first of the range, and its element.
struct Picks {
    rows: UInt32Array,
    elements: UInt32Array,
    passed: usize,
}

fn pick(lists: &Lists, range: Range<usize>) -> Picks {
    let most = lists.bounds[range.end] - lists.bounds[range.start];
    let mut rows = Vec::with_capacity(most);
    let mut elements = Vec::with_capacity(most);
    let mut passed = 0;
    for row in range.clone() {
        let from = (row - range.start) as u32;
        if lists.is_retracting(row) {
            rows.push(from);
            elements.push(None);
            passed += 1;
            continue;
        }
        let of_row = lists.elements(row);
        passed += usize::from(!of_row.is_empty());
        for element in of_row {
            rows.push(from);
            elements.push(Some(element as u32));
        }
    }
    Picks { rows: UInt32Array::from(rows), elements: UInt32Array::from(elements), passed }
}
