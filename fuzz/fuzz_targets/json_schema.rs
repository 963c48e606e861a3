//! Any text as a JSON Schema, any bytes as a message held to it, alone and behind a registry's id: neither panics nor hangs.
#![no_main]

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::json_schema::{JsonFraming, JsonSchema, JsonSchemaRead, Validation};
use millstream_formats::{DecodeFormat, Decoder, Headers, Message, SchemaId, WriterSchema};

fuzz_target!(|input: (&str, &[u8])| {
    let Ok(schema) = JsonSchema::parse(input.0, &[]) else { return };
    let columns: Fields = schema.columns().fields.into();
    let framed = [&SchemaId(7).header()[..], input.1].concat();
    let ways = [
        (JsonFraming::Bare, Validation::Schema(schema.clone()), input.1),
        (JsonFraming::Registry, Validation::Writer, &framed),
        (JsonFraming::Registry, Validation::Off, input.1),
    ];
    for (framing, validation, value) in ways {
        let read = JsonSchemaRead { framing, validation };
        let columns = Arc::new(Schema::new(columns.clone()));
        let Ok(mut decoder) = Decoder::new(DecodeFormat::JsonSchema(read), columns) else { continue };
        // One that is no schema to a validator makes each message a fault.
        let _ = decoder.add_writer(SchemaId(7), &WriterSchema::Json(schema.clone()));
        let message = Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
        let decoded = decoder.decode("t", 0, &[message]).expect("no schema is unknown");
        assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1);
    }
});
