//! `rename`: gives columns other names.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::spec::entries::Entries;
use crate::spec::names::Name;

/// Gives columns other names: old name to new name. Order and types stay.
///
/// ```yaml
/// - rename: {px: price, sz: qty}
/// ```
///
/// | in | out |
/// |---|---|
/// | `{px: 10, sz: 2, venue: X}` | `{price: 10, qty: 2, venue: X}` |
///
/// All renames happen at once, so two columns may swap names. Two columns of one name are an error.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Rename(pub Entries<Name>);
