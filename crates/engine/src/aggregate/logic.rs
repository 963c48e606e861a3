//! `bool_and`, `bool_or`, and `bit_and`, `bit_or`, `bit_xor` of integers.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, UInt64Type};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers, typed};
use super::resolve::{Call, Numeric};
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `bool_and(x)`: whether all are true.
pub(super) fn bool_and(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    logic(call, |a, b| a && b)
}

/// `bool_or(x)`: whether any is true.
pub(super) fn bool_or(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    logic(call, |a, b| a || b)
}

/// `bit_and(x)`.
pub(super) fn bit_and(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    bits(call, |a, b| a & b)
}

/// `bit_or(x)`.
pub(super) fn bit_or(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    bits(call, |a, b| a | b)
}

/// `bit_xor(x)`.
pub(super) fn bit_xor(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    bits(call, |a, b| a ^ b)
}

fn logic(call: &Call<'_>, combine: fn(bool, bool) -> bool) -> Result<AggregateFunction, ExprError> {
    if !matches!(call.arg_types[0], DataType::Boolean | DataType::Null) {
        return Err(call.refuse(0, "a boolean"));
    }
    let name = call.name;
    Ok(call.function(vec![DataType::Boolean], DataType::Boolean, move || Dense::boxed(Logic { name, combine })))
}

fn bits(call: &Call<'_>, combine: fn(i64, i64) -> i64) -> Result<AggregateFunction, ExprError> {
    let name = call.name;
    let (numeric, cast) = call.number(0)?;
    macro_rules! make {
        ($type:ty) => {
            call.function(vec![cast.clone()], cast, move || {
                Dense::boxed(Bits::<$type> { name, combine, marker: PhantomData })
            })
        };
    }
    Ok(match numeric {
        Numeric::Int => make!(Int32Type),
        Numeric::BigInt => make!(Int64Type),
        Numeric::Unsigned => make!(UInt64Type),
        Numeric::Double | Numeric::Decimal(..) => return Err(call.refuse(0, "an integer")),
    })
}

struct Logic {
    name: &'static str,
    combine: fn(bool, bool) -> bool,
}

impl Fold for Logic {
    type State = Option<bool>;
    type Columns = BooleanArray;

    fn name(&self) -> &str {
        self.name
    }

    fn empty(&self) -> Option<bool> {
        None
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<BooleanArray, TaskError> {
        typed(self.name, &argument(self.name, args, 0, &DataType::Boolean)?)
    }

    #[inline]
    fn add(&self, state: &mut Option<bool>, column: &BooleanArray, row: usize, _order: &RowOrder<'_>) {
        let value = column.value(row);
        *state = Some(state.map_or(value, |held| (self.combine)(held, value)));
    }

    fn merge(&self, into: &mut Option<bool>, from: &Option<bool>) {
        if let Some(value) = *from {
            *into = Some(into.map_or(value, |held| (self.combine)(held, value)));
        }
    }

    fn finish(&self, states: Picked<'_, Option<bool>>) -> Result<Finished, TaskError> {
        Ok((Arc::new(states.iter().copied().collect::<BooleanArray>()), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new(self.name, DataType::Boolean, true)]
    }

    fn save(&self, states: Picked<'_, Option<bool>>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.finish(states)?.0])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Option<bool>>, TaskError> {
        Ok(typed::<BooleanArray>(self.name, &columns[0])?.iter().collect())
    }
}

/// Bits of integers, widened to 64 and cut back, which changes none of them.
struct Bits<T> {
    name: &'static str,
    combine: fn(i64, i64) -> i64,
    marker: PhantomData<fn() -> T>,
}

/// An integer as its bits.
trait Word: Copy {
    fn bits(self) -> i64;
    fn of(bits: i64) -> Self;
}

macro_rules! word {
    ($($type:ty),*) => {$(
        impl Word for $type {
            #[inline]
            fn bits(self) -> i64 {
                self as i64
            }
            #[inline]
            fn of(bits: i64) -> Self {
                bits as $type
            }
        }
    )*};
}

word!(i32, i64, u64);

impl<T: ArrowPrimitiveType> Fold for Bits<T>
where
    T::Native: Word,
{
    type State = Option<i64>;
    type Columns = PrimitiveArray<T>;

    fn name(&self) -> &str {
        self.name
    }

    fn empty(&self) -> Option<i64> {
        None
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<PrimitiveArray<T>, TaskError> {
        numbers(self.name, &argument(self.name, args, 0, &T::DATA_TYPE)?)
    }

    #[inline]
    fn add(&self, state: &mut Option<i64>, column: &PrimitiveArray<T>, row: usize, _order: &RowOrder<'_>) {
        let value = column.values()[row].bits();
        *state = Some(state.map_or(value, |held| (self.combine)(held, value)));
    }

    fn merge(&self, into: &mut Option<i64>, from: &Option<i64>) {
        if let Some(value) = *from {
            *into = Some(into.map_or(value, |held| (self.combine)(held, value)));
        }
    }

    fn finish(&self, states: Picked<'_, Option<i64>>) -> Result<Finished, TaskError> {
        let values = states.iter().map(|state| state.map(T::Native::of)).collect::<PrimitiveArray<T>>();
        Ok((Arc::new(values), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new(self.name, T::DATA_TYPE, true)]
    }

    fn save(&self, states: Picked<'_, Option<i64>>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.finish(states)?.0])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Option<i64>>, TaskError> {
        let values = numbers::<T>(self.name, &columns[0])?;
        Ok(values.iter().map(|value| value.map(Word::bits)).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call, check, present};
    use super::*;

    #[test]
    fn booleans_agree_with_a_naive_fold() {
        for name in ["bool_and", "every", "bool_or", "any"] {
            let function = call(name, &[DataType::Boolean]).unwrap();
            let and = function.name == "bool_and";
            check(
                &function,
                Merging::Exact,
                |random| vec![testing::booleans(random)],
                |rows, group| {
                    let values = present(&rows.args[0], group);
                    let yes = ScalarValue::Boolean(Some(true));
                    let result = if and { values.iter().all(|v| *v == yes) } else { values.contains(&yes) };
                    ScalarValue::Boolean((!values.is_empty()).then_some(result))
                },
            );
        }
    }

    #[test]
    fn bits_agree_with_a_naive_fold() {
        type Bitwise = fn(i32, i32) -> i32;
        let folds: [(&str, Bitwise); 3] =
            [("bit_and", |a, b| a & b), ("bit_or", |a, b| a | b), ("bit_xor", |a, b| a ^ b)];
        for (name, fold) in folds {
            let function = call(name, &[DataType::Int32]).unwrap();
            let make = |random: &mut Random| vec![testing::numbers::<Int32Type>(random, |random| random.next() as i32)];
            check(&function, Merging::Exact, make, |rows, group| {
                let values = numbers::<Int32Type>("", &rows.args[0]).unwrap();
                let present = group.iter().filter_map(|&row| values.iter().nth(row).unwrap());
                ScalarValue::Int32(present.reduce(fold))
            });
        }
        let error = call("bit_and", &[DataType::Float64]).unwrap_err();
        assert_eq!(error.message, "bit_and takes an integer, not double");
    }
}
