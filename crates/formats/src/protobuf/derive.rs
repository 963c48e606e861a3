//! The schema of a sink's messages, made from its columns and from the version before. The same columns and the same
//! version give the same text.

use std::collections::BTreeSet;
use std::fmt::Write;

use arrow::datatypes::{DataType, Field, Fields};
use millstream_engine::types::sql_name;
use prost_reflect::{Kind, MessageDescriptor};

use super::schema::{ITEMS, ProtobufMessage, ProtobufSchema};
use crate::error::FormatError;

/// Field numbers that Protobuf keeps for itself.
const RESERVED: std::ops::RangeInclusive<u32> = 19_000..=19_999;
const LAST_NUMBER: u32 = (1 << 29) - 1;

impl ProtobufSchema {
    /// The schema (proto3) of messages named `name` (with its package in front, `shop.orders.Order`) that have a field
    /// for each column. A column that may be null is `optional`, a timestamp a `google.protobuf.Timestamp`, a date or a
    /// decimal its text (`2026-01-31`, `12.50`). Protobuf repeats no lists and maps: those within others stand in a message
    /// whose only field is `items`.
    ///
    /// Fields are numbered in the order of the columns. Given the message of the `previous` version, fields keep the
    /// numbers that they had there, new ones get numbers above all that it uses, and those of columns that are gone are
    /// reserved: else the order of columns would decide what old messages mean. Versions before the previous one count as far
    /// as it has reserved what they used, as those that are made here do.
    ///
    /// # Errors
    /// If a name is none in Protobuf (a letter or `_`, then letters, digits and `_`), or a column's type has no form
    /// there.
    pub fn of_columns(
        name: &str,
        columns: &Fields,
        previous: Option<&ProtobufMessage>,
    ) -> Result<ProtobufSchema, FormatError> {
        if let Some(part) = name.split('.').find(|part| !is_name(part)) {
            return Err(FormatError::Schema(format!("\"{part}\" of {name} is not a name in Protobuf")));
        }
        let (package, name) = name.rsplit_once('.').map_or((None, name), |(package, name)| (Some(package), name));
        let mut body = String::new();
        message(name, columns, previous.map(|message| &message.descriptor), 0, &mut body)?;
        let mut text = String::from("syntax = \"proto3\";\n");
        if let Some(package) = package {
            text.push_str(&format!("package {package};\n"));
        }
        if body.contains(TIMESTAMP) {
            text.push_str("\nimport \"google/protobuf/timestamp.proto\";\n");
        }
        text.push('\n');
        text.push_str(&body);
        ProtobufSchema::compile(&text, &[])
    }
}

const TIMESTAMP: &str = ".google.protobuf.Timestamp";

fn message(
    name: &str,
    columns: &Fields,
    previous: Option<&MessageDescriptor>,
    depth: usize,
    out: &mut String,
) -> Result<(), FormatError> {
    let indent = "  ".repeat(depth);
    out.push_str(&format!("{indent}message {name} {{\n"));
    let numbers = Numbers::new(columns, previous);
    numbers.write_reserved(&indent, out);
    let mut taken = columns.iter().map(|column| column.name().clone()).collect::<BTreeSet<_>>();
    for (column, number) in columns.iter().zip(&numbers.of_columns) {
        let name = column.name();
        if !is_name(name) {
            let message = "is not a name in Protobuf: a letter or `_`, then letters, digits and `_`; rename it";
            return Err(FormatError::Column { column: name.clone(), message: message.to_owned() });
        }
        if *number > LAST_NUMBER {
            return Err(FormatError::Column {
                column: name.clone(),
                message: "there is no field number left".to_owned(),
            });
        }
        let (label, kind, nested) = match column.data_type() {
            DataType::List(item) => ("repeated ", kind(column, item)?, Some(item.data_type())),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(parts) if parts.len() == 2 && *parts[0].data_type() == DataType::Utf8 => {
                    ("", kind(column, &parts[1])?, Some(parts[1].data_type()))
                }
                other => return Err(unwritable(column, other)),
            },
            own @ DataType::Struct(_) => ("", String::new(), Some(own)),
            _ => (if column.is_nullable() { "optional " } else { "" }, kind(column, column)?, None),
        };
        let kind = match nested.and_then(fields_within) {
            Some(fields) => {
                let known = previous.and_then(|previous| nested_before(previous, name));
                let nested = type_name(name, known.as_ref(), &mut taken);
                message_of(column, message(&nested, &fields, known.as_ref(), depth + 1, out))?;
                nested
            }
            _ => kind,
        };
        let kind =
            if matches!(column.data_type(), DataType::Map(_, _)) { format!("map<string, {kind}>") } else { kind };
        let _infallible = writeln!(out, "{indent}  {label}{kind} {name} = {number};");
    }
    out.push_str(&format!("{indent}}}\n"));
    Ok(())
}

