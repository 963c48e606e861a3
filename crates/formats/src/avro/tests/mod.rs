//! Tests of the Avro format, by what they look at, and what they share.

mod compatible;
mod differential;
mod hostile;
mod reading;
mod resolution;
mod schemas;
mod writing;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};
use serde_json::Value;

use super::{AvroRead, AvroSchema, AvroWrite, Framing, default};
use crate::{DecodeFormat, Decoded, Decoder, EncodeFormat, Encoded, Encoder, Headers, Message};

fn schema(json: &Value) -> AvroSchema {
    AvroSchema::parse(&json.to_string(), &[]).unwrap()
}

/// The bytes of a value that is given as the default of a field would be.
fn bytes(schema: &AvroSchema, value: &Value) -> Vec<u8> {
    default::bytes(schema, schema.root(), value).unwrap()
}

fn message(value: &[u8]) -> Message<'_> {
    Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE }
}

fn fields(schema: &AvroSchema) -> Fields {
    let columns = schema.columns();
    assert_eq!(columns.unreadable, []);
    columns.fields.into()
}

fn bare(writer: &AvroSchema, reader: Option<&AvroSchema>) -> AvroRead {
    AvroRead { framing: Framing::Bare(writer.clone()), readers: reader.into_iter().cloned().collect(), types: None }
}

fn decoder(read: AvroRead, columns: Fields) -> Result<Decoder, crate::FormatError> {
    Decoder::new(DecodeFormat::Avro(read), Arc::new(Schema::new(columns)))
}

fn decode(decoder: &mut Decoder, payloads: &[&[u8]]) -> Decoded {
    let messages = payloads.iter().map(|payload| message(payload)).collect::<Vec<_>>();
    decoder.decode("t", 0, &messages).unwrap()
}

/// The rows as JSON objects.
fn json_rows(rows: &RecordBatch) -> Vec<Value> {
    let mut encoded = Encoded::default();
    let faults = Encoder::new(EncodeFormat::Json, &rows.schema()).unwrap().encode(rows, &mut encoded);
    assert_eq!(faults, []);
    (0..encoded.len()).map(|row| serde_json::from_slice(encoded.payload(row)).unwrap()).collect()
}

fn encode(schema: &AvroSchema, rows: &RecordBatch) -> (Encoded, Vec<millstream_engine::error::RowFault>) {
    let format = EncodeFormat::Avro(AvroWrite { schema: schema.clone(), id: None });
    let mut encoded = Encoded::default();
    let faults = Encoder::new(format, &rows.schema()).unwrap().encode(rows, &mut encoded);
    (encoded, faults)
}
