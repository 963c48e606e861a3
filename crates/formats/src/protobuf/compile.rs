//! From a message's descriptor and the columns that are wanted to a program.

use arrow::datatypes::{DataType, Field, FieldRef};
use millstream_engine::types::sql_name;
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::fields::Wire;
use super::flat::Flat;
use super::map::{Entry, Key};
use super::program::{Absent, Number, Numbers, Plan, Program, Raw, Shape, Target, Value};
use super::schema::{WellKnown, has_default, items_of};
use crate::fault::{Fallible, Fault};

/// What becomes of a column that the message has no field for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is null, if it may be.
    Null,
    Refused,
}

/// How to read `message` to `columns`, which are named as its fields.
pub(super) fn message(message: &MessageDescriptor, columns: &[FieldRef], missing: Missing) -> Fallible<Program> {
    let mut program =
        Program { plans: Vec::new(), nulls: Vec::new(), numbers: Numbers::default(), oneofs: Vec::new(), flat: None };
    let mut oneofs: Vec<String> = Vec::new();
    let mut fields = Vec::with_capacity(columns.len());
    for (index, column) in columns.iter().enumerate() {
        let Some(field) = message.get_field_by_name(column.name()) else {
            if missing == Missing::Null && column.is_nullable() {
                program.nulls.push(index);
                continue;
            }
            let text = format!("message {} has no such field", message.full_name());
            return Err(Fault::value(text).in_member(column.name()));
        };
        let shape = shape(&field, column, missing).map_err(|fault| fault.in_member(column.name()))?;
        let plan = program.plans.len();
        program.plans.push(Plan { column: index, shape });
        fields.push(field.number());
        let plan = u16::try_from(plan).map_err(|_| Fault::value("more than 65,535 columns"))?;
        let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| {
            let known = oneofs.iter().position(|name| name == oneof.name());
            known.unwrap_or_else(|| {
                oneofs.push(oneof.name().to_owned());
                program.oneofs.push(Vec::new());
                oneofs.len() - 1
            })
        });
        oneof.into_iter().for_each(|oneof| program.oneofs[oneof].push(usize::from(plan)));
        program.numbers.insert(field.number(), Target::Plan(plan, oneof.map_or(0, |oneof| oneof as u16 + 1)));
    }
    // A member of a oneof that nobody reads still ends those that are read.
    for oneof in message.oneofs() {
        if let Some(index) = oneofs.iter().position(|name| name == oneof.name()) {
            let unread = oneof.fields().filter(|field| columns.iter().all(|column| column.name() != field.name()));
            unread.for_each(|field| program.numbers.insert(field.number(), Target::Clears(index as u16)));
        }
    }
    if oneofs.is_empty() {
        program.flat = Flat::of(&fields.into_iter().zip(&program.plans).collect::<Vec<_>>());
    }
    Ok(program)
}

fn shape(field: &FieldDescriptor, column: &FieldRef, missing: Missing) -> Fallible<Shape> {
    if field.is_group() {
        return Err(Fault::value("a group cannot be read"));
    }
    if field.is_map() {
        return map(field, column, missing);
    }
    if field.is_list() {
        let DataType::List(item) = column.data_type() else { return Err(unfit(field, column.data_type())) };
        return Ok(Shape::List(value(field, &field.kind(), item.data_type(), missing)?));
    }
    let value = value(field, &field.kind(), column.data_type(), missing)?;
    let absent = if field.cardinality() == Cardinality::Required {
        Absent::Required
    } else if has_default(field) || !field.supports_presence() {
        Absent::Default(default(field)?)
    } else {
        Absent::Null
    };
    Ok(Shape::One(value, absent))
}

fn map(field: &FieldDescriptor, column: &FieldRef, missing: Missing) -> Fallible<Shape> {
    let (Kind::Message(entry), DataType::Map(entries, _)) = (field.kind(), column.data_type()) else {
        return Err(unfit(field, column.data_type()));
    };
    let DataType::Struct(parts) = entries.data_type() else { return Err(unfit(field, column.data_type())) };
    let (key, item) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    let value = value(&item, &item.kind(), parts[1].data_type(), missing)?;
    let key = match key.kind() {
        Kind::String => Key::Text,
        kind => {
            let (wire, number) = number(&kind).ok_or_else(|| unfit(field, column.data_type()))?;
            Key::Number(wire, number)
        }
    };
    let default = match item.kind() {
        Kind::Message(_) => Raw::Bytes(Vec::new()),
        _ => default(&item)?,
    };
    Ok(Shape::Map(Box::new(Entry { number: field.number(), key, value, default })))
}

fn value(field: &FieldDescriptor, kind: &Kind, data_type: &DataType, missing: Missing) -> Fallible<Value> {
    if let Some((wire, number)) = number(kind) {
        return match fits(number, data_type) {
            true => Ok(Value::Number(wire, number)),
            false => Err(unfit(field, data_type)),
        };
    }
    Ok(match (kind, data_type) {
        (Kind::Enum(names), DataType::Utf8 | DataType::Int32) => Value::Enum(enum_names(names)),
        (Kind::String, DataType::Utf8 | DataType::Binary) => Value::Text,
        (Kind::String, DataType::Date32 | DataType::Decimal128(_, _)) => Value::Parsed,
        (Kind::Bytes, DataType::Binary) => Value::Bytes,
        (Kind::Message(inner), data_type) => match (WellKnown::of(inner), data_type) {
            (Some(WellKnown::Timestamp), DataType::Timestamp(unit, _)) => {
                Value::Time(millstream_engine::text::per_second(*unit))
            }
            (Some(WellKnown::Json(kind)), DataType::Utf8) => Value::Json(kind),
            (Some(WellKnown::Wrapper(wrapped)), data_type) => {
                let default = default(&wrapped)?;
                Value::Wrapped(Box::new(value(&wrapped, &wrapped.kind(), data_type, missing)?), default)
            }
            (_, DataType::Struct(columns)) => Value::Message(message(inner, columns, missing)?),
            (None, DataType::List(_) | DataType::Map(_, _)) => match items_of(inner) {
                Some(only) => Value::Items(only.number(), Box::new(items(&only, data_type, missing)?)),
                None => return Err(unfit(field, data_type)),
            },
            _ => return Err(unfit(field, data_type)),
        },
        _ => return Err(unfit(field, data_type)),
    })
}

