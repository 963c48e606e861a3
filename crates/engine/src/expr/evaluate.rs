//! Evaluation: a batch at a time, and where that fails, halves of it until the rows at fault stand alone.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array,
    new_null_array,
};
use arrow::compute;
use arrow::datatypes::DataType;
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;

use super::message::in_our_words;
use super::{Code, Expr};
use crate::error::{RecordError, RecordErrorKind, RowFault};

/// The most bytes that the values of a batch may take: text, bytes and lists are addressed by 32 bits.
const MAX_BYTES: usize = i32::MAX as usize;

/// The values of a batch take more than one array may hold.
#[derive(Debug)]
pub(crate) struct TooLarge;

/// The values of `expr`; see [`Expr::evaluate`].
pub(super) fn evaluate(expr: &Expr, rows: &RecordBatch) -> (ArrayRef, Vec<RowFault>) {
    match search(expr, rows, MAX_BYTES) {
        Ok(found) => found,
        Err(search) => search.what_fits(),
    }
}

/// The values of `expr`; see [`Expr::try_evaluate`].
pub(super) fn try_evaluate(expr: &Expr, rows: &RecordBatch) -> Result<(ArrayRef, Vec<RowFault>), TooLarge> {
    search(expr, rows, MAX_BYTES).map_err(|_| TooLarge)
}

