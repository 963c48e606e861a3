//! `first` and `last`: the value of the earliest or latest row by (event time, origin, offset); nulls are skipped.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, UInt64Type};

use super::dense::{Dense, Finished, Fold, Picked, numbers};
use super::resolve::Call;
use super::values::{Any, Kind, with_kind};
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `first(x)`: of rows of the very same place, that which came first.
pub(super) fn first(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    one_of::<First>(call)
}

/// `last(x)`: of rows of the very same place, that which came last.
pub(super) fn last(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    one_of::<Last>(call)
}

fn one_of<W: Which>(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let data_type = call.plain_type(0)?;
    macro_rules! make {
        ($kind:expr) => {
            Ok(call.function(vec![data_type.clone()], data_type.clone(), move || {
                Dense::boxed(OneOf { kind: $kind, which: PhantomData::<fn() -> W> })
            }))
        };
    }
    with_kind!(&data_type, make, {
        if Any::new(data_type.clone()).is_none() {
            return Err(call.refuse(0, "a value of a plain type"));
        }
        make!(Any::new(data_type.clone()).expect("the type was tried when the call was resolved"))
    })
}

/// The place of a row among all rows: event time, then origin, then offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    event_time: i64,
    origin: u64,
    offset: i64,
}

impl Place {
    /// The place of a row of a batch.
    #[inline]
    pub(super) fn of(order: &RowOrder<'_>, row: usize) -> Place {
        Place {
            event_time: order.event_time.values()[row],
            origin: order.origin.at(row).0,
            offset: order.offset.values()[row],
        }
    }

    /// The first place of a time.
    pub(super) const fn at(event_time: i64) -> Place {
        Place { event_time, origin: 0, offset: 0 }
    }

    /// The columns that hold places.
    pub(super) fn fields() -> Vec<Field> {
        vec![
            Field::new("event_time", DataType::Int64, false),
            Field::new("origin", DataType::UInt64, false),
            Field::new("offset", DataType::Int64, false),
        ]
    }

    /// Places as columns.
    pub(super) fn save(places: impl Iterator<Item = Place> + Clone) -> Vec<ArrayRef> {
        vec![
            Arc::new(Int64Array::from_iter_values(places.clone().map(|place| place.event_time))),
            Arc::new(UInt64Array::from_iter_values(places.clone().map(|place| place.origin))),
            Arc::new(Int64Array::from_iter_values(places.map(|place| place.offset))),
        ]
    }

    /// The places that the columns hold.
    pub(super) fn load(name: &str, columns: &[ArrayRef]) -> Result<Vec<Place>, TaskError> {
        let event_time = numbers::<Int64Type>(name, &columns[0])?;
        let origin = numbers::<UInt64Type>(name, &columns[1])?;
        let offset = numbers::<Int64Type>(name, &columns[2])?;
        let place =
            |row| Place { event_time: event_time.value(row), origin: origin.value(row), offset: offset.value(row) };
        Ok((0..event_time.len()).map(place).collect())
    }
}

/// Which end of the order is kept.
trait Which: 'static {
    const NAME: &'static str;
    /// Whether a row that came later takes the place of the one kept.
    fn replaces(new: Place, kept: Place) -> bool;
}

struct First;

impl Which for First {
    const NAME: &'static str = "first";

    #[inline]
    fn replaces(new: Place, kept: Place) -> bool {
        new < kept
    }
}

struct Last;

impl Which for Last {
    const NAME: &'static str = "last";

    #[inline]
    fn replaces(new: Place, kept: Place) -> bool {
        new >= kept
    }
}

struct OneOf<K, W> {
    kind: K,
    which: PhantomData<fn() -> W>,
}

/// The value kept and its place, if `any`; else memory to keep one in.
#[derive(Debug, Clone, Default)]
struct Held<V> {
    value: V,
    place: Place,
    any: bool,
}

impl<K: Kind, W: Which> OneOf<K, W> {
    #[inline]
    fn offer<'a>(state: &mut Held<K::Owned>, place: Place, value: impl FnOnce() -> K::Ref<'a>) {
        if !state.any || W::replaces(place, state.place) {
            K::assign(&mut state.value, value());
            state.place = place;
            state.any = true;
        }
    }
}

impl<K: Kind, W: Which> Fold for OneOf<K, W> {
    type State = Held<K::Owned>;
    type Columns = K::Column;

    fn name(&self) -> &str {
        W::NAME
    }

