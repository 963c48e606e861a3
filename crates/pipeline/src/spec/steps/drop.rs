//! `drop`: removes columns.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::names::Names;

/// Removes columns; all others stay. One name, or a list of names.
///
/// ```yaml
/// - drop: [venue, note]
/// ```
///
/// | in | out |
/// |---|---|
/// | `{symbol: A, venue: X, note: n}` | `{symbol: A}` |
///
/// A column that is not there is an error, and so is removing the last one.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Drop(pub Names);
