//! `collect_list`, `collect_set`, `string_agg` and `nth_value`: values in the order of (event time, origin, offset),
//! whatever the order in which they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use arrow::row::Rows;

use super::dense::{Dense, Finished, Fold, Picked, argument, kernel, typed};
use super::first_last::Place;
use super::pool::{Inserted, Pool, Set, list_array, list_type, read_lists, save_pools};
use super::resolve::Call;
use super::values::{Any, Kind, with_equal_floats};
use super::{AggregateFunction, Distinct, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `collect_list(x)`: all values, nulls too. With `distinct` it is [`collect_set`].
pub(super) fn collect_list(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let item = call.plain_type(0)?;
    build(call, call.name.into(), call.distinct, Output::Array, list_type(&item))
}

/// `collect_set(x)`: each value once, null too, in order of first appearance.
pub(super) fn collect_set(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let item = call.plain_type(0)?;
    build(call, call.name.into(), Distinct::Once, Output::Array, list_type(&item))
}

/// `string_agg(x, separator)`: the strings joined; nulls are skipped.
pub(super) fn string_agg(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    if call.plain_type(0)? != DataType::Utf8 {
        return Err(call.refuse(0, "a string"));
    }
    let separator = call.literal_string(1)?;
    let name = format!("{}({separator:?})", call.name);
    build(call, name, call.distinct, Output::Joined(separator), DataType::Utf8)
}

/// `nth_value(x, n)`: the n-th value that is not null, from 1; from the last if n is negative.
pub(super) fn nth_value(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let n = call.literal_int(1, -1_000_000..=1_000_000)?;
    if n == 0 {
        return Err(call.type_error("nth_value counts from 1, or from -1 for the last".into()));
    }
    build(call, format!("{}({n})", call.name), Distinct::All, Output::Nth(n), call.plain_type(0)?)
}

fn build(
    call: &Call<'_>,
    name: String,
    distinct: Distinct,
    output: Output,
    return_type: DataType,
) -> Result<AggregateFunction, ExprError> {
    let data_type = call.plain_type(0)?;
    if Any::new(data_type.clone()).is_none() {
        return Err(call.refuse(0, "a value of a plain type"));
    }
    let mut arg_types = call.arg_types.to_vec();
    arg_types[0] = data_type.clone();
    let name =
        if distinct == Distinct::Once && call.distinct == Distinct::Once { format!("{name}(distinct)") } else { name };
    Ok(call.named(name, arg_types, return_type, move || {
        let any = Any::new(data_type.clone()).expect("the type was tried when the call was resolved");
        Dense::boxed(Collect { any, distinct, output: output.clone() })
    }))
}

/// What is made of the values in order.
#[derive(Debug, Clone)]
enum Output {
    /// An array of them.
    Array,
    /// Strings with this between them.
    Joined(String),
    /// One of them.
    Nth(i64),
}

struct Collect {
    any: Any,
    distinct: Distinct,
    output: Output,
}

/// Values as they came, each with its place.
#[derive(Debug, Clone)]
struct Gathered {
    values: Values,
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Values {
    All(Pool),
    Once(Set),
}

impl Gathered {
    fn add(&mut self, value: &[u8], place: Place) {
        match &mut self.values {
            Values::All(pool) => pool.push(value),
            Values::Once(set) => {
                if let Inserted::Known(index) = set.insert(value) {
                    self.places[index] = self.places[index].min(place);
                    return;
                }
            }
        }
        self.places.push(place);
    }

    fn pool(&self) -> &Pool {
        match &self.values {
            Values::All(pool) => pool,
            Values::Once(set) => set.values(),
        }
    }

    /// Indices of the values, by place; those of one place stay in the order in which they came.
    fn in_order(&self) -> Vec<usize> {
        let mut order = (0..self.places.len()).collect::<Vec<_>>();
        order.sort_by_key(|&index| self.places[index]);
        order
    }

    fn sorted(&self) -> impl Iterator<Item = &[u8]> {
        self.in_order().into_iter().map(|index| self.pool().get(index))
    }

    fn nth(&self, n: i64) -> Option<&[u8]> {
        let len = self.places.len();
        let from_either_end = usize::try_from(n.unsigned_abs()).ok()?;
        let rank = if n > 0 { from_either_end.checked_sub(1)? } else { len.checked_sub(from_either_end)? };
        self.in_order().get(rank).map(|&index| self.pool().get(index))
    }
}

impl Collect {
    fn joined(&self, states: Picked<'_, Gathered>, separator: &str) -> Result<ArrayRef, TaskError> {
        let values = self.any.decode(self.name(), states.iter().flat_map(Gathered::sorted))?;
        let values = typed::<arrow::array::StringArray>(self.name(), &values)?;
        let mut next = 0;
        let mut joined = StringBuilder::new();
        let mut text = String::new();
        for state in states.iter() {
            let len = state.places.len();
            text.clear();
            for row in next..next + len {
                if row > next {
                    text.push_str(separator);
                }
                text.push_str(values.value(row));
            }
            next += len;
            joined.append_option((len > 0).then_some(text.as_str()));
        }
        Ok(Arc::new(joined.finish()))
    }

    fn nth(&self, states: Picked<'_, Gathered>, n: i64) -> Result<ArrayRef, TaskError> {
        let values = states.iter().map(|state| state.nth(n).map(<[u8]>::to_vec)).collect::<Vec<_>>();
        self.any.build(self.name(), values.iter().map(Option::as_ref))
    }
}

impl Fold for Collect {
    type State = Gathered;
    type Columns = Rows;

    fn name(&self) -> &str {
        "collect"
    }

    fn empty(&self) -> Gathered {
        let values = match self.distinct {
            Distinct::All => Values::All(Pool::default()),
            Distinct::Once => Values::Once(Set::default()),
        };
        Gathered { values, places: Vec::new() }
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Rows, TaskError> {
        let values = argument(self.name(), args, 0, self.any.data_type())?;
        let values = if self.distinct == Distinct::Once { with_equal_floats(&values) } else { values };
        self.any.encode(self.name(), &values)
    }

    fn skipped(&self, args: &[ArrayRef]) -> Option<NullBuffer> {
        match self.output {
            Output::Array => None,
            Output::Joined(_) | Output::Nth(_) => args.first().and_then(|arg| arg.logical_nulls()),
        }
    }

    #[inline]
    fn add(&self, state: &mut Gathered, rows: &Rows, row: usize, order: &RowOrder<'_>) {
        state.add(Any::get(rows, row), Place::of(order, row));
    }

    fn merge(&self, into: &mut Gathered, from: &Gathered) {
        for (value, &place) in from.pool().iter().zip(&from.places) {
            into.add(value, place);
        }
    }

    fn finish(&self, states: Picked<'_, Gathered>) -> Result<Finished, TaskError> {
        let array = match &self.output {
            Output::Array => {
                let values = self.any.decode(self.name(), states.iter().flat_map(Gathered::sorted))?;
                let any = states.iter().map(|state| !state.places.is_empty()).collect::<NullBuffer>();
                list_array(states.iter().map(|state| state.places.len()), values, Some(any))
            }
            Output::Joined(separator) => self.joined(states, separator)?,
            Output::Nth(n) => self.nth(states, *n)?,
        };
        Ok((array, Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        let places = Place::fields().into_iter().map(|field| {
            let lists = list_type(field.data_type());
            Field::new(field.name(), lists, false)
        });
        std::iter::once(Field::new("values", list_type(self.any.data_type()), false)).chain(places).collect()
    }

    fn save(&self, states: Picked<'_, Gathered>) -> Result<Vec<ArrayRef>, TaskError> {
        let values = save_pools(self.name(), &self.any, states.iter().map(Gathered::pool))?;
        let places = Place::save(states.iter().flat_map(|state| state.places.iter().copied()));
        let lengths = states.iter().map(|state| state.places.len());
        let places = places.into_iter().map(|column| list_array(lengths.clone(), column, None));
        Ok(std::iter::once(values).chain(places).collect())
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Gathered>, TaskError> {
        let (values, lengths) = read_lists(self.name(), &columns[0])?;
        let rows = self.any.encode(self.name(), &values)?;
        let mut flat = Vec::new();
        for column in &columns[1..] {
            let (places, each) = read_lists(self.name(), column)?;
            if each != lengths {
                return Err(kernel(self.name(), "state columns of different lengths"));
            }
            flat.push(places);
        }
        let mut places = Place::load(self.name(), &flat)?.into_iter().enumerate();
        let load = |length| {
            let mut state = self.empty();
            for (row, place) in places.by_ref().take(length) {
                state.add(Any::get(&rows, row), place);
            }
            state
        };
        Ok(lengths.into_iter().map(load).collect())
    }

    fn heap_bytes(&self, state: &Gathered) -> usize {
        let values = match &state.values {
            Values::All(pool) => pool.heap_bytes(),
            Values::Once(set) => set.heap_bytes(),
        };
        values + state.places.capacity() * size_of::<Place>()
    }
}