/// How the only field of a message that stands for a list or map is read.
fn items(field: &FieldDescriptor, data_type: &DataType, missing: Missing) -> Fallible<Plan> {
    let column = FieldRef::new(Field::new(field.name(), data_type.clone(), false));
    Ok(Plan { column: 0, shape: shape(field, &column, missing)? })
}

/// How a number of this kind stands in a message, and what its bits mean.
pub(super) fn number(kind: &Kind) -> Option<(Wire, Number)> {
    Some(match kind {
        Kind::Bool => (Wire::Varint, Number::Boolean),
        Kind::Int32 => (Wire::Varint, Number::Int32),
        Kind::Uint32 => (Wire::Varint, Number::Uint32),
        Kind::Sint32 => (Wire::Varint, Number::Sint32),
        Kind::Int64 => (Wire::Varint, Number::Int64),
        Kind::Uint64 => (Wire::Varint, Number::Uint64),
        Kind::Sint64 => (Wire::Varint, Number::Sint64),
        Kind::Fixed32 => (Wire::Fixed32, Number::Uint32),
        Kind::Sfixed32 => (Wire::Fixed32, Number::Int32),
        Kind::Fixed64 => (Wire::Fixed64, Number::Uint64),
        Kind::Sfixed64 => (Wire::Fixed64, Number::Int64),
        Kind::Float => (Wire::Fixed32, Number::Float),
        Kind::Double => (Wire::Fixed64, Number::Double),
        _ => return None,
    })
}

/// Whether a column of this type holds every such number, or says of one that it does not.
fn fits(number: Number, data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean => number == Number::Boolean,
        DataType::Int32 => matches!(number, Number::Int32 | Number::Sint32),
        DataType::Int64 => !matches!(number, Number::Boolean | Number::Float | Number::Double),
        DataType::Timestamp(_, _) => matches!(number, Number::Int64 | Number::Sint64),
        DataType::Decimal128(precision, 0) => {
            *precision >= 20 && !matches!(number, Number::Boolean | Number::Float | Number::Double)
        }
        DataType::Float32 => number == Number::Float,
        DataType::Float64 => matches!(number, Number::Float | Number::Double),
        _ => false,
    }
}

/// The default of a field that stands once, as it would stand in a message.
fn default(field: &FieldDescriptor) -> Fallible<Raw> {
    use prost_reflect::Value as Default;
    Ok(match field.default_value() {
        Default::Bool(value) => Raw::Number(u64::from(value)),
        Default::I32(value) if field.kind() == Kind::Sint32 => {
            Raw::Number(u64::from(((value << 1) ^ (value >> 31)) as u32))
        }
        Default::I64(value) if field.kind() == Kind::Sint64 => Raw::Number(((value << 1) ^ (value >> 63)) as u64),
        Default::I32(value) | Default::EnumNumber(value) => Raw::Number(i64::from(value) as u64),
        Default::I64(value) => Raw::Number(value as u64),
        Default::U32(value) => Raw::Number(u64::from(value)),
        Default::U64(value) => Raw::Number(value),
        Default::F32(value) => Raw::Number(u64::from(value.to_bits())),
        Default::F64(value) => Raw::Number(value.to_bits()),
        Default::String(value) => Raw::Bytes(value.into_bytes()),
        Default::Bytes(value) => Raw::Bytes(value.to_vec()),
        Default::Message(_) | Default::List(_) | Default::Map(_) => {
            return Err(Fault::value("a message without default"));
        }
    })
}

/// Names by number, in the order of the numbers; of aliases the first.
fn enum_names(names: &EnumDescriptor) -> Vec<(i32, String)> {
    let mut all = names.values().map(|value| (value.number(), value.name().to_owned())).collect::<Vec<_>>();
    all.sort_by_key(|(number, _)| *number);
    all.dedup_by_key(|(number, _)| *number);
    all
}

fn unfit(field: &FieldDescriptor, data_type: &DataType) -> Box<Fault> {
    Fault::value(format!("{} cannot be read as {}", describe(field), sql_name(data_type)))
}

/// The field's type as people call it: `repeated int64`, `message x.Y`.
pub(super) fn describe(field: &FieldDescriptor) -> String {
    let repeated = if field.is_list() { "repeated " } else { "" };
    let kind = match field.kind() {
        Kind::Message(message) if field.is_map() => message.full_name().to_owned(),
        Kind::Message(message) => format!("message {}", message.full_name()),
        Kind::Enum(names) => format!("enum {}", names.full_name()),
        kind => format!("{kind:?}").to_lowercase(),
    };
    format!("{repeated}{kind}")
}
