//! Scalars that are read as text whatever they look like: expressions and free settings.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::yaml::spanned::Spanned;

/// An SQL expression with its place.
pub type Expression = Spanned<Sql>;

/// An SQL scalar expression over the columns of the row, such as `price * qty` or `venue = 'XNAS' AND price > 0`.
///
/// Numbers and booleans may be written bare (`flag: true`); text that YAML would misread (it starts with a quote, or
/// holds `: ` or ` #`) is quoted or written as a block (`|`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Sql(pub String);

impl Sql {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Sql {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An SQL scalar expression over the columns of the row, such as `price * qty` or \
                            `venue = 'XNAS' AND price > 0`.",
            "type": ["string", "number", "boolean"],
            "format": "sql"
        })
    }
}

/// A setting as text: numbers and booleans are read as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}
