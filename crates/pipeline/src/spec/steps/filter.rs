//! `filter`: keeps the rows for which a condition is true.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::text::Expression;

/// Keeps the rows for which a condition is true. Where it is false or null, the row is left out and counted as
/// `filtered`.
///
/// ```yaml
/// - filter: price > 0 AND venue = 'XNAS'
/// ```
///
/// | in | out |
/// |---|---|
/// | `{price: 10, venue: XNAS}` | `{price: 10, venue: XNAS}` |
/// | `{price: 0, venue: XNAS}` | |
/// | `{price: null, venue: XNAS}` | |
///
/// The condition must be boolean. A row that is left out still moves time on.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Filter(pub Expression);
