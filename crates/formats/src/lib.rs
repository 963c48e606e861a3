//! Bytes to columns and back: JSON, CSV, Avro, Protobuf and raw values, and the frames of internal topics. Never fetches a schema.

pub mod avro;
mod cells;
mod column;
pub mod columns;
pub mod csv;
pub mod decode;
pub mod difference;
pub mod encode;
pub mod error;
mod fault;
pub mod frame;
pub mod framing;
pub mod json;
pub mod json_schema;
mod key;
mod members;
pub mod message;
mod names;
mod number;
mod payloads;
pub mod protobuf;
mod raw;
pub mod system;
mod temporal;
mod wire;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod roundtrip;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use columns::{SchemaColumns, Unreadable};
pub use csv::CsvDialect;
pub use decode::{CsvFormat, DecodeFormat, Decoded, Decoder, TypeRead, WriterSchema};
pub use difference::{Difference, Gravity};
pub use encode::{EncodeFormat, Encoded, Encoder};
pub use error::FormatError;
pub use framing::{SchemaId, UnknownSchemas};
pub use key::{EncodedKeys, KeyColumn, KeyEncoder, KeyRead};
pub use message::{Headers, Message};
pub use system::SystemColumn;
