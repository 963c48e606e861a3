//! The fields of a message as they stand in its bytes: tags, numbers, lengths, and what is passed over.

use crate::fault::{Fallible, Fault};
use crate::wire::Input;

/// How deep groups may be nested in what is passed over.
const DEPTH: usize = 100;

/// How a field stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Varint,
    Fixed64,
    Sized,
    Fixed32,
}

/// The wire type in a tag.
pub(super) fn code(wire: Wire) -> u8 {
    match wire {
        Wire::Varint => 0,
        Wire::Fixed64 => 1,
        Wire::Sized => 2,
        Wire::Fixed32 => 5,
    }
}

/// The number of the next field and how it stands there.
#[inline]
pub(super) fn tag(input: &mut Input<'_>) -> Fallible<(u32, u8)> {
    let tag = input.varint()?;
    match u32::try_from(tag >> 3) {
        Ok(number) if number > 0 && number < 1 << 29 => Ok((number, (tag & 7) as u8)),
        _ => Err(Fault::value(format!("field {} at byte {}", tag >> 3, input.at()))),
    }
}

#[inline]
pub(super) fn number(wire: Wire, input: &mut Input<'_>) -> Fallible<u64> {
    match wire {
        Wire::Varint => input.varint(),
        Wire::Fixed64 => input.array().map(u64::from_le_bytes),
        Wire::Fixed32 => input.array().map(|bytes| u64::from(u32::from_le_bytes(bytes))),
        Wire::Sized => unreachable!("bytes are no number"),
    }
}

#[inline]
pub(super) fn sized<'a>(input: &mut Input<'a>) -> Fallible<&'a [u8]> {
    let len = input.varint()?;
    input.take(usize::try_from(len).unwrap_or(usize::MAX))
}

/// Passes over the value of a field.
#[inline]
pub(super) fn skip(input: &mut Input<'_>, field: u32, wire: u8, depth: usize) -> Fallible<()> {
    match wire {
        0 => input.skip_varint(),
        1 => input.take(8).map(|_| ()),
        2 => sized(input).map(|_| ()),
        5 => input.take(4).map(|_| ()),
        3 => skip_group(input, field, depth),
        _ => Err(Fault::value(format!("field {field} of wire type {wire} at byte {}", input.at()))),
    }
}

fn skip_group(input: &mut Input<'_>, group: u32, depth: usize) -> Fallible<()> {
    if depth == DEPTH {
        return Err(Fault::value(format!("groups nested more than {DEPTH} deep at byte {}", input.at())));
    }
    loop {
        match tag(input)? {
            (field, 4) if field == group => return Ok(()),
            (field, wire) => skip(input, field, wire, depth + 1)?,
        }
    }
}
