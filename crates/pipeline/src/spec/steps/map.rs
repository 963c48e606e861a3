//! `map`: adds or replaces columns.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::entries::Entries;
use crate::spec::text::Expression;

/// Adds columns, or replaces those whose names are there already; all others stay as they are.
///
/// ```yaml
/// - map: {notional: price * qty, symbol: upper(symbol)}
/// ```
///
/// | in | out |
/// |---|---|
/// | `{symbol: aapl, price: 10, qty: 2}` | `{symbol: AAPL, price: 10, qty: 2, notional: 20}` |
///
/// All expressions read the row as it came in: `{a: b, b: a}` swaps two columns. To use a new column in another
/// expression, write two `map` steps. New columns come last, in the order written. A literal text needs SQL's quotes
/// inside YAML's: `{kind: "'trade'"}`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Map(pub Entries<Expression>);
