//! `avg`: the exact sum over the count for integers and decimals; for doubles the sum in row order over the count.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, Decimal128Array, Float64Array, Int64Array, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal128Type, Decimal256Type, Field, Float64Type, Int32Type, Int64Type, UInt64Type, i256,
};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::resolve::{Call, Numeric};
use super::sum::{MAX_DIGITS, decimal_out_of_range, fit_decimal, save_wide, wide_decimal};
use super::values::canonical;
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// Digits after the point that an average of decimals has more than its values, where there is room for them.
const MORE_DIGITS: u8 = 4;

/// `avg(x)`: a double, or for decimal(p,s) a decimal(p+4,s+4), rounded half away from zero.
pub(super) fn avg(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let (numeric, cast) = call.number(0)?;
    let double = DataType::Float64;
    Ok(match numeric {
        Numeric::Int => call.function(vec![cast], double, || Dense::boxed(IntAvg::<Int32Type>(PhantomData))),
        Numeric::BigInt => call.function(vec![cast], double, || Dense::boxed(IntAvg::<Int64Type>(PhantomData))),
        Numeric::Unsigned => call.function(vec![cast], double, || Dense::boxed(IntAvg::<UInt64Type>(PhantomData))),
        Numeric::Double => call.function(vec![cast], double, || Dense::boxed(FloatAvg)),
        Numeric::Decimal(precision, scale) => {
            let more = MORE_DIGITS.min(MAX_DIGITS - precision);
            let fold = move || DecimalAvg { precision, scale, more };
            call.function(vec![cast], fold().return_type(), move || Dense::boxed(fold()))
        }
    })
}

/// A sum and how many values it is of.
#[derive(Debug, Clone, Copy, Default)]
struct Mean<S> {
    sum: S,
    count: i64,
}

struct IntAvg<T>(PhantomData<fn() -> T>);

