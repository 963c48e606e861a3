//! Values of columns as text: the words of keys, CSV fields and JSON documents. It never allocates for a row.

mod times;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeBinaryArray, LargeListArray, LargeStringArray,
    ListArray, MapArray, StringArray, StringViewArray, StructArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use times::{TimestampWriter, check_year};
pub use times::{per_second, write_date, write_timestamp};

/// A column, ready to have its values written one by one.
#[derive(Debug, Clone)]
pub struct Cells {
    array: ArrayRef,
    values: Values,
}

/// A value that JSON has no word for: NaN, an infinity, a time outside the years 0 to 9999. Says what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(pub String);

#[derive(Debug, Clone)]
enum Values {
    Null,
    Boolean(BooleanArray),
    Int8(ScalarBuffer<i8>),
    Int16(ScalarBuffer<i16>),
    Int32(ScalarBuffer<i32>),
    Int64(ScalarBuffer<i64>),
    UInt8(ScalarBuffer<u8>),
    UInt16(ScalarBuffer<u16>),
    UInt32(ScalarBuffer<u32>),
    UInt64(ScalarBuffer<u64>),
    Float32(ScalarBuffer<f32>),
    Float64(ScalarBuffer<f64>),
    Decimal(ScalarBuffer<i128>, usize),
    Date(ScalarBuffer<i32>),
    Timestamp(ScalarBuffer<i64>, TimestampWriter),
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    /// For each field `{"name":` or `,"name":`, and its values.
    Struct(Vec<(Vec<u8>, Cells)>),
    List(ScalarBuffer<i32>, Box<Cells>),
    LargeList(ScalarBuffer<i64>, Box<Cells>),
    Map(ScalarBuffer<i32>, Box<Cells>, Box<Cells>),
}

/// The array as `T`.
fn of<T: Array + Clone + 'static>(array: &dyn Array) -> T {
    array.as_any().downcast_ref::<T>().cloned().expect("the data type says what the array is")
}

