//! Any text as a JSON Schema, any bytes as a message held to it: neither panics nor hangs.
#![no_main]

use std::sync::Arc;

use arrow::datatypes::{Fields, Schema};
use libfuzzer_sys::fuzz_target;
use millstream_formats::json_schema::{JsonFraming, JsonSchema, JsonSchemaRead, Validation};
use millstream_formats::{DecodeFormat, Decoder, Headers, Message};

fuzz_target!(|input: (&str, &[u8])| {
    let Ok(schema) = JsonSchema::parse(input.0, &[]) else { return };
    let columns: Fields = schema.columns().fields.into();
    let read = JsonSchemaRead { framing: JsonFraming::Bare, validation: Validation::Schema(schema) };
    let Ok(mut decoder) = Decoder::new(DecodeFormat::JsonSchema(read), Arc::new(Schema::new(columns))) else { return };
    let message = Message { key: None, value: Some(input.1), timestamp: 0, offset: 0, headers: Headers::NONE };
    let decoded = decoder.decode("t", 0, &[message]).expect("no schema is unknown");
    assert_eq!(decoded.rows.num_rows() + decoded.faults.len(), 1);
});
