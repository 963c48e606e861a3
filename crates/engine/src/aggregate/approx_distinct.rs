//! `approx_distinct(x)`: how many values differ, exact for up to some hundreds and within about 1 % above, in at most
//! 16 KB a group, whatever the order of rows. -0.0 equals 0.0 and all NaN are alike.
//!
//! A HyperLogLog (Ertl's estimator, 2^14 registers) that begins as the sorted set of hashes. The hash is part of the
//! saved state: it may never change.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Int64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, UInt64Type};
use arrow::row::Rows;
use twox_hash::XxHash3_64;

use super::dense::{Dense, Finished, Fold, Picked, argument, kernel, numbers, typed};
use super::pool::{list_array, list_type, read_lists};
use super::resolve::Call;
use super::values::{Any, Kind, with_equal_floats};
use super::{AggregateFunction, RowOrder};
use crate::error::TaskError;
use crate::expr::ExprError;

/// `approx_distinct(x)`.
pub(super) fn approx_distinct(call: &Call<'_>) -> Result<AggregateFunction, ExprError> {
    let data_type = call.plain_type(0)?;
    if Any::new(data_type.clone()).is_none() {
        return Err(call.refuse(0, "a value that can be compared"));
    }
    Ok(call.function(vec![data_type.clone()], DataType::Int64, move || {
        let any = Any::new(data_type.clone()).expect("the type was tried when the call was resolved");
        Dense::boxed(ApproxDistinct { any })
    }))
}

/// Bits of the hash that choose a register.
const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;
/// The other bits of the hash.
const RANK_BITS: u32 = 64 - INDEX_BITS;
/// Hashes that are kept as they are before registers take their place.
const MAX_EXACT: usize = 512;

struct ApproxDistinct {
    any: Any,
}

/// What is known of the values: a function of the set of their hashes, whatever their order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// All hashes, sorted.
    Exact(Vec<u64>),
    /// The greatest rank for each register.
    Registers(Box<[u8]>),
}

impl Seen {
    fn add(&mut self, hash: u64) {
        match self {
            Seen::Exact(hashes) => {
                let Err(index) = hashes.binary_search(&hash) else { return };
                hashes.insert(index, hash);
                if hashes.len() > MAX_EXACT {
                    let mut registers = vec![0; REGISTERS].into_boxed_slice();
                    hashes.iter().for_each(|&hash| raise(&mut registers, hash));
                    *self = Seen::Registers(registers);
                }
            }
            Seen::Registers(registers) => raise(registers, hash),
        }
    }

    fn merge(&mut self, from: &Seen) {
        match from {
            Seen::Exact(hashes) => hashes.iter().for_each(|&hash| self.add(hash)),
            Seen::Registers(theirs) => {
                let mut registers = theirs.clone();
                match self {
                    Seen::Exact(hashes) => hashes.iter().for_each(|&hash| raise(&mut registers, hash)),
                    Seen::Registers(ours) => {
                        registers.iter_mut().zip(ours.iter()).for_each(|(new, &old)| *new = old.max(*new));
                    }
                }
                *self = Seen::Registers(registers);
            }
        }
    }

    fn hashes(&self) -> &[u64] {
        match self {
            Seen::Exact(hashes) => hashes,
            Seen::Registers(_) => &[],
        }
    }

    fn registers(&self) -> Option<&[u8]> {
        match self {
            Seen::Exact(_) => None,
            Seen::Registers(registers) => Some(registers),
        }
    }

    fn estimate(&self) -> i64 {
        match self {
            Seen::Exact(hashes) => hashes.len() as i64,
            Seen::Registers(registers) => estimate(registers),
        }
    }
}

/// Notes a hash in its register: the rank is the number of trailing zeros of what is left of it, and one.
#[inline]
fn raise(registers: &mut [u8], hash: u64) {
    let index = (hash & (REGISTERS as u64 - 1)) as usize;
    let rank = (hash >> INDEX_BITS | 1 << RANK_BITS).trailing_zeros() as u8 + 1;
    registers[index] = registers[index].max(rank);
}

