//! Protobuf: messages that a schema describes. Reading walks a message's bytes once by a short program made for the
//! columns that are wanted; the schema crates are asked when a program is made and never for a message.

mod compatibility;
mod compile;
mod decode;
mod derive;
mod encode;
mod fields;
mod flat;
mod json;
mod known;
mod map;
mod program;
mod put;
mod schema;
mod write;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use compatibility::{is_read_by, reads};
pub(crate) use decode::ProtobufDecoder;
pub use decode::{ProtobufFraming, ProtobufRead};
pub(crate) use encode::ProtobufEncoder;
pub use encode::ProtobufWrite;
pub use schema::{ProtobufMessage, ProtobufSchema};
