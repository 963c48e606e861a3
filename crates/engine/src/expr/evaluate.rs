//! Evaluation: a batch at a time, and where that fails, halves of it until the rows at fault stand alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, new_empty_array, new_null_array};
use arrow::compute;
use arrow::datatypes::DataType;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;

use super::message::in_our_words;
use super::{Code, Expr};
use crate::error::{RecordError, RecordErrorKind, RowFault};

/// The values of `expr`; see [`Expr::evaluate`].
pub(super) fn evaluate(expr: &Expr, rows: &RecordBatch) -> (ArrayRef, Vec<RowFault>) {
    let physical = match &expr.code {
        Code::Column(index) => return (Arc::clone(rows.column(*index)), Vec::new()),
        Code::Physical(physical) => physical,
    };
    if rows.num_rows() == 0 {
        return (new_empty_array(&expr.data_type), Vec::new());
    }
    match attempt(physical, &expr.data_type, rows) {
        Ok(values) => (values, Vec::new()),
        Err(message) => {
            let mut search =
                Search { physical, data_type: &expr.data_type, rows, parts: Vec::new(), faults: Vec::new() };
            search.halve(0, rows.num_rows(), message);
            search.finish()
        }
    }
}

/// The rows for which `expr` is true; see [`Expr::evaluate_filter`].
pub(super) fn evaluate_filter(expr: &Expr, rows: &RecordBatch) -> (BooleanArray, Vec<RowFault>) {
    let (values, faults) = evaluate(expr, rows);
    let Some(values) = values.as_boolean_opt() else {
        // Lowering has made sure that filters are boolean; null is the one other type that it lets pass.
        return (BooleanArray::from(vec![false; rows.num_rows()]), faults);
    };
    let keep = match values.nulls() {
        None => values.clone(),
        Some(nulls) => BooleanArray::new(values.values() & nulls.inner(), None),
    };
    (keep, faults)
}

/// All rows at once. A function that panics on some value is taken to have failed on it.
fn attempt(physical: &Arc<dyn PhysicalExpr>, data_type: &DataType, rows: &RecordBatch) -> Result<ArrayRef, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| physical.evaluate(rows)));
    let value = match outcome {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => return Err(in_our_words(&error)),
        Err(_) => return Err("a function failed on this value".to_owned()),
    };
    let values = match value {
        ColumnarValue::Array(values) => values,
        ColumnarValue::Scalar(scalar) => {
            scalar.to_array_of_size(rows.num_rows()).map_err(|error| in_our_words(&error))?
        }
    };
    if values.len() != rows.num_rows() {
        return Err("a function gave another number of values than rows".to_owned());
    }
    if values.data_type() == data_type {
        return Ok(values);
    }
    // Functions may promise one of several like types (views of strings) and give another.
    compute::cast(&values, data_type).map_err(|error| in_our_words(&error.into()))
}

/// The search for the rows at fault in a batch that failed as a whole.
struct Search<'a> {
    physical: &'a Arc<dyn PhysicalExpr>,
    data_type: &'a DataType,
    rows: &'a RecordBatch,
    parts: Vec<ArrayRef>,
    faults: Vec<RowFault>,
}

impl Search<'_> {
    /// `message` is what the rows from `start`, `length` of them, failed with together. Its depth is the logarithm
    /// of the batch's length.
    fn halve(&mut self, start: usize, length: usize, message: String) {
        if length == 1 {
            self.parts.push(new_null_array(self.data_type, 1));
            let error = RecordError { kind: RecordErrorKind::Expression, message };
            self.faults.push(RowFault { row: start, error });
            return;
        }
        let half = length / 2;
        for (start, length) in [(start, half), (start + half, length - half)] {
            match attempt(self.physical, self.data_type, &self.rows.slice(start, length)) {
                Ok(values) => self.parts.push(values),
                Err(message) => self.halve(start, length, message),
            }
        }
    }

    fn finish(self) -> (ArrayRef, Vec<RowFault>) {
        let parts = self.parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>();
        let values = compute::concat(&parts).expect("all parts have the expression's type");
        (values, self.faults)
    }
}
