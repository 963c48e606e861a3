//! `select`: keeps only the columns that it names.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::entries::Entries;
use crate::spec::names::Name;
use crate::spec::text::Expression;

/// Keeps only the columns that it names, in the order written. As a mapping it computes them.
///
/// ```yaml
/// - select: [symbol, price]
/// ```
/// ```yaml
/// - select: {symbol: symbol, notional: price * qty}
/// ```
///
/// | in | out of the second |
/// |---|---|
/// | `{symbol: A, price: 10, qty: 2, venue: X}` | `{symbol: A, notional: 20}` |
///
/// System columns (`_key`, `_timestamp`, ..) can still be read behind it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Select", untagged)]
pub enum Select {
    /// Columns to keep.
    #[serde(rename = "list")]
    Columns(Vec<Name>),
    /// Columns to compute.
    #[serde(rename = "map")]
    Expressions(Entries<Expression>),
}
