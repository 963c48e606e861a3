//! `approx_percentile` and `approx_median`: within 1 % of the true value, in bounded memory, whatever the order of rows.
//!
//! A DDSketch whose bins are kept sparsely and never collapsed, so that adding and merging commute exactly. Infinities
//! have bins of their own at both ends; NaN counts as greater than all numbers.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type};
use sketches_ddsketch::Config;

use super::dense::{Dense, Finished, Fold, Picked, argument, numbers};
use super::pool::{list_array, list_type, read_lists};
use super::resolve::Call;
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// How far an answer may be from the true value, as a share of it.
const RELATIVE_ERROR: f64 = 0.01;

/// `approx_percentile(x, p)`.
pub(super) fn approx_percentile(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let fraction = call.literal_fraction(1)?;
    build(call, format!("{}({fraction})", call.name), fraction)
}

/// `approx_median(x)`.
pub(super) fn approx_median(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    build(call, call.name.into(), 0.5)
}

fn build(call: &Call<'_>, name: String, fraction: f64) -> Result<AggregateFunction, ExprError> {
    call.number(0)?;
    let mut arg_types = call.arg_types.to_vec();
    arg_types[0] = DataType::Float64;
    Ok(call.named(name, arg_types, DataType::Float64, move || Dense::boxed(Sketch::new(fraction))))
}

/// The place of a bin among all, in the order of the values in it: 0 for zero, and for a negative number that of its size
/// with the sign turned.
type Key = i32;

const ZERO: Key = 0;
/// Added to the index of a bin, which is negative for sizes below one, to make its key positive: |index| < 2^16.
const SHIFT: Key = 1 << 20;
const INFINITY: Key = 1 << 24;
const NAN: Key = INFINITY + 1;

struct Sketch {
    fraction: f64,
    mapping: Config,
}

/// How many values fell into each bin that has any, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bins {
    bins: Vec<(Key, i64)>,
}

impl Bins {
    #[inline]
    fn add(&mut self, key: Key, count: i64) {
        match self.bins.binary_search_by_key(&key, |&(key, _)| key) {
            Ok(index) => self.bins[index].1 += count,
            Err(index) => self.bins.insert(index, (key, count)),
        }
    }

    /// The key of the value of the given rank, from 0.
    fn at_rank(&self, rank: i64) -> Option<Key> {
        let mut seen = 0;
        self.bins.iter().find_map(|&(key, count)| {
            seen += count;
            (seen > rank).then_some(key)
        })
    }

    fn count(&self) -> i64 {
        self.bins.iter().map(|&(_, count)| count).sum()
    }
}

impl Sketch {
    fn new(fraction: f64) -> Sketch {
        // The bound on bins and the least value are those of the crate's own store, which is not used.
        Sketch { fraction, mapping: Config::new(RELATIVE_ERROR, 2048, f64::MIN_POSITIVE) }
    }

    #[inline]
    fn key(&self, value: f64) -> Key {
        if value.is_nan() {
            return NAN;
        }
        let size = value.abs();
        let key = match size {
            f64::INFINITY => INFINITY,
            size if size < f64::MIN_POSITIVE => ZERO,
            size => SHIFT + self.mapping.key(size),
        };
        if value < 0.0 { -key } else { key }
    }

    fn value(&self, key: Key) -> f64 {
        let size = match key.abs() {
            ZERO => 0.0,
            INFINITY => f64::INFINITY,
            NAN => f64::NAN,
            // The greatest bins reach beyond the finite numbers.
            key => self.mapping.value(key - SHIFT).min(f64::MAX),
        };
        if key < ZERO { -size } else { size }
    }

    fn estimate(&self, bins: &Bins) -> Option<f64> {
        let last = bins.count() - 1;
        let rank = (self.fraction * last as f64) as i64;
        bins.at_rank(rank.clamp(0, last.max(0))).map(|key| self.value(key))
    }
}

impl Fold for Sketch {
    type State = Bins;
    type Columns = Float64Array;

    fn name(&self) -> &str {
        "approx_percentile"
    }

