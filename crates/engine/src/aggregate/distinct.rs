//! `count(distinct ..)`, `sum(distinct x)` and the like: an aggregate of the values that differ. -0.0 equals 0.0 and
//! all NaN are alike.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StructArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use arrow::row::Rows;

use super::dense::{Dense, Finished, Fold, Picked, argument, kernel};
use super::pool::{Set, list_type, read_lists, save_pools};
use super::resolve::Call;
use super::values::{Any, Kind, with_equal_floats};
use super::{AggregateFunction, RowOrder, Slot};
use crate::batch::RowOrigin;
use crate::error::TaskError;
use crate::expr::ExprError;

/// `count(distinct x, ..)`: how many different values, or different rows of values without a null among them.
pub(super) fn count(call: &Call<'_>, function: AggregateFunction) -> Result<AggregateFunction, ExprError> {
    if call.arg_types.is_empty() {
        return Err(call.type_error("count(distinct) takes at least one argument, not 0".into()));
    }
    let args = (0..call.arg_types.len()).map(|index| call.plain_type(index)).collect::<Result<Vec<_>, _>>()?;
    build(call, AggregateFunction { arg_types: args.clone(), ..function }, args, Over::Count)
}

/// `sum(distinct x)` and the like: the function over the different values of its first argument, each taken when it
/// first came. The other arguments are literals.
pub(super) fn wrap(call: &Call<'_>, function: AggregateFunction) -> Result<AggregateFunction, ExprError> {
    let args = function.arg_types[..1].to_vec();
    build(call, function.clone(), args, Over::Function(function))
}

fn build(
    call: &Call<'_>,
    function: AggregateFunction,
    args: Vec<DataType>,
    over: Over,
) -> Result<AggregateFunction, ExprError> {
    let value_type = value_type(&args);
    if Any::new(value_type.clone()).is_none() {
        return Err(call.refuse(0, "a value that can be compared"));
    }
    let name = match function.name.split_once('(') {
        None => format!("{}(distinct)", function.name),
        Some((name, rest)) => format!("{name}(distinct, {rest}"),
    };
    let make = move || {
        let any = Any::new(value_type.clone()).expect("the type was tried when the call was resolved");
        Dense::boxed(Distinct { args: args.clone(), any, over: over.clone() })
    };
    Ok(AggregateFunction { name, make: Arc::new(make), ..function })
}

/// What is made of the values that differ.
#[derive(Clone)]
enum Over {
    /// Their number.
    Count,
    /// Another aggregate of them.
    Function(AggregateFunction),
}

struct Distinct {
    args: Vec<DataType>,
    any: Any,
    over: Over,
}

impl Distinct {
    fn evaluate(&self, function: &AggregateFunction, states: Picked<'_, Set>) -> Result<Finished, TaskError> {
        let mut aggregate = (function.make)();
        let slots = (0..states.iter().len() as Slot).collect::<Vec<_>>();
        aggregate.reserve(slots.len());
        let values = self.any.decode(self.name(), states.iter().flat_map(|set| set.values().iter()))?;
        let of_value = states
            .iter()
            .zip(&slots)
            .flat_map(|(set, &slot)| std::iter::repeat_n(slot, set.values().len()))
            .collect::<Vec<_>>();
        let rows = (0..values.len() as u32).collect::<Vec<_>>();
        let nowhere = RowOrigin::Each(UInt64Array::from(vec![0; values.len()]));
        let never = Int64Array::from(vec![0; values.len()]);
        let order = RowOrder { event_time: &never, origin: &nowhere, offset: &never };
        aggregate.update(&[values], &rows, &of_value, order)?;
        aggregate.evaluate(&slots)
    }
}

impl Fold for Distinct {
    type State = Set;
    type Columns = Rows;

    fn name(&self) -> &str {
        "distinct"
    }

    fn empty(&self) -> Set {
        Set::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Rows, TaskError> {
        let args = self
            .args
            .iter()
            .enumerate()
            .map(|(index, wanted)| Ok(with_equal_floats(&argument(self.name(), args, index, wanted)?)))
            .collect::<Result<Vec<_>, TaskError>>()?;
        self.any.encode(self.name(), &one_column(args)?)
    }

    fn skipped(&self, args: &[ArrayRef]) -> Option<NullBuffer> {
        args.iter()
            .take(self.args.len())
            .fold(None, |nulls, arg| NullBuffer::union(nulls.as_ref(), arg.logical_nulls().as_ref()))
    }

    #[inline]
    fn add(&self, state: &mut Set, rows: &Rows, row: usize, _order: &RowOrder<'_>) {
        state.insert(Any::get(rows, row));
    }

    fn merge(&self, into: &mut Set, from: &Set) {
        for value in from.values().iter() {
            into.insert(value);
        }
    }

    fn finish(&self, states: Picked<'_, Set>) -> Result<Finished, TaskError> {
        match &self.over {
            Over::Count => {
                let counts = Int64Array::from_iter_values(states.iter().map(|set| set.values().len() as i64));
                Ok((Arc::new(counts), Vec::new()))
            }
            Over::Function(function) => self.evaluate(function, states),
        }
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("values", list_type(self.any.data_type()), false)]
    }

