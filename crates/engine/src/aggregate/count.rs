//! `count(*)` and `count(x)`: how many rows, or how many whose arguments are not null.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Int64Type};

use super::dense::{Dense, Finished, Fold, Picked, numbers};
use super::resolve::Call;
use super::{AggregateFunction, Distinct, RowOrder, distinct};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `count` of any arguments, or of none.
pub(super) fn count(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let function = call.function(call.arg_types.to_vec(), DataType::Int64, || Dense::boxed(Count));
    match call.distinct {
        Distinct::All => Ok(function),
        Distinct::Once => distinct::count(call, function),
    }
}

struct Count;

impl Fold for Count {
    type State = i64;
    type Columns = ();

    fn name(&self) -> &str {
        "count"
    }

    fn empty(&self) -> i64 {
        0
    }

    fn columns(&self, _args: &[ArrayRef]) -> Result<(), TaskError> {
        Ok(())
    }

    #[inline]
    fn add(&self, state: &mut i64, (): &(), _row: usize, _order: &RowOrder<'_>) {
        *state += 1;
    }

    fn merge(&self, into: &mut i64, from: &i64) {
        *into += from;
    }

    fn finish(&self, states: Picked<'_, i64>) -> Result<Finished, TaskError> {
        Ok((Arc::new(Int64Array::from_iter_values(states.iter().copied())), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("count", DataType::Int64, false)]
    }

    fn save(&self, states: Picked<'_, i64>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.finish(states)?.0])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<i64>, TaskError> {
        Ok(numbers::<Int64Type>("count", &columns[0])?.values().to_vec())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Array;
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, Rows, call, check, value};
    use super::*;

    #[test]
    fn counts_rows() {
        let function = call("COUNT", &[]).unwrap();
        check(&function, Merging::Exact, |_| vec![], |_, rows| ScalarValue::Int64(Some(rows.len() as i64)));
        assert_eq!(value(&function, &Rows::plain(vec![])), Ok(ScalarValue::Int64(Some(0))));
    }

    #[test]
    fn counts_rows_without_nulls() {
        let function = call("count", &[DataType::Float64, DataType::Utf8]).unwrap();
        let make = |random: &mut Random| vec![testing::doubles(random), testing::strings(random)];
        check(&function, Merging::Exact, make, |rows, group| {
            let whole = group.iter().filter(|&&row| rows.args.iter().all(|arg| arg.is_valid(row)));
            ScalarValue::Int64(Some(whole.count() as i64))
        });
    }
}