    fn empty(&self) -> Bins {
        Bins::default()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Float64Array, TaskError> {
        numbers(self.name(), &argument(self.name(), args, 0, &DataType::Float64)?)
    }

    #[inline]
    fn add(&self, state: &mut Bins, column: &Float64Array, row: usize, _order: &RowOrder<'_>) {
        state.add(self.key(column.values()[row]), 1);
    }

    fn merge(&self, into: &mut Bins, from: &Bins) {
        for &(key, count) in &from.bins {
            into.add(key, count);
        }
    }

    fn reset(&self, state: &mut Bins) {
        state.bins.clear();
    }

    fn finish(&self, states: Picked<'_, Bins>) -> Result<Finished, TaskError> {
        Ok((Arc::new(states.iter().map(|bins| self.estimate(bins)).collect::<Float64Array>()), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            Field::new("bins", list_type(&DataType::Int32), false),
            Field::new("counts", list_type(&DataType::Int64), false),
        ]
    }

    fn save(&self, states: Picked<'_, Bins>) -> Result<Vec<ArrayRef>, TaskError> {
        let bins = || states.iter().flat_map(|state| &state.bins);
        let keys = Int32Array::from_iter_values(bins().map(|&(key, _)| key));
        let counts = Int64Array::from_iter_values(bins().map(|&(_, count)| count));
        let lengths = || states.iter().map(|state| state.bins.len());
        Ok(vec![list_array(lengths(), Arc::new(keys), None), list_array(lengths(), Arc::new(counts), None)])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Bins>, TaskError> {
        let (keys, lengths) = read_lists(self.name(), &columns[0])?;
        let (counts, _) = read_lists(self.name(), &columns[1])?;
        let keys = numbers::<Int32Type>(self.name(), &keys)?;
        let counts = numbers::<Int64Type>(self.name(), &counts)?;
        let mut next = keys.values().iter().copied().zip(counts.values().iter().copied());
        Ok(lengths.into_iter().map(|length| Bins { bins: next.by_ref().take(length).collect() }).collect())
    }

    fn heap_bytes(&self, state: &Bins) -> usize {
        state.bins.capacity() * size_of::<(Key, i64)>()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::Distinct;
    use super::super::testing::{self, Merging, Random, call_with, check, present_doubles, value_of};
    use super::super::values::compare_numbers;
    use super::*;

    #[test]
    fn answers_are_within_one_percent_in_any_order() {
        for fraction in [0.0, 0.5, 0.95, 1.0] {
            let function = call_with("percentile", Distinct::All, DataType::Float64, &[fraction.into()]).unwrap();
            assert_eq!(function.name, format!("approx_percentile({fraction})"));
            let sketch = Sketch::new(fraction);
            let make = |random: &mut Random| {
                let fractions = Arc::new(Float64Array::from(vec![fraction; 60])) as ArrayRef;
                vec![testing::doubles(random), fractions]
            };
            check(&function, Merging::Exact, make, |rows, group| {
                let mut values = present_doubles(&rows.args[0], group);
                values.sort_by(|a, b| compare_numbers(*a, *b));
                let rank = (fraction * values.len().saturating_sub(1) as f64) as usize;
                ScalarValue::Float64(values.get(rank).map(|&value| {
                    let found = sketch.value(sketch.key(value));
                    let near =
                        found == value || (found.is_nan() && value.is_nan()) || (found / value - 1.0).abs() < 0.0101;
                    assert!(near, "{found} for {value}");
                    found
                }))
            });
        }
    }

    #[test]
    fn a_large_group_takes_little_memory() {
        let function = call_with("percentile", Distinct::All, DataType::Float64, &[0.99.into()]).unwrap();
        let values = (1..=100_000).map(f64::from).collect::<Vec<_>>();
        let ScalarValue::Float64(Some(found)) = value_of(&function, vec![Arc::new(Float64Array::from(values))]) else {
            panic!("no value")
        };
        assert!((found / 99_000.0 - 1.0).abs() < 0.011, "{found}");
    }

    #[test]
    fn keys_follow_the_order_of_values() {
        let sketch = Sketch::new(0.5);
        let values = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1e200,
            -3.0,
            -1.0,
            -1e-300,
            0.0,
            f64::MIN_POSITIVE,
            1e-300,
            1.0,
            3.0,
            1e200,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        let keys = values.map(|value| sketch.key(value));
        assert!(keys.is_sorted(), "{keys:?}");
        for (value, key) in values.into_iter().zip(keys) {
            let back = sketch.value(key);
            let near = back == value || (back.is_nan() && value.is_nan()) || (back / value - 1.0).abs() <= 0.0101;
            assert!(near, "{value} became {back}");
        }
        assert_eq!(sketch.key(-0.0), ZERO);
        assert_eq!(sketch.key(-f64::NAN), NAN);
    }
}
