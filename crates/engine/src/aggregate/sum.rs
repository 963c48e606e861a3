//! `sum`: exact for integers and decimals, whatever the order of rows; in row order for doubles. Never a wrong number.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, Decimal128Array, Decimal256Array, Float64Array, Int64Array, PrimitiveArray,
};

use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, Float64Type, Int32Type, Int64Type, UInt64Type, i256,
};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::resolve::{Call, Numeric};
use super::values::canonical;
use super::{AggregateFunction, RowOrder};
use crate::error::{RecordError, RecordErrorKind, TaskError};
use crate::expr::ExprError;

/// The greatest number of digits that a decimal of 128 bits may have.
pub(super) const MAX_DIGITS: u8 = 38;

/// `sum(x)`: bigint for integers, double for floats, decimal(38,s) for decimals.
pub(super) fn sum(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let (numeric, cast) = call.number(0)?;
    Ok(match numeric {
        Numeric::Int => call.function(vec![cast], DataType::Int64, || Dense::boxed(IntSum::<Int32Type>::new())),
        Numeric::BigInt => call.function(vec![cast], DataType::Int64, || Dense::boxed(IntSum::<Int64Type>::new())),
        Numeric::Unsigned => call.function(vec![cast], DataType::Int64, || Dense::boxed(IntSum::<UInt64Type>::new())),
        Numeric::Double => call.function(vec![cast], DataType::Float64, || Dense::boxed(FloatSum)),
        Numeric::Decimal(precision, scale) => {
            call.function(vec![cast], DataType::Decimal128(MAX_DIGITS, scale), move || {
                Dense::boxed(DecimalSum { precision, scale })
            })
        }
    })
}

/// The state of a sum of integers of no rows. No sum of 64-bit integers comes near it.
const NO_SUM: i128 = i128::MIN;

struct IntSum<T>(PhantomData<fn() -> T>);

impl<T> IntSum<T> {
    fn new() -> Self {
        IntSum(PhantomData)
    }
}

impl<T: ArrowPrimitiveType> Fold for IntSum<T>
where
    T::Native: Into<i128>,
{
    type State = i128;
    type Columns = PrimitiveArray<T>;

    fn name(&self) -> &str {
        "sum"
    }

    fn empty(&self) -> i128 {
        NO_SUM
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Self::Columns, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &T::DATA_TYPE)?)
    }

    #[inline]
    fn add(&self, state: &mut i128, column: &Self::Columns, row: usize, _order: &RowOrder<'_>) {
        let value: i128 = column.values()[row].into();
        *state = if *state == NO_SUM { value } else { *state + value };
    }

    fn merge(&self, into: &mut i128, from: &i128) {
        match (*into, *from) {
            (_, NO_SUM) => {}
            (NO_SUM, from) => *into = from,
            (_, from) => *into += from,
        }
    }

    fn finish(&self, states: Picked<'_, i128>) -> Result<Finished, TaskError> {
        let mut errors = Vec::new();
        let values = states.iter().enumerate().map(|(index, &sum)| {
            let value = i64::try_from(sum).ok();
            if value.is_none() && sum != NO_SUM {
                errors.push((index, out_of_range("integer sum", sum, "bigint")));
            }
            value
        });
        let array = values.collect::<Int64Array>();
        Ok((Arc::new(array), errors))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("sum", DataType::Decimal128(MAX_DIGITS, 0), true)]
    }

    fn save(&self, states: Picked<'_, i128>) -> Result<Vec<ArrayRef>, TaskError> {
        let sums = states.iter().map(|&sum| (sum != NO_SUM).then_some(sum)).collect::<Decimal128Array>();
        Ok(vec![Arc::new(sums.with_data_type(DataType::Decimal128(MAX_DIGITS, 0)))])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<i128>, TaskError> {
        let sums = numbers::<Decimal128Type>(self.name(), &columns[0])?;
        Ok(sums.iter().map(|sum| sum.unwrap_or(NO_SUM)).collect())
    }
}

/// A sum of doubles: of no rows until `any`. The first value is taken as it is, so that -0.0 stays -0.0.
#[derive(Debug, Clone, Copy, Default)]
struct Doubles {
    sum: f64,
    any: bool,
}

struct FloatSum;

impl Fold for FloatSum {
    type State = Doubles;
    type Columns = Float64Array;

    fn name(&self) -> &str {
        "sum"
    }