/// The values of `expr`, or a search that has found more of them than `most` bytes.
fn search<'a>(expr: &'a Expr, rows: &'a RecordBatch, most: usize) -> Result<(ArrayRef, Vec<RowFault>), Search<'a>> {
    let physical = match &expr.code {
        Code::Column(index) => return Ok((Arc::clone(rows.column(*index)), Vec::new())),
        Code::Physical(physical) => physical,
    };
    if rows.num_rows() == 0 {
        return Ok((new_empty_array(&expr.data_type), Vec::new()));
    }
    match attempt(physical, &expr.data_type, rows) {
        Ok(values) => Ok((values, Vec::new())),
        Err(message) => {
            let columns = expr.columns();
            let mut search = Search {
                physical,
                data_type: &expr.data_type,
                rows,
                columns,
                parts: Vec::new(),
                faults: Vec::new(),
                bytes: 0,
                most,
            };
            match rows.num_rows() {
                // The row itself may be a slice of others.
                1 => search.part(0, 1),
                length => search.halve(0, length, message),
            }
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

/// What is said of rows whose values do not fit.
const TOGETHER: &str = "the values of the rows of a batch are more than 2 GiB together";

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
            if scalar.size().saturating_mul(rows.num_rows()) > MAX_BYTES {
                return Err(TOGETHER.to_owned());
            }
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
    /// What the expression reads.
    columns: BTreeSet<usize>,
    parts: Vec<ArrayRef>,
    faults: Vec<RowFault>,
    /// What the parts take so far, the first that did not fit included.
    bytes: usize,
    /// The most that they may take.
    most: usize,
}

impl Search<'_> {
    /// `message` is what the rows from `start`, `length` of them, failed with together. Its depth is the logarithm
    /// of the batch's length.
    fn halve(&mut self, start: usize, length: usize, message: String) {
        if length == 1 {
            return self.fail(start, 1, &message);
        }
        let half = length / 2;
        self.part(start, half);
        self.part(start + half, length - half);
    }

    fn part(&mut self, start: usize, length: usize) {
        if self.bytes > self.most {
            return self.fail(start, length, TOGETHER);
        }
        match attempt(self.physical, self.data_type, &self.copy(start, length)) {
            Ok(values) => {
                self.bytes += values.to_data().get_slice_memory_size().unwrap_or_default();
                if self.bytes > self.most {
                    return self.fail(start, length, TOGETHER);
                }
                self.parts.push(values);
            }
            Err(message) => self.halve(start, length, message),
        }
    }

    fn fail(&mut self, start: usize, length: usize, message: &str) {
        self.parts.push(new_null_array(self.data_type, length));
        self.faults.extend((start..start + length).map(|row| {
            let error = RecordError { kind: RecordErrorKind::Expression, message: message.to_owned() };
            RowFault { row, error }
        }));
    }

    /// Some of the rows, without what stands beside them in the same buffers: casts of lists and of bytes look at all
    /// that a slice was cut from, so that a row would fail with its neighbours.
    fn copy(&self, start: usize, length: usize) -> RecordBatch {
        let slice = self.rows.slice(start, length);
        let Ok(indices) = (start as u64..(start + length) as u64).map(u32::try_from).collect::<Result<Vec<_>, _>>()
        else {
            return slice;
        };
        let indices = UInt32Array::from(indices);
        let columns = self.rows.columns().iter().enumerate().map(|(index, column)| {
            let shares = !column.data_type().is_primitive() && self.columns.contains(&index);
            let copied = shares.then(|| compute::take(column, &indices, None).ok()).flatten();
            copied.unwrap_or_else(|| Arc::clone(slice.column(index)))
        });
        let options = RecordBatchOptions::new().with_row_count(Some(length));
        RecordBatch::try_new_with_options(slice.schema(), columns.collect(), &options).unwrap_or(slice)
    }

    /// The parts as one array, if they fit into one.
    fn finish(self) -> Result<(ArrayRef, Vec<RowFault>), Self> {
        match joined(&self.parts) {
            Some(values) if self.bytes <= self.most || self.rows.num_rows() == 1 => Ok((values, self.faults)),
            _ => Err(self),
        }
    }

    /// The values of as many rows as fit; those behind them are at fault.
    fn what_fits(mut self) -> (ArrayRef, Vec<RowFault>) {
        let values = joined(&self.parts).unwrap_or_else(|| {
            self.faults.clear();
            self.fail(0, self.rows.num_rows(), TOGETHER);
            new_null_array(self.data_type, self.rows.num_rows())
        });
        (values, self.faults)
    }
}

/// The parts one after another; `None` if one array cannot hold them.
fn joined(parts: &[ArrayRef]) -> Option<ArrayRef> {
    let parts = parts.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>();
    catch_unwind(AssertUnwindSafe(|| compute::concat(&parts))).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Int64Array, ListBuilder, MapBuilder, StringBuilder};
    use arrow::datatypes::{Field, Schema};

    use super::super::testing::{compile, rows, texts, values};
    use super::*;

    fn lists(of: &[Option<&[&str]>]) -> ArrayRef {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for list in of {
            lists.append_option(list.map(|items| items.iter().map(|item| Some(*item))));
        }
        Arc::new(lists.finish())
    }

    fn maps(of: &[&[(&str, &str)]]) -> ArrayRef {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for map in of {
            for (key, value) in *map {
                maps.keys().append_value(key);
                maps.values().append_value(value);
            }
            maps.append(true).expect("as many keys as values");
        }
        Arc::new(maps.finish())
    }

    /// The values, and the rows at fault.
    fn outcome(expr: &Expr, rows: &RecordBatch) -> (Vec<String>, Vec<usize>) {
        let (values, faults) = expr.evaluate(rows);
        (texts(&values), faults.into_iter().map(|fault| fault.row).collect())
    }

    #[test]
    fn no_row_fails_with_its_neighbours() {
        let keys: ArrayRef = Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"\xff", b"b", b"c"]));
        let lists = lists(&[Some(&["1", "2"]), Some(&["x"]), None, Some(&["4"])]);
        let maps = maps(&[&[("1", "1")], &[("x", "x")], &[], &[("4", "4")]]);
        let rows = rows(vec![("_key", keys), ("l", lists), ("m", maps)]);
        for sql in [
            "cast(_key as string)",
            "cast(l as array<int>)",
            "cast(map_values(m) as array<int>)",
            "cast(map_keys(m) as array<int>)",
        ] {
            let expr = compile(sql, &rows);
            let (all, at_fault) = outcome(&expr, &rows);
            assert_eq!(at_fault, [1], "{sql}: {all:?}");
            for (row, expected) in all.iter().enumerate() {
                let (alone, at_fault) = outcome(&expr, &rows.slice(row, 1));
                assert_eq!((&alone[0], at_fault.is_empty()), (expected, row != 1), "{sql} of row {row}");
            }
        }
        let to = DataType::new_list(DataType::Int32, true);
        let step = Expr::cast(1, &to, &rows.schema()).expect("lists of text are cast");
        assert_eq!(outcome(&step, &rows), (vec!["[1, 2]".into(), "null".into(), "null".into(), "[4]".into()], vec![1]));
    }

    #[test]
    fn what_is_too_large_together_is_said_and_never_panics() {
        let rows = rows(vec![("n", Arc::new(Int64Array::from(vec![1000, 1000, 0, 1000, 1000])))]);
        let expr = compile("repeat('x', n / (n / n))", &rows);
        // One row at fault, so that the others are looked at part by part.
        assert_eq!(outcome(&expr, &rows).1, [2]);
        let search = super::search(&expr, &rows, 2500).expect_err("the values take 4000 bytes");
        let (values, faults) = search.what_fits();
        assert_eq!(
            values.nulls().map(|nulls| nulls.iter().collect::<Vec<_>>()),
            Some(vec![true, true, false, false, false])
        );
        assert_eq!(faults.iter().map(|fault| fault.row).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(super::search(&expr, &rows.slice(0, 3), 2500).is_ok());
        // A batch of one row is never cut.
        assert!(super::search(&expr, &rows.slice(2, 1), 0).is_ok());
    }

    #[test]
    fn constants_that_are_too_large_together_are_not_written_out() {
        let rows = RecordBatch::try_new_with_options(
            Arc::new(Schema::new(Vec::<Field>::new())),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(8192)),
        );
        let rows = rows.expect("rows without columns");
        let expr = compile("repeat('x', 1048576)", &rows);
        assert!(expr.try_evaluate(&rows).is_err());
        assert_eq!(values("length(repeat('x', 1048576))", &rows.slice(0, 1)), ["1048576"]);
    }
}