    fn empty(&self) -> Self::State {
        Held { value: K::Owned::default(), place: Place::default(), any: false }
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<K::Column, TaskError> {
        self.kind.column(W::NAME, args, 0)
    }

    #[inline]
    fn add(&self, state: &mut Self::State, column: &K::Column, row: usize, order: &RowOrder<'_>) {
        Self::offer(state, Place::of(order, row), || K::get(column, row));
    }

    fn merge(&self, into: &mut Self::State, from: &Self::State) {
        if from.any {
            Self::offer(into, from.place, || K::as_ref(&from.value));
        }
    }

    fn reset(&self, state: &mut Self::State) {
        state.any = false;
    }

    fn finish(&self, states: Picked<'_, Self::State>) -> Result<Finished, TaskError> {
        let values = states.iter().map(|state| state.any.then_some(&state.value));
        Ok((self.kind.build(W::NAME, values)?, Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![Field::new(W::NAME, self.kind.data_type().clone(), true)];
        fields.extend(Place::fields());
        fields
    }

    fn save(&self, states: Picked<'_, Self::State>) -> Result<Vec<ArrayRef>, TaskError> {
        let mut columns = vec![self.finish(states)?.0];
        columns.extend(Place::save(states.iter().map(|state| state.place)));
        Ok(columns)
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Self::State>, TaskError> {
        let values = self.kind.column(W::NAME, columns, 0)?;
        let places = Place::load(W::NAME, &columns[1..])?;
        let load = |(row, place)| {
            let mut state = self.empty();
            if columns[0].is_valid(row) {
                Self::offer(&mut state, place, || K::get(&values, row));
            }
            state
        };
        Ok(places.into_iter().enumerate().map(load).collect())
    }

    fn heap_bytes(&self, state: &Self::State) -> usize {
        K::heap_bytes(&state.value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Int32Array, StringArray, StructArray};
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, Rows, call, check, start};
    use super::*;
    use crate::batch::RowOrigin;

    fn structs(random: &mut Random) -> ArrayRef {
        let words = testing::strings(random);
        let lengths = words.as_any().downcast_ref::<StringArray>().unwrap();
        let lengths = lengths.iter().map(|word| word.map(|word| word.len() as i32)).collect::<Int32Array>();
        let fields = vec![Field::new("word", DataType::Utf8, true), Field::new("len", DataType::Int32, true)];
        let nulls = lengths.nulls().cloned();
        Arc::new(StructArray::new(fields.into(), vec![words, Arc::new(lengths)], nulls))
    }

    fn agree(data_type: DataType, make: fn(&mut Random) -> ArrayRef) {
        for name in ["first", "last"] {
            let function = call(name, std::slice::from_ref(&data_type)).unwrap();
            check(
                &function,
                Merging::Exact,
                |random| vec![make(random)],
                |rows, group| {
                    let ordered = rows.in_order(group);
                    let mut present = ordered.iter().filter(|&&row| rows.args[0].is_valid(row));
                    let row = if name == "first" { present.next() } else { present.next_back() };
                    match row {
                        Some(&row) => ScalarValue::try_from_array(&rows.args[0], row).unwrap(),
                        None => ScalarValue::try_new_null(&data_type).unwrap(),
                    }
                },
            );
        }
    }

    #[test]
    fn all_kinds_follow_event_time_then_origin_then_offset() {
        agree(DataType::Float64, testing::doubles);
        agree(DataType::Utf8, testing::strings);
        agree(DataType::Boolean, testing::booleans);
        agree(structs(&mut Random(0)).data_type().clone(), structs);
    }

    #[test]
    fn ties_go_by_place_not_by_arrival() {
        let rows = Rows {
            args: vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4]))],
            event_time: Int64Array::from(vec![5, 5, 5, 5]),
            origin: RowOrigin::Each(UInt64Array::from(vec![1, 0, 0, 1])),
            offset: Int64Array::from(vec![0, 9, 8, 0]),
        };
        let of = |name, order: &[u32]| {
            let mut aggregate = start(&call(name, &[DataType::Int64]).unwrap(), 1);
            for &row in order {
                aggregate.update(&rows.args, &[row], &[0], rows.order()).unwrap();
            }
            ScalarValue::try_from_array(&aggregate.evaluate(&[0]).unwrap().0, 0).unwrap()
        };
        assert_eq!(of("first", &[0, 1, 2, 3]), ScalarValue::Int64(Some(3)));
        assert_eq!(of("first", &[3, 2, 1, 0]), ScalarValue::Int64(Some(3)));
        assert_eq!(of("last", &[0, 1, 2, 3]), ScalarValue::Int64(Some(4)), "of one place, the later");
        assert_eq!(of("last", &[3, 1, 2, 0]), ScalarValue::Int64(Some(1)), "of one place, the later");
        assert_eq!(of("first", &[0, 3]), ScalarValue::Int64(Some(1)), "of one place, the earlier");
    }
}
