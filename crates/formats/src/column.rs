//! Columns under construction: rows are appended value by value, and a row that fails midway is taken back.

use std::sync::Arc;

use arrow::array::NullBufferBuilder;
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use millstream_engine::types::sql_name;

use crate::error::FormatError;
use crate::fault::{Fallible, Fault};
use crate::members::Members;
use crate::wire::{PIECE, is_ascii_piece, put_piece};

/// One column, or the values of a field or of items below one.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) field: FieldRef,
    nulls: NullBufferBuilder,
    pub(crate) values: Values,
    /// What a value takes in bytes, whatever it is, as [`cost`] says.
    pub(crate) cost: usize,
}

/// The bytes that a value takes in columns whatever it is, null too: what stands in texts, lists and maps is not counted.
pub(crate) fn cost(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| cost(field.data_type())).sum::<usize>().max(1),
        DataType::Decimal128(_, _) => 16,
        _ => 8,
    }
}

/// The values of a column by type.
#[derive(Debug)]
pub(crate) enum Values {
    Boolean(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>, u8, i8),
    Date(Vec<i32>),
    Timestamp(Vec<i64>, TimeUnit),
    Utf8(Bytes),
    Binary(Bytes),
    Struct(Members),
    List(Vec<i32>, Box<Column>),
    Map(Vec<i32>, Box<Column>, Box<Column>),
}

/// Texts or byte strings, one behind the other.
#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) offsets: Vec<i32>,
    pub(crate) bytes: Vec<u8>,
}

impl Bytes {
    pub(crate) fn new() -> Bytes {
        Bytes { offsets: vec![0], bytes: Vec::new() }
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.end();
    }

    /// Appends the text that the first `len` of the bytes `ahead` are. Most texts are short and ASCII, and their message
    /// goes on behind them: those are looked at and copied in one piece.
    ///
    /// # Errors
    /// If they are not UTF-8; then nothing is appended.
    ///
    /// # Panics
    /// If there are not so many bytes.
    #[inline]
    pub(crate) fn push_text(&mut self, ahead: &[u8], len: usize) -> Fallible<()> {
        if let Some(piece) = ahead.first_chunk::<PIECE>()
            && len <= PIECE
            && is_ascii_piece(piece, len)
        {
            put_piece(piece, len, &mut self.bytes);
            self.end();
            return Ok(());
        }
        self.push_long_text(&ahead[..len])
    }

    #[inline(never)]
    fn push_long_text(&mut self, bytes: &[u8]) -> Fallible<()> {
        if !is_ascii(bytes)
            && let Err(error) = std::str::from_utf8(bytes)
        {
            return Err(Fault::value(format!("not UTF-8 from byte {} of the text", error.valid_up_to())));
        }
        self.push(bytes);
        Ok(())
    }

    /// Ends a value whose bytes have been appended.
    #[inline]
    pub(crate) fn end(&mut self) {
        // A decoder refuses payloads beyond 2 GiB in one batch, and no value is longer than its payload.
        self.offsets.push(self.bytes.len() as i32);
    }

    /// The last value.
    pub(crate) fn last(&self) -> &[u8] {
        match self.offsets[..] {
            [.., start, end] => &self.bytes[start as usize..end as usize],
            _ => &[],
        }
    }

    /// A value that stands more than once from row `first` on.
    pub(crate) fn repeated_from(&self, first: usize) -> Option<&[u8]> {
        let mut values =
            self.offsets[first..].windows(2).map(|e| &self.bytes[e[0] as usize..e[1] as usize]).collect::<Vec<_>>();
        values.sort_unstable();
        values.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    fn truncate(&mut self, len: usize) {
        self.offsets.truncate(len + 1);
        self.bytes.truncate(last(&self.offsets));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        (finish_offsets(&mut self.offsets), Buffer::from_vec(std::mem::take(&mut self.bytes)))
    }
}

/// Whether these bytes, [`PIECE`] at least, are ASCII; of fewer it says no.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    let Some(last) = bytes.last_chunk::<PIECE>() else { return false };
    let (pieces, _) = bytes.as_chunks::<PIECE>();
    let all = pieces.iter().fold(u128::from_le_bytes(*last), |all, piece| all | u128::from_le_bytes(*piece));
    all & 0x8080_8080_8080_8080_8080_8080_8080_8080 == 0
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().copied().unwrap_or(0) as usize
}

