//! `topk(x, n)`: the n greatest values, greatest first; equal values stand as often as they came. NaN is greater than
//! all numbers.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef};
use arrow::buffer::NullBuffer;
use arrow::datatypes::Field;

use super::dense::{Dense, Finished, Fold, Picked};
use super::pool::{list_array, list_type, read_lists};
use super::resolve::Call;
use super::values::{Kind, with_kind};
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// The most values that may be asked for.
const MAX_N: i64 = 10_000;

/// `topk(x, n)`.
pub(super) fn topk(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let data_type = call.plain_type(0)?;
    let n = call.literal_int(1, 1..=MAX_N)?;
    let mut arg_types = call.arg_types.to_vec();
    arg_types[0] = data_type.clone();
    macro_rules! make {
        ($kind:expr) => {
            Ok(call.named(format!("{}({n})", call.name), arg_types, list_type(&data_type), move || {
                Dense::boxed(TopK { kind: $kind, n: n as usize })
            }))
        };
    }
    with_kind!(&data_type, make, Err(call.refuse(0, "a number, string, bytes, boolean, date or timestamp")))
}

struct TopK<K> {
    kind: K,
    n: usize,
}

impl<K: Kind> TopK<K> {
    /// Puts a value behind all that are not less. The one that falls out leaves its memory to the one that comes in.
    #[inline]
    fn offer(&self, held: &mut Vec<K::Owned>, value: K::Ref<'_>) {
        let not_less = |kept: &K::Owned| K::compare(K::as_ref(kept), value) != Ordering::Less;
        if held.len() == self.n && held.last().is_some_and(not_less) {
            return;
        }
        let index = held.partition_point(not_less);
        let mut place = if held.len() == self.n { held.pop().unwrap_or_default() } else { K::Owned::default() };
        K::assign(&mut place, value);
        held.insert(index, place);
    }
}

impl<K: Kind> Fold for TopK<K> {
    type State = Vec<K::Owned>;
    type Columns = K::Column;

    fn name(&self) -> &str {
        "topk"
    }

    fn empty(&self) -> Vec<K::Owned> {
        Vec::new()
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<K::Column, TaskError> {
        self.kind.column(self.name(), args, 0)
    }

    fn skipped(&self, args: &[ArrayRef]) -> Option<NullBuffer> {
        args.first().and_then(|arg| arg.logical_nulls())
    }

    #[inline]
    fn add(&self, state: &mut Vec<K::Owned>, column: &K::Column, row: usize, _order: &RowOrder<'_>) {
        self.offer(state, K::get(column, row));
    }

    fn merge(&self, into: &mut Vec<K::Owned>, from: &Vec<K::Owned>) {
        for value in from {
            self.offer(into, K::as_ref(value));
        }
    }

    fn finish(&self, states: Picked<'_, Vec<K::Owned>>) -> Result<Finished, TaskError> {
        let any = states.iter().map(|state| !state.is_empty()).collect::<NullBuffer>();
        Ok((self.lists(states, Some(any))?, Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("values", list_type(self.kind.data_type()), false)]
    }

    fn save(&self, states: Picked<'_, Vec<K::Owned>>) -> Result<Vec<ArrayRef>, TaskError> {
        Ok(vec![self.lists(states, None)?])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Vec<K::Owned>>, TaskError> {
        let (values, lengths) = read_lists(self.name(), &columns[0])?;
        let column = self.kind.column(self.name(), &[values], 0)?;
        let mut row = 0;
        let mut owned = || {
            let mut value = K::Owned::default();
            K::assign(&mut value, K::get(&column, row));
            row += 1;
            value
        };
        Ok(lengths.into_iter().map(|length| (0..length).map(|_| owned()).collect()).collect())
    }

    fn heap_bytes(&self, state: &Vec<K::Owned>) -> usize {
        state.capacity() * size_of::<K::Owned>() + state.iter().map(K::heap_bytes).sum::<usize>()
    }
}

impl<K: Kind> TopK<K> {
    fn lists(&self, states: Picked<'_, Vec<K::Owned>>, nulls: Option<NullBuffer>) -> Result<ArrayRef, TaskError> {
        let all = states.iter().flatten().map(Some).collect::<Vec<_>>();
        let values = self.kind.build(self.name(), all.into_iter())?;
        Ok(list_array(states.iter().map(Vec::len), values, nulls))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::DataType;
    use datafusion_common::ScalarValue;

    use super::super::Distinct;
    use super::super::testing::{self, Merging, call_with, check, present, present_doubles, value_of};
    use super::super::values::compare_numbers;
    use super::*;

    fn list(values: &[ScalarValue], data_type: &DataType) -> ScalarValue {
        if values.is_empty() {
            return ScalarValue::try_new_null(&list_type(data_type)).unwrap();
        }
        ScalarValue::List(ScalarValue::new_list_nullable(values, data_type))
    }

    #[test]
    fn the_greatest_come_first() {
        let function = call_with("topk", Distinct::All, DataType::Utf8, &[4i64.into()]).unwrap();
        assert_eq!(function.name, "topk(4)");
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::strings(random)],
            |rows, group| {
                let mut values = present(&rows.args[0], group);
                values.sort_by(|a, b| b.partial_cmp(a).unwrap());
                values.truncate(4);
                list(&values, &DataType::Utf8)
            },
        );
        let function = call_with("topk", Distinct::All, DataType::Float64, &[7i64.into()]).unwrap();
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::doubles(random)],
            |rows, group| {
                let mut values = present_doubles(&rows.args[0], group);
                values.sort_by(|a, b| compare_numbers(*b, *a));
                values.truncate(7);
                list(&values.into_iter().map(ScalarValue::from).collect::<Vec<_>>(), &DataType::Float64)
            },
        );
    }

    #[test]
    fn distinct_values_stand_once() {
        let values = || vec![Arc::new(Int64Array::from(vec![3, 9, 9, 1, 3])) as ArrayRef];
        let of = |distinct| {
            let function = call_with("topk", distinct, DataType::Int64, &[3i64.into()]).unwrap();
            value_of(&function, values())
        };
        let ints = |values: &[i64]| {
            list(&values.iter().map(|&value| ScalarValue::from(value)).collect::<Vec<_>>(), &DataType::Int64)
        };
        assert_eq!(of(Distinct::All), ints(&[9, 9, 3]));
        assert_eq!(of(Distinct::Once), ints(&[9, 3, 1]));
    }

    #[test]
    fn n_is_a_literal_with_bounds() {
        for n in [0i64, -1, MAX_N + 1] {
            let error = call_with("topk", Distinct::All, DataType::Int64, &[n.into()]).unwrap_err();
            assert_eq!(error.message, "the second argument of topk must be an integer from 1 to 10000");
        }
        assert!(call_with("topk", Distinct::All, DataType::Int64, &[2.5.into()]).is_err());
    }
}
