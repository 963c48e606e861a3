//! Kinds of values that an aggregate may keep one of: numbers, booleans, strings, bytes, and any type by its row format.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Float32Array, Float64Array, PrimitiveArray, StringArray,
};
use arrow::datatypes::{ArrowNativeTypeOp, DataType, Float32Type, Float64Type};
use arrow::row::{RowConverter, Rows, SortField};

use super::dense::{argument, kernel, numbers, typed};
use crate::error::TaskError;

/// One type of value: how to read it from a column, keep it, compare it and write it.
pub(super) trait Kind: Send + Sync + 'static {
    /// A value kept.
    type Owned: Clone + Default + Send;
    /// A value read.
    type Ref<'a>: Copy;
    /// A column, downcast.
    type Column;

    /// The type of the column.
    fn data_type(&self) -> &DataType;
    /// Downcasts a column; null rows are not read.
    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<Self::Column, TaskError>;
    /// The value of a row.
    fn get(column: &Self::Column, row: usize) -> Self::Ref<'_>;
    /// Keeps a value, in the memory of the one kept before.
    fn assign(owned: &mut Self::Owned, value: Self::Ref<'_>);
    /// The value kept.
    fn as_ref(owned: &Self::Owned) -> Self::Ref<'_>;
    /// Their order: numbers by size, with -0.0 before 0.0 and NaN after all; strings and bytes by their bytes.
    fn compare(a: Self::Ref<'_>, b: Self::Ref<'_>) -> Ordering;
    /// A column of values.
    fn build<'a>(
        &self,
        name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a Self::Owned>>,
    ) -> Result<ArrayRef, TaskError>;
    /// Bytes that a value takes beside its place.
    fn heap_bytes(_owned: &Self::Owned) -> usize {
        0
    }
}

/// Numbers, dates and times, kept as they are.
pub(super) struct Number<T: ArrowPrimitiveType> {
    data_type: DataType,
    marker: std::marker::PhantomData<fn() -> T>,
}

impl<T: ArrowPrimitiveType> Number<T> {
    /// The kind of a type whose native form is that of `T`; it keeps precision, scale and time zone.
    pub(super) fn new(data_type: DataType) -> Number<T> {
        Number { data_type, marker: std::marker::PhantomData }
    }
}

impl<T: ArrowPrimitiveType> Kind for Number<T>
where
    T::Native: Default,
{
    type Owned = T::Native;
    type Ref<'a> = T::Native;
    type Column = PrimitiveArray<T>;

    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<Self::Column, TaskError> {
        numbers(name, &argument(name, args, index, &self.data_type)?)
    }

    #[inline]
    fn get(column: &Self::Column, row: usize) -> T::Native {
        column.values()[row]
    }

    #[inline]
    fn assign(owned: &mut T::Native, value: T::Native) {
        *owned = value;
    }

    #[inline]
    fn as_ref(owned: &T::Native) -> T::Native {
        *owned
    }

    #[inline]
    fn compare(a: T::Native, b: T::Native) -> Ordering {
        compare_numbers(a, b)
    }

    fn build<'a>(
        &self,
        _name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a T::Native>>,
    ) -> Result<ArrayRef, TaskError> {
        let array = PrimitiveArray::<T>::from_iter(values.map(|value| value.copied()));
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }
}

/// Numbers by size; among floats -0.0 is before 0.0, and NaN, whatever its sign, after all and equal to itself.
#[inline]
pub(super) fn compare_numbers<N: ArrowNativeTypeOp>(a: N, b: N) -> Ordering {
    // Only a NaN is unordered with itself.
    #[expect(clippy::eq_op, reason = "tells NaN from any other number, for every native type")]
    let nan = |n: N| n != n;
    match (nan(a), nan(b)) {
        (false, false) => a.compare(b),
        (a, b) => a.cmp(&b),
    }
}

/// The number, or the one NaN that computed columns and states hold: which bits a sum of NaN has is left to the machine.
#[inline]
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}

/// The column with all zeros made 0.0 and all NaN made one, where it is of floats: for functions that ask what is equal.
pub(super) fn with_equal_floats(column: &ArrayRef) -> ArrayRef {
    if let Some(doubles) = column.as_any().downcast_ref::<Float64Array>() {
        return Arc::new(doubles.unary::<_, Float64Type>(|value| canonical(value + 0.0)));
    }
    if let Some(floats) = column.as_any().downcast_ref::<Float32Array>() {
        let equal = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
        return Arc::new(floats.unary::<_, Float32Type>(equal));
    }
    Arc::clone(column)
}

/// Booleans: false before true.
pub(super) struct Boolean;

