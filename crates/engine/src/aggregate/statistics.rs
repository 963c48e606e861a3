//! `stddev` and `variance`, by Welford's method, in row order; of one value the sample forms have no value.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::resolve::Call;
use super::values::canonical;
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `var_samp(x)`.
pub(super) fn var_samp(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    spread(call, |state| state.variance(1))
}

/// `var_pop(x)`.
pub(super) fn var_pop(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    spread(call, |state| state.variance(0))
}

/// `stddev_samp(x)`.
pub(super) fn stddev_samp(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    spread(call, |state| state.variance(1).map(f64::sqrt))
}

/// `stddev_pop(x)`.
pub(super) fn stddev_pop(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    spread(call, |state| state.variance(0).map(f64::sqrt))
}

fn spread(call: &Call<'_>, value: fn(&Moments) -> Option<f64>) -> Result<AggregateFunction, ExprError> {
    call.number(0)?;
    let name = call.name;
    let make = move || Dense::boxed(Spread { name, value });
    Ok(call.function(vec![DataType::Float64], DataType::Float64, make))
}

/// How many values, their mean, and the sum of the squares of their distances from it.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: i64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn variance(&self, less: i64) -> Option<f64> {
        (self.count > less).then(|| self.squares / (self.count - less) as f64)
    }
}

struct Spread {
    name: &'static str,
    value: fn(&Moments) -> Option<f64>,
}

impl Fold for Spread {
    type State = Moments;
    type Columns = Float64Array;

    fn name(&self) -> &str {
        self.name
    }

    fn empty(&self) -> Moments {
        Moments::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Float64Array, TaskError> {
        numbers(self.name, &argument(self.name, args, 0, &DataType::Float64)?)
    }

    #[inline]
    fn add(&self, state: &mut Moments, column: &Float64Array, row: usize, _order: &RowOrder<'_>) {
        let value = column.values()[row];
        state.count += 1;
        let before = value - state.mean;
        state.mean += before / state.count as f64;
        state.squares += before * (value - state.mean);
    }

    fn merge(&self, into: &mut Moments, from: &Moments) {
        if into.count == 0 {
            *into = *from;
        } else if from.count > 0 {
            let (n, m) = (into.count as f64, from.count as f64);
            let apart = from.mean - into.mean;
            into.count += from.count;
            into.mean += apart * m / (n + m);
            into.squares += from.squares + apart * apart * n * m / (n + m);
        }
    }

    fn finish(&self, states: Picked<'_, Moments>) -> Result<Finished, TaskError> {
        Ok((
            Arc::new(states.iter().map(|state| (self.value)(state).map(canonical)).collect::<Float64Array>()),
            Vec::new(),
        ))
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("count", DataType::Int64, false),
            Field::new("mean", DataType::Float64, false),
            Field::new("squares", DataType::Float64, false),
        ]
    }

    fn save(&self, states: Picked<'_, Moments>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(states.iter().map(|state| state.count))),
            Arc::new(Float64Array::from_iter_values(states.iter().map(|state| canonical(state.mean)))),
            Arc::new(Float64Array::from_iter_values(states.iter().map(|state| canonical(state.squares)))),
        ])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Moments>, TaskError> {
        let counts = numbers::<Int64Type>(self.name, &columns[0])?;
        let means = numbers::<Float64Type>(self.name, &columns[1])?;
        let squares = numbers::<Float64Type>(self.name, &columns[2])?;
        let state = |row| Moments { count: counts.value(row), mean: means.value(row), squares: squares.value(row) };
        Ok((0..counts.len()).map(state).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call, check, present_doubles, value_of};
    use super::*;

    fn welford(values: &[f64]) -> (f64, f64) {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for value in values {
            count += 1.0;
            let before = value - mean;
            mean += before / count;
            squares += before * (value - mean);
        }
        (count, squares)
    }

    #[test]
    fn all_forms_agree_with_welford_in_row_order() {
        type Of = fn(f64) -> f64;
        let forms: [(&str, f64, Of); 6] = [
            ("variance", 1.0, |v| v),
            ("var_samp", 1.0, |v| v),
            ("var_pop", 0.0, |v| v),
            ("stddev", 1.0, f64::sqrt),
            ("stddev_samp", 1.0, f64::sqrt),
            ("stddev_pop", 0.0, f64::sqrt),
        ];
        for (name, less, value) in forms {
            let function = call(name, &[DataType::Float64]).unwrap();
            let make = |random: &mut Random| vec![testing::doubles(random)];
            check(&function, Merging::Approximate, make, |rows, group| {
                let (count, squares) = welford(&present_doubles(&rows.args[0], group));
                ScalarValue::Float64((count > less).then(|| value(squares / (count - less))))
            });
        }
    }

    #[test]
    fn known_values() {
        let of = |name: &str, values: Vec<i64>| {
            let function = call(name, &[DataType::Int64]).unwrap();
            value_of(&function, vec![Arc::new(Int64Array::from(values))])
        };
        let values = vec![2, 4, 4, 4, 5, 5, 7, 9];
        assert_eq!(of("stddev_pop", values.clone()), ScalarValue::Float64(Some(2.0)));
        assert_eq!(of("var_pop", values), ScalarValue::Float64(Some(4.0)));
        assert_eq!(of("var_samp", vec![1, 3]), ScalarValue::Float64(Some(2.0)));
        assert_eq!(of("var_samp", vec![7]), ScalarValue::Float64(None));
        assert_eq!(of("var_pop", vec![7]), ScalarValue::Float64(Some(0.0)));
    }

    #[test]
    fn merging_comes_near_the_whole() {
        let function = call("variance", &[DataType::Float64]).unwrap();
        let values = (0..100).map(|i| f64::from(i * i)).collect::<Vec<_>>();
        let rows = testing::Rows::plain(vec![Arc::new(Float64Array::from(values))]);
        let mut parts = testing::start(&function, 3);
        let all = (0..100).collect::<Vec<u32>>();
        let slots = all.iter().map(|row| row / 34).collect::<Vec<_>>();
        parts.update(&rows.args, &all, &slots, rows.order()).unwrap();
        parts.merge(&[0, 0], &[1, 2]).unwrap();
        let merged = numbers::<Float64Type>("", &parts.evaluate(&[0]).unwrap().0).unwrap().value(0);
        let ScalarValue::Float64(Some(whole)) = testing::value(&function, &rows).unwrap() else { panic!("no value") };
        assert!((merged / whole - 1.0).abs() < 1e-12, "{merged} {whole}");
    }
}
