//! One value of a column into the bytes of a message.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Decimal128Type, DecimalType};
use millstream_engine::text::write_date;

use super::fields::Wire;
use super::program::Number;
use super::write::{FieldWrite, MessageWrite, sized};
use crate::cells::{Cells, Values};
use crate::fault::{Fallible, Fault, excerpt};
use crate::wire::{PIECE, put_piece, put_varint};

/// The seconds from 1970 of the first and the last second that a `google.protobuf.Timestamp` may be: years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// How to write one value that is not null.
#[derive(Debug)]
pub(super) enum Put {
    Number(Wire, Number),
    Enum(BTreeMap<String, i32>, Unnamed),
    EnumNumber,
    /// Text or bytes.
    Sized,
    /// A timestamp, by the parts of a second that the column counts.
    Time(i64),
    /// A message of one field, by that field's tag.
    Wrapped(Vec<u8>, Box<Put>),
    Message(MessageWrite),
    /// A date as text.
    Date,
    /// A decimal of so many digits, so many of them behind the point, as text.
    Decimal(u8, i8),
    /// A list or map in a message of its own, of which this is the only field.
    Items(Box<FieldWrite>),
}

/// What becomes of an enum's number in place of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unnamed {
    /// It is written: numbers without a name are read as their digits.
    Written,
    /// It would be lost on readers (proto2).
    Refused,
}

/// What becomes of a value that is the default of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Written,
    /// The field does not say whether it is there, so that it need not be.
    LeftOut,
}

impl Put {
    /// How a column of this type is written as such a number, if each of its values is one or says of itself that it is
    /// none.
    pub(super) fn number(wire: Wire, number: Number, data_type: &DataType) -> Option<Put> {
        let fits = match number {
            Number::Boolean => *data_type == DataType::Boolean,
            Number::Float => *data_type == DataType::Float32,
            Number::Double => matches!(data_type, DataType::Float32 | DataType::Float64 | DataType::Int32),
            _ => matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Decimal128(_, 0)),
        };
        fits.then_some(Put::Number(wire, number))
    }

    /// Writes the tag and the value of `row`.
    #[inline]
    pub(super) fn run(&self, tag: &[u8], zero: Zero, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        match (self, &cells.values) {
            (Put::Sized, Values::Sized(offsets, bytes)) => {
                let (start, end) = (offsets[row] as usize, offsets[row + 1] as usize);
                let len = end - start;
                if len > 0 || zero == Zero::Written {
                    put_tag(tag, out);
                    put_varint(len as u64, out);
                    match bytes[start..].first_chunk::<PIECE>() {
                        Some(piece) if len <= PIECE => put_piece(piece, len, out),
                        _ => out.extend_from_slice(&bytes[start..end]),
                    }
                }
            }
            (Put::Number(wire, number), values) => {
                let bits = number_bits(*number, values, row)?;
                if bits != 0 || zero == Zero::Written {
                    put_tag(tag, out);
                    put_bits(*wire, bits, out);
                }
            }
            (Put::Message(message), _) => {
                out.extend_from_slice(tag);
                sized(out, |out| message.run(cells, row, out))?;
            }
            _ => self.run_rare(tag, zero, cells, row, out)?,
        }
        Ok(())
    }

    fn run_rare(&self, tag: &[u8], zero: Zero, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        match (self, &cells.values) {
            (Put::Enum(..) | Put::EnumNumber, values) => {
                let number = self.symbol(values, row)?;
                if number != 0 || zero == Zero::Written {
                    out.extend_from_slice(tag);
                    put_varint(i64::from(number) as u64, out);
                }
            }
            (Put::Time(per_second), Values::Int64(values)) => {
                let (seconds, part) = (values[row].div_euclid(*per_second), values[row].rem_euclid(*per_second));
                if !SECONDS.contains(&seconds) {
                    return Err(Fault::value(format!(
                        "a time {seconds} seconds from 1970, beyond the years 1 to 9999"
                    )));
                }
                out.extend_from_slice(tag);
                sized(out, |out| {
                    time(seconds, part * (1_000_000_000 / per_second), out);
                    Ok(())
                })?;
            }
            (Put::Date, Values::Int32(values)) => {
                let mut text = Vec::with_capacity(10);
                write_date(i64::from(values[row]), &mut text);
                put_text(tag, &text, out);
            }
            (Put::Decimal(precision, scale), Values::Decimal(values)) => {
                put_text(tag, Decimal128Type::format_decimal(values[row], *precision, *scale).as_bytes(), out);
            }
            (Put::Items(field), _) => {
                out.extend_from_slice(tag);
                sized(out, |out| field.run(cells, row, out))?;
            }
            (Put::Wrapped(inner, put), _) => {
                out.extend_from_slice(tag);
                sized(out, |out| put.run(inner, Zero::LeftOut, cells, row, out))?;
            }
            _ => unreachable!("a writer is made for its columns"),
        }
        Ok(())
    }

    fn symbol(&self, values: &Values, row: usize) -> Fallible<i32> {
        match (self, values) {
            (Put::Enum(names, unnamed), Values::Sized(offsets, bytes)) => {
                let bytes = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                let text = std::str::from_utf8(bytes).expect("a column of strings");
                let number = || text.parse::<i32>().ok().filter(|_| *unnamed == Unnamed::Written);
                names
                    .get(text)
                    .copied()
                    .or_else(number)
                    .ok_or_else(|| Fault::value(format!("\"{}\" is not a name of the schema's enum", excerpt(text))))
            }
            (_, Values::Int32(values)) => Ok(values[row]),
            _ => unreachable!("a writer is made for its columns"),
        }
    }
}

