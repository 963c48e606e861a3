//! From columns and a message type to what writes a message, compiled once. Fields are written in the order of their
//! numbers. Writing never rounds, never cuts off, and never lets a null pass for a default.

use arrow::datatypes::{DataType, Field, FieldRef};
use millstream_engine::text::per_second;
use millstream_engine::types::sql_name;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Syntax};

use super::compile::number;
use super::fields::{Wire, code};
use super::put::{Put, Unnamed, Zero};
use super::schema::{WellKnown, items_of};
use crate::cells::{Cells, Values, normal};
use crate::fault::{Fallible, Fault};
use crate::wire::put_varint;

/// How to write one message.
#[derive(Debug)]
pub(super) struct MessageWrite {
    fields: Vec<FieldWrite>,
    /// The columns of each oneof, with its name.
    oneofs: Vec<(String, Vec<usize>)>,
}

/// How to write one field of a message.
#[derive(Debug)]
pub(super) struct FieldWrite {
    column: usize,
    name: String,
    tag: Vec<u8>,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// A value; null is left out.
    Present(Put),
    /// A value of a field that does not say whether it is there: its default is left out, null is refused.
    Plain(Put),
    /// A value that the message is broken without.
    Required(Put),
    /// Numbers behind each other.
    Packed(Put),
    /// Items with a tag each.
    Each(Put),
    Map(Box<Entries>),
}

#[derive(Debug)]
struct Entries {
    key: Key,
    value: Put,
    value_tag: Vec<u8>,
}

/// A map's key, which is text in the column.
#[derive(Debug)]
enum Key {
    Text,
    Boolean,
    Number(Wire, super::program::Number),
}

/// How to write rows of `columns` as messages of this type.
pub(super) fn message(message: &MessageDescriptor, columns: &[FieldRef]) -> Fallible<MessageWrite> {
    let mut numbered = Vec::with_capacity(columns.len());
    let mut oneofs: Vec<(String, Vec<usize>)> = Vec::new();
    for (column, own) in columns.iter().enumerate() {
        let Some(field) = message.get_field_by_name(own.name()) else {
            let text = format!("message {} of the schema has no such field", message.full_name());
            return Err(Fault::value(text).in_member(own.name()));
        };
        let (shape, wire) = shape(&field, own).map_err(|fault| fault.in_member(own.name()))?;
        if let Some(oneof) = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()) {
            match oneofs.iter_mut().find(|(name, _)| name == oneof.name()) {
                Some((_, members)) => members.push(column),
                None => oneofs.push((oneof.name().to_owned(), vec![column])),
            }
        }
        let tag = tag(field.number(), wire);
        numbered.push((field.number(), FieldWrite { column, name: own.name().clone(), tag, shape }));
    }
    let is_written = |field: &FieldDescriptor| columns.iter().any(|column| column.name() == field.name());
    let missing = message.fields().find(|field| field.cardinality() == Cardinality::Required && !is_written(field));
    if let Some(field) = missing {
        let text = "the schema requires this field, and there is no such column";
        return Err(Fault::value(text).in_member(field.name()));
    }
    numbered.sort_by_key(|(number, _)| *number);
    oneofs.retain(|(_, members)| members.len() > 1);
    Ok(MessageWrite { fields: numbered.into_iter().map(|(_, field)| field).collect(), oneofs })
}

fn shape(field: &FieldDescriptor, column: &FieldRef) -> Fallible<(Shape, Wire)> {
    if field.is_group() {
        return Err(Fault::value("a group cannot be written"));
    }
    let unfit = || unfit(field, column.data_type());
    if field.is_map() {
        return entries(field, column).map(|entries| (Shape::Map(Box::new(entries)), Wire::Sized));
    }
    if field.is_list() {
        let DataType::List(item) = column.data_type() else { return Err(unfit()) };
        let (put, wire) = put(&field.kind(), item.data_type())?.ok_or_else(unfit)?;
        // The option is asked for itself: the descriptor goes by the syntax alone.
        let option = field.field_descriptor_proto().options.as_ref().and_then(|options| options.packed);
        return Ok(match option.unwrap_or_else(|| field.is_packed()) {
            true => (Shape::Packed(put), Wire::Sized),
            false => (Shape::Each(put), wire),
        });
    }
    let (put, wire) = put(&field.kind(), column.data_type())?.ok_or_else(unfit)?;
    Ok(match (field.cardinality(), field.supports_presence()) {
        (Cardinality::Required, _) => (Shape::Required(put), wire),
        (_, true) => (Shape::Present(put), wire),
        (_, false) => (Shape::Plain(put), wire),
    })
}