impl Cells {
    /// The values of `array`. Types without a form of their own are written as SQL casts them to text.
    pub fn new(array: &ArrayRef) -> Cells {
        let a = array.as_ref();
        let values = match a.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Boolean(of(a)),
            DataType::Int8 => Values::Int8(of::<Int8Array>(a).values().clone()),
            DataType::Int16 => Values::Int16(of::<Int16Array>(a).values().clone()),
            DataType::Int32 => Values::Int32(of::<Int32Array>(a).values().clone()),
            DataType::Int64 => Values::Int64(of::<Int64Array>(a).values().clone()),
            DataType::UInt8 => Values::UInt8(of::<UInt8Array>(a).values().clone()),
            DataType::UInt16 => Values::UInt16(of::<UInt16Array>(a).values().clone()),
            DataType::UInt32 => Values::UInt32(of::<UInt32Array>(a).values().clone()),
            DataType::UInt64 => Values::UInt64(of::<UInt64Array>(a).values().clone()),
            DataType::Float32 => Values::Float32(of::<Float32Array>(a).values().clone()),
            DataType::Float64 => Values::Float64(of::<Float64Array>(a).values().clone()),
            DataType::Decimal128(_, scale) if *scale >= 0 => {
                Values::Decimal(of::<Decimal128Array>(a).values().clone(), *scale as usize)
            }
            DataType::Date32 => Values::Date(of::<Date32Array>(a).values().clone()),
            DataType::Timestamp(unit, _) => Values::Timestamp(timestamps(a, *unit), TimestampWriter::new(*unit)),
            DataType::Utf8 => Values::Utf8(of(a)),
            DataType::LargeUtf8 => Values::LargeUtf8(of(a)),
            DataType::Utf8View => Values::Utf8View(of(a)),
            DataType::Binary => Values::Binary(of(a)),
            DataType::LargeBinary => Values::LargeBinary(of(a)),
            DataType::BinaryView => Values::BinaryView(of(a)),
            DataType::Struct(_) => Values::Struct(fields(&of(a))),
            DataType::List(_) => {
                let list = of::<ListArray>(a);
                Values::List(list.offsets().inner().clone(), Box::new(Cells::new(list.values())))
            }
            DataType::LargeList(_) => {
                let list = of::<LargeListArray>(a);
                Values::LargeList(list.offsets().inner().clone(), Box::new(Cells::new(list.values())))
            }
            DataType::Map(_, _) => {
                let map = of::<MapArray>(a);
                let (keys, values) = (Cells::new(map.keys()), Cells::new(map.values()));
                Values::Map(map.offsets().inner().clone(), Box::new(keys), Box::new(values))
            }
            _ => match cast(a, &DataType::Utf8) {
                Ok(text) => return Cells::new(&text),
                Err(_) => Values::Null,
            },
        };
        Cells { array: array.clone(), values }
    }

    /// Whether a type has a text form: all types that a pipeline can name have one.
    pub fn supports(data_type: &DataType) -> bool {
        match data_type {
            DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => {
                Cells::supports(field.data_type())
            }
            DataType::Struct(fields) => fields.iter().all(|field| Cells::supports(field.data_type())),
            DataType::Decimal128(_, scale) if *scale < 0 => false,
            DataType::Null | DataType::Boolean | DataType::Date32 | DataType::Decimal128(_, _) => true,
            DataType::Timestamp(_, _) | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => true,
            other => other.is_integer() || matches!(other, DataType::Float32 | DataType::Float64),
        }
    }

    /// Whether row `row` has no value.
    pub fn is_null(&self, row: usize) -> bool {
        matches!(self.values, Values::Null) || self.array.is_null(row)
    }

    /// The bytes of row `row`, if this is a column of text or bytes.
    pub fn bytes(&self, row: usize) -> Option<&[u8]> {
        match &self.values {
            Values::Utf8(values) => Some(values.value(row).as_bytes()),
            Values::LargeUtf8(values) => Some(values.value(row).as_bytes()),
            Values::Utf8View(values) => Some(values.value(row).as_bytes()),
            Values::Binary(values) => Some(values.value(row)),
            Values::LargeBinary(values) => Some(values.value(row)),
            Values::BinaryView(values) => Some(values.value(row)),
            _ => None,
        }
    }

    /// Whether this is a column of bytes.
    pub fn is_binary(&self) -> bool {
        matches!(self.values, Values::Binary(_) | Values::LargeBinary(_) | Values::BinaryView(_))
    }

    /// Appends the plain text of row `row`: strings and bytes as they are, numbers and nested values as in JSON, times
    /// in ISO 8601. Nothing for null. Every value has a text: NaN, Infinity and years of more than four digits too.
    pub fn write_text(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match &self.values {
            Values::Date(values) => write_date(i64::from(values[row]), out),
            Values::Timestamp(values, writer) => writer.write(values[row], out),
            Values::Float32(values) if !values[row].is_finite() => write_not_finite(f64::from(values[row]), out),
            Values::Float64(values) if !values[row].is_finite() => write_not_finite(values[row], out),
            _ => match self.bytes(row) {
                Some(bytes) => out.extend_from_slice(bytes),
                None => {
                    let start = out.len();
                    if let Err(NotJson(what)) = self.write_json(row, out) {
                        // A nested value that JSON has no word for: the word itself keeps keys apart.
                        out.truncate(start);
                        out.extend_from_slice(what.as_bytes());
                    }
                }
            },
        }
    }

    /// Appends row `row` as a JSON value; null where there is none. Bytes are base64, times RFC 3339 in UTC.
    ///
    /// # Errors
    /// If JSON has no word for the value; `out` then ends anywhere.
    pub fn write_json(&self, row: usize, out: &mut Vec<u8>) -> Result<(), NotJson> {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match &self.values {
            Values::Null => out.extend_from_slice(b"null"),
            Values::Boolean(values) => out.extend_from_slice(if values.value(row) { b"true" } else { b"false" }),
            Values::Int8(values) => write_integer(values[row], out),
            Values::Int16(values) => write_integer(values[row], out),
            Values::Int32(values) => write_integer(values[row], out),
            Values::Int64(values) => write_integer(values[row], out),
            Values::UInt8(values) => write_integer(values[row], out),
            Values::UInt16(values) => write_integer(values[row], out),
            Values::UInt32(values) => write_integer(values[row], out),
            Values::UInt64(values) => write_integer(values[row], out),
            Values::Float32(values) => {
                check_finite(f64::from(values[row]))?;
                out.extend_from_slice(zmij::Buffer::new().format_finite(values[row]).as_bytes());
            }
            Values::Float64(values) => {
                check_finite(values[row])?;
                out.extend_from_slice(zmij::Buffer::new().format_finite(values[row]).as_bytes());
            }
            Values::Decimal(values, scale) => write_decimal(values[row], *scale, out),
            Values::Date(values) => {
                check_year(i64::from(values[row]))?;
                out.push(b'"');
                write_date(i64::from(values[row]), out);
                out.push(b'"');
            }
            Values::Timestamp(values, writer) => return writer.write_json(values[row], out),
            Values::Utf8(values) => write_string(values.value(row), out),
            Values::LargeUtf8(values) => write_string(values.value(row), out),
            Values::Utf8View(values) => write_string(values.value(row), out),
            Values::Binary(values) => write_base64(values.value(row), out),
            Values::LargeBinary(values) => write_base64(values.value(row), out),
            Values::BinaryView(values) => write_base64(values.value(row), out),
            Values::Struct(fields) => return write_struct(fields, row, out),
            Values::List(offsets, items) => {
                return write_list(items, offsets[row] as usize..offsets[row + 1] as usize, out);
            }
            Values::LargeList(offsets, items) => {
                return write_list(items, offsets[row] as usize..offsets[row + 1] as usize, out);
            }
            Values::Map(offsets, keys, values) => {
                return write_map(keys, values, offsets[row] as usize..offsets[row + 1] as usize, out);
            }
        }
        Ok(())
    }
}

