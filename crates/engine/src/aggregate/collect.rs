//! `collect_list`, `collect_set`, `string_agg` and `nth_value`: values in the order of (event time, origin, offset),
//! whatever the order in which they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringBuilder};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use arrow::row::Rows;

use super::dense::{Dense, Finished, Fold, Picked, argument, kernel, typed};
use super::first_last::Place;
use super::pool::{Inserted, Pool, Set, list_array, list_type, read_lists};
use super::resolve::Call;
use super::values::{Any, Kind, with_equal_floats};
use super::{AggregateFunction, Distinct, RowOrder};
use crate::error::{RecordError, RecordErrorKind, TaskError};
use crate::expr::ExprError;

/// Bytes of values, in row format, that a group holds at most, and bytes of a text that is joined of them.
const MOST_BYTES: usize = 256 << 20;

/// `collect_list(x)`: all values, nulls too. With `distinct` it is [`collect_set`].
pub(super) fn collect_list(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let item = call.plain_type(0)?;
    let name = match call.distinct {
        Distinct::All => call.name.to_string(),
        Distinct::Once => format!("{}(distinct)", call.name),
    };
    build(call, name, call.distinct, Output::Array, list_type(&item))
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
    let distinct = if call.distinct == Distinct::Once { "distinct, " } else { "" };
    let name = format!("{}({distinct}{separator:?})", call.name);
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
        Dense::boxed(Collect { any, distinct, output: output.clone(), most_bytes: MOST_BYTES })
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
    most_bytes: usize,
}

/// Values as they came, each with its place.
#[derive(Debug, Clone)]
struct Gathered {
    values: Values,
    places: Vec<Place>,
}

#[derive(Debug, Clone)]
enum Values {
    /// Each row's.
    All(Pool),
    /// Each different one, at the first of its places.
    Once {
        set: Set,
        /// For each value, the number of the row that gave it its place: decides between values of one place.
        arrivals: Vec<u64>,
        /// The number of the next row.
        next: u64,
    },
    /// More than a group may hold: none is kept, and none will be. Whether it comes to that depends on which values there
    /// are, not on their order.
    TooMany,
}

/// What stands in the columns of state in place of too many values: one value, at a time that no row has.
const TOO_MANY: Place = Place::at(i64::MIN);

impl Gathered {
    fn add(&mut self, value: &[u8], place: Place, most_bytes: usize) {
        match &mut self.values {
            Values::TooMany => return,
            Values::All(pool) => {
                pool.push(value);
                self.places.push(place);
            }
            Values::Once { set, arrivals, next } => {
                match set.insert(value) {
                    Inserted::New => {
                        self.places.push(place);
                        arrivals.push(*next);
                    }
                    Inserted::Known(index) if place < self.places[index] => {
                        self.places[index] = place;
                        arrivals[index] = *next;
                    }
                    Inserted::Known(_) => {}
                }
                *next += 1;
            }
        }
        if self.pool().is_some_and(|pool| pool.value_bytes() > most_bytes) {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        *self = Gathered { values: Values::TooMany, places: Vec::new() };
    }

    fn has_too_many(&self) -> bool {
        matches!(self.values, Values::TooMany)
    }

    fn pool(&self) -> Option<&Pool> {
        match &self.values {
            Values::All(pool) => Some(pool),
            Values::Once { set, .. } => Some(set.values()),
            Values::TooMany => None,
        }
    }

    fn value(&self, index: usize) -> &[u8] {
        self.pool().map_or(&[], |pool| pool.get(index))
    }

    /// Indices of the values, by place; those of one place stay in the order in which they came.
    fn in_order(&self) -> Vec<usize> {
        let mut order = (0..self.places.len()).collect::<Vec<_>>();
        match &self.values {
            Values::All(_) | Values::TooMany => order.sort_by_key(|&index| self.places[index]),
            Values::Once { arrivals, .. } => order.sort_by_key(|&index| (self.places[index], arrivals[index])),
        }
        order
    }

    fn sorted(&self) -> impl Iterator<Item = &[u8]> {
        self.in_order().into_iter().map(|index| self.value(index))
    }

    fn nth(&self, n: i64) -> Option<&[u8]> {
        let len = self.places.len();
        let from_either_end = usize::try_from(n.unsigned_abs()).ok()?;
        let rank = if n > 0 { from_either_end.checked_sub(1)? } else { len.checked_sub(from_either_end)? };
        self.in_order().get(rank).map(|&index| self.value(index))
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
            let rows = if self.is_too_long(state) { next..next } else { next..next + len };
            for row in rows {
                if row > next {
                    text.push_str(separator);
                }
                text.push_str(values.value(row));
            }
            next += len;
            joined.append_option((len > 0 && !self.is_too_long(state)).then_some(text.as_str()));
        }
        Ok(Arc::new(joined.finish()))
    }