/// The fields of the message that a value within another stands in, if it does.
fn fields_within(data_type: &DataType) -> Option<Fields> {
    match data_type {
        DataType::Struct(fields) => Some(fields.clone()),
        DataType::List(_) | DataType::Map(_, _) => Some(vec![Field::new(ITEMS, data_type.clone(), false)].into()),
        _ => None,
    }
}

/// The error of a field of a struct, seen from its column.
fn message_of(column: &Field, result: Result<(), FormatError>) -> Result<(), FormatError> {
    result.map_err(|error| match error {
        FormatError::Column { column: inner, message } => {
            FormatError::Column { column: format!("{}.{inner}", column.name()), message }
        }
        other => other,
    })
}

/// The type of a value, but for one that stands in a message, which has yet to be named.
fn kind(column: &Field, value: &Field) -> Result<String, FormatError> {
    let kind = match value.data_type() {
        DataType::Boolean => "bool",
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => "int32",
        DataType::Int64 | DataType::UInt32 => "int64",
        DataType::Float32 => "float",
        DataType::Float64 => "double",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "string",
        DataType::Decimal128(_, _) | DataType::Date32 => "string",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        DataType::Timestamp(_, _) => TIMESTAMP,
        DataType::Struct(_) | DataType::List(_) | DataType::Map(_, _) => "",
        other => return Err(unwritable(column, other)),
    };
    Ok(kind.to_owned())
}

/// The message that the field `name` had before.
fn nested_before(previous: &MessageDescriptor, name: &str) -> Option<MessageDescriptor> {
    let field = previous.get_field_by_name(name)?;
    let message = match field.kind() {
        Kind::Message(entry) if field.is_map() => match entry.map_entry_value_field().kind() {
            Kind::Message(value) => value,
            _ => return None,
        },
        Kind::Message(message) => message,
        _ => return None,
    };
    // A message from elsewhere is not ours to go on with.
    message.parent_message().filter(|parent| parent == previous).map(|_| message)
}

/// A name for the message of field `name` that neither a field nor another message has.
fn type_name(name: &str, known: Option<&MessageDescriptor>, taken: &mut BTreeSet<String>) -> String {
    let mut chosen = match known {
        Some(known) => known.name().to_owned(),
        None => {
            let mut letters = name.chars();
            letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
        }
    };
    while !taken.insert(chosen.clone()) {
        chosen.push('_');
    }
    chosen
}

/// The numbers of a message's fields.
struct Numbers {
    of_columns: Vec<u32>,
    reserved: BTreeSet<u32>,
    ranges: Vec<std::ops::Range<u32>>,
}

impl Numbers {
    fn new(columns: &Fields, previous: Option<&MessageDescriptor>) -> Numbers {
        let Some(previous) = previous else {
            let of_columns = (1..).filter(|number| !RESERVED.contains(number)).take(columns.len()).collect();
            return Numbers { of_columns, reserved: BTreeSet::new(), ranges: Vec::new() };
        };
        let ranges = previous.reserved_ranges().collect::<Vec<_>>();
        let is_column = |name: &str| columns.iter().any(|column| column.name() == name);
        let gone = previous.fields().filter(|field| !is_column(field.name()));
        let reserved = gone.map(|field| field.number()).collect::<BTreeSet<_>>();
        let used = previous.fields().map(|field| field.number()).max().unwrap_or(0);
        let used = ranges.iter().map(|range| range.end.saturating_sub(1)).fold(used, u32::max);
        let mut next = (used.saturating_add(1)..).filter(|number| !RESERVED.contains(number));
        let number = |name: &str| match previous.get_field_by_name(name) {
            Some(field) => field.number(),
            None => next.next().unwrap_or(u32::MAX),
        };
        Numbers {
            of_columns: columns.iter().map(|column| column.name().as_str()).map(number).collect(),
            reserved,
            ranges,
        }
    }

    fn write_reserved(&self, indent: &str, out: &mut String) {
        let ranges = self.ranges.iter().map(|range| match range.end.saturating_sub(1) {
            last if last <= range.start => range.start.to_string(),
            LAST_NUMBER => format!("{} to max", range.start),
            last => format!("{} to {last}", range.start),
        });
        let all = ranges.chain(self.reserved.iter().map(u32::to_string)).collect::<Vec<_>>();
        if !all.is_empty() {
            out.push_str(&format!("{indent}  reserved {};\n", all.join(", ")));
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

fn unwritable(column: &Field, data_type: &DataType) -> FormatError {
    FormatError::Column {
        column: column.name().clone(),
        message: format!("{} has no form in Protobuf; cast it", sql_name(data_type)),
    }
}
