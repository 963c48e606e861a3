//! `cast`: changes the types of columns.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::entries::Entries;
use crate::spec::types::ColumnType;
use crate::yaml::spanned::Spanned;

/// Changes the types of columns: column to new type. Names and order stay.
///
/// ```yaml
/// - cast: {price: double, ts: timestamp(ms)}
/// ```
///
/// | in | out |
/// |---|---|
/// | `{price: "10.5", ts: 1767225600000}` | `{price: 10.5, ts: 2026-01-01T00:00:00Z}` |
/// | `{price: "ten", ts: 0}` | goes where `on_error` says |
///
/// Null stays null. A value that the new type cannot hold (text that is no number, a number out of range) makes the row
/// fail; to get null instead, use `map` with `try_cast(price as double)`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Cast(pub Entries<Spanned<ColumnType>>);
