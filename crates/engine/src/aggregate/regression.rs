//! Aggregates of pairs: `covar_samp`, `covar_pop`, `corr(y, x)` and `regr_*(y, x)`, in row order; a pair with a null is
//! skipped.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::resolve::Call;
use super::values::canonical;
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

type Value = fn(&Pairs) -> Option<f64>;

/// The functions that give a double, by name.
const VALUES: &[(&str, Value)] = &[
    ("corr", |p| p.some()?.ratio(p.xy, (p.xx * p.yy).sqrt())),
    ("covar_pop", |p| p.some()?.ratio(p.xy, p.n())),
    ("covar_samp", |p| (p.count > 1).then(|| p.xy / (p.n() - 1.0))),
    ("regr_avgx", |p| Some(p.some()?.mean_x)),
    ("regr_avgy", |p| Some(p.some()?.mean_y)),
    ("regr_intercept", |p| Some(p.mean_y - p.slope()? * p.mean_x)),
    ("regr_r2", Pairs::determination),
    ("regr_slope", Pairs::slope),
    ("regr_sxx", |p| Some(p.some()?.xx)),
    ("regr_sxy", |p| Some(p.some()?.xy)),
    ("regr_syy", |p| Some(p.some()?.yy)),
];

/// Any of the functions in this file that give a double; in all, the first argument is y.
pub(super) fn of_pairs(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let value = VALUES.iter().find(|(name, _)| *name == call.name).map(|(_, value)| *value);
    build(call, DataType::Float64, Output::Double(value.unwrap_or(|_| None)))
}

/// `regr_count(y, x)`: the pairs without a null.
pub(super) fn regr_count(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    build(call, DataType::Int64, Output::Count)
}

fn build(call: &Call<'_>, return_type: DataType, output: Output) -> Result<AggregateFunction, ExprError> {
    call.number(0)?;
    call.number(1)?;
    let name = call.name;
    let make = move || Dense::boxed(OfPairs { name, output });
    Ok(call.function(vec![DataType::Float64, DataType::Float64], return_type, make))
}

#[derive(Clone, Copy)]
enum Output {
    Double(Value),
    Count,
}

/// How many pairs, the means of both sides, and the sums of products of distances from the means.
#[derive(Debug, Clone, Copy, Default)]
struct Pairs {
    count: i64,
    mean_x: f64,
    mean_y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Pairs {
    fn n(&self) -> f64 {
        self.count as f64
    }

    fn some(&self) -> Option<&Pairs> {
        (self.count > 0).then_some(self)
    }

    fn ratio(&self, of: f64, to: f64) -> Option<f64> {
        (to != 0.0).then(|| of / to)
    }

    fn slope(&self) -> Option<f64> {
        self.ratio(self.xy, self.xx)
    }

    fn determination(&self) -> Option<f64> {
        match (self.xx == 0.0, self.yy == 0.0) {
            (true, _) => None,
            (false, true) => Some(1.0),
            (false, false) => Some(self.xy * self.xy / (self.xx * self.yy)),
        }
    }
}

struct OfPairs {
    name: &'static str,
    output: Output,
}

impl Fold for OfPairs {
    type State = Pairs;
    type Columns = [Float64Array; 2];

    fn name(&self) -> &str {
        self.name
    }