fn finish_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, vec![0])))
}

impl Column {
    /// An empty column.
    ///
    /// # Errors
    /// If no format of messages has values of its type.
    pub(crate) fn new(field: &FieldRef) -> Result<Column, FormatError> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Vec::new(), *precision, *scale),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Timestamp(unit, _) => Values::Timestamp(Vec::new(), *unit),
            DataType::Utf8 => Values::Utf8(Bytes::new()),
            DataType::Binary => Values::Binary(Bytes::new()),
            DataType::Struct(fields) => Values::Struct(Members::new(fields)?),
            DataType::List(item) => Values::List(vec![0], Box::new(Column::new(item)?)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 && *fields[0].data_type() == DataType::Utf8 => {
                    Values::Map(vec![0], Box::new(Column::new(&fields[0])?), Box::new(Column::new(&fields[1])?))
                }
                _ => return Err(unreadable(field, "only maps with string keys can be read")),
            },
            other => return Err(unreadable(field, &format!("{} cannot be read from a message", sql_name(other)))),
        };
        Ok(Column { field: field.clone(), nulls: NullBufferBuilder::new(0), values, cost: cost(field.data_type()) })
    }

    /// The number of rows that are complete.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Says that the value that was just appended to `values` is there.
    #[inline]
    pub(crate) fn appended(&mut self) {
        self.nulls.append_non_null();
    }

    /// Makes room for `rows` more rows.
    pub(crate) fn reserve(&mut self, rows: usize) {
        match &mut self.values {
            Values::Boolean(values) => values.reserve(rows),
            Values::Int32(values) | Values::Date(values) => values.reserve(rows),
            Values::Int64(values) | Values::Timestamp(values, _) => values.reserve(rows),
            Values::Float32(values) => values.reserve(rows),
            Values::Float64(values) => values.reserve(rows),
            Values::Decimal(values, _, _) => values.reserve(rows),
            Values::Utf8(values) | Values::Binary(values) => values.offsets.reserve(rows),
            Values::Struct(members) => members.reserve(rows),
            Values::List(offsets, _) | Values::Map(offsets, _, _) => offsets.reserve(rows),
        }
    }

    /// Takes back everything behind the first `len` rows, values without a row included.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.nulls.truncate(len);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int32(values) | Values::Date(values) => values.truncate(len),
            Values::Int64(values) | Values::Timestamp(values, _) => values.truncate(len),
            Values::Float32(values) => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Decimal(values, _, _) => values.truncate(len),
            Values::Utf8(values) | Values::Binary(values) => values.truncate(len),
            Values::Struct(members) => members.truncate(len),
            Values::List(offsets, items) => {
                offsets.truncate(len + 1);
                items.truncate(last(offsets));
            }
            Values::Map(offsets, keys, values) => {
                offsets.truncate(len + 1);
                keys.truncate(last(offsets));
                values.truncate(last(offsets));
            }
        }
    }

    /// Appends a null, whether the field allows it or not.
    pub(crate) fn push_null(&mut self) {
        self.nulls.append_null();
        match &mut self.values {
            Values::Boolean(values) => values.push(false),
            Values::Int32(values) | Values::Date(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values, _) => values.push(0),
            Values::Float32(values) => values.push(0.0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values, _, _) => values.push(0),
            Values::Utf8(values) | Values::Binary(values) => values.end(),
            Values::Struct(members) => members.push_null(),
            Values::List(offsets, _) | Values::Map(offsets, _, _) => offsets.push(offsets.last().copied().unwrap_or(0)),
        }
    }

    /// Appends a null if the field allows it.
    pub(crate) fn push_missing(&mut self, found: &str) -> Fallible<()> {
        if !self.field.is_nullable() {
            return Err(Fault::value(format!("expected {}, found {found}", sql_name(self.field.data_type()))));
        }
        self.push_null();
        Ok(())
    }

    /// The fault of a value of another type.
    pub(crate) fn mismatch(&self, found: &str) -> Box<Fault> {
        Fault::value(format!("expected {}, found {found}", sql_name(self.field.data_type())))
    }

    /// The rows as an array; the column is empty afterwards.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls)),
            Values::Int32(values) => Arc::new(Int32Array::new(take(values), nulls)),
            Values::Int64(values) => Arc::new(Int64Array::new(take(values), nulls)),
            Values::Float32(values) => Arc::new(Float32Array::new(take(values), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(take(values), nulls)),
            Values::Decimal(values, _, _) => {
                let array = Decimal128Array::new(take(values), nulls);
                Arc::new(array.with_data_type(self.field.data_type().clone()))
            }
            Values::Date(values) => Arc::new(Date32Array::new(take(values), nulls)),
            Values::Timestamp(values, unit) => timestamps(take(values), nulls, *unit, self.field.data_type()),
            Values::Utf8(values) => {
                let (offsets, bytes) = values.finish();
                Arc::new(StringArray::new(offsets, bytes, nulls))
            }
            Values::Binary(values) => {
                let (offsets, bytes) = values.finish();
                Arc::new(BinaryArray::new(offsets, bytes, nulls))
            }
            Values::Struct(members) => finish_struct(&self.field, members, nulls),
            Values::List(offsets, items) => {
                let (field, offsets) = (items.field.clone(), finish_offsets(offsets));
                Arc::new(ListArray::new(field, offsets, items.finish(), nulls))
            }
            Values::Map(offsets, keys, values) => {
                let DataType::Map(entries, ordered) = self.field.data_type() else { unreachable!("a map's field") };
                let fields = Fields::from(vec![keys.field.clone(), values.field.clone()]);
                let columns = vec![keys.finish(), values.finish()];
                let rows = StructArray::new(fields, columns, None);
                Arc::new(MapArray::new(entries.clone(), finish_offsets(offsets), rows, nulls, *ordered))
            }
        }
    }
}

