//! Against the `apache-avro` crate: what it writes we read as it was, and what we write it reads as it was, for seeded
//! random schemas and values.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Theirs;
use apache_avro::writer::datum::GenericDatumWriter;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use serde_json::json;

use super::*;
use crate::testing::Random;

/// A random type. Names are numbered, so that none stands twice.
fn random_type(random: &mut Random, depth: usize, names: &mut usize) -> Value {
    let mut name = |prefix: &str| {
        *names += 1;
        format!("{prefix}{names}")
    };
    match random.below(if depth == 0 { 14 } else { 19 }) {
        0 => json!("boolean"),
        1 | 2 => json!("int"),
        3 | 4 => json!("long"),
        5 => json!("float"),
        6 => json!("double"),
        7 | 8 => json!("string"),
        9 => json!("bytes"),
        10 => json!({"type": "int", "logicalType": "date"}),
        11 if random.below(2) == 0 => json!({"type": "long", "logicalType": "timestamp-millis"}),
        11 => json!({"type": "long", "logicalType": "timestamp-micros"}),
        12 => json!({"type": "enum", "name": name("E"), "symbols": ["A", "B", "C"]}),
        13 => json!({"type": "fixed", "name": name("F"), "size": 1 + random.below(5)}),
        14 => json!({"type": "array", "items": random_type(random, depth - 1, names)}),
        15 => json!({"type": "map", "values": random_type(random, depth - 1, names)}),
        16 | 17 => match random_type(random, depth - 1, names) {
            Value::Array(union) => Value::Array(union),
            other if random.below(2) == 0 => json!(["null", other]),
            other => json!([other, "null"]),
        },
        _ => random_record(random, depth - 1, names),
    }
}

fn random_record(random: &mut Random, depth: usize, names: &mut usize) -> Value {
    *names += 1;
    let name = format!("R{names}");
    let fields = (0..1 + random.below(6))
        .map(|i| json!({"name": format!("f{i}"), "type": random_type(random, depth, names)}))
        .collect::<Vec<_>>();
    json!({"type": "record", "name": name, "fields": fields})
}

fn random_value(random: &mut Random, kind: &Value) -> Theirs {
    let logical = kind.get("logicalType").and_then(Value::as_str);
    match kind.get("type").and_then(Value::as_str).or(kind.as_str()) {
        None => {
            let branches = kind.as_array().unwrap();
            let index = random.below(2);
            Theirs::Union(index as u32, Box::new(random_value(random, &branches[index])))
        }
        Some("null") => Theirs::Null,
        Some("boolean") => Theirs::Boolean(random.below(2) == 0),
        Some("int") if logical == Some("date") => Theirs::Date(random.next() as i32 >> random.below(32)),
        Some("int") => Theirs::Int(random.next() as i32 >> random.below(32)),
        Some("long") => {
            let value = random.next() as i64 >> random.below(64);
            match logical {
                Some("timestamp-millis") => Theirs::TimestampMillis(value),
                Some(_) => Theirs::TimestampMicros(value),
                None => Theirs::Long(value),
            }
        }
        Some("float") => Theirs::Float(random.next() as i32 as f32 / 7.0),
        Some("double") => Theirs::Double(random.next() as i64 as f64 / 7.0),
        Some("string") => Theirs::String("aé😀\n".chars().cycle().take(random.below(9)).collect()),
        Some("bytes") => Theirs::Bytes((0..random.below(9)).map(|_| random.next() as u8).collect()),
        Some("enum") => {
            let index = random.below(3);
            Theirs::Enum(index as u32, ["A", "B", "C"][index].to_owned())
        }
        Some("fixed") => {
            let size = kind["size"].as_u64().unwrap() as usize;
            Theirs::Fixed(size, (0..size).map(|_| random.next() as u8).collect())
        }
        Some("array") => {
            let len = random.below(4);
            Theirs::Array((0..len).map(|_| random_value(random, &kind["items"])).collect())
        }
        Some("map") => {
            let len = random.below(4);
            Theirs::Map((0..len).map(|i| (format!("k{i}"), random_value(random, &kind["values"]))).collect())
        }
        Some("record") => {
            let fields = kind["fields"].as_array().unwrap();
            let value = |field: &Value| (field["name"].as_str().unwrap().to_owned(), field["type"].clone());
            let fields = fields.iter().map(value).collect::<Vec<_>>();
            Theirs::Record(fields.into_iter().map(|(name, kind)| (name, random_value(random, &kind))).collect())
        }
        Some(other) => panic!("no values of {other}"),
    }
}