/// Ertl's improved estimator ("New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284).
fn estimate(registers: &[u8]) -> i64 {
    let mut histogram = [0u32; RANK_BITS as usize + 2];
    for &register in registers {
        histogram[usize::from(register).min(RANK_BITS as usize + 1)] += 1;
    }
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(histogram[RANK_BITS as usize + 1])) / m);
    for &count in histogram[1..=RANK_BITS as usize].iter().rev() {
        z = 0.5 * (z + f64::from(count));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    (0.5 / std::f64::consts::LN_2 * m * m / z).round() as i64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

impl Fold for ApproxDistinct {
    type State = Seen;
    type Columns = Rows;

    fn name(&self) -> &str {
        "approx_distinct"
    }

    fn empty(&self) -> Seen {
        Seen::Exact(Vec::new())
    }

    fn columns(&self, args: &[ArrayRef]) -> Result<Rows, TaskError> {
        let values = argument(self.name(), args, 0, self.any.data_type())?;
        self.any.encode(self.name(), &with_equal_floats(&values))
    }

    #[inline]
    fn add(&self, state: &mut Seen, rows: &Rows, row: usize, _order: &RowOrder<'_>) {
        state.add(XxHash3_64::oneshot(Any::get(rows, row)));
    }

    fn merge(&self, into: &mut Seen, from: &Seen) {
        into.merge(from);
    }

    fn finish(&self, states: Picked<'_, Seen>) -> Result<Finished, TaskError> {
        Ok((Arc::new(Int64Array::from_iter_values(states.iter().map(Seen::estimate))), Vec::new()))
    }

    fn fields(&self) -> Vec<Field> {
        vec![Field::new("hashes", list_type(&DataType::UInt64), false), Field::new("registers", DataType::Binary, true)]
    }

    fn save(&self, states: Picked<'_, Seen>) -> Result<Vec<ArrayRef>, TaskError> {
        let all = UInt64Array::from_iter_values(states.iter().flat_map(Seen::hashes).copied());
        let lists = list_array(states.iter().map(|state| state.hashes().len()), Arc::new(all), None);
        Ok(vec![lists, Arc::new(states.iter().map(Seen::registers).collect::<BinaryArray>())])
    }

    fn load(&self, columns: &[ArrayRef]) -> Result<Vec<Seen>, TaskError> {
        let (hashes, lengths) = read_lists(self.name(), &columns[0])?;
        let hashes = numbers::<UInt64Type>(self.name(), &hashes)?;
        let registers = typed::<BinaryArray>(self.name(), &columns[1])?;
        let mut next = hashes.values().iter().copied();
        let load = |(row, length)| {
            let hashes = next.by_ref().take(length).collect();
            if registers.is_null(row) {
                return Ok(Seen::Exact(hashes));
            }
            let registers = registers.value(row);
            if registers.len() != REGISTERS {
                return Err(kernel(self.name(), format!("{} registers in the state", registers.len())));
            }
            Ok(Seen::Registers(registers.into()))
        };
        lengths.into_iter().enumerate().map(load).collect()
    }

    fn heap_bytes(&self, state: &Seen) -> usize {
        match state {
            Seen::Exact(hashes) => hashes.capacity() * size_of::<u64>(),
            Seen::Registers(registers) => registers.len(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use datafusion_common::ScalarValue;

    use super::super::testing::{self, Merging, Random, call, check, first_of_each, present, value_of};
    use super::*;

    #[test]
    fn few_values_are_counted_exactly() {
        let function = call("approx_count_distinct", &[DataType::Utf8]).unwrap();
        check(
            &function,
            Merging::Exact,
            |random| vec![testing::strings(random)],
            |rows, group| {
                let values = first_of_each(present(&rows.args[0], group));
                ScalarValue::Int64(Some(values.len() as i64))
            },
        );
    }

    #[test]
    fn many_values_are_counted_within_two_percent() {
        let function = call("approx_distinct", &[DataType::Int64]).unwrap();
        for distinct in [500, 600, 5_000, 50_000, 200_000] {
            let values = (0..distinct).chain(0..distinct / 2).collect::<Int64Array>();
            let ScalarValue::Int64(Some(found)) = value_of(&function, vec![Arc::new(values)]) else {
                panic!("no value")
            };
            let off = found as f64 / distinct as f64 - 1.0;
            assert!(off.abs() < 0.02, "{found} for {distinct}");
        }
    }

    #[test]
    fn order_and_merging_change_nothing() {
        for seed in 0..20 {
            let mut random = Random(seed);
            let mut hashes = (0..random.below(3 * MAX_EXACT)).map(|_| random.next()).collect::<Vec<_>>();
            let fold = |hashes: &[u64]| {
                let mut seen = Seen::Exact(Vec::new());
                hashes.iter().for_each(|&hash| seen.add(hash));
                seen
            };
            let whole = fold(&hashes);
            let (left, right) = hashes.split_at(random.below(hashes.len() + 1));
            let (mut one, mut other) = (fold(left), fold(right));
            one.merge(&fold(right));
            other.merge(&fold(left));
            assert_eq!(one, whole, "seed {seed}");
            assert_eq!(other, whole, "seed {seed}");
            hashes.reverse();
            assert_eq!(fold(&hashes), whole, "seed {seed}");
        }
    }

    #[test]
    fn both_forms_of_state_come_back() {
        let function = call("approx_distinct", &[DataType::Int64]).unwrap();
        let rows = testing::Rows::plain(vec![Arc::new((0..2_000).collect::<Int64Array>())]);
        let mut aggregate = testing::start(&function, 3);
        let all = (0..2_000).collect::<Vec<u32>>();
        let slots = all.iter().map(|&row| u32::from(row >= 40)).collect::<Vec<_>>();
        aggregate.update(&rows.args, &all, &slots, rows.order()).unwrap();
        let state = aggregate.save(&[0, 1, 2]).unwrap();
        let mut twin = testing::start(&function, 3);
        twin.load(&[2, 1, 0], &state).unwrap();
        assert_eq!(twin.save(&[2, 1, 0]).unwrap(), state);
        assert_eq!(&twin.evaluate(&[2, 1, 0]).unwrap().0, &aggregate.evaluate(&[0, 1, 2]).unwrap().0);
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(XxHash3_64::oneshot(b"millstream"), XxHash3_64::oneshot_with_seed(0, b"millstream"));
        let any = Any::new(DataType::Int64).unwrap();
        let column = Arc::new(Int64Array::from(vec![42])) as ArrayRef;
        let rows = any.encode("", &column).unwrap();
        assert_eq!(Any::get(&rows, 0), [1, 0x80, 0, 0, 0, 0, 0, 0, 42], "the form that is hashed");
        assert_eq!(XxHash3_64::oneshot(b""), 0x2d06_8005_38d3_94c2, "the value of the specification");
    }
}
