//! Against `prost-reflect`: random schemas, random messages written by it, and every value read as it was; all columns and
//! few of many.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use prost_reflect::{FieldDescriptor, Kind, MapKey, ReflectMessage, Value as Theirs};

use super::*;
use crate::testing::Random;

const SCALARS: [&str; 15] = [
    "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64", "float",
    "double", "bool", "string", "bytes",
];

fn random_schema(random: &mut Random) -> String {
    let types = |random: &mut Random, messages: usize| match random.below(6) {
        0 => "E".to_owned(),
        1 if messages > 0 => format!("M{}", random.below(messages)),
        _ => SCALARS[random.below(SCALARS.len())].to_owned(),
    };
    let mut text = "syntax = \"proto3\"; enum E { ZERO = 0; ONE = 1; MINUS = -1; BIG = 1000000; }".to_owned();
    let count = 1 + random.below(3);
    for message in 0..count {
        text += &format!(" message M{message} {{");
        let mut number = 0;
        for field in 0..1 + random.below(8) {
            number += 1 + random.below(4) * random.below(100);
            let kind = types(random, message);
            text += &match random.below(7) {
                0 => format!(" optional {kind} f{field} = {number};"),
                1 => format!(" repeated {kind} f{field} = {number};"),
                2 => {
                    let key = ["string", "int32", "sint64", "bool", "fixed64"][random.below(5)];
                    format!(" map<{key}, {kind}> f{field} = {number};")
                }
                3 => {
                    number += 1;
                    let other = types(random, message);
                    format!(" oneof o{field} {{ {kind} f{field} = {}; {other} g{field} = {number}; }}", number - 1)
                }
                _ => format!(" {kind} f{field} = {number};"),
            };
        }
        text += " }";
    }
    text
}

