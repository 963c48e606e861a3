//! `stddev` and `variance`, by Welford's method, in row order; of one value the sample forms have no value.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::resolve::Call;
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
        Ok((Arc::new(states.iter().map(self.value).collect::<Float64Array>()), Vec::new()))
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
            Arc::new(Float64Array::from_iter_values(states.iter().map(|state| state.mean))),
            Arc::new(Float64Array::from_iter_values(states.iter().map(|state| state.squares))),
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