    /// Whether what the values make up is too long, though they are not too many.
    fn is_too_long(&self, state: &Gathered) -> bool {
        self.separators(state) > self.most_bytes
    }

    /// Bytes of all that stands between the values.
    fn separators(&self, state: &Gathered) -> usize {
        match &self.output {
            Output::Joined(separator) => separator.len() * state.places.len(),
            Output::Array | Output::Nth(_) => 0,
        }
    }

    fn too_large(&self) -> RecordError {
        let message = format!("the values of a group take more than {} bytes", self.most_bytes);
        RecordError { kind: RecordErrorKind::Overflow, message }
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
            Distinct::Once => Values::Once { set: Set::default(), arrivals: Vec::new(), next: 0 },
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
        state.add(Any::get(rows, row), Place::of(order, row), self.most_bytes);
    }

    fn merge(&self, into: &mut Gathered, from: &Gathered) {
        if from.has_too_many() {
            into.give_up();
        }
        for index in from.in_order() {
            into.add(from.value(index), from.places[index], self.most_bytes);
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
        let none = |(_, state): &(usize, &Gathered)| state.has_too_many() || self.is_too_long(state);
        Ok((array, states.iter().enumerate().filter(none).map(|(index, _)| (index, self.too_large())).collect()))
    }

    fn fields(&self) -> Vec<Field> {
        let places = Place::fields().into_iter().map(|field| {
            let lists = list_type(field.data_type());
            Field::new(field.name(), lists, false)
        });
        std::iter::once(Field::new("values", list_type(self.any.data_type()), false)).chain(places).collect()
    }

    fn save(&self, states: Picked<'_, Gathered>) -> Result<Vec<ArrayRef>, TaskError> {
        // In order, so that what comes back gives values of one place the same numbers in turn.
        let null = self.any.null_row(self.name())?;
        let order = |state: &Gathered| if state.has_too_many() { vec![0] } else { state.in_order() };
        let orders = states.iter().map(order).collect::<Vec<_>>();
        let rows =
            || states.iter().zip(&orders).flat_map(|(state, order)| order.iter().map(move |&index| (state, index)));
        let lengths = || orders.iter().map(Vec::len);
        let values = rows().map(|(state, index)| if state.has_too_many() { &null } else { state.value(index) });
        let values = self.any.decode(self.name(), values)?;
        let values = list_array(lengths(), values, None);
        let place = |(state, index): (&Gathered, usize)| state.places.get(index).copied().unwrap_or(TOO_MANY);
        let places = rows().map(place).collect::<Vec<_>>();
        let places = Place::save(places.into_iter());
        let places = places.into_iter().map(|column| list_array(lengths(), column, None));
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
                match place {
                    TOO_MANY => state.give_up(),
                    place => state.add(Any::get(&rows, row), place, self.most_bytes),
                }
            }
            state
        };
        Ok(lengths.into_iter().map(load).collect())
    }

    fn heap_bytes(&self, state: &Gathered) -> usize {
        let values = match &state.values {
            Values::All(pool) => pool.heap_bytes(),
            Values::Once { set, arrivals, .. } => set.heap_bytes() + arrivals.capacity() * size_of::<u64>(),
            Values::TooMany => 0,
        };
        values + state.places.capacity() * size_of::<Place>()
    }

    fn bytes(&self, state: &Gathered) -> usize {
        self.heap_bytes(state) + self.separators(state)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, Rows, call, call_with, check, first_of_each, value_of};
    use super::*;

    /// All values of a group in order, nulls too.
    fn ordered(rows: &Rows, group: &[usize]) -> Vec<ScalarValue> {
        rows.in_order(group).into_iter().map(|row| ScalarValue::try_from_array(&rows.args[0], row).unwrap()).collect()
    }

    fn list(values: &[ScalarValue], data_type: &DataType) -> ScalarValue {
        if values.is_empty() {
            return ScalarValue::try_new_null(&list_type(data_type)).unwrap();
        }
        ScalarValue::List(ScalarValue::new_list_nullable(values, data_type))
    }

    fn text(value: &ScalarValue) -> Option<String> {
        match value {
            ScalarValue::Utf8(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lists_keep_all_values_in_order() {
        let function = call("array_agg", &[DataType::Utf8]).unwrap();
        assert_eq!(function.name, "collect_list");
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::strings(random)],
            |rows, group| list(&ordered(rows, group), &DataType::Utf8),
        );
        let function = call("collect_list", &[DataType::Float64]).unwrap();
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::doubles(random)],
            |rows, group| list(&ordered(rows, group), &DataType::Float64),
        );
    }

    #[test]
    fn sets_keep_each_value_where_it_first_stands() {
        for name in ["collect_set", "collect_list"] {
            let function = call_with(name, Distinct::Once, DataType::Utf8, &[]).unwrap();
            check(
                &function,
                Merging::Exact,
                |random| vec![testing::strings(random)],
                |rows, group| list(&first_of_each(ordered(rows, group)), &DataType::Utf8),
            );
        }
    }

    #[test]
    fn strings_are_joined_in_order() {
        for distinct in [Distinct::All, Distinct::Once] {
            let function = call_with("string_agg", distinct, DataType::Utf8, &["; ".into()]).unwrap();
            let make = |random: &mut Random| {
                vec![testing::strings(random), Arc::new(StringArray::from(vec!["; "; 60])) as ArrayRef]
            };
            check(&function, Merging::Exact, make, |rows, group| {
                let values = ordered(rows, group).into_iter().filter(|value| !value.is_null()).collect::<Vec<_>>();
                let values = if distinct == Distinct::Once { first_of_each(values) } else { values };
                let parts = values.iter().map(|value| text(value).unwrap()).collect::<Vec<_>>();
                ScalarValue::Utf8((!parts.is_empty()).then(|| parts.join("; ")))
            });
        }
    }

    #[test]
    fn the_nth_counts_from_either_end() {
        let nth = |n: i64, values: Vec<Option<&str>>| {
            let function = call_with("nth_value", Distinct::All, DataType::Utf8, &[n.into()]).unwrap();
            text(&value_of(&function, vec![Arc::new(StringArray::from(values))]))
        };
        let values = vec![None, Some("a"), Some("b"), None, Some("c")];
        assert_eq!(nth(1, values.clone()).as_deref(), Some("a"));
        assert_eq!(nth(3, values.clone()).as_deref(), Some("c"));
        assert_eq!(nth(4, values.clone()), None);
        assert_eq!(nth(-1, values.clone()).as_deref(), Some("c"));
        assert_eq!(nth(-3, values.clone()).as_deref(), Some("a"));
        assert_eq!(nth(-4, values), None);
        assert!(call_with("nth_value", Distinct::All, DataType::Utf8, &[0i64.into()]).is_err());
    }

    #[test]
    fn too_many_values_are_an_error_in_whatever_order_they_come() {
        let made = |output: Output, distinct: Distinct| {
            let any = Any::new(DataType::Utf8).unwrap();
            let mut aggregate = Dense::boxed(Collect { any, distinct, output, most_bytes: 200 });
            aggregate.reserve(4);
            aggregate
        };
        let texts = (0..12).map(|n| format!("a value of some length {:02}", n % 9));
        let rows = Rows::plain(vec![Arc::new(StringArray::from_iter_values(texts))]);
        for distinct in [Distinct::All, Distinct::Once] {
            for output in [Output::Array, Output::Joined(",".into()), Output::Nth(1)] {
                let mut one = made(output.clone(), distinct);
                one.update(&rows.args, &[0, 1, 2], &[0; 3], rows.order()).unwrap();
                one.update(&rows.args, &(2..12).collect::<Vec<_>>(), &[1; 10], rows.order()).unwrap();
                one.merge(&[0], &[1]).unwrap();
                one.update(&rows.args, &[3, 4], &[2; 2], rows.order()).unwrap();
                let (values, errors) = one.evaluate(&[0, 2]).unwrap();
                assert_eq!(errors.iter().map(|error| error.0).collect::<Vec<_>>(), [0]);
                assert!(errors[0].1.message.contains("200 bytes"), "{}", errors[0].1.message);
                assert!(values.is_null(0) && values.is_valid(1));
                assert!(one.slot_bytes(0) < 200, "nothing is kept");
                let mut other = made(output, distinct);
                other.load(&[1, 3], &one.save(&[0, 2]).unwrap()).unwrap();
                other.update(&rows.args, &[1], &[1], rows.order()).unwrap();
                let (restored, errors) = other.evaluate(&[1, 3]).unwrap();
                assert_eq!((&restored, errors.len()), (&values, 1));
            }
        }
        let mut one = made(Output::Joined("-".repeat(150)), Distinct::All);
        one.update(&rows.args, &[0, 1], &[0; 2], rows.order()).unwrap();
        assert_eq!(one.evaluate(&[0]).unwrap().1.len(), 1, "what stands in between counts too");
    }
}