/// Writes a tag, which is one byte nearly always.
#[inline]
fn put_tag(tag: &[u8], out: &mut Vec<u8>) {
    match tag {
        [one] => out.push(*one),
        tag => out.extend_from_slice(tag),
    }
}

/// Seconds and nanoseconds; what is zero is left out.
fn time(seconds: i64, nanos: i64, out: &mut Vec<u8>) {
    for (tag, number) in [(0x08, seconds), (0x10, nanos)] {
        if number != 0 {
            out.push(tag);
            put_varint(number as u64, out);
        }
    }
}

/// The bits of a number in a column, as [`put_bits`] writes them.
#[inline]
fn number_bits(number: Number, values: &Values, row: usize) -> Fallible<u64> {
    let beyond = |value: i128| Fault::value(format!("{value} is beyond the schema's type"));
    Ok(match (values, number) {
        (Values::Int64(values), Number::Int64) => values[row] as u64,
        (Values::Int64(values), number) => {
            let value = i128::from(values[row]);
            bits(number, value).ok_or_else(|| beyond(value))?
        }
        (Values::Float64(values), _) => values[row].to_bits(),
        (Values::Float32(values), Number::Float) => u64::from(values[row].to_bits()),
        (Values::Float32(values), _) => f64::from(values[row]).to_bits(),
        (Values::Int32(values), Number::Double) => f64::from(values[row]).to_bits(),
        (Values::Int32(values), number) => {
            let value = i128::from(values[row]);
            bits(number, value).ok_or_else(|| beyond(value))?
        }
        (Values::Boolean(values), _) => u64::from(values.value(row)),
        (Values::Decimal(values), number) => bits(number, values[row]).ok_or_else(|| beyond(values[row]))?,
        _ => unreachable!("a writer is made for its columns"),
    })
}

fn put_text(tag: &[u8], text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(tag);
    put_varint(text.len() as u64, out);
    out.extend_from_slice(text);
}

/// The bits of a whole number of this type, if it is one.
pub(super) fn bits(number: Number, value: i128) -> Option<u64> {
    Some(match number {
        Number::Int32 => i64::from(i32::try_from(value).ok()?) as u64,
        Number::Uint32 => u64::from(u32::try_from(value).ok()?),
        Number::Sint32 => {
            let value = i32::try_from(value).ok()?;
            u64::from(((value << 1) ^ (value >> 31)) as u32)
        }
        Number::Int64 => i64::try_from(value).ok()? as u64,
        Number::Uint64 => u64::try_from(value).ok()?,
        Number::Sint64 => {
            let value = i64::try_from(value).ok()?;
            ((value << 1) ^ (value >> 63)) as u64
        }
        Number::Boolean | Number::Float | Number::Double => return None,
    })
}

#[inline]
pub(super) fn put_bits(wire: Wire, bits: u64, out: &mut Vec<u8>) {
    match wire {
        Wire::Varint => put_varint(bits, out),
        Wire::Fixed64 => out.extend_from_slice(&bits.to_le_bytes()),
        Wire::Fixed32 => out.extend_from_slice(&(bits as u32).to_le_bytes()),
        Wire::Sized => unreachable!("bytes are no number"),
    }
}