    fn empty(&self) -> Doubles {
        Doubles::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Float64Array, TaskError> {
        numbers::<Float64Type>(self.name(), &argument(self.name(), args, 0, &DataType::Float64)?)
    }

    #[inline]
    fn add(&self, state: &mut Doubles, column: &Float64Array, row: usize, _order: &RowOrder<'_>) {
        let value = column.values()[row];
        state.sum = if state.any { state.sum + value } else { value };
        state.any = true;
    }

    fn merge(&self, into: &mut Doubles, from: &Doubles) {
        match (into.any, from.any) {
            (_, false) => {}
            (false, true) => *into = *from,
            (true, true) => into.sum += from.sum,
        }
    }

    fn finish(&self, states: Picked<'_, Doubles>) -> Result<Finished, TaskError> {
        let sums = states.iter().map(|state| state.any.then(|| canonical(state.sum))).collect::<Float64Array>();
        Ok((Arc::new(sums), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("sum", DataType::Float64, true)]
    }

    fn save(&self, states: Picked<'_, Doubles>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.finish(states)?.0])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Doubles>, TaskError> {
        let sums = numbers::<Float64Type>(self.name(), &columns[0])?;
        Ok(sums.iter().map(|sum| Doubles { sum: sum.unwrap_or(0.0), any: sum.is_some() }).collect())
    }
}

struct DecimalSum {
    precision: u8,
    scale: i8,
}

impl DecimalSum {
    fn arg_type(&self) -> DataType {
        DataType::Decimal128(self.precision, self.scale)
    }
}

impl Fold for DecimalSum {
    type State = Option<i256>;
    type Columns = Decimal128Array;

    fn name(&self) -> &str {
        "sum"
    }

    fn empty(&self) -> Option<i256> {
        None
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Decimal128Array, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &self.arg_type())?)
    }

    #[inline]
    fn add(&self, state: &mut Option<i256>, column: &Decimal128Array, row: usize, _order: &RowOrder<'_>) {
        let value = i256::from_i128(column.values()[row]);
        *state = Some(state.map_or(value, |sum| sum.wrapping_add(value)));
    }

    fn merge(&self, into: &mut Option<i256>, from: &Option<i256>) {
        *into = match (*into, *from) {
            (into, None) => into,
            (None, from) => from,
            (Some(into), Some(from)) => Some(into.wrapping_add(from)),
        };
    }

    fn finish(&self, states: Picked<'_, Option<i256>>) -> Result<Finished, TaskError> {
        let mut errors = Vec::new();
        let sums = states
            .iter()
            .enumerate()
            .map(|(index, &sum)| {
                let value = fit_decimal(sum?, MAX_DIGITS);
                if value.is_none() {
                    errors.push((index, decimal_out_of_range("decimal sum", MAX_DIGITS, self.scale)));
                }
                value
            })
            .collect::<Decimal128Array>();
        Ok((Arc::new(sums.with_data_type(DataType::Decimal128(MAX_DIGITS, self.scale))), errors))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("sum", wide_decimal(self.scale), true)]
    }

    fn save(&self, states: Picked<'_, Option<i256>>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![save_wide(states.iter().copied(), self.scale)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Option<i256>>, TaskError> {
        Ok(numbers::<Decimal256Type>(self.name(), &columns[0])?.iter().collect())
    }
}

/// The type of the column that holds exact sums of decimals.
pub(super) fn wide_decimal(scale: i8) -> DataType {
    DataType::Decimal256(76, scale)
}

/// Exact sums of decimals as a column of [`wide_decimal`].
pub(super) fn save_wide(sums: impl Iterator<Item = Option<i256>>, scale: i8) -> ArrayRef {
    Arc::new(sums.collect::<Decimal256Array>().with_data_type(wide_decimal(scale)))
}

/// The number if it has no more than `digits` digits.
pub(super) fn fit_decimal(value: i256, digits: u8) -> Option<i128> {
    let value = value.to_i128()?;
    let limit = 10u128.checked_pow(u32::from(digits))?;
    (value.unsigned_abs() < limit).then_some(value)
}

/// The error of a decimal that does not fit.
pub(super) fn decimal_out_of_range(what: &str, digits: u8, scale: i8) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Overflow,
        message: format!("{what} out of range: it does not fit decimal({digits},{scale})"),
    }
}

