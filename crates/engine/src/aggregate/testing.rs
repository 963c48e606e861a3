//! What the tests of all families share: seeded rows, a naive fold to compare with, and the laws of every aggregate.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Float64Array, Int64Array, PrimitiveArray, StringArray,
    UInt64Array,
};
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;

use super::{Aggregate, AggregateFunction, CallSite, Distinct, RowOrder, Slot, resolve};
use crate::batch::RowOrigin;
use crate::expr::ExprError;

/// A small generator of numbers (SplitMix64): the same for the same seed, for ever.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// A double of any size, special ones among them.
    pub(super) fn double(&mut self) -> f64 {
        match self.below(12) {
            0 => 0.0,
            1 => -0.0,
            2 if self.one_in(4) => f64::NAN,
            3 if self.one_in(4) => f64::INFINITY,
            4 if self.one_in(4) => f64::NEG_INFINITY,
            5 => 1e300 * (self.next() as i64 as f64),
            6 => 1e-300 * (self.next() as i64 as f64),
            _ => (self.next() as i64 as f64) / 1e15,
        }
    }
}

/// Rows with their order.
pub(super) struct Rows {
    pub(super) args: Vec<ArrayRef>,
    pub(super) event_time: Int64Array,
    pub(super) origin: RowOrigin,
    pub(super) offset: Int64Array,
}

impl Rows {
    /// Rows with random places, of which some are the very same.
    pub(super) fn random(args: Vec<ArrayRef>, random: &mut Random) -> Rows {
        let len = args.first().map_or(60, |arg| arg.len());
        Rows {
            args,
            event_time: (0..len).map(|_| Some(random.below(20) as i64 - 10)).collect(),
            origin: RowOrigin::Each((0..len).map(|_| Some(random.below(3) as u64)).collect::<UInt64Array>()),
            offset: (0..len).map(|_| Some(random.below(4) as i64)).collect(),
        }
    }

    /// Rows of one origin, in order.
    pub(super) fn plain(args: Vec<ArrayRef>) -> Rows {
        let len = args.first().map_or(0, |arg| arg.len()) as i64;
        Rows {
            args,
            event_time: (0..len).map(Some).collect(),
            origin: RowOrigin::One(Default::default()),
            offset: (0..len).map(Some).collect(),
        }
    }

    pub(super) fn order(&self) -> RowOrder<'_> {
        RowOrder { event_time: &self.event_time, origin: &self.origin, offset: &self.offset }
    }

    pub(super) fn len(&self) -> usize {
        self.event_time.len()
    }

    /// Indices of the rows by place, rows of one place as they come.
    pub(super) fn in_order(&self, rows: &[usize]) -> Vec<usize> {
        let mut rows = rows.to_vec();
        rows.sort_by_key(|&row| (self.event_time.value(row), self.origin.at(row), self.offset.value(row)));
        rows
    }

    fn slice(&self, start: usize, len: usize) -> Rows {
        Rows {
            args: self.args.iter().map(|arg| arg.slice(start, len)).collect(),
            event_time: self.event_time.slice(start, len),
            origin: match &self.origin {
                RowOrigin::One(origin) => RowOrigin::One(*origin),
                RowOrigin::Each(origins) => RowOrigin::Each(origins.slice(start, len)),
            },
            offset: self.offset.slice(start, len),
        }
    }
}

/// A call of columns only.
pub(super) fn call(name: &str, arg_types: &[DataType]) -> Result<AggregateFunction, ExprError> {
    resolve(CallSite { name, distinct: Distinct::All, arg_types, literals: &vec![None; arg_types.len()] })
}

/// A call whose further arguments are literals.
pub(super) fn call_with(
    name: &str,
    distinct: Distinct,
    arg: DataType,
    literals: &[ScalarValue],
) -> Result<AggregateFunction, ExprError> {
    let types = std::iter::once(arg).chain(literals.iter().map(ScalarValue::data_type)).collect::<Vec<_>>();
    let literals = std::iter::once(None).chain(literals.iter().cloned().map(Some)).collect::<Vec<_>>();
    resolve(CallSite { name, distinct, arg_types: &types, literals: &literals })
}

/// The aggregate with room for `slots`.
pub(super) fn start(function: &AggregateFunction, slots: usize) -> Box<dyn Aggregate> {
    let mut aggregate = (function.make)();
    aggregate.reserve(slots);
    aggregate
}

/// The value of one group of all rows.
pub(super) fn value(function: &AggregateFunction, rows: &Rows) -> Result<ScalarValue, String> {
    let mut aggregate = start(function, 1);
    let all = (0..rows.len() as u32).collect::<Vec<_>>();
    aggregate.update(&rows.args, &all, &vec![0; all.len()], rows.order()).unwrap();
    let (values, errors) = aggregate.evaluate(&[0]).unwrap();
    assert_eq!(values.data_type(), &function.return_type, "{}", function.name);
    match errors.as_slice() {
        [] => Ok(ScalarValue::try_from_array(&values, 0).unwrap()),
        [(0, error)] => {
            assert!(values.is_null(0), "a value beside an error");
            Err(error.message.clone())
        }
        other => panic!("{other:?}"),
    }
}

