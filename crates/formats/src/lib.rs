//! Bytes to columns and back: JSON, CSV and raw values, and the frames of internal topics. Never fetches a schema.

pub mod decode;
pub mod encode;
pub mod error;
pub mod message;

pub use decode::{CsvFormat, DecodeFormat, Decoded, Decoder};
pub use encode::{EncodeFormat, Encoded, Encoder};
pub use error::FormatError;
pub use message::{Headers, Message};
