//! `median` and `percentile_cont`: exact, from all values, interpolated between the two nearest; always a double.
//!
//! Memory grows with the rows of a group; [`super::sketch`] has the approximate forms, which do not. NaN counts as
//! greater than all numbers.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, Float64Array, PrimitiveArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, UInt64Type};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::pool::{list_array, list_type, read_lists};
use super::resolve::{Call, Numeric};
use super::values::compare_numbers;
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `median(x)`.
pub(super) fn median(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    build(call, call.name.into(), 0.5)
}

/// `percentile_cont(x, p)`.
pub(super) fn percentile_cont(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let fraction = call.literal_fraction(1)?;
    build(call, format!("{}({fraction})", call.name), fraction)
}

fn build(call: &Call<'_>, name: String, fraction: f64) -> Result<AggregateFunction, ExprError> {
    let (numeric, _) = call.number(0)?;
    macro_rules! make {
        ($type:ty) => {{
            let mut arg_types = call.arg_types.to_vec();
            arg_types[0] = <$type as ArrowPrimitiveType>::DATA_TYPE;
            call.named(name, arg_types, DataType::Float64, move || {
                Dense::boxed(Quantile::<$type> { fraction, marker: PhantomData })
            })
        }};
    }
    Ok(match numeric {
        Numeric::Int => make!(Int32Type),
        Numeric::BigInt => make!(Int64Type),
        Numeric::Unsigned => make!(UInt64Type),
        Numeric::Double | Numeric::Decimal(..) => make!(Float64Type),
    })
}

struct Quantile<T> {
    fraction: f64,
    marker: PhantomData<fn() -> T>,
}

/// A number between two others.
trait Between: Copy {
    /// The point at `fraction` of the way from `self` to `to`, which is not less.
    fn between(self, to: Self, fraction: f64) -> f64;
}

macro_rules! between_integers {
    ($($type:ty),*) => {$(
        impl Between for $type {
            fn between(self, to: $type, fraction: f64) -> f64 {
                let (from, to) = (i128::from(self), i128::from(to));
                if fraction == 0.5 {
                    return (from + to) as f64 / 2.0;
                }
                from as f64 + (to - from) as f64 * fraction
            }
        }
    )*};
}

between_integers!(i32, i64, u64);

impl Between for f64 {
    fn between(self, to: f64, fraction: f64) -> f64 {
        if fraction == 0.0 || self == to {
            return self;
        }
        self * (1.0 - fraction) + to * fraction
    }
}

impl<T: ArrowPrimitiveType> Quantile<T>
where
    T::Native: Between,
{
    fn value(&self, values: &[T::Native]) -> Option<f64> {
        let last = values.len().checked_sub(1)?;
        let rank = self.fraction * last as f64;
        let below = (rank.floor() as usize).min(last);
        let mut values = values.to_vec();
        let (_, &mut low, above) = values.select_nth_unstable_by(below, |a, b| compare_numbers(*a, *b));
        let high = above.iter().copied().min_by(|a, b| compare_numbers(*a, *b)).unwrap_or(low);
        Some(low.between(high, rank - below as f64))
    }
}