impl<T: ArrowPrimitiveType> Fold for IntAvg<T>
where
    T::Native: Into<i128>,
{
    type State = Mean<i128>;
    type Columns = PrimitiveArray<T>;

    fn name(&self) -> &str {
        "avg"
    }

    fn empty(&self) -> Mean<i128> {
        Mean::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Self::Columns, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &T::DATA_TYPE)?)
    }

    #[inline]
    fn add(&self, state: &mut Mean<i128>, column: &Self::Columns, row: usize, _order: &RowOrder<'_>) {
        state.sum += column.values()[row].into();
        state.count += 1;
    }

    fn merge(&self, into: &mut Mean<i128>, from: &Mean<i128>) {
        into.sum += from.sum;
        into.count += from.count;
    }

    fn finish(&self, states: Picked<'_, Mean<i128>>) -> Result<Finished, TaskError> {
        let means = states
            .iter()
            .map(|state| (state.count > 0).then(|| state.sum as f64 / state.count as f64))
            .collect::<Float64Array>();
        Ok((Arc::new(means), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        fields(DataType::Decimal128(MAX_DIGITS, 0))
    }

    fn save(&self, states: Picked<'_, Mean<i128>>) -> Result<Vec<ArrayRef>, TaskError> {
        let sums = Decimal128Array::from_iter_values(states.iter().map(|state| state.sum));
        Ok(vec![Arc::new(sums.with_data_type(DataType::Decimal128(MAX_DIGITS, 0))), save_counts(states)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Mean<i128>>, TaskError> {
        let sums = numbers::<Decimal128Type>(self.name(), &columns[0])?;
        load(self.name(), sums.values().iter().copied(), &columns[1])
    }
}

struct FloatAvg;

impl Fold for FloatAvg {
    type State = Mean<f64>;
    type Columns = Float64Array;

    fn name(&self) -> &str {
        "avg"
    }

    fn empty(&self) -> Mean<f64> {
        Mean::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Float64Array, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &DataType::Float64)?)
    }

    #[inline]
    fn add(&self, state: &mut Mean<f64>, column: &Float64Array, row: usize, _order: &RowOrder<'_>) {
        let value = column.values()[row];
        state.sum = if state.count == 0 { value } else { state.sum + value };
        state.count += 1;
    }

    fn merge(&self, into: &mut Mean<f64>, from: &Mean<f64>) {
        match (into.count, from.count) {
            (_, 0) => {}
            (0, _) => *into = *from,
            (_, more) => {
                into.sum += from.sum;
                into.count += more;
            }
        }
    }

    fn finish(&self, states: Picked<'_, Mean<f64>>) -> Result<Finished, TaskError> {
        let means = states
            .iter()
            .map(|state| (state.count > 0).then(|| canonical(state.sum / state.count as f64)))
            .collect::<Float64Array>();
        Ok((Arc::new(means), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        fields(DataType::Float64)
    }

    fn save(&self, states: Picked<'_, Mean<f64>>) -> Result<Vec<ArrayRef>, TaskError> {
        let sums = Float64Array::from_iter_values(states.iter().map(|state| canonical(state.sum)));
        Ok(vec![Arc::new(sums), save_counts(states)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Mean<f64>>, TaskError> {
        let sums = numbers::<Float64Type>(self.name(), &columns[0])?;
        load(self.name(), sums.values().iter().copied(), &columns[1])
    }
}

struct DecimalAvg {
    precision: u8,
    scale: i8,
    more: u8,
}

impl DecimalAvg {
    fn return_type(&self) -> DataType {
        DataType::Decimal128(self.precision + self.more, self.scale + self.more as i8)
    }

    fn mean(&self, state: &Mean<i256>) -> Option<i128> {
        let scaled = state.sum.checked_mul(i256::from_i128(10i128.pow(u32::from(self.more))))?;
        let count = i256::from_i128(i128::from(state.count));
        let (quotient, rest) = (scaled.checked_div(count)?, scaled.checked_rem(count)?);
        let twice = rest.wrapping_abs().wrapping_add(rest.wrapping_abs());
        let away = if scaled < i256::ZERO { i256::MINUS_ONE } else { i256::ONE };
        let rounded = if twice >= count { quotient.wrapping_add(away) } else { quotient };
        fit_decimal(rounded, self.precision + self.more)
    }
}

impl Fold for DecimalAvg {
    type State = Mean<i256>;
    type Columns = Decimal128Array;

    fn name(&self) -> &str {
        "avg"
    }

    fn empty(&self) -> Mean<i256> {
        Mean::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Decimal128Array, TaskError> {
        let wanted = DataType::Decimal128(self.precision, self.scale);
        numbers(self.name(), &argument(self.name(), args, 0, &wanted)?)
    }

    #[inline]
    fn add(&self, state: &mut Mean<i256>, column: &Decimal128Array, row: usize, _order: &RowOrder<'_>) {
        state.sum = state.sum.wrapping_add(i256::from_i128(column.values()[row]));
        state.count += 1;
    }

    fn merge(&self, into: &mut Mean<i256>, from: &Mean<i256>) {
        into.sum = into.sum.wrapping_add(from.sum);
        into.count += from.count;
    }

    fn finish(&self, states: Picked<'_, Mean<i256>>) -> Result<Finished, TaskError> {
        let mut errors = Vec::new();
        let (digits, scale) = (self.precision + self.more, self.scale + self.more as i8);
        let means = states
            .iter()
            .enumerate()
            .map(|(index, state)| {
                let mean = (state.count > 0).then(|| self.mean(state))?;
                if mean.is_none() {
                    errors.push((index, decimal_out_of_range("decimal average", digits, scale)));
                }
                mean
            })
            .collect::<Decimal128Array>();
        Ok((Arc::new(means.with_data_type(self.return_type())), errors))
    }

    fn fields(&self) -> Vec<Field> {
        fields(wide_decimal(self.scale))
    }

    fn save(&self, states: Picked<'_, Mean<i256>>) -> Result<Vec<ArrayRef>, TaskError> {
        let sums = save_wide(states.iter().map(|state| Some(state.sum)), self.scale);
        Ok(vec![sums, save_counts(states)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Mean<i256>>, TaskError> {
        let sums = numbers::<Decimal256Type>(self.name(), &columns[0])?;
        load(self.name(), sums.values().iter().copied(), &columns[1])
    }
}

fn fields(sum: DataType) -> Vec<Field> {
    vec![Field::new("sum", sum, false), Field::new("count", DataType::Int64, false)]
}

fn save_counts<S>(states: Picked<'_, Mean<S>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(states.iter().map(|state| state.count)))
}

fn load<S>(name: &str, sums: impl Iterator<Item = S>, counts: &ArrayRef) -> Result<Vec<Mean<S>>, TaskError> {
    let counts = numbers::<Int64Type>(name, counts)?;
    Ok(sums.zip(counts.values()).map(|(sum, &count)| Mean { sum, count }).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, Rows, call, check, present_doubles, value_of};
    use super::*;

    #[test]
    fn integers_are_summed_exactly() {
        let function = call("mean", &[DataType::Int64]).unwrap();
        assert_eq!((function.name.as_str(), &function.return_type), ("avg", &DataType::Float64));
        let make = |random: &mut Random| vec![testing::numbers::<Int64Type>(random, |random| random.next() as i64)];
        check(&function, Merging::Exact, make, |rows, group| {
            let values = numbers::<Int64Type>("", &rows.args[0]).unwrap();
            let present =
                group.iter().filter_map(|&row| values.iter().nth(row).unwrap()).map(i128::from).collect::<Vec<_>>();
            let mean = || present.iter().sum::<i128>() as f64 / present.len() as f64;
            ScalarValue::Float64((!present.is_empty()).then(mean))
        });
        let huge = Int64Array::from(vec![i64::MAX; 4]);
        assert_eq!(value_of(&function, vec![Arc::new(huge)]), ScalarValue::Float64(Some(i64::MAX as f64)));
    }

    #[test]
    fn doubles_add_in_row_order() {
        let function = call("avg", &[DataType::Float64]).unwrap();
        let make = |random: &mut Random| vec![testing::doubles(random)];
        check(&function, Merging::Approximate, make, |rows, group| {
            let values = present_doubles(&rows.args[0], group);
            let count = values.len() as f64;
            ScalarValue::Float64(values.into_iter().reduce(|sum, value| sum + value).map(|sum| sum / count))
        });
    }

    #[test]
    fn decimals_round_half_away_from_zero() {
        let function = call("avg", &[DataType::Decimal128(4, 1)]).unwrap();
        assert_eq!(function.return_type, DataType::Decimal128(8, 5));
        let mean = |values: Vec<i128>| {
            let values = Decimal128Array::from(values).with_data_type(DataType::Decimal128(4, 1));
            match value_of(&function, vec![Arc::new(values)]) {
                ScalarValue::Decimal128(mean, 8, 5) => mean,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(mean(vec![]), None);
        assert_eq!(mean(vec![10, 10, 11]), Some(103_333));
        assert_eq!(mean(vec![10, 11, 11]), Some(106_667));
        assert_eq!(mean(vec![-10, -11, -11]), Some(-106_667));
        let thirty_two = |last| (0..31).map(|_| 0).chain([last]).collect();
        assert_eq!(mean(thirty_two(1)), Some(313), "0.003125 is 0.00313");
        assert_eq!(mean(thirty_two(-1)), Some(-313));
    }

    #[test]
    fn decimals_of_all_digits_have_an_average() {
        let function = call("avg", &[DataType::Decimal128(38, 0)]).unwrap();
        assert_eq!(function.return_type, DataType::Decimal128(38, 0));
        let nines = 10i128.pow(38) - 1;
        let values = Decimal128Array::from(vec![nines; 3]).with_data_type(DataType::Decimal128(38, 0));
        assert_eq!(value_of(&function, vec![Arc::new(values)]), ScalarValue::Decimal128(Some(nines), 38, 0));
        let make = |random: &mut Random| {
            let one = |random: &mut Random| i128::from(random.next() as i64);
            let values = testing::some(random, one).into_iter().collect::<Decimal128Array>();
            vec![Arc::new(values.with_data_type(DataType::Decimal128(38, 0))) as ArrayRef]
        };
        check(&function, Merging::Exact, make, |rows: &Rows, group| {
            let values = numbers::<Decimal128Type>("", &rows.args[0]).unwrap();
            let present = group.iter().filter_map(|&row| values.iter().nth(row).unwrap()).collect::<Vec<_>>();
            let count = present.len() as i128;
            let mean = || {
                let sum = present.iter().sum::<i128>();
                (2 * sum.abs() + count) / (2 * count) * sum.signum()
            };
            ScalarValue::Decimal128((count > 0).then(mean), 38, 0)
        });
    }
}
