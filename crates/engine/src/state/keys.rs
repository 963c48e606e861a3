//! Group keys: the key columns of a batch as comparable bytes and hashes that are the same on every run.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, Rows, SortField};

use crate::error::TaskError;

/// Turns key columns into key bytes and back. Bytes compare as the keys do, column by column, ascending. Two keys are
/// the same when SQL's `group by` holds them for the same: -0.0 is 0.0, and NaN is NaN.
#[derive(Debug)]
pub struct KeyFormat {
    step: String,
    fields: Vec<Field>,
    converter: RowConverter,
}

/// The keys of one batch, encoded and hashed once. Reused from batch to batch.
#[derive(Debug)]
pub struct Keys {
    bytes: Bytes,
    hashes: Vec<u64>,
    nulls: Option<BooleanArray>,
}

#[derive(Debug)]
enum Bytes {
    /// No key columns: one group of all rows.
    One,
    /// A single bigint column, in the row format.
    Bigint(Vec<[u8; 9]>),
    /// Anything else.
    Rows(Rows),
}

impl KeyFormat {
    /// The format for keys of these columns, in this order; none for one group of all rows. `step` is for messages.
    ///
    /// # Errors
    /// If a column has a type that cannot be ordered.
    pub fn new(step: &str, fields: Vec<Field>) -> Result<KeyFormat, TaskError> {
        let sorts = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter = RowConverter::new(sorts).map_err(|error| failed(step, &error))?;
        Ok(KeyFormat { step: step.to_owned(), fields, converter })
    }

    /// The format for keys that are columns `keys` of `schema`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_columns(step: &str, schema: &arrow::datatypes::Schema, keys: &[usize]) -> Result<KeyFormat, TaskError> {
        KeyFormat::new(step, keys.iter().map(|&key| schema.field(key).clone()).collect())
    }

    /// The key columns.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// An empty set of keys of this format, for [`encode`](Self::encode).
    pub fn keys(&self) -> Keys {
        let bytes = match self.fields.as_slice() {
            [] => Bytes::One,
            [field] if *field.data_type() == DataType::Int64 => Bytes::Bigint(Vec::new()),
            _ => Bytes::Rows(self.converter.empty_rows(0, 0)),
        };
        Keys { bytes, hashes: Vec::new(), nulls: None }
    }

    /// Encodes and hashes columns `columns` of `rows`.
    ///
    /// # Errors
    /// If the columns are not of this format's types.
    pub fn encode_columns(&self, rows: &RecordBatch, columns: &[usize], keys: &mut Keys) -> Result<(), TaskError> {
        let columns = columns.iter().map(|&column| Arc::clone(rows.column(column))).collect::<Vec<_>>();
        self.encode(&columns, rows.num_rows(), keys)
    }

    /// Encodes and hashes the keys that `columns` hold, one for each of `rows` rows.
    ///
    /// # Errors
    /// As [`encode_columns`](Self::encode_columns).
    pub fn encode(&self, columns: &[ArrayRef], rows: usize, keys: &mut Keys) -> Result<(), TaskError> {
        keys.nulls = null_keys(columns, rows);
        keys.hashes.clear();
        match &mut keys.bytes {
            Bytes::One => keys.hashes.resize(rows, hash(&[])),
            Bytes::Bigint(bytes) => {
                let column = columns[0].as_primitive_opt::<Int64Type>().ok_or_else(|| self.unfit(&columns[0]))?;
                bytes.clear();
                bytes.extend(column.values().iter().map(|&value| bigint(value)));
                keys.hashes.extend(bytes.iter().map(|key| hash(key)));
            }
            Bytes::Rows(encoded) => {
                encoded.clear();
                let columns = columns.iter().map(group_equal).collect::<Vec<_>>();
                self.converter.append(encoded, &columns).map_err(|error| failed(&self.step, &error))?;
                keys.hashes.extend(encoded.iter().map(|key| hash(key.data())));
            }
        }
        Ok(())
    }

    /// The key columns of keys that were encoded by this format, in the order given.
    ///
    /// # Errors
    /// If the bytes are not those of a key.
    pub fn decode<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<Vec<ArrayRef>, TaskError> {
        if self.fields.is_empty() {
            return Ok(Vec::new());
        }
        let parser = self.converter.parser();
        let columns = self.converter.convert_rows(keys.map(|key| parser.parse(key)));
        let columns = columns.map_err(|error| failed(&self.step, &error))?;
        let fit = |(column, field): (ArrayRef, &Field)| match column.data_type() == field.data_type() {
            true => Ok(column),
            false => compute::cast(&column, field.data_type()).map_err(|error| failed(&self.step, &error)),
        };
        columns.into_iter().zip(&self.fields).map(fit).collect()
    }

    fn unfit(&self, column: &ArrayRef) -> TaskError {
        TaskError::Kernel {
            step: self.step.clone(),
            message: format!("a key column of type {} where bigint belongs", column.data_type()),
        }
    }
}

