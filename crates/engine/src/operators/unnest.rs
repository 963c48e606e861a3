//! Unnest: one row for each element of a list; rows whose list is empty or null are filtered.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch, UInt32Array,
};
use arrow::compute;
use arrow::datatypes::{DataType, SchemaRef};

use crate::batch::Batch;
use crate::context::Context;
use crate::error::TaskError;
use crate::ids::Port;
use crate::operator::Operator;
use crate::plan::UnnestPlan;

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
}

impl Operator for Unnest {
    fn process(&mut self, _port: Port, batch: Batch, cx: &mut Context<'_>) -> Result<(), TaskError> {
        if batch.is_empty() {
            cx.emit(batch.with_rows(RecordBatch::new_empty(self.schema.clone())));
            return Ok(());
        }
        let failed = |message: String| TaskError::Kernel { step: cx.step().to_owned(), message };
        let lists = lists(batch.rows.column(self.column))
            .ok_or_else(|| failed(format!("column {} is not a list", self.schema.field(self.column).name())))?;
        let picks = pick(&lists, &batch);
        let element = compute::take(&lists.values, &picks.elements, None).map_err(|error| failed(error.to_string()))?;
        let taken = batch.take(&picks.rows);
        let mut columns = taken.rows.columns().to_vec();
        columns[self.column] = element;
        let rows = RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| failed(error.to_string()))?;
        cx.ledger().passed += picks.passed as u64;
        cx.ledger().filtered += (batch.len() - picks.passed) as u64;
        cx.emit(Batch { rows, meta: taken.meta });
        Ok(())
    }
}

/// A list column of any kind: row `i` has the elements `bounds[i]..bounds[i + 1]` of `values`, unless it is null.
struct Lists {
    column: ArrayRef,
    bounds: Vec<usize>,
    values: ArrayRef,
}

fn lists(column: &ArrayRef) -> Option<Lists> {
    let (bounds, values) = match column.data_type() {
        DataType::List(_) => of_list(column.as_list::<i32>()),
        DataType::LargeList(_) => of_list(column.as_list::<i64>()),
        DataType::FixedSizeList(..) => of_fixed(column.as_fixed_size_list()),
        DataType::Map(..) => of_map(column.as_map()),
        _ => return None,
    };
    Some(Lists { column: Arc::clone(column), bounds, values })
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

/// For each row that comes out: the row it comes from, and its element.
struct Picks {
    rows: UInt32Array,
    elements: UInt32Array,
    passed: usize,
}

fn pick(lists: &Lists, batch: &Batch) -> Picks {
    let most = lists.bounds[batch.len()] - lists.bounds[0];
    let mut rows = Vec::with_capacity(most);
    let mut elements = Vec::with_capacity(most);
    let mut passed = 0;
    for row in 0..batch.len() {
        if batch.is_tombstone(row) {
            rows.push(row as u32);
            elements.push(None);
            passed += 1;
            continue;
        }
        let (start, end) = (lists.bounds[row], lists.bounds[row + 1]);
        if lists.column.is_null(row) || start == end {
            continue;
        }
        for element in start..end {
            rows.push(row as u32);
            elements.push(Some(element as u32));
        }
        passed += 1;
    }
    Picks { rows: UInt32Array::from(rows), elements: UInt32Array::from(elements), passed }
}