fn entries(field: &FieldDescriptor, column: &FieldRef) -> Fallible<Entries> {
    let unfit = || unfit(field, column.data_type());
    let (Kind::Message(entry), DataType::Map(entries, _)) = (field.kind(), column.data_type()) else {
        return Err(unfit());
    };
    let DataType::Struct(parts) = entries.data_type() else { return Err(unfit()) };
    if parts.len() != 2 || *parts[0].data_type() != DataType::Utf8 {
        return Err(unfit());
    }
    let key = match entry.map_entry_key_field().kind() {
        Kind::String => Key::Text,
        Kind::Bool => Key::Boolean,
        kind => {
            let (wire, number) = number(&kind).ok_or_else(unfit)?;
            Key::Number(wire, number)
        }
    };
    let (value, wire) = put(&entry.map_entry_value_field().kind(), parts[1].data_type())?.ok_or_else(unfit)?;
    Ok(Entries { key, value, value_tag: tag(2, wire) })
}

/// How a value of this type is written and stands in a message; `None` if it cannot be.
fn put(kind: &Kind, data_type: &DataType) -> Fallible<Option<(Put, Wire)>> {
    let data_type = &normal(data_type).unwrap_or_else(|| data_type.clone());
    if let Some((wire, number)) = number(kind) {
        return Ok(Put::number(wire, number, data_type).map(|put| (put, wire)));
    }
    Ok(Some(match (kind, data_type) {
        (Kind::String, DataType::Utf8) | (Kind::Bytes, DataType::Binary | DataType::Utf8) => (Put::Sized, Wire::Sized),
        (Kind::String, DataType::Date32) => (Put::Date, Wire::Sized),
        (Kind::String, DataType::Decimal128(precision, scale)) => (Put::Decimal(*precision, *scale), Wire::Sized),
        (Kind::Enum(names), DataType::Utf8) => {
            let all = names.values().map(|value| (value.name().to_owned(), value.number())).collect();
            let unnamed = if is_closed(names) { Unnamed::Refused } else { Unnamed::Written };
            (Put::Enum(all, unnamed), Wire::Varint)
        }
        (Kind::Enum(names), DataType::Int32) if !is_closed(names) => (Put::EnumNumber, Wire::Varint),
        (Kind::Message(inner), data_type) => {
            let put = match (WellKnown::of(inner), data_type) {
                (Some(WellKnown::Timestamp), DataType::Timestamp(unit, _)) => Put::Time(per_second(*unit)),
                (Some(WellKnown::Wrapper(wrapped)), data_type) => match put(&wrapped.kind(), data_type)? {
                    Some((put, wire)) => Put::Wrapped(tag(1, wire), Box::new(put)),
                    None => return Ok(None),
                },
                (Some(WellKnown::Timestamp | WellKnown::Json(_)), _) => return Ok(None),
                (None, DataType::List(_) | DataType::Map(_, _)) => match items_of(inner) {
                    Some(field) => Put::Items(Box::new(items(&field, data_type)?)),
                    None => return Ok(None),
                },
                (None, DataType::Struct(fields)) => Put::Message(message(inner, fields)?),
                _ => return Ok(None),
            };
            (put, Wire::Sized)
        }
        _ => return Ok(None),
    }))
}

/// How the only field of a message that stands for a list or map is written.
fn items(field: &FieldDescriptor, data_type: &DataType) -> Fallible<FieldWrite> {
    let column = FieldRef::new(Field::new(field.name(), data_type.clone(), false));
    let (shape, wire) = shape(field, &column)?;
    Ok(FieldWrite { column: 0, name: field.name().to_owned(), tag: tag(field.number(), wire), shape })
}

/// Whether readers take a number that the enum does not have for no value at all.
fn is_closed(names: &EnumDescriptor) -> bool {
    names.parent_file().syntax() == Syntax::Proto2
}

fn tag(number: u32, wire: Wire) -> Vec<u8> {
    let mut tag = Vec::with_capacity(5);
    put_varint(u64::from(number) << 3 | u64::from(code(wire)), &mut tag);
    tag
}

fn unfit(field: &FieldDescriptor, data_type: &DataType) -> Box<Fault> {
    let to = super::compile::describe(field);
    let way_out = match data_type {
        DataType::Decimal128(_, _) | DataType::Date32 => "; cast it to string",
        _ => "",
    };
    Fault::value(format!("{} cannot be written as {to}{way_out}", sql_name(data_type)))
}

impl MessageWrite {
    /// Writes the message of `row`. After a fault `out` ends somewhere within it.
    #[inline]
    pub(super) fn run(&self, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        let Values::Struct(columns) = &cells.values else { unreachable!("a message is made of columns") };
        for (name, members) in &self.oneofs {
            if members.iter().filter(|&&column| !columns[column].is_null(row)).count() > 1 {
                return Err(Fault::value("more than one member of the oneof has a value").in_member(name));
            }
        }
        for field in &self.fields {
            if let Err(fault) = field.run(&columns[field.column], row, out) {
                return Err(fault.in_member(&field.name));
            }
        }
        Ok(())
    }
}