fn timestamps(array: &dyn Array, unit: TimeUnit) -> ScalarBuffer<i64> {
    use arrow::array::PrimitiveArray;
    match unit {
        TimeUnit::Second => of::<PrimitiveArray<TimestampSecondType>>(array).values().clone(),
        TimeUnit::Millisecond => of::<PrimitiveArray<TimestampMillisecondType>>(array).values().clone(),
        TimeUnit::Microsecond => of::<PrimitiveArray<TimestampMicrosecondType>>(array).values().clone(),
        TimeUnit::Nanosecond => of::<PrimitiveArray<TimestampNanosecondType>>(array).values().clone(),
    }
}

fn fields(array: &StructArray) -> Vec<(Vec<u8>, Cells)> {
    let mut fields = Vec::with_capacity(array.num_columns());
    for (index, (field, column)) in array.fields().iter().zip(array.columns()).enumerate() {
        fields.push((key_literal(index, field.name()), Cells::new(column)));
    }
    fields
}

/// What stands before the value of member `index` of a JSON object: `{"name":` or `,"name":`.
pub fn key_literal(index: usize, name: &str) -> Vec<u8> {
    let mut literal = vec![if index == 0 { b'{' } else { b',' }];
    write_string(name, &mut literal);
    literal.push(b':');
    literal
}

