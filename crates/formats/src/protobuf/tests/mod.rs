//! Tests of the Protobuf format, by what they look at, and what they share.

mod compatibility;
mod differential;
mod hostile;
mod reading;
mod schemas;
mod writing;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};
use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message as _;
use serde_json::Value;

use super::{ProtobufFraming, ProtobufMessage, ProtobufRead, ProtobufSchema};
use crate::{DecodeFormat, Decoded, Decoder, EncodeFormat, Encoded, Encoder, FormatError, Headers, Message};

fn proto3(body: &str) -> ProtobufSchema {
    compile(&format!("syntax = \"proto3\"; package shop; {body}"))
}

fn compile(text: &str) -> ProtobufSchema {
    ProtobufSchema::compile(text, &[]).unwrap()
}

fn first(schema: &ProtobufSchema) -> ProtobufMessage {
    schema.message(None).unwrap()
}

/// The bytes of a message in Protobuf's text format, written by the reference implementation.
fn bytes(message: &ProtobufMessage, text: &str) -> Vec<u8> {
    DynamicMessage::parse_text_format(message.descriptor.clone(), text).unwrap().encode_to_vec()
}

fn fields(message: &ProtobufMessage) -> Fields {
    let columns = message.columns();
    assert_eq!(columns.unreadable, []);
    columns.fields.into()
}

fn bare(message: &ProtobufMessage) -> ProtobufRead {
    ProtobufRead { framing: ProtobufFraming::Bare(message.clone()), readers: Vec::new(), types: None }
}

fn decoder(read: ProtobufRead, columns: Fields) -> Result<Decoder, FormatError> {
    Decoder::new(DecodeFormat::Protobuf(read), Arc::new(Schema::new(columns)))
}

fn all(message: &ProtobufMessage) -> Decoder {
    decoder(bare(message), fields(message)).unwrap()
}

fn decode(decoder: &mut Decoder, payloads: &[&[u8]]) -> Decoded {
    let message = |value| Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
    let messages = payloads.iter().map(|payload| message(*payload)).collect::<Vec<_>>();
    decoder.decode("t", 0, &messages).unwrap()
}

/// The rows as JSON objects.
fn json_rows(rows: &RecordBatch) -> Vec<Value> {
    let mut encoded = Encoded::default();
    let faults = Encoder::new(EncodeFormat::Json, &rows.schema()).unwrap().encode(rows, &mut encoded);
    assert_eq!(faults, []);
    (0..encoded.len()).map(|row| serde_json::from_slice(encoded.payload(row)).unwrap()).collect()
}
