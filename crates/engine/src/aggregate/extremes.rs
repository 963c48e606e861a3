//! `min` and `max`. Among floats -0.0 is less than 0.0, and NaN is greater than all: `max` finds it, `min` only among NaN.

use std::cmp::Ordering;
use std::marker::PhantomData;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::Field;

use super::dense::{Dense, Finished, Fold, Picked};
use super::resolve::Call;
use super::values::{Kind, with_kind};
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `min(x)`.
pub(super) fn min(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    extreme::<Least>(call)
}

/// `max(x)`.
pub(super) fn max(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    extreme::<Greatest>(call)
}

fn extreme<E: End>(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let data_type = call.plain_type(0)?;
    macro_rules! make {
        ($kind:expr) => {
            Ok(call.function(vec![data_type.clone()], data_type.clone(), move || {
                Dense::boxed(Extreme { kind: $kind, end: PhantomData::<fn() -> E> })
            }))
        };
    }
    with_kind!(&data_type, make, Err(call.refuse(0, "a number, string, bytes, boolean, date or timestamp")))
}

/// Which of two values an extreme keeps.
trait End: 'static {
    const NAME: &'static str;
    /// The order of a new value to the one kept at which the new one takes its place.
    const BETTER: Ordering;
}

struct Least;

impl End for Least {
    const NAME: &'static str = "min";
    const BETTER: Ordering = Ordering::Less;
}

struct Greatest;

impl End for Greatest {
    const NAME: &'static str = "max";
    const BETTER: Ordering = Ordering::Greater;
}

struct Extreme<K, E> {
    kind: K,
    end: PhantomData<fn() -> E>,
}

/// The value kept, if `any`; else memory to keep one in.
#[derive(Debug, Clone, Default)]
struct Held<V> {
    value: V,
    any: bool,
}

impl<K: Kind, E: End> Extreme<K, E> {
    #[inline]
    fn offer(state: &mut Held<K::Owned>, value: K::Ref<'_>) {
        if !state.any || K::compare(value, K::as_ref(&state.value)) == E::BETTER {
            K::assign(&mut state.value, value);
            state.any = true;
        }
    }
}

impl<K: Kind, E: End> Fold for Extreme<K, E> {
    type State = Held<K::Owned>;
    type Columns = K::Column;

    fn name(&self) -> &str {
        E::NAME
    }

    fn empty(&self) -> Self::State {
        Held { value: K::Owned::default(), any: false }
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<K::Column, TaskError> {
        self.kind.column(E::NAME, args, 0)
    }

    #[inline]
    fn add(&self, state: &mut Self::State, column: &K::Column, row: usize, _order: &RowOrder<'_>) {
        Self::offer(state, K::get(column, row));
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        if from.any {
            Self::offer(into, K::as_ref(&from.value));
        }
    }

    fn reset(&self, state: &mut Self::State) {
        state.any = false;
    }

    fn finish(&self, states: Picked<'_, Self::State>) -> Result<Finished, TaskError> {
        let values = states.iter().map(|state| state.any.then_some(&state.value));
        Ok((self.kind.build(E::NAME, values)?, Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new(E::NAME, self.kind.data_type().clone(), true)]
    }

    fn save(&self, states: Picked<'_, Self::State>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.finish(states)?.0])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>, TaskError> {
        let column = self.kind.column(E::NAME, columns, 0)?;
        let load = |row| {
            let mut state = self.empty();
            if columns[0].is_valid(row) {
                Self::offer(&mut state, K::get(&column, row));
            }
            state
        };
        Ok((0..columns[0].len()).map(load).collect())
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        K::heap_bytes(&state.value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, Float64Array, TimestampMillisecondArray};
    use arrow::datatypes::{DataType, Date32Type, Int32Type, TimeUnit};
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call, check, present, value_of};
    use super::super::values::compare_numbers;
    use super::*;

    fn agree(
        data_type: DataType,
        make: fn(&mut Random) -> ArrayRef,
        order: fn(&ScalarValue, &ScalarValue) -> Ordering,
    ) {
        for (name, end) in [("min", Ordering::Less), ("max", Ordering::Greater)] {
            let function = call(name, std::slice::from_ref(&data_type)).unwrap();
            assert_eq!(function.return_type, data_type);
            check(
                &function,
                Merging::Exact,
                |random| vec![make(random)],
                |rows, group| {
                    let best =
                        |best: ScalarValue, value: ScalarValue| if order(&value, &best) == end { value } else { best };
                    let none = ScalarValue::try_new_null(&data_type).unwrap();
                    present(&rows.args[0], group).into_iter().reduce(best).unwrap_or(none)
                },
            );
        }
    }

    fn natural(a: &ScalarValue, b: &ScalarValue) -> Ordering {
        a.partial_cmp(b).unwrap()
    }

    #[test]
    fn all_kinds_agree_with_a_naive_search() {
        agree(DataType::Int32, |random| testing::numbers::<Int32Type>(random, |random| random.next() as i32), natural);
        agree(
            DataType::Date32,
            |random| testing::numbers::<Date32Type>(random, |random| random.below(9) as i32),
            natural,
        );
        agree(DataType::Utf8, testing::strings, natural);
        agree(DataType::Boolean, testing::booleans, natural);
        let bytes = |random: &mut Random| {
            let values = testing::some(random, |random| random.next().to_le_bytes()[..random.below(4)].to_vec());
            Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>()) as ArrayRef
        };
        agree(DataType::Binary, bytes, natural);
        agree(DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())), times, natural);
        fn doubles(a: &ScalarValue, b: &ScalarValue) -> Ordering {
            match (a, b) {
                (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) => compare_numbers(*a, *b),
                other => panic!("{other:?}"),
            }
        }
        agree(DataType::Float64, testing::doubles, doubles);
    }

    fn times(random: &mut Random) -> ArrayRef {
        let values = testing::some(random, |random| random.below(5) as i64 - 2);
        Arc::new(values.into_iter().collect::<TimestampMillisecondArray>().with_timezone("UTC"))
    }

    #[test]
    fn nan_is_greater_than_all_and_zeros_have_signs() {
        let extreme = |name: &str, values: &[f64]| {
            let function = call(name, &[DataType::Float64]).unwrap();
            match value_of(&function, vec![Arc::new(Float64Array::from(values.to_vec()))]) {
                ScalarValue::Float64(Some(value)) => value,
                other => panic!("{other:?}"),
            }
        };
        for nan in [f64::NAN, -f64::NAN] {
            assert!(extreme("max", &[f64::INFINITY, nan, 1.0]).is_nan());
            assert_eq!(extreme("min", &[nan, 1.0, nan]), 1.0);
            assert!(extreme("min", &[nan]).is_nan());
        }
        for zeros in [[0.0, -0.0], [-0.0, 0.0]] {
            assert!(extreme("min", &zeros).is_sign_negative());
            assert!(extreme("max", &zeros).is_sign_positive());
        }
        assert_eq!(extreme("min", &[f64::NEG_INFINITY, f64::MIN]), f64::NEG_INFINITY);
    }

    #[test]
    fn other_layouts_of_strings_are_taken() {
        let function = call("max", &[DataType::Utf8View]).unwrap();
        assert_eq!(function.arg_types, [DataType::Utf8]);
        let views = arrow::array::StringViewArray::from(vec!["a", "c", "b"]);
        assert_eq!(value_of(&function, vec![Arc::new(views)]), ScalarValue::Utf8(Some("c".into())));
    }
}
