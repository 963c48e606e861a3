//! JSON Schema: what the members of JSON objects are. It gives columns their types; whether a message keeps to it is
//! asked only where a pipeline says so.

mod branches;
mod columns;
mod compatibility;
mod decode;
mod derive;
mod encode;
mod keywords;
mod merge;
mod schema;
mod single;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub use compatibility::compatibility;
pub(crate) use decode::JsonSchemaDecoder;
pub use decode::{JsonFraming, JsonSchemaRead, Validation};
pub(crate) use encode::JsonSchemaEncoder;
pub use encode::{JsonSchemaWrite, RowValidation};
pub use schema::JsonSchema;