fn write_struct(fields: &[(Vec<u8>, Cells)], row: usize, out: &mut Vec<u8>) -> Result<(), NotJson> {
    if fields.is_empty() {
        out.push(b'{');
    }
    for (literal, cells) in fields {
        out.extend_from_slice(literal);
        cells.write_json(row, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_list(items: &Cells, rows: std::ops::Range<usize>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    out.push(b'[');
    let first = rows.start;
    for row in rows {
        if row > first {
            out.push(b',');
        }
        items.write_json(row, out)?;
    }
    out.push(b']');
    Ok(())
}

fn write_map(keys: &Cells, values: &Cells, rows: std::ops::Range<usize>, out: &mut Vec<u8>) -> Result<(), NotJson> {
    out.push(b'{');
    let first = rows.start;
    for row in rows {
        if row > first {
            out.push(b',');
        }
        match &keys.values {
            Values::Utf8(_) | Values::LargeUtf8(_) | Values::Utf8View(_) => keys.write_json(row, out)?,
            Values::Binary(_) | Values::LargeBinary(_) | Values::BinaryView(_) => keys.write_json(row, out)?,
            _ => {
                // Neither numbers nor times hold anything that a JSON string would have to escape.
                out.push(b'"');
                keys.write_text(row, out);
                out.push(b'"');
            }
        }
        out.push(b':');
        values.write_json(row, out)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn write_decimal(value: i128, scale: usize, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value.unsigned_abs()).as_bytes();
    let whole = digits.len().saturating_sub(scale);
    out.extend_from_slice(if whole == 0 { b"0" } else { &digits[..whole] });
    if scale > 0 {
        out.push(b'.');
        out.extend(std::iter::repeat_n(b'0', scale.saturating_sub(digits.len())));
        out.extend_from_slice(&digits[whole..]);
    }
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.push(b'"');
}

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Without an early exit this runs sixteen bytes at a time.
    let escapes = bytes.iter().fold(false, |any, &b| any | (b < 0x20) | (b == b'"') | (b == b'\\'));
    if escapes {
        write_escaped(bytes, out);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x00..=0x1f => {
                let low = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&low);
            }
            _ => out.push(byte),
        }
    }
}

fn write_not_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(not_finite(value).as_bytes());
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

fn check_finite(value: f64) -> Result<(), NotJson> {
    if value.is_finite() { Ok(()) } else { Err(NotJson(not_finite(value).to_owned())) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ListBuilder, StringBuilder, TimestampMillisecondArray};

    use super::*;

    fn text(array: ArrayRef, row: usize) -> String {
        let mut out = Vec::new();
        Cells::new(&array).write_text(row, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(array: ArrayRef, row: usize) -> Result<String, NotJson> {
        let mut out = Vec::new();
        Cells::new(&array).write_json(row, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_are_written_as_in_json() {
        assert_eq!(text(Arc::new(Int64Array::from(vec![i64::MIN])), 0), "-9223372036854775808");
        assert_eq!(text(Arc::new(Float64Array::from(vec![10.0])), 0), "10.0");
        assert_eq!(text(Arc::new(Float64Array::from(vec![0.1])), 0), "0.1");
        assert_eq!(text(Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), 0), "-Infinity");
        let decimals = Decimal128Array::from(vec![-5, 1234, 0]).with_precision_and_scale(10, 2).unwrap();
        let decimals: ArrayRef = Arc::new(decimals);
        assert_eq!(text(decimals.clone(), 0), "-0.05");
        assert_eq!(text(decimals.clone(), 1), "12.34");
        assert_eq!(text(decimals, 2), "0.00");
    }

    #[test]
    fn json_has_no_word_for_nan() {
        assert_eq!(json(Arc::new(Float64Array::from(vec![f64::NAN])), 0), Err(NotJson("NaN".to_owned())));
    }

    #[test]
    fn times_are_rfc_3339() {
        let cases = [
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ];
        for (value, expected) in cases {
            let array: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![value]).with_timezone("UTC"));
            assert_eq!(text(array.clone(), 0), expected);
            assert_eq!(json(array, 0).unwrap(), format!("\"{expected}\""));
        }
        let beyond: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![253_402_300_800_000]));
        assert_eq!(text(beyond.clone(), 0), "+10000-01-01T00:00:00.000Z");
        assert!(json(beyond, 0).is_err());
        let extreme: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![i64::MIN, i64::MAX]));
        assert_eq!(text(extreme.clone(), 0), "-292275055-05-16T16:47:04.192Z");
        assert_eq!(text(extreme, 1), "+292278994-08-17T07:12:55.807Z");
    }

    #[test]
    fn strings_are_escaped_and_bytes_are_base64() {
        let strings: ArrayRef = Arc::new(StringArray::from(vec!["a\"b\\c\n\u{1}é"]));
        assert_eq!(json(strings, 0).unwrap(), "\"a\\\"b\\\\c\\n\\u0001é\"");
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]));
        assert_eq!(json(bytes, 0).unwrap(), "\"AP8=\"");
    }

    #[test]
    fn lists_of_a_slice_keep_their_items() {
        let mut builder = ListBuilder::new(StringBuilder::new());
        builder.append_value([Some("a"), None]);
        builder.append_value([] as [Option<&str>; 0]);
        builder.append_value([Some("z")]);
        let list: ArrayRef = Arc::new(builder.finish());
        assert_eq!(json(list.clone(), 0).unwrap(), "[\"a\",null]");
        assert_eq!(json(list.slice(1, 2), 0).unwrap(), "[]");
        assert_eq!(json(list.slice(1, 2), 1).unwrap(), "[\"z\"]");
    }
}