impl FieldWrite {
    #[inline]
    pub(super) fn run(&self, cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        let (put, zero) = match &self.shape {
            Shape::Present(_) if cells.is_null(row) => return Ok(()),
            Shape::Plain(_) | Shape::Required(_) if cells.is_null(row) => {
                return Err(Fault::value("null, where the schema has no place for it"));
            }
            Shape::Packed(_) | Shape::Each(_) | Shape::Map(_) if cells.is_null(row) => {
                return Err(Fault::value("null, where Protobuf knows only empty; make it empty with coalesce"));
            }
            Shape::Present(put) | Shape::Required(put) => (put, Zero::Written),
            Shape::Plain(put) => (put, Zero::LeftOut),
            Shape::Packed(put) => return packed(put, &self.tag, cells, row, out),
            Shape::Each(put) => return each(put, &self.tag, cells, row, out),
            Shape::Map(entries) => return entries.run(&self.tag, cells, row, out),
        };
        put.run(&self.tag, zero, cells, row, out)
    }
}

fn packed(put: &Put, tag: &[u8], cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
    let Values::List(offsets, items) = &cells.values else { unreachable!("made for its column") };
    let (start, end) = (offsets[row], offsets[row + 1]);
    if start == end {
        return Ok(());
    }
    out.extend_from_slice(tag);
    sized(out, |out| (start..end).try_for_each(|index| put_item(put, &[], items, (start, index), out)))
}

fn each(put: &Put, tag: &[u8], cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
    let Values::List(offsets, items) = &cells.values else { unreachable!("made for its column") };
    let (start, end) = (offsets[row], offsets[row + 1]);
    (start..end).try_for_each(|index| put_item(put, tag, items, (start, index), out))
}

/// Writes the item at `index` of a list that begins at `start`.
fn put_item(put: &Put, tag: &[u8], items: &Cells, (start, index): (i32, i32), out: &mut Vec<u8>) -> Fallible<()> {
    let item = match items.is_null(index as usize) {
        true => Err(Fault::value("null, where the schema has no place for it")),
        false => put.run(tag, Zero::Written, items, index as usize, out),
    };
    item.map_err(|fault| fault.in_item((index - start) as usize))
}

/// Writes bytes behind their length, which is known only when they are there.
pub(super) fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Fallible<()>) -> Fallible<()> {
    let start = out.len();
    write(out)?;
    let end = out.len();
    put_varint((end - start) as u64, out);
    let len = out.len() - end;
    out[start..].rotate_right(len);
    Ok(())
}

impl Entries {
    /// Writes an entry for each key, in the map's order. Key and value are always there.
    fn run(&self, tag: &[u8], cells: &Cells, row: usize, out: &mut Vec<u8>) -> Fallible<()> {
        let Values::Map(offsets, entries) = &cells.values else { unreachable!("made for its column") };
        let [keys, values] = entries.as_ref();
        for index in offsets[row] as usize..offsets[row + 1] as usize {
            let Values::Sized(ends, bytes) = &keys.values else { unreachable!("maps have string keys") };
            let key = &bytes[ends[index] as usize..ends[index + 1] as usize];
            out.extend_from_slice(tag);
            let written = sized(out, |out| {
                self.key.run(key, out)?;
                match values.is_null(index) {
                    true => Err(Fault::value("null, where the schema has no place for it")),
                    false => self.value.run(&self.value_tag, Zero::Written, values, index, out),
                }
            });
            written.map_err(|fault| fault.in_member(&crate::fault::excerpt(&String::from_utf8_lossy(key))))?;
        }
        Ok(())
    }
}

impl Key {
    fn run(&self, key: &[u8], out: &mut Vec<u8>) -> Fallible<()> {
        let wire = match self {
            Key::Text => Wire::Sized,
            Key::Boolean => Wire::Varint,
            Key::Number(wire, _) => *wire,
        };
        put_varint(8 | u64::from(code(wire)), out);
        let text = || String::from_utf8_lossy(key);
        match self {
            Key::Text => {
                put_varint(key.len() as u64, out);
                out.extend_from_slice(key);
            }
            Key::Boolean => match key {
                b"true" => out.push(1),
                b"false" => out.push(0),
                _ => return Err(Fault::value("a key that is neither true nor false")),
            },
            Key::Number(wire, number) => {
                let value = text().parse::<i128>().ok().and_then(|value| super::put::bits(*number, value));
                let bits = value.ok_or_else(|| Fault::value("a key that is no number of the schema's type"))?;
                super::put::put_bits(*wire, bits, out);
            }
        }
        Ok(())
    }
}
