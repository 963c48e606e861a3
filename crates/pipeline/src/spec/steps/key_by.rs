//! `key_by`: sets the key of rows.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::names::Names;

/// Sets the key of rows to one or several columns: rows of one key travel through one partition from here on, in order.
/// Steps behind it that group (`window`, `aggregate`) may leave out `by`, and sinks write this key.
///
/// ```yaml
/// - key_by: [user_id, region]
/// ```
///
/// Columns and rows stay as they are. Where the rows are not partitioned so already, a repartition is inserted (an
/// internal topic; `millstream plan` shows it). A row with null in a key column is left out and counted as `null_key`, also
/// where only a sink follows, and its event time does not move windows on.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct KeyBy(pub Names);
