//! Whether a column holds the value that Java gives. It goes by the column's type alone.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use serde_json::Value;

use crate::bytes;

/// Whether row `row` of the column is `theirs`, a value as `Codecs.java` gives it.
pub(crate) fn same(array: &ArrayRef, row: usize, theirs: &Value) -> bool {
    if array.is_null(row) || theirs.is_null() {
        return array.is_null(row) && theirs.is_null();
    }
    match (array.data_type(), theirs) {
        (DataType::Boolean, theirs) => *theirs == array.as_boolean().value(row),
        (DataType::Int32, theirs) => *theirs == array.as_primitive::<Int32Type>().value(row),
        (DataType::Date32, theirs) => *theirs == array.as_primitive::<Date32Type>().value(row),
        (DataType::Int64, theirs) => *theirs == array.as_primitive::<Int64Type>().value(row),
        (DataType::Timestamp(unit, _), theirs) => match unit {
            TimeUnit::Millisecond => *theirs == array.as_primitive::<TimestampMillisecondType>().value(row),
            TimeUnit::Microsecond => *theirs == array.as_primitive::<TimestampMicrosecondType>().value(row),
            TimeUnit::Nanosecond => *theirs == array.as_primitive::<TimestampNanosecondType>().value(row),
            TimeUnit::Second => false,
        },
        (DataType::Float32, theirs) => *theirs == array.as_primitive::<Float32Type>().value(row).to_bits() as i32,
        (DataType::Float64, theirs) => *theirs == array.as_primitive::<Float64Type>().value(row).to_bits() as i64,
        (DataType::Decimal128(_, _), theirs) => array.as_primitive::<Decimal128Type>().value(row) == number(theirs),
        (DataType::Utf8, Value::String(text)) => {
            text == array.as_string::<i32>().value(row) || is_uuid(array, row, text)
        }
        (DataType::Binary, theirs) => array.as_binary::<i32>().value(row) == bytes(theirs),
        (DataType::List(_), Value::Array(values)) => {
            let items = array.as_list::<i32>().value(row);
            items.len() == values.len() && values.iter().enumerate().all(|(i, value)| same(&items, i, value))
        }
        (DataType::Map(_, _), Value::Object(values)) => {
            let entries = array.as_map().value(row);
            let (keys, items) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let known = |i: usize| values.get(keys.value(i)).is_some_and(|value| same(items, i, value));
            entries.len() == values.len() && (0..entries.len()).all(known)
        }
        (DataType::Struct(_), theirs) => same_struct(array, row, theirs),
        _ => false,
    }
}

/// A record, the branch of a union that has the value, or a duration.
fn same_struct(array: &ArrayRef, row: usize, theirs: &Value) -> bool {
    let columns = array.as_struct().columns();
    if let Some(place) = theirs.get("").and_then(Value::as_u64) {
        let of_place = |(i, column): (usize, &ArrayRef)| match i as u64 == place {
            true => same(column, row, &theirs["value"]),
            false => column.is_null(row),
        };
        return columns.iter().enumerate().all(of_place);
    }
    let names = array.as_struct().column_names();
    if let (Value::String(_), ["months", "days", "milliseconds"]) = (theirs, &names[..]) {
        let bytes = bytes(theirs);
        let parts = bytes.as_chunks::<4>().0.iter().map(|part| i64::from(u32::from_le_bytes(*part)));
        return columns.iter().zip(parts).all(|(column, part)| column.as_primitive::<Int64Type>().value(row) == part);
    }
    theirs.as_object().is_some_and(|fields| fields.len() == names.len())
        && columns
            .iter()
            .zip(names)
            .all(|(column, name)| theirs.get(name).is_some_and(|value| same(column, row, value)))
}

/// Big-endian two's complement.
fn number(hex: &Value) -> i128 {
    let bytes = bytes(hex);
    let start = if bytes.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(start, |number, byte| number << 8 | i128::from(*byte))
}

/// Whether the text is the uuid of these sixteen bytes.
fn is_uuid(array: &ArrayRef, row: usize, hex: &str) -> bool {
    let text = array.as_string::<i32>().value(row);
    text.len() == 36 && text.replace('-', "") == hex
}