    fn save(&self, states: Picked<'_, Set>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![save_pools(self.name(), &self.any, states.iter().map(Set::values))?])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Set>, TaskError> {
        let (values, lengths) = read_lists(self.name(), &columns[0])?;
        let rows = self.any.encode(self.name(), &values)?;
        let mut next = 0..rows.num_rows();
        let load = |length| {
            let mut set = Set::default();
            for row in next.by_ref().take(length) {
                set.insert(Any::get(&rows, row));
            }
            set
        };
        Ok(lengths.into_iter().map(load).collect())
    }

    fn heap_bytes(&self, state: &Set) -> usize {
        state.heap_bytes()
    }
}

fn value_type(args: &[DataType]) -> DataType {
    match args {
        [one] => one.clone(),
        several => DataType::Struct(fields(several)),
    }
}

fn fields(types: &[DataType]) -> Fields {
    types.iter().enumerate().map(|(index, each)| Field::new(format!("c{index}"), each.clone(), true)).collect()
}

fn one_column(mut args: Vec<ArrayRef>) -> Result<ArrayRef, TaskError> {
    if args.len() == 1 {
        return Ok(args.remove(0));
    }
    let types = args.iter().map(|arg| arg.data_type().clone()).collect::<Vec<_>>();
    let rows = StructArray::try_new(fields(&types), args, None).map_err(|error| kernel("distinct", error))?;
    Ok(Arc::new(rows))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::Float64Array;
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call_with, check, first_of_each, present, value_of};
    use super::super::{CallSite, resolve};
    use super::*;

    fn once(name: &str, data_type: DataType) -> AggregateFunction {
        call_with(name, super::super::Distinct::Once, data_type, &[]).unwrap()
    }

    #[test]
    fn counts_values_that_differ() {
        let function = once("count", DataType::Utf8);
        assert_eq!(function.name, "count(distinct)");
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::strings(random)],
            |rows, group| {
                let values = first_of_each(present(&rows.args[0], group));
                ScalarValue::Int64(Some(values.len() as i64))
            },
        );
    }

    #[test]
    fn counts_rows_that_differ() {
        let arg_types = [DataType::Utf8, DataType::Boolean];
        let distinct = super::super::Distinct::Once;
        let site = CallSite { name: "count", distinct, arg_types: &arg_types, literals: &[None, None] };
        let function = resolve(site).unwrap();
        let make = |random: &mut Random| vec![testing::strings(random), testing::booleans(random)];
        check(&function, Merging::Exact, make, |rows, group| {
            let whole = group.iter().filter(|&&row| rows.args.iter().all(|arg| arg.is_valid(row)));
            let values = whole.map(|&row| rows.args.iter().flat_map(|arg| present(arg, &[row])).collect::<Vec<_>>());
            ScalarValue::Int64(Some(first_of_each(values).len() as i64))
        });
    }

    #[test]
    fn zeros_are_equal_and_nan_is_one_value() {
        let function = once("count", DataType::Float64);
        let values = Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0, f64::INFINITY]);
        assert_eq!(value_of(&function, vec![Arc::new(values)]), ScalarValue::Int64(Some(4)));
    }

    #[test]
    fn sums_each_value_once() {
        let function = once("sum", DataType::Int64);
        assert_eq!((function.name.as_str(), &function.return_type), ("sum(distinct)", &DataType::Int64));
        let make = |random: &mut Random| {
            vec![testing::numbers::<arrow::datatypes::Int64Type>(random, |random| random.below(9) as i64)]
        };
        check(&function, Merging::Exact, make, |rows, group| {
            let values = first_of_each(present(&rows.args[0], group));
            let sum = values.iter().map(|value| value.to_string().parse::<i64>().unwrap()).reduce(|a, b| a + b);
            ScalarValue::Int64(sum)
        });
    }

    #[test]
    fn an_overflow_of_distinct_values_is_reported() {
        let function = once("sum", DataType::Int64);
        let rows = testing::Rows::plain(vec![Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX, 1]))]);
        assert!(testing::value(&function, &rows).unwrap_err().contains("9223372036854775808"));
    }
}
