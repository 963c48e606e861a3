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
