//! `unnest`: makes one row of each element of a list.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::names::Name;

/// Makes one row of each element of a list column; the other columns are repeated. The element takes the column's
/// place, under its name or the one given by `as`.
///
/// ```yaml
/// - unnest: items
/// ```
/// ```yaml
/// - unnest: {column: items, as: item}
/// ```
///
/// | in | out of the second |
/// |---|---|
/// | `{order: 1, items: [a, b]}` | `{order: 1, item: a}` and `{order: 1, item: b}` |
/// | `{order: 2, items: []}` | |
/// | `{order: 3, items: null}` | |
/// | `{order: 4, items: [null]}` | `{order: 4, item: null}` |
///
/// A row whose list is empty or null is left out and counted as `filtered`. Fields of an element that is a struct are
/// read by `item['sku']` in a later step.
///
/// The rows made of one record take 64 MiB at most, of all its unnest steps: as the other columns are repeated, a record of
/// a few kilobytes with two long lists can become gigabytes. A record that would become larger is in error (`overflow`) and
/// goes where `on_error` says.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename = "$shape")]
#[schemars(rename = "Unnest", untagged)]
pub enum Unnest {
    /// The list column.
    #[serde(rename = "scalar")]
    Column(Name),
    /// The list column and the name of the element.
    #[serde(rename = "map")]
    Options(UnnestOptions),
}

impl Unnest {
    /// The list column.
    pub fn column(&self) -> &Name {
        match self {
            Unnest::Column(column) => column,
            Unnest::Options(options) => &options.column,
        }
    }

    /// The name of the element's column.
    pub fn element(&self) -> &Name {
        match self {
            Unnest::Column(column) => column,
            Unnest::Options(options) => options.element.as_ref().unwrap_or(&options.column),
        }
    }
}

/// A list column and the name of its element.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnnestOptions {
    /// The list column.
    pub column: Name,
    /// The name of the element's column; by default the list's.
    #[serde(rename = "as")]
    pub element: Option<Name>,
}
