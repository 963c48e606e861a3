//! Keys to columns beside those of values, and columns to keys.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::*;
use crate::avro::{AvroRead, AvroSchema, AvroWrite, Framing};
use crate::{Decoded, Decoder, Headers, Message, SchemaId, UnknownSchemas, WriterSchema};

const KEY: &str = r#"{"type": "record", "name": "K", "fields": [{"name": "id", "type": "long"}]}"#;

fn avro() -> DecodeFormat {
    DecodeFormat::Avro(AvroRead { framing: Framing::Registry, readers: Vec::new(), types: None })
}

fn key_column(column: &str, field: &str) -> KeyColumn {
    KeyColumn { column: column.to_owned(), field: field.to_owned() }
}

fn columns(fields: &[(&str, DataType, bool)]) -> SchemaRef {
    let field = |(name, data_type, nullable): &(&str, DataType, bool)| Field::new(*name, data_type.clone(), *nullable);
    Arc::new(Schema::new(fields.iter().map(field).collect::<Vec<_>>()))
}

fn message<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Message<'a> {
    Message { key, value, timestamp: 0, offset: 0, headers: Headers::NONE }
}

fn framed(id: u32, bytes: &[u8]) -> Vec<u8> {
    [&SchemaId(id).header()[..], bytes].concat()
}

/// `{id}` in both key and value; the key's is the column `key_id`, which may be null.
fn decoder(key_may_be_null: bool) -> Decoder {
    let columns = columns(&[
        ("id", DataType::Int64, false),
        ("key_id", DataType::Int64, key_may_be_null),
        ("n", DataType::Int64, true),
    ]);
    let key = KeyRead { format: avro(), columns: vec![key_column("key_id", "id")] };
    Decoder::with_key(DecodeFormat::Json, key, columns).unwrap()
}

