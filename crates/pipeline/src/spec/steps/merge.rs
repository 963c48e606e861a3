//! `merge`: reads several streams as one.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::names::Name;

/// Reads several streams or sources as one. It is the first step of a stream, which then has no `from:`.
///
/// ```yaml
/// streams:
///   all:
///     steps:
///       - merge: [trades, corrections]
///       - filter: price > 0
/// ```
///
/// | in | out |
/// |---|---|
/// | `trades`: `{symbol: A, price: 10}`, `corrections`: `{symbol: A, price: 11}` | both rows |
///
/// All must have the same columns with the same types (in any order: the first one's is taken). Time is that of
/// whichever stream is furthest behind. Where a later step depends on the order of arrival, rows are read by event time.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Merge(pub Vec<Name>);
