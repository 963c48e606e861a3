//! Any bytes as an Avro message of a schema with every kind of type, alone and behind a registry's id: a row or a fault, all
//! columns read or few.
#![no_main]

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{Fields, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::avro::{AvroRead, AvroSchema, Framing};
use millstream_formats::{DecodeFormat, Decoder, Headers, Message, SchemaId, WriterSchema};

static SCHEMA: LazyLock<AvroSchema> = LazyLock::new(|| {
    let text = r#"{"type": "record", "name": "W", "fields": [
        {"name": "flag", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": ["null", "long"]},
        {"name": "d", "type": "double"}, {"name": "s", "type": "string"}, {"name": "b", "type": "bytes"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
        {"name": "f", "type": {"type": "fixed", "name": "F", "size": 4}},
        {"name": "m", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        {"name": "u", "type": ["null", "int", "string", "F"]},
        {"name": "tree", "type": {"type": "record", "name": "T", "fields": [{"name": "below", "type": {"type": "array", "items": "T"}}]}},
        {"name": "list", "type": {"type": "array", "items": {"type": "array", "items": ["null", "string"]}}},
        {"name": "map", "type": {"type": "map", "values": {"type": "record", "name": "P", "fields": [{"name": "x", "type": "float"}]}}},
        {"name": "nothing", "type": {"type": "array", "items": "null"}}]}"#;
    AvroSchema::parse(text, &[]).expect("a schema")
});

fuzz_target!(|bytes: &[u8]| {
    let all: Fields = SCHEMA.columns().fields.into();
    let few: Fields = all.iter().rev().take(2).cloned().collect();
    let framed = [&SchemaId(7).header()[..], bytes].concat();
    for columns in [all, few, Fields::empty()] {
        for (framing, value) in
            [(Framing::Bare(SCHEMA.clone()), bytes), (Framing::Registry, &framed), (Framing::Registry, bytes)]
        {
            let read = AvroRead { framing, readers: vec![SCHEMA.clone()], types: None };
            let columns = Arc::new(Schema::new(columns.clone()));
            let mut decoder = Decoder::new(DecodeFormat::Avro(read), columns).expect("columns of it");
            decoder.add_writer(SchemaId(7), &WriterSchema::Avro(SCHEMA.clone())).expect("columns of it");
            let message = Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
            match decoder.decode("t", 0, &[message]) {
                Ok(decoded) => assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1),
                Err(unknown) => assert_eq!(unknown.0, SchemaId::named_by(value).into_iter().collect::<Vec<_>>()),
            }
        }
    }
});
