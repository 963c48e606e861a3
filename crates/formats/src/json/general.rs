//! The general path: any JSON document to columns of any type. What it accepts is what JSON decoding accepts.
//!
//! Rules: names are case-sensitive; a name that is missing or null is null; a name that stands twice in one object is a
//! fault; a number for an integer column may be spelled `1.0` or `1e3` if its value is whole; decimals come as numbers
//! or strings; bytes are base64 strings; dates are `YYYY-MM-DD`; timestamps are ISO 8601 strings or whole
//! numbers of the column's own unit since 1970. A document whose items become far larger in columns than it is itself is a fault.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::reader::{Kind, Reader};
use crate::column::{Bytes, Column, Values};
use crate::fault::{Fallible, Fault};
use crate::members::Members;
use crate::wire::Room;
use crate::{number, temporal};

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What reading a document needs beside it.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The last string that had escapes.
    pub(crate) text: String,
    /// What the document may still grow to in columns: items may leave out, or be null for, hundreds of members.
    pub(crate) room: Room,
}

/// Reads one document into the next row. On a fault the columns hold half a row, which the caller takes back.
pub(crate) fn read_document(text: &str, members: &mut Members, scratch: &mut Scratch) -> Fallible<()> {
    scratch.room.refill();
    let mut reader = Reader::new(text, 0, 0);
    match reader.peek()? {
        Kind::Object => read_members(&mut reader, members, scratch)?,
        other => return Err(Fault::syntax(format!("expected an object, found {}", reader.describe(other)))),
    }
    reader.end()
}

/// Reads the object that comes next into the next row of `members`.
fn read_members(reader: &mut Reader<'_>, members: &mut Members, scratch: &mut Scratch) -> Fallible<()> {
    reader.open()?;
    let mut index = 0;
    let mut next = 0;
    while let Some(name) = reader.member(index, &mut scratch.text)? {
        index += 1;
        let Some(place) = members.find(name, next) else {
            reader.skip(&mut scratch.text)?;
            continue;
        };
        next = place + 1;
        if members.has(place) {
            return Err(Members::repeated(name));
        }
        let column = &mut members.columns[place];
        read_value(reader, column, scratch).map_err(|fault| fault.in_member(column.field.name()))?;
    }
    members.end_row()
}

/// Reads the value that comes next into the next row of `column`.
pub(crate) fn read_value(reader: &mut Reader<'_>, column: &mut Column, scratch: &mut Scratch) -> Fallible<()> {
    let kind = reader.peek()?;
    if kind == Kind::Null {
        reader.word(kind)?;
        return column.push_missing("null");
    }
    let before = *reader;
    if read_typed(reader, kind, &mut column.values, scratch)? {
        column.appended();
        return Ok(());
    }
    Err(column.mismatch(&before.describe(kind)))
}

/// Reads a value that is not null; false where it is not of the type.
fn read_typed(reader: &mut Reader<'_>, kind: Kind, values: &mut Values, scratch: &mut Scratch) -> Fallible<bool> {
    match (values, kind) {
        (Values::Boolean(values), Kind::True | Kind::False) => {
            reader.word(kind)?;
            values.push(kind == Kind::True);
            Ok(true)
        }
        (Values::Int32(values), Kind::Number) => {
            Ok(push(values, number::integer(reader.number()?).and_then(|value| i32::try_from(value).ok())))
        }
        (Values::Int64(values), Kind::Number) => Ok(push(values, number::integer(reader.number()?))),
        (Values::Float32(values), Kind::Number) => Ok(push(values, number::float(reader.number()?))),
        (Values::Float64(values), Kind::Number) => Ok(push(values, number::double(reader.number()?))),
        (Values::Decimal(values, precision, scale), Kind::Number) => {
            Ok(push(values, number::decimal(reader.number()?, *precision, *scale)))
        }
        (Values::Decimal(values, precision, scale), Kind::String) => {
            Ok(push(values, number::decimal(reader.string(&mut scratch.text)?, *precision, *scale)))
        }
        (Values::Date(values), Kind::String) => Ok(push(values, temporal::date(reader.string(&mut scratch.text)?))),
        (Values::Timestamp(values, unit), Kind::String) => {
            Ok(push(values, temporal::timestamp(reader.string(&mut scratch.text)?, *unit)))
        }
        (Values::Timestamp(values, _), Kind::Number) => Ok(push(values, number::integer(reader.number()?))),
        (Values::Utf8(values), Kind::String) => {
            values.push(reader.string(&mut scratch.text)?.as_bytes());
            Ok(true)
        }
        (Values::Binary(values), Kind::String) => Ok(push_base64(values, reader.string(&mut scratch.text)?)),
        (Values::Struct(members), Kind::Object) => read_members(reader, members, scratch).map(|()| true),
        (Values::List(offsets, items), Kind::Array) => {
            read_items(reader, items, scratch)?;
            offsets.push(items.len() as i32);
            Ok(true)
        }
        (Values::Map(offsets, keys, values), Kind::Object) => {
            read_entries(reader, keys, values, scratch, last(offsets))?;
            offsets.push(keys.len() as i32);
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn push<T>(values: &mut Vec<T>, value: Option<T>) -> bool {
    match value {
        Some(value) => {
            values.push(value);
            true
        }
        None => false,
    }
}

/// Appends the bytes that `text` stands for; false if it is not base64.
pub(crate) fn push_base64(values: &mut Bytes, text: &str) -> bool {
    let start = values.bytes.len();
    match BASE64.decode_vec(text, &mut values.bytes) {
        Ok(()) => {
            values.end();
            true
        }
        Err(_) => {
            values.bytes.truncate(start);
            false
        }
    }
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().copied().unwrap_or(0) as usize
}

fn read_items(reader: &mut Reader<'_>, items: &mut Column, scratch: &mut Scratch) -> Fallible<()> {
    reader.open()?;
    let mut index = 0;
    while reader.item(index)? {
        scratch.room.spend(items.cost)?;
        read_value(reader, items, scratch).map_err(|fault| fault.in_item(index))?;
        index += 1;
    }
    Ok(())
}

fn read_entries(
    reader: &mut Reader<'_>,
    keys: &mut Column,
    values: &mut Column,
    scratch: &mut Scratch,
    first: usize,
) -> Fallible<()> {
    reader.open()?;
    let mut index = 0;
    while let Some(name) = reader.member(index, &mut scratch.text)? {
        index += 1;
        // The offset of the key, too.
        scratch.room.spend(values.cost + 4)?;
        let Values::Utf8(texts) = &mut keys.values else { unreachable!("maps have string keys") };
        texts.push(name.as_bytes());
        keys.appended();
        if let Err(fault) = read_value(reader, values, scratch) {
            let Values::Utf8(texts) = &keys.values else { unreachable!("maps have string keys") };
            return Err(fault.in_member(&String::from_utf8_lossy(texts.last())));
        }
    }
    let Values::Utf8(texts) = &keys.values else { unreachable!("maps have string keys") };
    match texts.repeated_from(first) {
        Some(name) if index > 1 => Err(Members::repeated(&String::from_utf8_lossy(name))),
        _ => Ok(()),
    }
}