fn random_scalar(random: &mut Random, kind: &Kind) -> Theirs {
    let bits = random.next() as i64 >> random.below(64);
    match kind {
        Kind::Double => Theirs::F64(bits as f64 / 3.0),
        Kind::Float => Theirs::F32(bits as f32 / 3.0),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Theirs::I32(bits as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Theirs::I64(bits),
        Kind::Uint32 | Kind::Fixed32 => Theirs::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Theirs::U64(bits.unsigned_abs() >> 1),
        Kind::Bool => Theirs::Bool(bits & 1 == 0),
        Kind::String => Theirs::String("aé😀".chars().cycle().take(random.below(7)).collect()),
        Kind::Bytes => Theirs::Bytes((0..random.below(7)).map(|_| random.next() as u8).collect::<Vec<_>>().into()),
        Kind::Enum(_) => Theirs::EnumNumber([0, 1, -1, 1_000_000, 17][random.below(5)]),
        Kind::Message(message) => Theirs::Message(random_message(random, message)),
    }
}

fn random_message(random: &mut Random, descriptor: &prost_reflect::MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if random.below(4) == 0 {
            continue;
        }
        let value = if field.is_map() {
            let Kind::Message(entry) = field.kind() else { panic!("a map has entries") };
            let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
            let entries = (0..random.below(4)).map(|_| {
                let key = match random_scalar(random, &key) {
                    Theirs::Bool(key) => MapKey::Bool(key),
                    Theirs::I32(key) => MapKey::I32(key),
                    Theirs::I64(key) => MapKey::I64(key),
                    Theirs::U64(key) => MapKey::U64(key),
                    Theirs::String(key) => MapKey::String(key),
                    other => panic!("{other:?} is no key"),
                };
                (key, random_scalar(random, &value))
            });
            Theirs::Map(entries.collect())
        } else if field.is_list() {
            Theirs::List((0..random.below(4)).map(|_| random_scalar(random, &field.kind())).collect())
        } else {
            random_scalar(random, &field.kind())
        };
        message.set_field(&field, value);
    }
    message
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn same(array: &ArrayRef, row: usize, theirs: &Theirs, kind: &Kind) -> bool {
    match (array.data_type(), theirs) {
        (DataType::Boolean, Theirs::Bool(value)) => array.as_boolean().value(row) == *value,
        (DataType::Int32, Theirs::I32(value)) => array.as_primitive::<Int32Type>().value(row) == *value,
        (DataType::Int64, Theirs::I64(value)) => array.as_primitive::<Int64Type>().value(row) == *value,
        (DataType::Int64, Theirs::U32(value)) => array.as_primitive::<Int64Type>().value(row) == i64::from(*value),
        (DataType::Int64, Theirs::U64(value)) => array.as_primitive::<Int64Type>().value(row) == *value as i64,
        (DataType::Float32, Theirs::F32(value)) => array.as_primitive::<Float32Type>().value(row) == *value,
        (DataType::Float64, Theirs::F64(value)) => array.as_primitive::<Float64Type>().value(row) == *value,
        (DataType::Utf8, Theirs::String(value)) => array.as_string::<i32>().value(row) == value,
        (DataType::Utf8, Theirs::EnumNumber(number)) => {
            let Kind::Enum(names) = kind else { return false };
            let name = names.get_value(*number).map_or_else(|| number.to_string(), |value| value.name().to_owned());
            array.as_string::<i32>().value(row) == name
        }
        (DataType::Binary, Theirs::Bytes(value)) => array.as_binary::<i32>().value(row) == &value[..],
        (DataType::Struct(_), Theirs::Message(message)) => {
            let object = array.as_struct();
            message.descriptor().fields().all(|field| {
                let column = object.column_by_name(field.name()).unwrap();
                same_field(column, row, message, &field)
            })
        }
        (DataType::List(_), Theirs::List(values)) => {
            let items = array.as_list::<i32>().value(row);
            items.len() == values.len() && values.iter().enumerate().all(|(i, value)| same(&items, i, value, kind))
        }
        (DataType::Map(_, _), Theirs::Map(values)) => {
            let Kind::Message(entry) = kind else { return false };
            let entries = array.as_map().value(row);
            let (keys, items) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let kind = entry.map_entry_value_field().kind();
            entries.len() == values.len()
                && values.iter().all(|(key, value)| {
                    let at = (0..keys.len()).find(|&at| keys.value(at) == key_text(key));
                    at.is_some_and(|at| same(items, at, value, &kind))
                })
        }
        _ => false,
    }
}

fn same_field(column: &ArrayRef, row: usize, message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    if field.supports_presence() && !message.has_field(field) {
        return column.is_null(row);
    }
    !column.is_null(row) && same(column, row, &message.get_field(field), &field.kind())
}

#[test]
fn what_they_write_we_read() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let text = random_schema(&mut random);
        let schema = compile(&text);
        let name = schema.message_names().pop();
        let message = schema.message(name.as_deref()).unwrap();
        let written = (0..6).map(|_| random_message(&mut random, &message.descriptor)).collect::<Vec<_>>();
        let payloads = written.iter().map(|message| message.encode_to_vec()).collect::<Vec<_>>();
        let payloads = payloads.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let decoded = decode(&mut all(&message), &payloads);
        assert_eq!(decoded.faults, [], "seed {seed}: {text}");
        for (row, theirs) in written.iter().enumerate() {
            for field in message.descriptor.fields() {
                let column = decoded.rows.column_by_name(field.name()).unwrap();
                assert!(same_field(column, row, theirs, &field), "seed {seed}, row {row}, {}: {text}", field.name());
            }
        }
        // What we write of it is the same message to them.
        let encoded = super::writing::encode(&message, None, &decoded.rows);
        for (row, theirs) in payloads.iter().enumerate() {
            let read = |bytes: &[u8]| DynamicMessage::decode(message.descriptor.clone(), bytes).unwrap();
            assert!(read(encoded.payload(row)) == read(theirs), "seed {seed}, row {row}: {text}");
        }
        let chosen = (0..decoded.rows.num_columns()).filter(|_| random.below(3) == 0).collect::<Vec<_>>();
        let few = decoded.rows.project(&chosen).unwrap();
        let read = decode(&mut decoder(bare(&message), few.schema().fields().clone()).unwrap(), &payloads);
        assert_eq!(read.rows, few, "seed {seed}: {text}");
    }
}
