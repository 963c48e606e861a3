//! Scalars that are read as text whatever they look like: expressions and free settings.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::yaml::spanned::Spanned;

/// An SQL expression with its place.
pub type Expression = Spanned<Sql>;

/// An SQL scalar expression over the columns of the row, such as `price * qty` or `venue = 'XNAS' AND price > 0`.
///
/// Numbers and booleans may be written bare (`flag: true`); text that YAML would misread (it starts with a quote, or
/// holds `: ` or ` #`) is quoted or written as a block (`|`).
///
/// A number with a point, or beyond `bigint`, is exact beside a decimal (`amount = 0.1`, `amount * 1.5`) and where it is cast to one;
/// everywhere else, and with an exponent (`1e3`), it is a double. A time that is cast to a coarser one loses its last digits, so it never
/// moves forward; as a string it reads as in keys and JSON, `2026-01-01T00:00:00.000Z`, with six digits for microseconds.
///
/// Where `repeat`, `lpad`, `rpad`, `replace`, `range`, `generate_series`, `array_repeat` or `array_resize` would make a value of more
/// than 16 MiB, or `levenshtein` compare texts whose lengths multiply to more than 16 Mi, the row is an error.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(rename = "Expression", extend("type" = ["string", "number", "boolean"], "format" = "sql"))]
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

/// A setting as text: numbers and booleans are read as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("type" = ["string", "number", "boolean"]))]
pub struct Text(pub String);

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
