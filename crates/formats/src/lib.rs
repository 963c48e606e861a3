//! Bytes to columns and back: JSON, CSV and raw values, and the frames of internal topics. Never fetches a schema.

mod column;
pub mod csv;
pub mod decode;
pub mod encode;
pub mod error;
mod fault;
pub mod frame;
pub mod json;
mod members;
pub mod message;
mod number;
mod raw;
pub mod system;
mod temporal;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod roundtrip;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub use csv::CsvDialect;
pub use decode::{CsvFormat, DecodeFormat, Decoded, Decoder};
pub use encode::{EncodeFormat, Encoded, Encoder};
pub use error::FormatError;
pub use message::{Headers, Message};
pub use system::SystemColumn;
