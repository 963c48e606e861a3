//! How many bytes rows of a column take: what is to be made of them is judged before it is made.

use std::ops::Range;

use arrow::array::{Array, AsArray, GenericByteArray, GenericListArray, OffsetSizeTrait};
use arrow::datatypes::{ByteArrayType, DataType};

/// Bytes that the rows of a range take in the column, without what says which of them are null.
pub(crate) fn bytes_of(column: &dyn Array, rows: Range<usize>) -> usize {
    if rows.is_empty() {
        return 0;
    }
    match column.data_type() {
        DataType::Null => 0,
        DataType::Boolean => rows.len(),
        DataType::Utf8 => of_bytes(column.as_string::<i32>(), rows),
        DataType::LargeUtf8 => of_bytes(column.as_string::<i64>(), rows),
        DataType::Binary => of_bytes(column.as_binary::<i32>(), rows),
        DataType::LargeBinary => of_bytes(column.as_binary::<i64>(), rows),
        DataType::List(_) => of_list(column.as_list::<i32>(), rows),
        DataType::LargeList(_) => of_list(column.as_list::<i64>(), rows),
        DataType::FixedSizeBinary(width) => rows.len() * (*width).max(0) as usize,
        DataType::FixedSizeList(..) => {
            let list = column.as_fixed_size_list();
            let length = list.value_length() as usize;
            bytes_of(list.values().as_ref(), rows.start * length..rows.end * length)
        }
        DataType::Map(..) => {
            let map = column.as_map();
            let offsets = map.value_offsets();
            let entries = offsets[rows.start] as usize..offsets[rows.end] as usize;
            rows.len() * size_of::<i32>() + bytes_of(map.entries(), entries)
        }
        DataType::Struct(_) => {
            column.as_struct().columns().iter().map(|field| bytes_of(field.as_ref(), rows.clone())).sum()
        }
        other => match other.primitive_width() {
            Some(width) => rows.len() * width,
            // Views and dictionaries share what they point at: the share of a row, in the mean.
            None => rows.len().saturating_mul(column.get_buffer_memory_size() / column.len().max(1) + 1),
        },
    }
}

fn of_bytes<T: ByteArrayType>(column: &GenericByteArray<T>, rows: Range<usize>) -> usize {
    use arrow::datatypes::ArrowNativeType;
    let offsets = column.value_offsets();
    rows.len() * size_of::<T::Offset>() + offsets[rows.end].as_usize() - offsets[rows.start].as_usize()
}

fn of_list<O: OffsetSizeTrait>(list: &GenericListArray<O>, rows: Range<usize>) -> usize {
    let offsets = list.value_offsets();
    let values = offsets[rows.start].as_usize()..offsets[rows.end].as_usize();
    rows.len() * size_of::<O>() + bytes_of(list.values().as_ref(), values)
}

/// How many of the first rows, whose bytes are given, go together: `most_rows` at most and about `most_bytes`, but at least one.
pub(crate) fn fitting(rows: impl Iterator<Item = usize>, most_rows: usize, most_bytes: usize) -> usize {
    let mut bytes: usize = 0;
    let mut together = 0;
    for row in rows.take(most_rows) {
        bytes = bytes.saturating_add(row);
        if together > 0 && bytes > most_bytes {
            break;
        }
        together += 1;
    }
    together
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray, StructArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn rows_count_what_they_hold() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("four"), None, Some("sixsix")]));
        assert_eq!(bytes_of(texts.as_ref(), 0..3), 10 + 3 * 4);
        assert_eq!(bytes_of(texts.slice(1, 2).as_ref(), 0..1), 4);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        assert_eq!(bytes_of(numbers.as_ref(), 1..3), 16);
        let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
        let both: ArrayRef = Arc::new(StructArray::from(vec![
            (field("t", &texts), Arc::clone(&texts)),
            (field("n", &numbers), Arc::clone(&numbers)),
        ]));
        assert_eq!(bytes_of(both.as_ref(), 0..1), 4 + 4 + 8);
        let list = ListArray::new(field("item", &both), OffsetBuffer::from_lengths([1, 0, 2]), both, None);
        assert_eq!(bytes_of(&list, 0..1), 4 + 16);
        assert_eq!(bytes_of(&list, 1..3), 8 + (4 + 8) + (4 + 6 + 8));
        assert_eq!(bytes_of(&list.slice(2, 1), 0..1), 4 + (4 + 8) + (4 + 6 + 8));
    }

    #[test]
    fn rows_go_together_as_long_as_they_are_small() {
        let of = |rows: &[usize]| fitting(rows.iter().copied(), 4, 10);
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[1, 1, 1, 1, 1]), 4);
        assert_eq!(of(&[100, 1]), 1);
        assert_eq!(of(&[5, 5, 1]), 2);
        assert_eq!(of(&[usize::MAX, usize::MAX]), 1);
    }
}
