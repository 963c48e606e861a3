//! `google.protobuf.Struct`, `Value` and `ListValue` as JSON text, the members of objects in the order of their names.

use std::collections::BTreeMap;

use super::fields::{sized, skip, tag};
use super::schema::JsonKind;
use crate::fault::{Fallible, Fault};
use crate::wire::Input;

const DEPTH: usize = 100;

/// Writes the message as JSON.
pub(super) fn write(kind: JsonKind, bytes: &[u8], out: &mut Vec<u8>) -> Fallible<()> {
    write_within(kind, bytes, out, 0)
}

fn write_within(kind: JsonKind, bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Fallible<()> {
    if depth > DEPTH {
        return Err(Fault::value(format!("JSON nested more than {DEPTH} deep")));
    }
    match kind {
        JsonKind::Struct => object(bytes, out, depth),
        JsonKind::List => {
            out.push(b'[');
            let mut is_first = true;
            each(bytes, 1, |item| {
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                write_within(JsonKind::Value, item, out, depth + 1)
            })?;
            out.push(b']');
            Ok(())
        }
        JsonKind::Value => value(bytes, out, depth),
    }
}

fn object(bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Fallible<()> {
    let mut members = BTreeMap::new();
    each(bytes, 1, |entry| {
        let (mut name, mut value) = (&b""[..], &b""[..]);
        each(entry, 1, |bytes| {
            name = bytes;
            Ok(())
        })?;
        each(entry, 2, |bytes| {
            value = bytes;
            Ok(())
        })?;
        members.insert(name, value);
        Ok(())
    })?;
    out.push(b'{');
    for (index, (name, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        text(name, out)?;
        out.push(b':');
        write_within(JsonKind::Value, value, out, depth + 1)?;
    }
    out.push(b'}');
    Ok(())
}

/// A value; of several the last counts, and of none it is null.
fn value(bytes: &[u8], out: &mut Vec<u8>, depth: usize) -> Fallible<()> {
    let start = out.len();
    let mut input = Input::new(bytes, usize::MAX);
    while !input.is_empty() {
        let (field, wire) = tag(&mut input)?;
        match (field, wire) {
            (1..=6, _) => out.truncate(start),
            _ => {
                skip(&mut input, field, wire, 0)?;
                continue;
            }
        }
        match (field, wire) {
            (1, 0) => {
                input.skip_varint()?;
                out.extend_from_slice(b"null");
            }
            (2, 1) => {
                let number = f64::from_le_bytes(input.array()?);
                if !number.is_finite() {
                    return Err(Fault::value(format!("{number} has no form in JSON")));
                }
                out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
            }
            (3, 2) => text(sized(&mut input)?, out)?,
            (4, 0) => out.extend_from_slice(if input.varint()? == 0 { b"false" } else { b"true" }),
            (5, 2) => write_within(JsonKind::Struct, sized(&mut input)?, out, depth + 1)?,
            (6, 2) => write_within(JsonKind::List, sized(&mut input)?, out, depth + 1)?,
            (field, wire) => skip(&mut input, field, wire, 0)?,
        }
    }
    if out.len() == start {
        out.extend_from_slice(b"null");
    }
    Ok(())
}

fn text(bytes: &[u8], out: &mut Vec<u8>) -> Fallible<()> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::value("a text that is not UTF-8"))?;
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    out.extend_from_slice(quoted.as_bytes());
    Ok(())
}

/// Calls `with` for each value of field `number` that is made of bytes.
fn each<'a>(bytes: &'a [u8], number: u32, mut with: impl FnMut(&'a [u8]) -> Fallible<()>) -> Fallible<()> {
    let mut input = Input::new(bytes, usize::MAX);
    while !input.is_empty() {
        match tag(&mut input)? {
            (field, 2) if field == number => with(sized(&mut input)?)?,
            (field, wire) => skip(&mut input, field, wire, 0)?,
        }
    }
    Ok(())
}