impl<T: ArrowPrimitiveType> Fold for Quantile<T>
where
    T::Native: Between,
{
    type State = Vec<T::Native>;
    type Columns = PrimitiveArray<T>;

    fn name(&self) -> &str {
        "percentile_cont"
    }

    fn empty(&self) -> Vec<T::Native> {
        Vec::new()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<PrimitiveArray<T>, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &T::DATA_TYPE)?)
    }

    #[inline]
    fn add(&self, state: &mut Vec<T::Native>, column: &PrimitiveArray<T>, row: usize, _order: &RowOrder<'_>) {
        state.push(column.values()[row]);
    }

    fn merge(&self, into: &mut Vec<T::Native>, from: &Vec<T::Native>) {
        into.extend_from_slice(from);
    }

    fn finish(&self, states: Picked<'_, Vec<T::Native>>) -> Result<Finished, TaskError> {
        Ok((Arc::new(states.iter().map(|values| self.value(values)).collect::<Float64Array>()), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("values", list_type(&T::DATA_TYPE), false)]
    }

    fn save(&self, states: Picked<'_, Vec<T::Native>>) -> Result<Vec<ArrayRef>, TaskError> {
        let values = PrimitiveArray::<T>::from_iter_values(states.iter().flatten().copied());
        Ok(vec![list_array(states.iter().map(Vec::len), Arc::new(values), None)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<T::Native>>, TaskError> {
        let (values, lengths) = read_lists(self.name(), &columns[0])?;
        let values = numbers::<T>(self.name(), &values)?;
        let mut rest = &values.values()[..];
        let load = |length| {
            let (state, more) = rest.split_at(length);
            rest = more;
            state.to_vec()
        };
        Ok(lengths.into_iter().map(load).collect())
    }

    fn heap_bytes(&self, state: &Vec<T::Native>) -> usize {
        state.capacity() * size_of::<T::Native>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Int64Array, UInt64Array};
    use datafusion_common::ScalarValue;

    use super::super::Distinct;
    use super::super::testing::{self, Merging, call, call_with, check, present_doubles, value_of};
    use super::*;

    #[test]
    fn medians_agree_with_a_sort() {
        let function = call("median", &[DataType::Float64]).unwrap();
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::doubles(random)],
            |rows, group| {
                let mut values = present_doubles(&rows.args[0], group);
                values.sort_by(|a, b| compare_numbers(*a, *b));
                let middle = values.len() / 2;
                ScalarValue::Float64(match values.len() {
                    0 => None,
                    len if len % 2 == 1 || values[middle - 1] == values[middle] => {
                        Some(values[if len % 2 == 1 { middle } else { middle - 1 }])
                    }
                    _ => Some(values[middle - 1] * 0.5 + values[middle] * 0.5),
                })
            },
        );
    }

    #[test]
    fn percentiles_are_interpolated() {
        let at = |fraction: f64, values: Vec<i64>| {
            let function = call_with("percentile_cont", Distinct::All, DataType::Int64, &[fraction.into()]).unwrap();
            match value_of(&function, vec![Arc::new(Int64Array::from(values))]) {
                ScalarValue::Float64(value) => value,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at(0.25, vec![]), None);
        assert_eq!(at(0.0, vec![5, 1, 3]), Some(1.0));
        assert_eq!(at(1.0, vec![5, 1, 3]), Some(5.0));
        assert_eq!(at(0.25, vec![4, 1, 2, 3]), Some(1.75));
        assert_eq!(at(0.9, vec![10, 20]), Some(19.0));
    }

    #[test]
    fn large_numbers_keep_their_middle() {
        let of = |array: ArrayRef| value_of(&call("median", &[array.data_type().clone()]).unwrap(), vec![array]);
        let big = Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX - 2]));
        assert_eq!(of(big), ScalarValue::Float64(Some((i64::MAX - 1) as f64)));
        let signs = Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN]));
        assert_eq!(of(signs), ScalarValue::Float64(Some(-0.5)));
        let unsigned = Arc::new(UInt64Array::from(vec![u64::MAX, u64::MAX]));
        assert_eq!(of(unsigned), ScalarValue::Float64(Some(u64::MAX as f64)));
        let doubles = Arc::new(Float64Array::from(vec![f64::MAX, f64::MAX]));
        assert_eq!(of(doubles), ScalarValue::Float64(Some(f64::MAX)));
        let infinite = Arc::new(Float64Array::from(vec![f64::INFINITY, f64::INFINITY]));
        assert_eq!(of(infinite), ScalarValue::Float64(Some(f64::INFINITY)));
    }

    #[test]
    fn a_fraction_must_be_a_literal_from_0_to_1() {
        for literal in [ScalarValue::from(1.5), ScalarValue::from("half"), ScalarValue::Float64(None)] {
            let error = call_with("percentile_cont", Distinct::All, DataType::Int64, &[literal]).unwrap_err();
            assert_eq!(error.message, "the second argument of percentile_cont must be a number from 0 to 1");
        }
        assert!(call("percentile_cont", &[DataType::Int64, DataType::Float64]).is_err());
    }
}