    fn empty(&self) -> Pairs {
        Pairs::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<[Float64Array; 2], TaskError> {
        let column = |index| numbers(self.name, &argument(self.name, args, index, &DataType::Float64)?);
        Ok([column(0)?, column(1)?])
    }

    #[inline]
    fn add(&self, p: &mut Pairs, [y, x]: &[Float64Array; 2], row: usize, _order: &RowOrder<'_>) {
        let (y, x) = (y.values()[row], x.values()[row]);
        p.count += 1;
        let (from_x, from_y) = (x - p.mean_x, y - p.mean_y);
        p.mean_x += from_x / p.n();
        p.mean_y += from_y / p.n();
        p.xx += from_x * (x - p.mean_x);
        p.yy += from_y * (y - p.mean_y);
        p.xy += from_x * (y - p.mean_y);
    }

    fn merge(&self, into: &mut Pairs, from: &Pairs) {
        if into.count == 0 {
            *into = *from;
        } else if from.count > 0 {
            let (apart_x, apart_y) = (from.mean_x - into.mean_x, from.mean_y - into.mean_y);
            let share = from.n() / (into.n() + from.n());
            let weight = into.n() * share;
            into.count += from.count;
            into.mean_x += apart_x * share;
            into.mean_y += apart_y * share;
            into.xx += from.xx + apart_x * apart_x * weight;
            into.yy += from.yy + apart_y * apart_y * weight;
            into.xy += from.xy + apart_x * apart_y * weight;
        }
    }

    fn finish(&self, states: Picked<'_, Pairs>) -> Result<Finished, TaskError> {
        let array: ArrayRef = match self.output {
            Output::Double(value) => {
                Arc::new(states.iter().map(|pairs| value(pairs).map(canonical)).collect::<Float64Array>())
            }
            Output::Count => Arc::new(Int64Array::from_iter_values(states.iter().map(|pairs| pairs.count))),
        };
        Ok((array, Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        let doubles = ["mean_x", "mean_y", "xx", "yy", "xy"].map(|name| Field::new(name, DataType::Float64, false));
        std::iter::once(Field::new("count", DataType::Int64, false)).chain(doubles).collect()
    }

    fn save(&self, states: Picked<'_, Pairs>) -> Result<Vec<ArrayRef>, TaskError> {
        let doubles =
            [|p: &Pairs| p.mean_x, |p: &Pairs| p.mean_y, |p: &Pairs| p.xx, |p: &Pairs| p.yy, |p: &Pairs| p.xy].map(
                |part| {
                    Arc::new(Float64Array::from_iter_values(states.iter().map(|pairs| canonical(part(pairs)))))
                        as ArrayRef
                },
            );
        let counts = Arc::new(Int64Array::from_iter_values(states.iter().map(|pairs| pairs.count))) as ArrayRef;
        Ok(std::iter::once(counts).chain(doubles).collect())
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Pairs>, TaskError> {
        let counts = numbers::<Int64Type>(self.name, &columns[0])?;
        let doubles = columns[1..]
            .iter()
            .map(|column| numbers::<Float64Type>(self.name, column))
            .collect::<Result<Vec<_>, _>>()?;
        let pairs = |row| Pairs {
            count: counts.value(row),
            mean_x: doubles[0].value(row),
            mean_y: doubles[1].value(row),
            xx: doubles[2].value(row),
            yy: doubles[3].value(row),
            xy: doubles[4].value(row),
        };
        Ok((0..counts.len()).map(pairs).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call, check, value_of};
    use super::*;
    use arrow::array::Array;

    const NAMES: [&str; 12] = [
        "corr",
        "covar_pop",
        "covar_samp",
        "regr_avgx",
        "regr_avgy",
        "regr_count",
        "regr_intercept",
        "regr_r2",
        "regr_slope",
        "regr_sxx",
        "regr_sxy",
        "regr_syy",
    ];

    fn of(name: &str, y: &[f64], x: &[f64]) -> Option<f64> {
        let function = call(name, &[DataType::Float64, DataType::Float64]).unwrap();
        let arrays = [y, x].map(|values| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef);
        match value_of(&function, arrays.to_vec()) {
            ScalarValue::Float64(value) => value,
            ScalarValue::Int64(value) => value.map(|value| value as f64),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_line_is_found() {
        let x = [1.0, 2.0, 3.0, 6.0];
        let y = x.map(|x| 3.0 - 2.0 * x);
        let expected = [-1.0, -7.0, -28.0 / 3.0, 3.0, -3.0, 4.0, 3.0, 1.0, -2.0, 14.0, -28.0, 56.0];
        for (name, expected) in NAMES.into_iter().zip(expected) {
            let found = of(name, &y, &x).unwrap();
            assert!((found - expected).abs() < 1e-12, "{name}: {found}, not {expected}");
        }
    }

    #[test]
    fn no_value_where_there_is_none() {
        for name in NAMES {
            let expected = (name == "regr_count").then_some(0.0);
            assert_eq!(of(name, &[], &[]), expected, "{name}");
        }
        assert_eq!(of("covar_samp", &[1.0], &[1.0]), None);
        assert_eq!(of("covar_pop", &[1.0], &[1.0]), Some(0.0));
        assert_eq!(of("corr", &[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(of("regr_slope", &[1.0, 2.0], &[1.0, 1.0]), None);
        assert_eq!(of("regr_r2", &[1.0, 1.0], &[1.0, 2.0]), Some(1.0));
    }

    #[test]
    fn cuts_change_nothing() {
        for name in NAMES {
            let function = call(name, &[DataType::Float64, DataType::Float64]).unwrap();
            let make = |random: &mut Random| vec![testing::doubles(random), testing::doubles(random)];
            check(&function, Merging::Approximate, make, |rows, group| {
                let columns = [0, 1].map(|index| numbers::<Float64Type>("", &rows.args[index]).unwrap());
                let mut pairs = Pairs::default();
                let fold = OfPairs { name: "corr", output: Output::Count };
                for &row in group.iter().filter(|&&row| columns.iter().all(|column| column.is_valid(row))) {
                    fold.add(&mut pairs, &columns, row, &rows.order());
                }
                match VALUES.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => ScalarValue::Float64(value(&pairs)),
                    None => ScalarValue::Int64(Some(pairs.count)),
                }
            });
        }
    }
}
