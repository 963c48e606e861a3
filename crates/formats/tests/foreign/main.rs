//! Against other libraries, Java's official ones and fastavro: they make random values of random schemas; we read what they write,
//! by another version of the schema too, and they read what we write. Each schema has a seed, which a failure names.

#![allow(clippy::unwrap_used)]

mod avro;
mod evolve;
mod protobuf;
mod same;

use std::process::ExitCode;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Fields, Schema};
use millstream_formats::{
    DecodeFormat, Decoded, Decoder, EncodeFormat, Encoded, Encoder, FormatError, Headers, Message,
};
use millstream_harness::{Result, ensure, suite};
use serde_json::Value;

fn main() -> ExitCode {
    suite::main(2, avro::tests().into_iter().chain(protobuf::tests()).collect())
}

fn decode(format: DecodeFormat, columns: Fields, payloads: &[Vec<u8>]) -> std::result::Result<Decoded, FormatError> {
    let mut decoder = Decoder::new(format, Arc::new(Schema::new(columns)))?;
    let message = |value| Message { key: None, value: Some(value), timestamp: 0, offset: 0, headers: Headers::NONE };
    let messages = payloads.iter().map(|payload| message(payload.as_slice())).collect::<Vec<_>>();
    Ok(decoder.decode("t", 0, &messages).expect("messages without ids"))
}

/// The rows' payloads, as the other side wants them.
fn encode(format: EncodeFormat, rows: &RecordBatch, place: &str) -> Result<Vec<Value>> {
    let mut encoded = Encoded::default();
    let encoder = Encoder::new(format, &rows.schema());
    let mut encoder = encoder.map_err(|error| format!("{place}: {error}"))?;
    let faults = encoder.encode(rows, &mut encoded);
    ensure!(faults.is_empty(), "{place}: {faults:?}");
    Ok((0..encoded.len()).map(|row| Value::from(hex(encoded.payload(row)))).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap_or_default();
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}