impl Kind for Boolean {
    type Owned = bool;
    type Ref<'a> = bool;
    type Column = BooleanArray;

    fn data_type(&self) -> &DataType {
        &DataType::Boolean
    }

    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<BooleanArray, TaskError> {
        typed(name, &argument(name, args, index, &DataType::Boolean)?)
    }

    #[inline]
    fn get(column: &BooleanArray, row: usize) -> bool {
        column.value(row)
    }

    #[inline]
    fn assign(owned: &mut bool, value: bool) {
        *owned = value;
    }

    #[inline]
    fn as_ref(owned: &bool) -> bool {
        *owned
    }

    #[inline]
    fn compare(a: bool, b: bool) -> Ordering {
        a.cmp(&b)
    }

    fn build<'a>(
        &self,
        _name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a bool>>,
    ) -> Result<ArrayRef, TaskError> {
        Ok(Arc::new(values.map(|value| value.copied()).collect::<BooleanArray>()))
    }
}

/// Strings, compared by their bytes.
pub(super) struct Text;

impl Kind for Text {
    type Owned = String;
    type Ref<'a> = &'a str;
    type Column = StringArray;

    fn data_type(&self) -> &DataType {
        &DataType::Utf8
    }

    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<StringArray, TaskError> {
        typed(name, &argument(name, args, index, &DataType::Utf8)?)
    }

    #[inline]
    fn get(column: &StringArray, row: usize) -> &str {
        column.value(row)
    }

    #[inline]
    fn assign(owned: &mut String, value: &str) {
        owned.clear();
        owned.push_str(value);
    }

    #[inline]
    fn as_ref(owned: &String) -> &str {
        owned
    }

    #[inline]
    fn compare(a: &str, b: &str) -> Ordering {
        a.cmp(b)
    }

    fn build<'a>(
        &self,
        _name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a String>>,
    ) -> Result<ArrayRef, TaskError> {
        Ok(Arc::new(values.collect::<StringArray>()))
    }

    fn heap_bytes(owned: &String) -> usize {
        owned.capacity()
    }
}

/// Bytes.
pub(super) struct Bytes;

impl Kind for Bytes {
    type Owned = Vec<u8>;
    type Ref<'a> = &'a [u8];
    type Column = BinaryArray;

    fn data_type(&self) -> &DataType {
        &DataType::Binary
    }

    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<BinaryArray, TaskError> {
        typed(name, &argument(name, args, index, &DataType::Binary)?)
    }

    #[inline]
    fn get(column: &BinaryArray, row: usize) -> &[u8] {
        column.value(row)
    }

    #[inline]
    fn assign(owned: &mut Vec<u8>, value: &[u8]) {
        owned.clear();
        owned.extend_from_slice(value);
    }

    #[inline]
    fn as_ref(owned: &Vec<u8>) -> &[u8] {
        owned
    }

    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }

    fn build<'a>(
        &self,
        _name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a Vec<u8>>>,
    ) -> Result<ArrayRef, TaskError> {
        Ok(Arc::new(values.map(|value| value.map(Vec::as_slice)).collect::<BinaryArray>()))
    }

    fn heap_bytes(owned: &Vec<u8>) -> usize {
        owned.capacity()
    }
}

/// Values of any type, structs and arrays too, kept in Arrow's row format. In memory only: state is saved in the type itself.
pub(super) struct Any {
    data_type: DataType,
    converter: RowConverter,
}

impl Any {
    /// The kind of a type, or `None` if the row format does not know it.
    pub(super) fn new(data_type: DataType) -> Option<Any> {
        let fields = vec![SortField::new(data_type.clone())];
        let converter = RowConverter::supports_fields(&fields).then(|| RowConverter::new(fields).ok()).flatten()?;
        Some(Any { data_type, converter })
    }

    /// A column of values from their row format. They have to be fewer than 2 GiB.
    pub(super) fn decode<'a>(&self, name: &str, values: impl Iterator<Item = &'a [u8]>) -> Result<ArrayRef, TaskError> {
        let parser = self.converter.parser();
        let mut bytes = 0;
        let rows = values.inspect(|value| bytes += value.len()).map(|value| parser.parse(value)).collect::<Vec<_>>();
        if bytes > i32::MAX as usize {
            return Err(kernel(name, format!("{bytes} bytes of values are more than one column can hold")));
        }
        let mut columns = self.converter.convert_rows(rows).map_err(|error| kernel(name, error))?;
        columns.pop().ok_or_else(|| kernel(name, "no column"))
    }

    /// A column in row format.
    pub(super) fn encode(&self, name: &str, column: &ArrayRef) -> Result<Rows, TaskError> {
        self.converter.convert_columns(std::slice::from_ref(column)).map_err(|error| kernel(name, error))
    }
}