/// Whether row `row` of a column is their value.
fn same(array: &ArrayRef, row: usize, theirs: &Theirs) -> bool {
    if let Theirs::Union(_, value) = theirs {
        return same(array, row, value);
    }
    if array.is_null(row) {
        return *theirs == Theirs::Null;
    }
    match (array.data_type(), theirs) {
        (DataType::Boolean, Theirs::Boolean(value)) => array.as_boolean().value(row) == *value,
        (DataType::Int32, Theirs::Int(value)) => array.as_primitive::<Int32Type>().value(row) == *value,
        (DataType::Date32, Theirs::Date(value)) => array.as_primitive::<Date32Type>().value(row) == *value,
        (DataType::Int64, Theirs::Long(value)) => array.as_primitive::<Int64Type>().value(row) == *value,
        (DataType::Timestamp(_, _), Theirs::TimestampMillis(value)) => {
            array.as_primitive::<TimestampMillisecondType>().value(row) == *value
        }
        (DataType::Timestamp(_, _), Theirs::TimestampMicros(value)) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row) == *value
        }
        (DataType::Float32, Theirs::Float(value)) => array.as_primitive::<Float32Type>().value(row) == *value,
        (DataType::Float64, Theirs::Double(value)) => array.as_primitive::<Float64Type>().value(row) == *value,
        (DataType::Decimal128(_, _), _) => array.as_primitive::<Decimal128Type>().value(row) == 0,
        (DataType::Utf8, Theirs::String(value) | Theirs::Enum(_, value)) => {
            array.as_string::<i32>().value(row) == value
        }
        (DataType::Binary, Theirs::Bytes(value) | Theirs::Fixed(_, value)) => {
            array.as_binary::<i32>().value(row) == value
        }
        (DataType::List(_), Theirs::Array(values)) => {
            let items = array.as_list::<i32>().value(row);
            items.len() == values.len() && values.iter().enumerate().all(|(i, value)| same(&items, i, value))
        }
        (DataType::Map(_, _), Theirs::Map(values)) => {
            let entries = array.as_map().value(row);
            let (keys, items) = (entries.column(0).as_string::<i32>(), entries.column(1));
            entries.len() == values.len() && (0..entries.len()).all(|i| same(items, i, &values[keys.value(i)]))
        }
        (DataType::Struct(fields), Theirs::Record(values)) => {
            let columns = array.as_struct().columns();
            fields.len() == values.len() && columns.iter().zip(values).all(|(column, (_, v))| same(column, row, v))
        }
        _ => false,
    }
}

#[test]
fn what_they_write_we_read_and_what_we_write_they_read() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let json = random_record(&mut random, 3, &mut 0);
        let theirs = apache_avro::Schema::parse_str(&json.to_string()).unwrap();
        let values = (0..8).map(|_| random_value(&mut random, &json)).collect::<Vec<_>>();
        let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
        let written = values.iter().map(|value| writer.write_value_to_vec(value.clone()).unwrap()).collect::<Vec<_>>();
        let ours = schema(&json);
        let payloads = written.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let decoded = decode(&mut decoder(bare(&ours, None), fields(&ours)).unwrap(), &payloads);
        assert_eq!(decoded.faults, [], "seed {seed}: {json}");
        for (row, value) in values.iter().enumerate() {
            let Theirs::Record(members) = value else { panic!("a record") };
            for ((name, value), column) in members.iter().zip(decoded.rows.columns()) {
                assert!(same(column, row, value), "seed {seed}, row {row}, {name}: {json}");
            }
        }
        let (encoded, faults) = encode(&ours, &decoded.rows);
        assert_eq!(faults, [], "seed {seed}: {json}");
        let reader = GenericDatumReader::builder(&theirs).build().unwrap();
        for (row, value) in values.iter().enumerate() {
            let back = reader.read_value(&mut encoded.payload(row)).unwrap();
            assert_eq!(&back, value, "seed {seed}, row {row}: {json}");
        }
    }
}

/// Columns chosen at random, with all others passed over, hold what they hold when everything is read.
#[test]
fn columns_that_are_few_of_many_are_the_same() {
    for seed in 0..300 {
        let mut random = Random::new(1_000 + seed);
        let json = random_record(&mut random, 3, &mut 0);
        let theirs = apache_avro::Schema::parse_str(&json.to_string()).unwrap();
        let values = (0..5).map(|_| random_value(&mut random, &json)).collect::<Vec<_>>();
        let writer = GenericDatumWriter::builder(&theirs).build().unwrap();
        let written = values.into_iter().map(|value| writer.write_value_to_vec(value).unwrap()).collect::<Vec<_>>();
        let payloads = written.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let ours = schema(&json);
        let all = decode(&mut decoder(bare(&ours, None), fields(&ours)).unwrap(), &payloads);
        let chosen = (0..all.rows.num_columns()).filter(|_| random.below(3) == 0).collect::<Vec<_>>();
        let few = all.rows.project(&chosen).unwrap();
        let read = decode(&mut decoder(bare(&ours, None), few.schema().fields().clone()).unwrap(), &payloads);
        assert_eq!(read.faults, [], "seed {seed}: {json}");
        assert_eq!(read.rows, few, "seed {seed}: {json}");
    }
}

/// Pairs of schemas that have grown apart, as `fastavro` resolves them; `fastavro_pairs.py` has written them.
#[test]
fn schemas_that_have_grown_apart_resolve_as_fastavro_resolves_them() {
    let (mut refused, mut unlike) = (0, Vec::new());
    let pairs = include_str!("fastavro.jsonl").lines().collect::<Vec<_>>();
    assert!(pairs.len() >= 500);
    for (index, line) in pairs.iter().enumerate() {
        let pair: Value = serde_json::from_str(line).unwrap();
        let (writer, reader) = (schema(&pair["writer"]), schema(&pair["reader"]));
        let hex = pair["bytes"].as_str().unwrap();
        let bytes =
            (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect::<Vec<_>>();
        let columns = reader.columns().fields;
        let ours = match decoder(bare(&writer, Some(&reader)), columns.into()) {
            Ok(mut decoder) => {
                let decoded = decode(&mut decoder, &[&bytes]);
                match decoded.faults.into_iter().next() {
                    Some((_, fault)) => Err(fault.message),
                    None => Ok(json_rows(&decoded.rows).remove(0)),
                }
            }
            Err(error) => Err(error.to_string()),
        };
        match (&ours, pair.get("read")) {
            (Ok(ours), Some(theirs)) if ours == theirs => {}
            (Err(_), None) => refused += 1,
            (ours, theirs) => unlike.push(format!("line {}: ours {ours:?}, theirs {theirs:?}\n    {line}", index + 1)),
        }
    }
    assert!(unlike.is_empty(), "{} pairs:\n{}", unlike.len(), unlike.join("\n"));
    assert!(refused > 50, "{refused} of them are refused");
}