fn take<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    ScalarBuffer::from(std::mem::take(values))
}

fn timestamps(values: ScalarBuffer<i64>, nulls: Option<NullBuffer>, unit: TimeUnit, data_type: &DataType) -> ArrayRef {
    let data_type = data_type.clone();
    match unit {
        TimeUnit::Second => {
            Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls).with_data_type(data_type))
        }
        TimeUnit::Millisecond => {
            Arc::new(PrimitiveArray::<TimestampMillisecondType>::new(values, nulls).with_data_type(data_type))
        }
        TimeUnit::Microsecond => {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls).with_data_type(data_type))
        }
        TimeUnit::Nanosecond => {
            Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls).with_data_type(data_type))
        }
    }
}

fn finish_struct(field: &Field, members: &mut Members, nulls: Option<NullBuffer>) -> ArrayRef {
    let DataType::Struct(fields) = field.data_type() else { unreachable!("a struct's field") };
    let rows = std::mem::take(&mut members.rows);
    let columns = members.columns.iter_mut().map(Column::finish).collect::<Vec<_>>();
    if columns.is_empty() {
        return Arc::new(StructArray::new_empty_fields(rows, nulls));
    }
    Arc::new(StructArray::new(fields.clone(), columns, nulls))
}

fn unreadable(field: &Field, message: &str) -> FormatError {
    FormatError::Column { column: field.name().clone(), message: message.to_owned() }
}
