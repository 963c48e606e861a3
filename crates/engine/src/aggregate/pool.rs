//! Values of any type end to end in one piece of memory, as a list or as a set; never one allocation a value.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::dense::typed;
use super::values::Any;
use crate::error::TaskError;

/// A list of values in row format.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Pool {
    /// Appends a value.
    #[inline]
    pub(super) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
    }

    /// Value `index`.
    #[inline]
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    /// The values in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of the values.
    pub(super) fn value_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()
    }
}

/// A set of values in row format, which remembers the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Set {
    values: Pool,
    table: HashTable<u32>,
}

/// What became of a value offered to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It is new, and the last of the values.
    New,
    /// It was there, at this index.
    Known(usize),
}

impl Set {
    /// Adds a value.
    pub(super) fn insert(&mut self, value: &[u8]) -> Inserted {
        let state = FixedState::default();
        let hash = state.hash_one(value);
        let values = &self.values;
        if let Some(&known) = self.table.find(hash, |&index| values.get(index as usize) == value) {
            return Inserted::Known(known as usize);
        }
        let index = u32::try_from(self.values.len()).expect("a group holds fewer than 2^32 distinct values");
        self.values.push(value);
        let values = &self.values;
        self.table.insert_unique(hash, index, |&index| state.hash_one(values.get(index as usize)));
        Inserted::New
    }

    /// The values in the order in which they came.
    pub(super) fn values(&self) -> &Pool {
        &self.values
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.values.heap_bytes() + self.table.capacity() * (size_of::<u32>() + 1) * 8 / 7
    }
}

/// The type of a list of `item`.
pub(super) fn list_type(item: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item.clone(), true)))
}

/// A column of lists from their lengths and all their values in a row.
pub(super) fn list_array(
    lengths: impl IntoIterator<Item = usize>,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, nulls))
}

/// The lists of a column: all values in a row, and how many belong to each row of the column.
pub(super) fn read_lists(name: &str, column: &ArrayRef) -> Result<(ArrayRef, Vec<usize>), TaskError> {
    let lists = typed::<ListArray>(name, column)?;
    let offsets = lists.value_offsets();
    let (first, last) = (offsets[0] as usize, offsets[lists.len()] as usize);
    let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect();
    Ok((lists.values().slice(first, last - first), lengths))
}

/// Pools as a column of lists.
pub(super) fn save_pools<'a>(
    name: &str,
    any: &Any,
    pools: impl Iterator<Item = &'a Pool> + Clone,
) -> Result<ArrayRef, TaskError> {
    let values = any.decode(name, pools.clone().flat_map(Pool::iter))?;
    Ok(list_array(pools.map(Pool::len), values, None))
}