impl Keys {
    /// Number of keys.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The bytes of the key of row `row`; of no meaning for a null key.
    #[inline]
    pub fn key(&self, row: usize) -> &[u8] {
        match &self.bytes {
            Bytes::One => &[],
            Bytes::Bigint(bytes) => &bytes[row],
            Bytes::Rows(rows) => rows.row(row).data(),
        }
    }

    /// The hash of the key of row `row`: the same on every run and machine.
    #[inline]
    pub fn hash(&self, row: usize) -> u64 {
        self.hashes[row]
    }

    /// For which rows some key column is null; `None` when for none.
    pub fn nulls(&self) -> Option<&BooleanArray> {
        self.nulls.as_ref()
    }
}

/// A hash of key bytes that never changes: pages are found by it after a restart. Spread over all 64 bits.
#[inline]
pub fn hash(key: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd1b5_4a32_d192_ed03;
    let mut state = A ^ (key.len() as u64);
    let mut rest = key;
    while let Some((word, tail)) = rest.split_first_chunk::<8>() {
        state = fold(state ^ u64::from_le_bytes(*word), B);
        rest = tail;
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(word), B);
    }
    fold(state ^ B, A)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// The row format of a bigint that is not null, ascending.
#[inline]
fn bigint(value: i64) -> [u8; 9] {
    let mut bytes = [1; 9];
    bytes[1..].copy_from_slice(&((value as u64) ^ (1 << 63)).to_be_bytes());
    bytes
}

fn null_keys(columns: &[ArrayRef], rows: usize) -> Option<BooleanArray> {
    let mut nulls: Option<BooleanBufferBuilder> = None;
    for validity in columns.iter().filter_map(|column| column.logical_nulls()).filter(|nulls| nulls.null_count() > 0) {
        let nulls = nulls.get_or_insert_with(|| {
            let mut none = BooleanBufferBuilder::new(rows);
            none.append_n(rows, false);
            none
        });
        (0..rows).filter(|&row| validity.is_null(row)).for_each(|row| nulls.set_bit(row, true));
    }
    nulls.map(|mut nulls| BooleanArray::new(nulls.finish(), None))
}

/// The column with one form for each of the values that are one group.
pub(crate) fn group_equal(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| match value.is_nan() {
                true => f64::NAN,
                false => value + 0.0,
            }))
        }
        DataType::Float32 => {
            Arc::new(column.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| match value.is_nan() {
                true => f32::NAN,
                false => value + 0.0,
            }))
        }
        _ => Arc::clone(column),
    }
}

fn failed(step: &str, error: &ArrowError) -> TaskError {
    TaskError::Kernel { step: step.to_owned(), message: format!("group key: {error}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringArray};

    use super::*;

    fn encode(columns: &[ArrayRef]) -> (KeyFormat, Keys) {
        let fields = columns.iter().map(|column| Field::new("k", column.data_type().clone(), true)).collect();
        let format = KeyFormat::new("s", fields).unwrap();
        let mut keys = format.keys();
        format.encode(columns, columns[0].len(), &mut keys).unwrap();
        (format, keys)
    }

    #[test]
    fn the_quick_form_of_a_bigint_is_the_row_format() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN, -1, 0, 1, i64::MAX]));
        let (format, keys) = encode(&[Arc::clone(&column)]);
        let rows = format.converter.convert_columns(&[Arc::clone(&column)]).unwrap();
        for row in 0..column.len() {
            assert_eq!(keys.key(row), rows.row(row).data());
        }
        assert_eq!(&format.decode((0..5).map(|row| keys.key(row))).unwrap()[0], &column);
    }

    #[test]
    fn one_null_column_makes_a_null_key() {
        let a: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        let b: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None]));
        let (_, keys) = encode(&[a, b]);
        assert_eq!(keys.nulls(), Some(&BooleanArray::from(vec![false, true, true])));
    }

    #[test]
    fn zeros_are_one_group_and_so_are_nans() {
        let column: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, f64::NAN, -f64::NAN, 1.0]));
        let (_, keys) = encode(&[column]);
        assert_eq!(keys.key(0), keys.key(1));
        assert_eq!(keys.hash(0), keys.hash(1));
        assert_eq!(keys.key(2), keys.key(3));
        assert_ne!(keys.key(0), keys.key(4));
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash(b""), 0x0eb1_8a37_778f_b7a9);
        assert_eq!(hash(b"millstream"), 0x31a0_2ce0_3e77_72ee);
    }

    #[test]
    fn no_key_columns_are_one_group() {
        let format = KeyFormat::new("s", Vec::new()).unwrap();
        let mut keys = format.keys();
        format.encode(&[], 3, &mut keys).unwrap();
        assert_eq!((keys.len(), keys.key(2).len(), keys.nulls()), (3, 0, None));
        assert!(format.decode([&[][..]].into_iter()).unwrap().is_empty());
    }
}