fn out_of_range(what: &str, value: i128, data_type: &str) -> RecordError {
    RecordError {
        kind: RecordErrorKind::Overflow,
        message: format!("{what} out of range: {value} does not fit {data_type}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Int32Array, UInt64Array};
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, Rows, call, check, present, present_doubles, start, value};
    use super::*;

    fn naive_int(rows: &Rows, group: &[usize]) -> ScalarValue {
        let values = present(&rows.args[0], group);
        let sum = values.iter().map(|value| value.to_string().parse::<i128>().unwrap()).sum::<i128>();
        ScalarValue::Int64(if values.is_empty() { None } else { i64::try_from(sum).ok() })
    }

    fn bigints(values: &[i64]) -> Rows {
        Rows::plain(vec![Arc::new(Int64Array::from(values.to_vec()))])
    }

    #[test]
    fn integers_agree_with_a_naive_sum() {
        let small = call("sum", &[DataType::Int32]).unwrap();
        let make = |random: &mut Random| vec![testing::numbers::<Int32Type>(random, |random| random.next() as i32)];
        check(&small, Merging::Exact, make, naive_int);
        let big = call("sum", &[DataType::Int64]).unwrap();
        let make = |random: &mut Random| vec![testing::numbers::<Int64Type>(random, |random| random.next() as i64)];
        check(&big, Merging::Exact, make, naive_int);
        let unsigned = call("sum", &[DataType::UInt64]).unwrap();
        let make = |random: &mut Random| vec![testing::numbers::<UInt64Type>(random, |random| random.next() >> 4)];
        check(&unsigned, Merging::Exact, make, naive_int);
    }

    #[test]
    fn small_types_are_cast() {
        let function = call("sum", &[DataType::Int8]).unwrap();
        assert_eq!(function.arg_types, [DataType::Int32]);
        assert_eq!(function.return_type, DataType::Int64);
        let rows = Rows::plain(vec![Arc::new(Int32Array::from(vec![i32::MAX, i32::MAX]))]);
        assert_eq!(value(&function, &rows), Ok(ScalarValue::Int64(Some(2 * i64::from(i32::MAX)))));
    }

    #[test]
    fn a_sum_exists_if_the_final_one_fits() {
        let function = call("sum", &[DataType::Int64]).unwrap();
        assert_eq!(value(&function, &bigints(&[i64::MAX, 1, -1])), Ok(ScalarValue::Int64(Some(i64::MAX))));
        assert_eq!(value(&function, &bigints(&[i64::MIN, -1, 1])), Ok(ScalarValue::Int64(Some(i64::MIN))));
        let above = "integer sum out of range: 9223372036854775808 does not fit bigint";
        for order in [[i64::MAX, 1, 0], [1, i64::MAX, 0], [0, 1, i64::MAX]] {
            assert_eq!(value(&function, &bigints(&order)), Err(above.into()));
        }
        let below = "integer sum out of range: -9223372036854775809 does not fit bigint";
        assert_eq!(value(&function, &bigints(&[i64::MIN, -1])), Err(below.into()));
        let unsigned = call("sum", &[DataType::UInt64]).unwrap();
        let rows = Rows::plain(vec![Arc::new(UInt64Array::from(vec![u64::MAX]))]);
        let above = "integer sum out of range: 18446744073709551615 does not fit bigint";
        assert_eq!(value(&unsigned, &rows), Err(above.into()));
    }

    #[test]
    fn an_overflow_names_its_slot_and_spares_the_others() {
        let function = call("sum", &[DataType::Int64]).unwrap();
        let rows = bigints(&[1, i64::MAX, 1]);
        let mut sums = start(&function, 3);
        sums.update(&rows.args, &[0, 1, 2], &[0, 2, 2], rows.order()).unwrap();
        let (values, errors) = sums.evaluate(&[2, 1, 0]).unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!((errors[0].0, errors[0].1.kind), (0, RecordErrorKind::Overflow));
        assert_eq!(numbers::<Int64Type>("", &values).unwrap(), Int64Array::from(vec![None, None, Some(1)]));
    }

    #[test]
    fn doubles_add_in_row_order() {
        let function = call("sum", &[DataType::Float32]).unwrap();
        assert_eq!(function.arg_types, [DataType::Float64]);
        let make = |random: &mut Random| vec![testing::doubles(random)];
        check(&function, Merging::Approximate, make, |rows, group| {
            ScalarValue::Float64(present_doubles(&rows.args[0], group).into_iter().reduce(|sum, value| sum + value))
        });
    }

    #[test]
    fn decimals_are_exact() {
        let function = call("sum", &[DataType::Decimal128(38, 2)]).unwrap();
        assert_eq!(function.return_type, DataType::Decimal128(38, 2));
        let nines = 10i128.pow(38) - 1;
        let make = |random: &mut Random| {
            let one = |random: &mut Random| nines / [1, 10, 1000][random.below(3)] * [1, -1][random.below(2)];
            let values = testing::some(random, one).into_iter().collect::<Decimal128Array>();
            vec![Arc::new(values.with_data_type(DataType::Decimal128(38, 2))) as ArrayRef]
        };
        check(&function, Merging::Exact, make, |rows, group| {
            let values = numbers::<Decimal128Type>("", &rows.args[0]).unwrap();
            let present = group.iter().filter(|&&row| arrow::array::Array::is_valid(&values, row));
            let sum = present.map(|&row| i256::from_i128(values.value(row))).reduce(|a, b| a.checked_add(b).unwrap());
            ScalarValue::Decimal128(sum.and_then(|sum| fit_decimal(sum, 38)), 38, 2)
        });
        let two = Decimal128Array::from(vec![nines, 1]).with_data_type(DataType::Decimal128(38, 2));
        let error = value(&function, &Rows::plain(vec![Arc::new(two)])).unwrap_err();
        assert_eq!(error, "decimal sum out of range: it does not fit decimal(38,2)");
    }
}
