//! Avro: records that a schema describes and that cannot be read without it. Reading resolves the writer's schema
//! against what is wanted once, into a short program a message is run through; what is not read is passed over.
//!
//! The schemas are parsed and resolved here and not by the `apache-avro` crate, because a pipeline reads columns (a
//! resolution that builds values first costs a hundred times as much), wants every finding of a resolution and not the
//! first, and must stay within bounds for any schema and any bytes.

mod columns;
mod compatibility;
mod decode;
mod default;
mod derive;
mod encode;
mod parse;
mod program;
mod resolve;
mod schema;
mod skip;
mod write;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use compatibility::{Finding, Level, NewIs, Rule, compatibility, compatibility_of_type};
pub(crate) use decode::AvroDecoder;
pub use decode::{AvroRead, Framing};
pub(crate) use encode::AvroEncoder;
pub use encode::AvroWrite;
pub use schema::AvroSchema;