/// The value of one group of these arguments.
pub(super) fn value_of(function: &AggregateFunction, args: Vec<ArrayRef>) -> ScalarValue {
    value(function, &Rows::plain(args)).unwrap()
}

/// Whether merging two groups gives the very bits that adding all rows gives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Merging {
    Exact,
    Approximate,
}

/// Checks the laws that every aggregate keeps, and its values against `naive`, which is given the rows of a group.
pub(super) fn check(
    function: &AggregateFunction,
    merging: Merging,
    mut make: impl FnMut(&mut Random) -> Vec<ArrayRef>,
    naive: impl Fn(&Rows, &[usize]) -> ScalarValue,
) {
    for seed in 0..40 {
        let mut random = Random(seed);
        let args = make(&mut random);
        let rows = Rows::random(args, &mut random);
        let laws = Laws { function, rows: &rows, seed };
        laws.agree_with(&naive, &mut random);
        laws.merge(merging, &mut random);
    }
}

struct Laws<'a> {
    function: &'a AggregateFunction,
    rows: &'a Rows,
    seed: u64,
}

const SLOTS: usize = 6;

impl Laws<'_> {
    /// Rows to slots: each row goes to none, one or several slots; slot 5 to nothing at all.
    fn assign(&self, random: &mut Random) -> (Vec<u32>, Vec<Slot>) {
        let mut pairs = Vec::new();
        for row in 0..self.rows.len() as u32 {
            for _ in 0..random.below(4) {
                pairs.push((row, random.below(SLOTS - 1) as Slot));
            }
        }
        pairs.into_iter().unzip()
    }

    fn all_at_once(&self, rows: &[u32], slots: &[Slot]) -> Box<dyn Aggregate> {
        let mut aggregate = start(self.function, SLOTS);
        aggregate.update(&self.rows.args, rows, slots, self.rows.order()).unwrap();
        aggregate
    }

    fn agree_with(&self, naive: &impl Fn(&Rows, &[usize]) -> ScalarValue, random: &mut Random) {
        let (rows, slots) = self.assign(random);
        let whole = self.all_at_once(&rows, &slots);
        let every = (0..SLOTS as Slot).collect::<Vec<_>>();
        let values = self.values(whole.as_ref(), &every);
        for &slot in &every {
            let own = rows.iter().zip(&slots).filter(|pair| *pair.1 == slot).map(|pair| *pair.0 as usize);
            let expected = one_nan(naive(self.rows, &own.collect::<Vec<_>>()));
            let found = one_nan(ScalarValue::try_from_array(&values, slot as usize).unwrap());
            assert_eq!(found, expected, "{} of slot {slot}, seed {}", self.function.name, self.seed);
        }
        self.cut(&rows, &slots, random, whole.as_ref());
    }

    /// The same rows in random cuts, with a restart, an evaluation or a reuse of slots between them.
    fn cut(&self, rows: &[u32], slots: &[Slot], random: &mut Random, whole: &dyn Aggregate) {
        let mut home = (0..SLOTS as Slot).collect::<Vec<_>>();
        let mut aggregate = start(self.function, SLOTS);
        let mut next = 0;
        while next < rows.len() {
            let end = (next + 1 + random.below(12)).min(rows.len());
            let first = rows[next] as usize;
            let part = self.rows.slice(first, rows[end - 1] as usize - first + 1);
            let part_rows = rows[next..end].iter().map(|row| row - first as u32).collect::<Vec<_>>();
            let part_slots = slots[next..end].iter().map(|&slot| home[slot as usize]).collect::<Vec<_>>();
            aggregate.update(&part.args, &part_rows, &part_slots, part.order()).unwrap();
            next = end;
            match random.below(4) {
                0 => drop(aggregate.evaluate(&home).unwrap()),
                1 => {
                    let state = self.save(aggregate.as_ref(), &home);
                    let mut moved = (0..2 * SLOTS as Slot).collect::<Vec<_>>();
                    (0..moved.len()).for_each(|index| moved.swap(index, random.below(2 * SLOTS)));
                    moved.truncate(SLOTS);
                    aggregate = start(self.function, 2 * SLOTS);
                    aggregate.load(&moved, &state).unwrap();
                    home = moved;
                }
                2 => {
                    // A used slot is cleared and takes the place of another.
                    let state = self.save(aggregate.as_ref(), &home);
                    aggregate.clear(&home);
                    home.rotate_left(1);
                    aggregate.load(&home, &state).unwrap();
                }
                _ => {}
            }
        }
        let every = (0..SLOTS as Slot).collect::<Vec<_>>();
        let context = format!("{} in cuts, seed {}", self.function.name, self.seed);
        assert_eq!(&self.values(aggregate.as_ref(), &home), &self.values(whole, &every), "{context}");
        assert_eq!(self.save(aggregate.as_ref(), &home), self.save(whole, &every), "{context}");
        assert!(aggregate.memory_bytes() > 0);
        aggregate.clear(&home);
        let empty = start(self.function, SLOTS);
        assert_eq!(&self.values(aggregate.as_ref(), &home), &self.values(empty.as_ref(), &every), "cleared: {context}");
        let again = home.clone();
        let slots = slots.iter().map(|&slot| again[slot as usize]).collect::<Vec<_>>();
        aggregate.update(&self.rows.args, rows, &slots, self.rows.order()).unwrap();
        assert_eq!(&self.values(aggregate.as_ref(), &home), &self.values(whole, &every), "again: {context}");
    }

    fn merge(&self, merging: Merging, random: &mut Random) {
        let all = (0..self.rows.len() as u32).collect::<Vec<_>>();
        let cut = random.below(all.len() + 1);
        let mut slots = vec![0; cut];
        slots.resize(all.len(), 1);
        let mut aggregate = self.all_at_once(&all, &slots);
        let second = self.save(aggregate.as_ref(), &[1]);
        aggregate.merge(&[2, 2], &[5, 1]).unwrap();
        assert_eq!(self.save(aggregate.as_ref(), &[2]), second, "into an empty slot, seed {}", self.seed);
        aggregate.merge(&[2, 0], &[5, 1]).unwrap();
        assert_eq!(self.save(aggregate.as_ref(), &[2]), second, "from an empty slot, seed {}", self.seed);
        assert_eq!(self.save(aggregate.as_ref(), &[1]), second, "the slot merged from, seed {}", self.seed);
        let whole = self.all_at_once(&all, &vec![0; all.len()]);
        if merging == Merging::Exact {
            let merged = self.values(aggregate.as_ref(), &[0]);
            assert_eq!(
                &merged,
                &self.values(whole.as_ref(), &[0]),
                "{} merged, seed {}",
                self.function.name,
                self.seed
            );
        }
    }

    fn values(&self, aggregate: &dyn Aggregate, slots: &[Slot]) -> ArrayRef {
        let (values, _) = aggregate.evaluate(slots).unwrap();
        assert_eq!(values.data_type(), &self.function.return_type);
        values
    }

    fn save(&self, aggregate: &dyn Aggregate, slots: &[Slot]) -> Vec<ArrayRef> {
        let state = aggregate.save(slots).unwrap();
        let fields = aggregate.state_fields();
        assert_eq!(state.len(), fields.len());
        for (column, field) in state.iter().zip(&fields) {
            assert_eq!(column.data_type(), field.data_type(), "{}", field.name());
            assert!(field.is_nullable() || column.null_count() == 0, "{} has nulls", field.name());
        }
        state
    }
}