impl Kind for Any {
    type Owned = Vec<u8>;
    type Ref<'a> = &'a [u8];
    type Column = Rows;

    fn data_type(&self) -> &DataType {
        &self.data_type
    }

    fn column(&self, name: &str, args: &[ArrayRef], index: usize) -> Result<Rows, TaskError> {
        self.encode(name, &argument(name, args, index, &self.data_type)?)
    }

    #[inline]
    fn get(column: &Rows, row: usize) -> &[u8] {
        column.row(row).data()
    }

    #[inline]
    fn assign(owned: &mut Vec<u8>, value: &[u8]) {
        owned.clear();
        owned.extend_from_slice(value);
    }

    #[inline]
    fn as_ref(owned: &Vec<u8>) -> &[u8] {
        owned
    }

    #[inline]
    fn compare(a: &[u8], b: &[u8]) -> Ordering {
        a.cmp(b)
    }

    fn build<'a>(
        &self,
        name: &str,
        values: impl ExactSizeIterator<Item = Option<&'a Vec<u8>>>,
    ) -> Result<ArrayRef, TaskError> {
        let null = self.null_row(name)?;
        self.decode(name, values.map(|value| value.map_or(null.as_slice(), Vec::as_slice)))
    }

    fn heap_bytes(owned: &Vec<u8>) -> usize {
        owned.capacity()
    }
}

impl Any {
    /// A null in row format.
    pub(super) fn null_row(&self, name: &str) -> Result<Vec<u8>, TaskError> {
        let null = arrow::array::new_null_array(&self.data_type, 1);
        Ok(self.encode(name, &null)?.row(0).data().to_vec())
    }
}

/// Calls `$then!(kind)` with an expression that makes the kind of `$data_type`; ordered types only, else `$other`.
macro_rules! with_kind {
    ($data_type:expr, $then:ident, $other:expr) => {{
        use ::arrow::datatypes as t;
        use $crate::aggregate::values::{Boolean, Bytes, Number, Text};
        let data_type: &t::DataType = $data_type;
        match data_type {
            t::DataType::Boolean => $then!(Boolean),
            t::DataType::Int8 => $then!(Number::<t::Int8Type>::new(t::DataType::Int8)),
            t::DataType::Int16 => $then!(Number::<t::Int16Type>::new(t::DataType::Int16)),
            t::DataType::Int32 => $then!(Number::<t::Int32Type>::new(t::DataType::Int32)),
            t::DataType::Int64 => $then!(Number::<t::Int64Type>::new(t::DataType::Int64)),
            t::DataType::UInt8 => $then!(Number::<t::UInt8Type>::new(t::DataType::UInt8)),
            t::DataType::UInt16 => $then!(Number::<t::UInt16Type>::new(t::DataType::UInt16)),
            t::DataType::UInt32 => $then!(Number::<t::UInt32Type>::new(t::DataType::UInt32)),
            t::DataType::UInt64 => $then!(Number::<t::UInt64Type>::new(t::DataType::UInt64)),
            t::DataType::Float32 => $then!(Number::<t::Float32Type>::new(t::DataType::Float32)),
            t::DataType::Float64 => $then!(Number::<t::Float64Type>::new(t::DataType::Float64)),
            t::DataType::Date32 => $then!(Number::<t::Date32Type>::new(t::DataType::Date32)),
            t::DataType::Date64 => $then!(Number::<t::Date64Type>::new(t::DataType::Date64)),
            t::DataType::Timestamp(unit, zone) => {
                let data_type = t::DataType::Timestamp(*unit, zone.clone());
                match unit {
                    t::TimeUnit::Second => $then!(Number::<t::TimestampSecondType>::new(data_type.clone())),
                    t::TimeUnit::Millisecond => $then!(Number::<t::TimestampMillisecondType>::new(data_type.clone())),
                    t::TimeUnit::Microsecond => $then!(Number::<t::TimestampMicrosecondType>::new(data_type.clone())),
                    t::TimeUnit::Nanosecond => $then!(Number::<t::TimestampNanosecondType>::new(data_type.clone())),
                }
            }
            t::DataType::Decimal128(precision, scale) => {
                let data_type = t::DataType::Decimal128(*precision, *scale);
                $then!(Number::<t::Decimal128Type>::new(data_type.clone()))
            }
            t::DataType::Utf8 | t::DataType::LargeUtf8 | t::DataType::Utf8View => $then!(Text),
            t::DataType::Binary | t::DataType::LargeBinary | t::DataType::BinaryView => $then!(Bytes),
            _ => $other,
        }
    }};
}
pub(super) use with_kind;