fn numbers(decoded: &Decoded, column: &str) -> Vec<Option<i64>> {
    decoded.rows[column].as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn keys_and_values_fill_one_batch_and_a_bad_key_takes_its_value_along() {
    let mut decoder = decoder(true);
    decoder.add_writer(SchemaId(5), &WriterSchema::Avro(AvroSchema::parse(KEY, &[]).unwrap())).unwrap();
    let (good, cut, foreign) = (framed(5, &[14]), framed(5, &[]), b"7".to_vec());
    let messages = [
        message(Some(&good), Some(br#"{"id": 1, "n": 10}"#)),
        message(Some(&cut), Some(br#"{"id": 2, "n": 20}"#)),
        message(None, Some(br#"{"id": 3}"#)),
        message(Some(&good), None),
        message(Some(&foreign), Some(br#"{"id": 4}"#)),
        message(Some(&good), Some(b"{")),
        message(Some(&good), Some(br#"{"id": 5}"#)),
    ];
    for _ in 0..2 {
        let decoded = decoder.decode("t", 0, &messages).unwrap();
        assert_eq!(numbers(&decoded, "id"), [Some(1), Some(3), Some(5)]);
        assert_eq!(numbers(&decoded, "key_id"), [Some(7), None, Some(7)]);
        assert_eq!(numbers(&decoded, "n"), [Some(10), None, None]);
        assert_eq!(decoded.messages, Some(vec![0, 2, 6]));
        assert_eq!(decoded.null_values, [3]);
        let faults = decoded.faults.iter().map(|(at, fault)| (*at, fault.message.as_str())).collect::<Vec<_>>();
        assert_eq!(faults[0], (1, "the key: column id: cut off: 1 bytes expected at byte 0, 0 are left"));
        assert_eq!(faults[1], (4, "the key: begins with byte 0x37, not with 0 and the id of a schema in a registry"));
        assert_eq!((faults[2].0, faults.len()), (5, 3));
    }
}

#[test]
fn a_message_without_a_key_is_a_fault_where_its_column_may_not_be_null() {
    let decoded = decoder(false).decode("t", 0, &[message(None, Some(br#"{"id": 3}"#))]).unwrap();
    let message = &decoded.faults[0].1.message;
    assert_eq!(message, "a message without a key: column id: expected bigint, found nothing");
    assert_eq!(decoded.rows.num_rows(), 0);
}

#[test]
fn schemas_of_keys_and_values_are_asked_for_at_once_and_errors_are_of_who_asked() {
    let columns = columns(&[("id", DataType::Int64, false), ("who", DataType::Utf8, true)]);
    let key = KeyRead { format: avro(), columns: vec![key_column("who", "value")] };
    let mut decoder = Decoder::with_key(avro(), key, columns).unwrap();
    let (key, value) = (framed(1, &[2, b'a']), framed(2, &[6]));
    let messages = [message(Some(&key), Some(&value))];
    assert_eq!(decoder.decode("t", 0, &messages).unwrap_err(), UnknownSchemas(vec![SchemaId(1), SchemaId(2)]));
    // Neither serves the other part, and that is no error.
    decoder.add_writer(SchemaId(1), &WriterSchema::Avro(AvroSchema::parse("\"string\"", &[]).unwrap())).unwrap();
    decoder.add_writer(SchemaId(2), &WriterSchema::Avro(AvroSchema::parse(KEY, &[]).unwrap())).unwrap();
    let decoded = decoder.decode("t", 0, &messages).unwrap();
    assert_eq!(numbers(&decoded, "id"), [Some(3)]);
    assert_eq!(decoded.rows["who"].as_string::<i32>().value(0), "a");

    let wrong = framed(3, &[2]);
    decoder.decode("t", 0, &[message(Some(&wrong), Some(&value))]).unwrap_err();
    let long = WriterSchema::Avro(AvroSchema::parse("\"long\"", &[]).unwrap());
    let error = decoder.add_writer(SchemaId(3), &long).unwrap_err().to_string();
    assert!(error.starts_with("the key: "), "{error}");
    decoder.decode("t", 0, &[message(Some(&key), Some(&framed(4, &[])))]).unwrap_err();
    decoder.refuse_writer(SchemaId(4), "no such schema".to_owned());
    let decoded = decoder.decode("t", 0, &[message(Some(&key), Some(&framed(4, &[])))]).unwrap();
    assert_eq!(decoded.faults[0].1.message, "no such schema");
}

#[test]
fn a_type_of_value_that_is_not_wanted_leaves_the_keys_in_step() {
    let union = r#"[{"type": "record", "name": "A", "fields": [{"name": "n", "type": "long"}]},
        {"type": "record", "name": "B", "fields": [{"name": "n", "type": "long"}]}]"#;
    let read = AvroRead { framing: Framing::Registry, readers: Vec::new(), types: Some(vec!["B".to_owned()]) };
    let columns =
        columns(&[("n", DataType::Int64, false), ("k", DataType::Utf8, false), ("_schema", DataType::Utf8, true)]);
    let key = KeyRead { format: DecodeFormat::Raw, columns: vec![key_column("k", "")] };
    let mut decoder = Decoder::with_key(DecodeFormat::Avro(read), key, columns).unwrap();
    decoder.add_writer(SchemaId(1), &WriterSchema::Avro(AvroSchema::parse(union, &[]).unwrap())).unwrap();
    let values = [framed(1, &[0, 2]), framed(1, &[2, 4]), framed(1, &[2]), framed(1, &[2, 6]), framed(1, &[2, 8])];
    let keys = [&b"a"[..], b"b", b"c", &[0xff], b"e"];
    let messages = keys.iter().zip(&values).map(|(key, value)| message(Some(key), Some(value))).collect::<Vec<_>>();
    let decoded = decoder.decode("t", 0, &messages).unwrap();
    assert_eq!(decoded.unwanted, [0]);
    assert_eq!(numbers(&decoded, "n"), [Some(2), Some(4)]);
    assert_eq!(decoded.rows["k"].as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["b", "e"]);
    assert_eq!(decoded.rows["_schema"].as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["B", "B"]);
    assert_eq!(decoded.faults.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_key_of_a_column_that_is_not_there_is_refused() {
    let key = KeyRead { format: DecodeFormat::Raw, columns: vec![key_column("k", "k")] };
    let error = Decoder::with_key(DecodeFormat::Json, key, columns(&[("n", DataType::Int64, true)])).unwrap_err();
    assert_eq!(error.to_string(), "column k: is to be read from the key, and is not among the columns");
}

fn rows() -> RecordBatch {
    let columns: [(&str, ArrayRef); 2] = [
        ("customer", Arc::new(Int64Array::from(vec![Some(7), None, Some(-1)]))),
        ("region", Arc::new(StringArray::from(vec![Some("eu"), Some("us"), None]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write(schema: &str) -> EncodeFormat {
    EncodeFormat::Avro(AvroWrite { schema: AvroSchema::parse(schema, &[]).unwrap(), id: Some(SchemaId(9)) })
}

#[test]
fn a_key_of_one_column_is_none_where_that_is_null() {
    let (rows, mut encoded) = (rows(), Encoded::default());
    let key = [key_column("customer", "id")];
    for (schema, bytes) in [("\"long\"", &[14][..]), (KEY, &[14]), (r#"["null", "long"]"#, &[2, 14])] {
        let keys = KeyEncoder::new(write(schema), &key, &rows.schema()).unwrap().encode(&rows, &mut encoded);
        assert_eq!(keys, EncodedKeys { faults: Vec::new(), none: vec![1] }, "{schema}");
        assert_eq!(encoded.payload(0), framed(9, bytes), "{schema}");
    }
}

#[test]
fn a_key_of_several_columns_is_written_under_the_names_of_its_fields() {
    let schema = r#"{"type": "record", "name": "K", "fields": [
        {"name": "id", "type": "long"}, {"name": "where", "type": ["null", "string"]}]}"#;
    let (rows, mut encoded) = (rows(), Encoded::default());
    let key = [key_column("region", "where"), key_column("customer", "id")];
    let keys = KeyEncoder::new(write(schema), &key, &rows.schema()).unwrap().encode(&rows, &mut encoded);
    assert_eq!(keys.none, [0_usize; 0]);
    let faults = keys.faults.iter().map(|fault| (fault.row, fault.error.message.as_str())).collect::<Vec<_>>();
    assert_eq!(faults, [(1, "column id: null, where the schema has no place for it")]);
    assert_eq!(encoded.payload(0), framed(9, &[14, 2, 4, b'e', b'u']));
    assert_eq!(encoded.payload(2), framed(9, &[1, 0]));
    let error = KeyEncoder::new(EncodeFormat::Json, &[key_column("x", "x")], &rows.schema()).unwrap_err();
    assert_eq!(error.to_string(), "column x: is to be written to the key, and is not among the columns");
}