/// Which NaN it is does not matter.
fn one_nan(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Float64(Some(double)) if double.is_nan() => ScalarValue::from(f64::NAN),
        other => other,
    }
}

/// Sixty values or nulls.
pub(super) fn some<T>(random: &mut Random, mut one: impl FnMut(&mut Random) -> T) -> Vec<Option<T>> {
    let nulls = [0, 4, 2][random.below(3)];
    (0..60)
        .map(|_| {
            let value = one(random);
            (nulls == 0 || !random.one_in(nulls)).then_some(value)
        })
        .collect()
}

/// Numbers or nulls.
pub(super) fn numbers<T: ArrowPrimitiveType>(
    random: &mut Random,
    one: impl FnMut(&mut Random) -> T::Native,
) -> ArrayRef {
    Arc::new(some(random, one).into_iter().collect::<PrimitiveArray<T>>())
}

/// Doubles, special ones among them, or nulls.
pub(super) fn doubles(random: &mut Random) -> ArrayRef {
    Arc::new(some(random, Random::double).into_iter().collect::<Float64Array>())
}

/// Short strings of few kinds, the empty one among them, or nulls.
pub(super) fn strings(random: &mut Random) -> ArrayRef {
    let one = |random: &mut Random| "abcdefgh"[..random.below(4)].repeat(random.below(3));
    Arc::new(some(random, one).into_iter().collect::<StringArray>())
}

/// Booleans or nulls.
pub(super) fn booleans(random: &mut Random) -> ArrayRef {
    Arc::new(some(random, |random| random.one_in(2)).into_iter().collect::<BooleanArray>())
}

/// The values of `rows` that are not null, in the order given.
pub(super) fn present(column: &ArrayRef, rows: &[usize]) -> Vec<ScalarValue> {
    rows.iter()
        .filter(|&&row| column.is_valid(row))
        .map(|&row| ScalarValue::try_from_array(column, row).unwrap())
        .collect()
}

/// The doubles of `rows` that are not null, in the order given.
pub(super) fn present_doubles(column: &ArrayRef, rows: &[usize]) -> Vec<f64> {
    let doubles = column.as_any().downcast_ref::<Float64Array>().unwrap();
    rows.iter().filter(|&&row| doubles.is_valid(row)).map(|&row| doubles.value(row)).collect()
}

/// The values without those that stood before.
pub(super) fn first_of_each<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}
